// The checker checked: faults planted into the PTX of the conformance kernels, where the emulator cannot see them, are caught.
#include <doctest/doctest.h>

#include <regex>

#include "conformance/conformance.h"
#include "ptx.h"

namespace lqf::gpu::conformance {
namespace {

struct Fault {
    const char* name;
    Wrapper wrapper;
    const char *pattern, *replacement;  // a regular expression, and what takes its place
};

const Fault kFaults[] = {
    {"two of A's registers changed over", Wrapper::kMmaTf32, R"((mma\S*tf32\S* \{[^}]*\}, \{)(%r\d+),(%r\d+))",
     "$1$3,$2"},
    {"B's registers changed over", Wrapper::kMmaTf32, R"((mma\S*tf32\S* \{[^}]*\}, \{[^}]*\}, \{)(%r\d+),(%r\d+))",
     "$1$3,$2"},
    {"two of A's registers changed over", Wrapper::kMmaBf16, R"((mma\S*bf16\S* \{[^}]*\}, \{)(%r\d+),(%r\d+))",
     "$1$3,$2"},
    {"B's registers changed over", Wrapper::kMmaBf16, R"((mma\S*bf16\S* \{[^}]*\}, \{[^}]*\}, \{)(%r\d+),(%r\d+))",
     "$1$3,$2"},
    {"the sum so far left out", Wrapper::kMmaBf16, R"((mma\S*bf16\S* \{[^}]*\}, \{[^}]*\}, \{[^}]*\}, )\{[^}]*\})",
     "$1{%f99,%f99,%f99,%f99}"},
    {"transposed", Wrapper::kLoadMatrix, R"(x4\.shared)", "x4.trans.shared"},
    {"not transposed", Wrapper::kLoadTransposed, R"(x4\.trans\.shared)", "x4.shared"},
    {"matrices changed over", Wrapper::kLoadMatrix, R"((ldmatrix\S* \{)(%r\d+),(%r\d+))", "$1$3,$2"},
    {"halves changed over", Wrapper::kToBf16, R"((cvt\.rn\.bf16x2\.f32 %r\d+, )(%f\d+), (%f\d+))", "$1$3, $2"},
    {"waits for too few groups", Wrapper::kCopyAsync, R"(wait_group 1)", "wait_group 2"},
    {"never waits", Wrapper::kCopyAsync, R"(wait_group 0)", "wait_group 1"},
    {"zeros forgotten", Wrapper::kCopyAsync, R"(16, %r\d+;)", "16, 16;"},
    {"down for up", Wrapper::kShuffle, R"(shfl\.sync\.down)", "shfl.sync.up"},
    {"no rounding", Wrapper::kToTf32, R"(cvt\.rna\.tf32\.f32 (%r\d+), %f(\d+))", "mov.b32 $1, %f$2"},
};

}  // namespace

TEST_CASE("faults planted into PTX are caught") {
    for (const Fault& fault : kFaults) {
        CAPTURE(fault.name);
        const Case c = case_of(fault.wrapper);
        REQUIRE(run(fault.wrapper, c.in) == c.expected);
        size_t planted = 0;
        lqf::ptx::edit("conformance", [&](const std::string& text) {
            const std::regex pattern(fault.pattern);
            planted = size_t(std::distance(std::sregex_iterator(text.begin(), text.end(), pattern), {}));
            return std::regex_replace(text, pattern, fault.replacement);
        });
        CHECK(planted > 0);
        CHECK(run(fault.wrapper, c.in) != c.expected);
        lqf::ptx::edit("conformance", [](const std::string& text) { return text; });
    }
}

}  // namespace lqf::gpu::conformance
