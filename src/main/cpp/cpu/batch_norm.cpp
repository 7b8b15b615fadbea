#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

constexpr int kSums = 2 * kBlock;  // of one image and block: a, then a * b

// work(offset of its first pixel, block) for every image and block.
template <class Work>
void each_plane(Threads& threads, const BatchNorm& b, Work work) {
    const int64_t floats = int64_t(b.h) * b.w * kBlock, blocks = blocks_of(b.c);
    threads.each(b.n * blocks, [&](int64_t task, int) { work(task, task * floats, int(task % blocks)); });
}

// sums [blocks][a, a * b][16] over all images: each image by itself, then in image order, whatever the threads.
std::vector<double> sum_images(Threads& threads, const BatchNorm& b, const float* left, const float* right) {
    const int64_t blocks = blocks_of(b.c);
    std::vector<double> parts(size_t(b.n * blocks * kSums));
    each_plane(threads, b, [&](int64_t task, int64_t at, int) {
        kernels().pair_sums(left + at, right + at, int64_t(b.h) * b.w, parts.data() + task * kSums);
    });
    std::vector<double> sums(size_t(blocks * kSums));
    const double* part = parts.data();
    for (int64_t image = 0; image < b.n; ++image)
        for (double& sum : sums) sum += *part++;
    return sums;
}

// A number for every lane; those beyond the channels stay 0, and so do the lanes that they multiply.
struct Lanes {
    explicit Lanes(int c) : values(size_t(blocks_of(c)) * kBlock) {}
    float& operator[](int channel) { return values[size_t(channel)]; }
    const float* of(int block) const { return values.data() + int64_t(block) * kBlock; }
    std::vector<float> values;
};

// Where the sums of a channel stand.
int64_t at(int channel) { return int64_t(channel / kBlock) * kSums + channel % kBlock; }

}  // namespace

void batch_norm(Threads& threads, const BatchNorm& b, const float* x, const float* gamma, const float* beta,
                float* mean, float* variance, float* y) {
    const double count = double(b.count());
    const std::vector<double> sums = sum_images(threads, b, x, x);
    Lanes shift(b.c), scale(b.c), offset(b.c);
    for (int k = 0; k < b.c; ++k) {
        const double centre = sums[size_t(at(k))] / count;
        const double spread = std::max(0.0, sums[size_t(at(k) + kBlock)] / count - centre * centre);
        mean[k] = float(centre);
        variance[k] = float(spread);
        const double factor = gamma[k] / std::sqrt(spread + b.epsilon);
        shift[k] = -mean[k];
        scale[k] = float(factor);
        offset[k] = float(beta[k] + factor * (mean[k] - centre));  // what rounding the mean took away
    }
    each_plane(threads, b, [&](int64_t, int64_t first, int block) {
        kernels().normalise(x + first, int64_t(b.h) * b.w, shift.of(block), scale.of(block), offset.of(block),
                            y + first);
    });
}

void batch_norm_vjp(Threads& threads, const BatchNorm& b, const float* x, const float* gamma, const float* mean,
                    const float* variance, const float* y_bar, float* gamma_bar, float* beta_bar, float* x_bar,
                    bool accumulate) {
    const double count = double(b.count());
    const std::vector<double> sums = sum_images(threads, b, y_bar, x);
    Lanes shift(b.c), scale(b.c), slope(b.c), offset(b.c);
    for (int k = 0; k < b.c; ++k) {
        const double inverse = 1 / std::sqrt(variance[k] + b.epsilon);
        const double sum = sums[size_t(at(k))];
        const double product = (sums[size_t(at(k) + kBlock)] - mean[k] * sum) * inverse;  // of y_bar and x_hat
        gamma_bar[k] = float(product);
        beta_bar[k] = float(sum);
        shift[k] = -mean[k];
        scale[k] = float(gamma[k] * inverse);
        slope[k] = float(-gamma[k] * inverse * inverse * product / count);
        offset[k] = float(-gamma[k] * inverse * sum / count);
    }
    if (!x_bar) return;
    each_plane(threads, b, [&](int64_t, int64_t first, int block) {
        kernels().normalise_vjp(x + first, y_bar + first, int64_t(b.h) * b.w, shift.of(block), scale.of(block),
                                slope.of(block), offset.of(block), x_bar + first, accumulate);
    });
}

}  // namespace lqf::cpu
