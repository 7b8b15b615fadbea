// The ops of layers (but batch norm and average pools) on the shapes of bench/shapes, the products of rows of J, and inverses, one thread, as
// a table in Markdown: how near each is to what this machine can do. An op is compared with the limit that binds it: multiply-adds for
// convolutions, products and inverses, memory traffic for the others. Time is that of the thread, so a processor that others use disturbs
// caches and clock only; the best of some samples counts, each beside one of the limit.
//   lqf_ops [--shapes FILE] [--only SUBSTRING] [--samples N]
#include "ops.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "fma_loop.h"
#include "threads.h"

namespace {

using namespace lqf;

constexpr int kImages = 8;
constexpr double kSampleSeconds = 0.02;

double thread_seconds() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

// Seconds of one run, from as many as fill a sample.
double sample(const std::function<void()>& work) {
    const double start = thread_seconds();
    double end;
    int runs = 0;
    do {
        work();
        runs++;
        end = thread_seconds();
    } while (end - start < kSampleSeconds);
    return (end - start) / runs;
}

// Memory of the table, as a plan has it: aligned. Filled with noise: zeros and denormals have times of their own.
class Floats {
public:
    explicit Floats(size_t count)
        : count_(count), data_(static_cast<float*>(cpu_ops().allocate(count * sizeof(float)))) {
        if (!data_) std::abort();
        uint32_t state = 1;
        for (size_t i = 0; i < count; i++) {
            state = state * 1664525 + 1013904223;
            data_[i] = float(int32_t(state)) * 0x1p-31f;
        }
    }
    Floats(const Floats&) = delete;
    Floats& operator=(const Floats&) = delete;
    ~Floats() { cpu_ops().release(data_); }

    float* data() { return data_; }
    const float* data() const { return data_; }
    size_t size() const { return count_; }

private:
    size_t count_;
    float* data_;
};

struct Options {
    std::vector<std::string> shapes;
    std::string only;
    int samples = 15;
};

class Table {
public:
    explicit Table(const Options& options) : options_(options), ops_(cpu_ops()), threads_(1) {
        stream_from_.resize(size_t(8) << 20, 1.0f), stream_to_.resize(stream_from_.size());
        std::printf("| shape | op | ms an image | GFLOP/s | of the FMA peak | GB/s | of memory's |\n");
        std::printf("|---|---|---|---|---|---|---|\n");
    }

    void convolution(const std::string& name, int ic, int side, int oc, int kernel, int stride, int pad) {
        const int out = (side + 2 * pad - kernel) / stride + 1;
        Conv2d c{kImages, ic, side, side, oc, out, out, kernel, kernel, stride, pad, 0};
        const double flop = 2.0 * kImages * oc * out * out * double(c.patch());
        const Floats plain(size_t(c.patch()) * size_t(oc)), bias{size_t(oc)};
        const Floats x(floats(ic, side)), x_dot(floats(ic, side)), y_bar(floats(oc, out));
        Floats y(floats(oc, out)), y_dot(floats(oc, out)), x_bar(floats(ic, side)), w_bar(plain.size()),
            b_bar{size_t(oc)};
        for (int winograd : {0, 2, 4}) {
            if (winograd && (kernel == 1 || (kernel == 3 && stride == 2 && winograd == 4))) continue;
            c.winograd = winograd;
            const std::string kind = winograd ? " F(" + std::to_string(winograd) + "," + std::to_string(kernel) + ")" : "";
            Floats w0(ops_.conv2d_packed_floats(c)), delta(w0.size()), transposed(w0.size());
            ops_.conv2d_pack(threads_, c, plain.data(), bias.data(), w0.data());
            ops_.conv2d_pack(threads_, c, plain.data(), bias.data(), delta.data());
            ops_.conv2d_pack_transposed(threads_, c, plain.data(), transposed.data());
            const bool first = ic == 3;  // the image moves with nothing
            const float* in_dot = first ? nullptr : x_dot.data();
            compute(name, "forward" + kind, flop, [&] {
                ops_.conv2d(threads_, c, x.data(), w0.data(), {nullptr, nullptr, 0.1f}, y.data());
            });
            compute(name, "jvp" + kind, first ? flop : 2 * flop, [&] {
                ops_.conv2d_jvp(threads_, c, x.data(), in_dot, w0.data(), delta.data(), {nullptr, y.data(), 0.1f},
                                y_dot.data());
            });
            compute(name, "forward + jvp" + kind, first ? 2 * flop : 3 * flop, [&] {
                ops_.conv2d_with_jvp(threads_, c, x.data(), in_dot, w0.data(), delta.data(), {nullptr, nullptr, 0.1f},
                                     nullptr, y.data(), y_dot.data());
            });
            if (!first)
                compute(name, "vjp of the input" + kind, flop, [&] {
                    ops_.conv2d_vjp_x(threads_, c, y_bar.data(), transposed.data(), {nullptr, x.data(), 0.1f},
                                      x_bar.data());
                });
            compute(name, "vjp of the weights" + kind, flop,
                    [&] { ops_.conv2d_vjp_w(threads_, c, x.data(), y_bar.data(), w_bar.data(), b_bar.data(), 0); });
        }
    }

    void pool(const std::string& name, int channels, int side, int kernel, int stride, int pad) {
        const int out = (side + 2 * pad - kernel) / stride + 1;
        const Pool2d p{kImages, channels, side, side, out, out, kernel, kernel, stride, pad};
        const Floats x(floats(channels, side));
        Floats y(floats(channels, out)), x_bar(floats(channels, side));
        std::vector<int32_t> argmax(y.size());
        const double in = 4.0 * double(x.size()), small = 4.0 * double(y.size());
        memory(name, "max pool", in + 2 * small,
               [&] { ops_.max_pool(threads_, p, x.data(), y.data(), argmax.data()); });
        memory(name, "max pool, jvp", in + 2 * small,
               [&] { ops_.max_pool_jvp(threads_, p, x.data(), argmax.data(), y.data()); });
        memory(name, "max pool, vjp", in + 2 * small,
               [&] { ops_.max_pool_vjp(threads_, p, y.data(), argmax.data(), x_bar.data(), false); });
    }

    void map(const std::string& name, int channels, int side) {
        const Floats x(floats(channels, side)), other(floats(channels, side));
        Floats y(floats(channels, side));
        const auto count = int64_t(x.size());
        const double bytes = 4.0 * double(count);
        memory(name, "leaky ReLU", 2 * bytes, [&] { ops_.leaky_relu(threads_, count, 0.1f, x.data(), y.data()); });
        memory(name, "leaky ReLU, jvp", 3 * bytes,
               [&] { ops_.leaky_relu_scale(threads_, count, 0.1f, x.data(), other.data(), y.data(), false); });
        memory(name, "add", 3 * bytes, [&] { ops_.add(threads_, count, x.data(), other.data(), y.data()); });
    }

    void border(const std::string& name, int channels, int side) {
        const Floats images(size_t(kImages) * size_t(channels) * size_t(side) * size_t(side));
        Floats x(floats(channels, side));
        memory(name, "import of images", 4.0 * double(images.size() + x.size()),
               [&] { ops_.import_images(threads_, kImages, channels, side, side, images.data(), x.data()); });
    }

    void subsample(const std::string& name, int channels, int side, int out_channels, int stride) {
        const int out = (side - 1) / stride + 1;
        const Subsample s{kImages, channels, side, side, out_channels, out, out, stride, (out_channels - channels) / 2};
        const Floats x(floats(channels, side));
        Floats y(floats(out_channels, out));
        const double in = 4.0 * double(floats(channels, out)), small = 4.0 * double(y.size());
        memory(name, "shortcut", in + small, [&] { ops_.subsample(threads_, s, x.data(), y.data()); });
    }

    // The products of the rows of J of 64 images of 10 classes with those of 64 others, and with themselves; 1/8 of ResNet-20's parameters.
    void gram() {
        const std::string name = "640 rows";
        const int64_t rows = 640, length = 33600;
        if (left_out(name, "products")) return;
        const Floats a(size_t(rows * length)), b(size_t(rows * length));
        std::vector<double> out(size_t(4 * rows * rows));
        double *corner = out.data(), *beside = corner + rows, *below = corner + 2 * rows * rows;
        const double flop = 2.0 * double(rows) * double(rows) * double(length);
        compute(
            name, "products with others", flop,
            [&] { ops_.gram(threads_, rows, rows, length, a.data(), b.data(), false, beside, below, 2 * rows); }, 1);
        compute(
            name, "products with themselves", flop / 2,
            [&] { ops_.gram(threads_, rows, rows, length, a.data(), a.data(), false, corner, corner, 2 * rows); }, 1);
    }

    // condition: largest sum of a row over the shift, which decides what is done in float.
    void inverse(int side, double condition) {
        const std::string name = "side " + std::to_string(side),
                          op = "inverse, condition " + std::to_string(int64_t(condition));
        if (left_out(name, op)) return;
        std::vector<double> a(size_t(side) * size_t(side), 0.0);
        for (int i = 0; i < side; ++i)
            for (int j = 0; j < side; ++j)
                a[size_t(i) * size_t(side) + size_t(j)] = i == j ? 2 : 1.0 / (2 + std::abs(i - j));
        double sum = 0;  // of the middle row, the largest
        for (int j = 0; j < side; ++j) sum += a[size_t(side / 2) * size_t(side) + size_t(j)];
        Floats out(a.size());
        const SpdInverse m{side, a.data(), 1, sum / condition, out.data()};
        int64_t pivot;
        compute(
            name, op, std::pow(double(side), 3), [&] { ops_.spd_inverse(threads_, 1, &m, &pivot); }, 1);
    }

private:
    size_t floats(int channels, int side) const {
        const int block = ops_.channel_block;
        return size_t(kImages) * size_t((channels + block - 1) / block * block) * size_t(side) * size_t(side);
    }

    void compute(const std::string& name, const std::string& op, double flop, const std::function<void()>& work,
                 int images = kImages) {
        if (left_out(name, op)) return;
        double limit = 1e9, best = 1e9;
        work();
        for (int i = 0; i < options_.samples; i++) {
            limit = std::min(limit, sample([] { bench::fma_loop(kLoops); }) / (kLoops * bench::fma_flop()));
            best = std::min(best, sample(work));
        }
        std::printf("| %s | %s | %.3f | %.1f | %.0f %% | | |\n", name.c_str(), op.c_str(), best * 1e3 / images,
                    flop / best * 1e-9, 100 * flop * limit / best);
        std::fflush(stdout);
    }

    void memory(const std::string& name, const std::string& op, double bytes, const std::function<void()>& work) {
        if (left_out(name, op)) return;
        double limit = 1e9, best = 1e9;
        work();
        for (int i = 0; i < options_.samples; i++) {
            limit = std::min(limit, sample([&] {
                                        for (size_t k = 0; k < stream_to_.size(); k++)
                                            stream_to_[k] = 0.5f * stream_from_[k];
                                    }) / (8.0 * double(stream_to_.size())));
            best = std::min(best, sample(work));
        }
        std::printf("| %s | %s | %.3f | | | %.1f | %.0f %% |\n", name.c_str(), op.c_str(), best * 1e3 / kImages,
                    bytes / best * 1e-9, 100 * bytes * limit / best);
        std::fflush(stdout);
    }

    bool left_out(const std::string& name, const std::string& op) const {
        return (name + " " + op).find(options_.only) == std::string::npos;
    }

    static constexpr long kLoops = 20000;

    const Options& options_;
    const Ops& ops_;
    Threads threads_;
    std::vector<float> stream_from_, stream_to_;
};

}  // namespace

int main(int count, char** arguments) {
    Options options;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string name = arguments[i], value = arguments[i + 1];
        if (name == "--shapes") options.shapes.push_back(value);
        if (name == "--only") options.only = value;
        if (name == "--samples") options.samples = std::atoi(value.c_str());
    }
    Table table(options);
    for (const std::string& file : options.shapes) {
        std::ifstream in(file);
        for (std::string line; std::getline(in, line);) {
            std::istringstream words(line);
            std::string name, kind;
            int channels = 0, side = 0, out = 0, kernel = 0, stride = 0, pad = 0;
            if (line.empty() || line[0] == '#' || !(words >> name >> kind >> channels >> side)) continue;
            words >> out >> kernel >> stride >> pad;
            if (kind == "conv2d") table.convolution(name, channels, side, out, kernel, stride, pad);
            if (kind == "conv2d" && channels == 3) table.border(name, channels, side);
            if (kind == "linear") table.convolution(name, channels, side, out, side, 1, 0);
            if (kind == "pool") table.pool(name, channels, side, kernel, stride, pad);
            if (kind == "map") table.map(name, channels, side);
            if (kind == "subsample") table.subsample(name, channels, side, out, stride);
        }
    }
    table.gram();
    for (int side : {577, 1153, 2305, 4609})
        for (double condition : {1e3, 1e4, 1e6}) table.inverse(side, condition);
}
