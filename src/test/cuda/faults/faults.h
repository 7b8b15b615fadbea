#ifndef LQF_FAULTS_H
#define LQF_FAULTS_H

namespace lqf::gpu::faults {

constexpr int kThreads = 64, kInputs = 4 * kThreads;

struct Fault {
    const char* name;
    void (*kernel)(const float* x, float* y, int bad);
    int blocks;
};
extern const Fault kFaults[];
extern const int kFaultCount;

// x [kInputs], y [kThreads]: device memory. bad: with the fault.
void run(const Fault& fault, const float* x, float* y, bool bad);

}  // namespace lqf::gpu::faults
#endif
