// The device and its table of ops.
#include <algorithm>
#include <cstdio>
#include <string>

#include "backend.h"
#include "device_queue.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

constexpr int kMinMajor = 7, kMinMinor = 5;  // compute capability
constexpr double kMinGigabytes = 1;          // of which the driver's context takes about half

#ifdef __CUDACC__
constexpr const char* kName = "cuda";
#else
constexpr const char* kName = "emulator";
#endif

struct Device {
    cudaDeviceProp properties{};
    int driver = 0;
    std::string description;

    Device();
};

std::string version_text(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

[[noreturn]] void unavailable(const std::string& why) { throw Error(LQF_UNAVAILABLE, why); }

// Throws LQF_UNAVAILABLE with a sentence.
Device::Device() {
    int runtime = 0, count = 0;
    CUDA_CHECK(cudaDriverGetVersion(&driver));
    CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    const cudaError_t counted = cudaGetDeviceCount(&count);
    if (driver == 0)
        unavailable("no NVIDIA driver is installed, needed is one for CUDA " + version_text(runtime) + " or newer");
    if (counted == cudaErrorInsufficientDriver)
        unavailable("the NVIDIA driver is too old: it knows CUDA " + version_text(driver) + ", needed is " +
                    version_text(runtime) + " or newer; update the driver");
    if (counted == cudaErrorNoDevice || (counted == cudaSuccess && count == 0))
        unavailable("the NVIDIA driver finds no GPU; nvidia-smi lists those that it knows");
    if (counted != cudaSuccess) unavailable(std::string("the NVIDIA driver answers: ") + cudaGetErrorString(counted));
    if (const cudaError_t opened = cudaSetDevice(0))
        unavailable(std::string("the GPU does not open, the NVIDIA driver answers: ") + cudaGetErrorString(opened) +
                    "; nvidia-smi lists who uses it");
    CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
    const std::string capability = std::to_string(properties.major) + "." + std::to_string(properties.minor);
    if (properties.major < kMinMajor || (properties.major == kMinMajor && properties.minor < kMinMinor))
        unavailable(std::string(properties.name) + " has compute capability " + capability + ", needed is " +
                    std::to_string(kMinMajor) + "." + std::to_string(kMinMinor) + " or newer; use device cpu");
    char text[400];
    const double gigabytes = double(properties.totalGlobalMem) / 1e9;
    if (gigabytes < kMinGigabytes) {
        std::snprintf(text, sizeof text, "%s has %.1f GB of memory, needed is %.0f GB or more; use device cpu",
                      properties.name, gigabytes, kMinGigabytes);
        unavailable(text);
    }
    std::snprintf(text, sizeof text, "%s, compute capability %s, %d multiprocessors, %.1f GB, CUDA %s", properties.name,
                  capability.c_str(), properties.multiProcessorCount, gigabytes, version_text(driver).c_str());
    description = text;
}

// NOTE: never destroyed. At exit the driver may be gone before us.
Device& device() {
    static Device& instance = *new Device;
    return instance;
}

}  // namespace

int multiprocessors() { return device().properties.multiProcessorCount; }

size_t scratch_for_sums() {
    constexpr size_t kLeast = size_t(64) << 20, kMost = size_t(512) << 20;
    return std::min(std::max(device().properties.totalGlobalMem / 16, kLeast), kMost);
}

namespace {

const char* describe() { return device().description.c_str(); }

Queue* open_queue(void* const* stream) {
    if (!stream) return new DeviceQueue(nullptr);
    const auto given = static_cast<cudaStream_t>(*stream);
    return new DeviceQueue(&given);
}

// In the order of ops.h. NOTE: an initialiser list, so that an op left out does not compile (-Wmissing-field-initializers).
const Ops& table() {
    static const Ops table{
        kName,
        kBlock,
        device().properties.major >= 8 ? 1 << LQF_FP32 | 1 << LQF_TF32 | 1 << LQF_BF16 : 1 << LQF_FP32,
        describe,
        allocate,
        release,
        copy_in,
        copy_out,
        memory,
        open_queue,
        import_images,
        export_outputs,
        import_cotangent,
        conv2d_packed_floats,
        conv2d_pack,
        conv2d_pack_transposed,
        conv2d,
        conv2d_jvp,
        conv2d_with_jvp,
        conv2d_vjp_x,
        conv2d_vjp_w,
        leaky_relu,
        leaky_relu_scale,
        add,
        max_pool,
        max_pool_jvp,
        max_pool_vjp,
        avg_pool,
        avg_pool_vjp,
        subsample,
        subsample_vjp,
        batch_norm,
        batch_norm_vjp,
        kron_input,
        kron_output,
        kron_precondition,
        fill,
        copy,
        scale,
        axpy,
        dot,
        scale_doubles,
        add_doubles,
        trace,
        spd_inverse,
        symmetric_eigen,
        gram,
        cholesky,
        cholesky_solve,
        cholesky_inverse,
        eigen,
    };
    return table;
}

}  // namespace
}  // namespace lqf::gpu

int32_t lqf_device_ops(int32_t version, uint64_t ops_bytes, const lqf::Ops** ops, char* text, int64_t capacity) {
    using namespace lqf;
    try {
        if (version != kOpsVersion || ops_bytes != sizeof(Ops))
            throw Error(LQF_UNAVAILABLE, "the device library is of another build than liblqf; install both together");
        gpu::device();
        *ops = &gpu::table();
        return LQF_OK;
    } catch (const std::exception& error) {
        std::snprintf(text, size_t(capacity), "%s", error.what());
        return LQF_UNAVAILABLE;
    }
}
