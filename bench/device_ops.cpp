// The convolutions of a device library on the shapes of bench/shapes, as a table: microseconds and TFLOP/s of each op, queued one after the other
// until the host has waited for the last. Calls nothing but the table of ops, so that two builds of a library can be compared in one run.
//   lqf_device_ops LIBRARY.so [--shapes FILE]... [--images N[,N...]] [--precision fp32|tf32|bf16]... [--only SUBSTRING] [--runs N]
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "ops.h"
#include "threads.h"

namespace {

using namespace lqf;
using DeviceOps = int32_t(int32_t version, uint64_t ops_bytes, const Ops** ops, char* text, int64_t capacity);

constexpr double kSeconds = 0.01;  // of a measurement; the median of kSamples counts
constexpr int kSamples = 3;

[[noreturn]] void fail(const std::string& text) {
    std::fprintf(stderr, "lqf_device_ops: %s\n", text.c_str());
    std::exit(1);
}

const Ops& load(const char* path) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(dlerror());
    auto* device_ops = reinterpret_cast<DeviceOps*>(dlsym(library, "lqf_device_ops"));
    if (!device_ops) fail(std::string(path) + " is no device library");
    const Ops* ops = nullptr;
    char text[512] = "";
    if (device_ops(kOpsVersion, sizeof(Ops), &ops, text, sizeof text) != LQF_OK) fail(text);
    return *ops;
}

// Noise on the device: zeros have times of their own.
class Floats {
public:
    Floats(const Ops& ops, size_t count) : ops_(ops), data_(static_cast<float*>(ops.allocate(count * sizeof(float)))) {
        if (!data_) fail("no memory for " + std::to_string(count) + " floats");
        std::vector<float> noise(count);
        uint32_t state = 1;
        for (float& value : noise) {
            state = state * 1664525 + 1013904223;
            value = float(int32_t(state)) * 0x1p-31f;
        }
        ops.copy_in(data_, noise.data(), count * sizeof(float));
    }
    ~Floats() { ops_.release(data_); }
    Floats(const Floats&) = delete;

    operator float*() const { return data_; }

private:
    const Ops& ops_;
    float* data_;
};

struct Options {
    std::vector<std::string> shapes, precisions;
    std::vector<int> images;
    std::string only;
    int runs = 0;  // 0: as many as fill kSeconds
};

class Table {
public:
    Table(const Ops& ops, Queue& queue, const Options& options) : ops_(ops), queue_(queue), options_(options) {}

    void convolution(const std::string& name, Conv2d c, const char* precision) {
        const size_t block = size_t(ops_.channel_block);
        auto floats = [&](int channels, int h, int w) {
            return size_t(c.n) * ((size_t(channels) + block - 1) / block * block) * size_t(h) * size_t(w);
        };
        const Floats x(ops_, floats(c.ic, c.ih, c.iw)), x_dot(ops_, floats(c.ic, c.ih, c.iw)),
            x_bar(ops_, floats(c.ic, c.ih, c.iw)), y(ops_, floats(c.oc, c.oh, c.ow)),
            y_dot(ops_, floats(c.oc, c.oh, c.ow));
        const size_t weights = size_t(c.patch()) * size_t(c.oc);
        const Floats w(ops_, weights), w_bar(ops_, weights), b(ops_, size_t(c.oc)), b_bar(ops_, size_t(c.oc)),
            packed(ops_, ops_.conv2d_packed_floats(c)), delta(ops_, ops_.conv2d_packed_floats(c)),
            transposed(ops_, ops_.conv2d_packed_floats(c) + size_t(c.oc + c.ic + 16) * size_t(c.kh * c.kw) * block);
        ops_.conv2d_pack(threads_, c, w, b, packed);
        ops_.conv2d_pack(threads_, c, w, b, delta);
        ops_.conv2d_pack_transposed(threads_, c, w, transposed);
        const Epilogue sloped{nullptr, nullptr, 0.1f}, masked{nullptr, y, 0.1f};
        const double flops = 2.0 * double(c.patch()) * c.oc * c.oh * c.ow * c.n;
        const std::string row = name + " " + precision + " b" + std::to_string(c.n) + " ";
        time(row + "conv2d", flops, [&] { ops_.conv2d(threads_, c, x, packed, sloped, y); });
        time(row + "conv2d_jvp", 2 * flops,
             [&] { ops_.conv2d_jvp(threads_, c, x, x_dot, packed, delta, masked, y_dot); });
        time(row + "conv2d_with_jvp", 3 * flops,
             [&] { ops_.conv2d_with_jvp(threads_, c, x, x_dot, packed, delta, sloped, nullptr, y, y_dot); });
        time(row + "conv2d_vjp_x", flops, [&] { ops_.conv2d_vjp_x(threads_, c, y, transposed, {}, x_bar); });
        time(row + "conv2d_vjp_w", flops, [&] { ops_.conv2d_vjp_w(threads_, c, x, y, w_bar, b_bar, 0); });
    }

private:
    void time(const std::string& row, double flops, const std::function<void()>& op) {
        if (row.find(options_.only) == std::string::npos) return;
        using Clock = std::chrono::steady_clock;
        auto seconds = [&](int runs) {
            const auto start = Clock::now();
            for (int i = 0; i < runs; i++) op();
            queue_.synchronise();
            return std::chrono::duration<double>(Clock::now() - start).count();
        };
        seconds(1);
        const int runs = options_.runs ? options_.runs : std::max(3, int(kSeconds / seconds(3) * 3));
        std::vector<double> samples;
        for (int i = 0; i < (options_.runs ? 1 : kSamples); i++) samples.push_back(seconds(runs) / runs);
        std::sort(samples.begin(), samples.end());
        const double median = samples[samples.size() / 2];
        std::printf("%-48s %10.1f us %8.2f TFLOP/s\n", row.c_str(), 1e6 * median, flops / median * 1e-12);
        std::fflush(stdout);
    }

    const Ops& ops_;
    Queue& queue_;
    const Options& options_;
    Threads threads_{1};
};

}  // namespace

int main(int count, char** arguments) {
    Options options;
    for (int i = 2; i + 1 < count; i += 2) {
        const std::string name = arguments[i], value = arguments[i + 1];
        std::stringstream items(value);
        if (name == "--shapes") options.shapes.push_back(value);
        if (name == "--precision") options.precisions.push_back(value);
        if (name == "--only") options.only = value;
        if (name == "--runs") options.runs = std::atoi(value.c_str());
        for (std::string item; name == "--images" && std::getline(items, item, ',');)
            options.images.push_back(std::atoi(item.c_str()));
    }
    if (count < 2) fail("expected the library's file");
    if (options.shapes.empty()) options.shapes = {"bench/shapes/resnet18.txt"};
    if (options.precisions.empty()) options.precisions = {"fp32", "tf32", "bf16"};
    if (options.images.empty()) options.images = {32};
    const Ops& ops = load(arguments[1]);
    const std::unique_ptr<Queue> queue(ops.open_queue(nullptr));
    queue->enter();
    Table table(ops, *queue, options);
    std::printf("%s\n", ops.describe());
    for (const std::string& file : options.shapes) {
        std::ifstream lines(file);
        if (!lines) fail("no file " + file);
        for (std::string line; std::getline(lines, line);) {
            std::stringstream fields(line);
            std::string name, kind;
            Conv2d c{};
            if (!(fields >> name >> kind) || kind != "conv2d") continue;
            fields >> c.ic >> c.ih >> c.oc >> c.kh >> c.stride >> c.pad;
            c.iw = c.ih, c.kw = c.kh;
            c.oh = c.ow = (c.ih + 2 * c.pad - c.kh) / c.stride + 1;
            for (const std::string& precision : options.precisions)
                for (int n : options.images) {
                    c.n = c.most = n;
                    c.precision = precision == "tf32" ? LQF_TF32 : precision == "bf16" ? LQF_BF16 : LQF_FP32;
                    table.convolution(name, c, precision.c_str());
                }
        }
    }
    queue->leave();
}
