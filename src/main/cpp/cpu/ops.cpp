#include "ops.h"

namespace lqf {

// Starts as a copy of the reference table; fast ops override entries one by one.
const Ops& cpu_ops() {
    static const Ops table = [] {
        Ops ops = reference_ops();
        ops.name = "cpu";
        return ops;
    }();
    return table;
}

}  // namespace lqf
