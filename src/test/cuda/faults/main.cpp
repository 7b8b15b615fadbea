// Runs every kernel of faults.cu with and without its fault, each in a process of its own: a sanitizer ends the process.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <set>
#include <string>

#include "faults.h"
#include "gpu.cuh"
#ifdef LQF_EMULATOR_CHECKED
#include "race.h"
#endif

using namespace lqf::gpu::faults;

namespace {

// What this build cannot see; another one does.
#if defined(LQF_EMULATOR_CHECKED)
const char* const kBuild = "races";
const std::set<std::string> kUnseen{"shared_out_of_bounds"};
#elif defined(__SANITIZE_ADDRESS__)
const char* const kBuild = "sanitizers";
const std::set<std::string> kUnseen{"blocks_race"};
#else
const char* const kBuild = "plain";
const std::set<std::string> kUnseen{"shared_out_of_bounds", "blocks_race"};
#endif

struct Setting {
    const char *order, *copies;
};
constexpr Setting kSettings[] = {{"forward", "late"}, {"reversed", "late"}, {"random", "late"}, {"forward", "early"}};

// Ends the process with 0 if nothing was noticed: the values are those of the kernel without fault, bit for bit.
[[noreturn]] void run_and_exit(const Fault& fault, bool bad, const Setting& setting) {
    setenv("LQF_EMULATOR_ORDER", setting.order, 1);
    setenv("LQF_EMULATOR_COPIES", setting.copies, 1);
    if (!std::freopen("/dev/null", "w", stderr)) std::_Exit(3);
    float x[kInputs], expected[kThreads] = {}, y[kThreads] = {};
    for (int i = 0; i < kInputs; i++) x[i] = float(i % 37) - 11;
    auto values = [&](bool with_fault, float* result) {
        void *device_x = nullptr, *device_y = nullptr;
        cudaMalloc(&device_x, sizeof x);
        cudaMalloc(&device_y, sizeof y);
        cudaMemcpyAsync(device_x, x, sizeof x, cudaMemcpyHostToDevice, nullptr);
        cudaMemsetAsync(device_y, 0, sizeof y, nullptr);
        run(fault, static_cast<float*>(device_x), static_cast<float*>(device_y), with_fault);
        std::memcpy(result, device_y, sizeof y);
        cudaFree(device_x);
        cudaFree(device_y);
    };
    try {
        values(false, expected);
#ifdef LQF_EMULATOR_CHECKED
        if (!lqf::emulator::take_findings().empty()) std::_Exit(2);
#endif
        values(bad, y);
#ifdef LQF_EMULATOR_CHECKED
        if (!lqf::emulator::take_findings().empty()) std::_Exit(2);
#endif
    } catch (const std::exception&) {
        std::_Exit(1);
    }
    std::_Exit(std::memcmp(y, expected, sizeof y) == 0 ? 0 : 1);
}

bool noticed(const Fault& fault, bool bad) {
    for (const Setting& setting : kSettings) {
        const pid_t child = fork();
        if (child == 0) run_and_exit(fault, bad, setting);
        int status = 0;
        waitpid(child, &status, 0);
        if (status != 0) return true;
    }
    return false;
}

}  // namespace

int main() {
    int wrong = 0;
    for (int i = 0; i < kFaultCount; i++) {
        const Fault& fault = kFaults[i];
        const bool seen = noticed(fault, true), alarm = noticed(fault, false);
        const bool expected = !kUnseen.count(fault.name);
        std::printf("%-12s %-24s %s%s\n", kBuild, fault.name, seen ? "caught" : "not seen",
                    alarm              ? ", FALSE ALARM without the fault"
                    : seen != expected ? ", NOT AS EXPECTED"
                                       : "");
        wrong += alarm || seen != expected;
    }
    return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
