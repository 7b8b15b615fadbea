// batch_norm: statistics over the batch in double, one block for a plane and then one thread for a channel in image order, so that the
// bits do not depend on the schedule; then one thread for four channels of one pixel.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

constexpr int kSums = 2 * kBlock;  // of four channels: a, then a * b

struct PlaneSums {
    double values[kSums][kThreads];
};

// parts [planes][a, a * b][4]
__global__ void plane_sums_kernel(int64_t pixels, const float* a, const float* b, double* parts) {
    PlaneSums& sums = shared<PlaneSums>();
    const int64_t first = int64_t(blockIdx.x) * pixels * kBlock;
    const int t = int(threadIdx.x);
    double sum[kSums] = {};
    for (int64_t p = t; p < pixels; p += kThreads) {
        const float4 x = ld4(a + first + p * kBlock), y = ld4(b + first + p * kBlock);
        sum[0] += x.x, sum[1] += x.y, sum[2] += x.z, sum[3] += x.w;
        sum[4] += double(x.x) * y.x, sum[5] += double(x.y) * y.y;
        sum[6] += double(x.z) * y.z, sum[7] += double(x.w) * y.w;
    }
    for (int k = 0; k < kSums; k++) sums.values[k][t] = sum[k];
    for (int half = kThreads / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half)
            for (int k = 0; k < kSums; k++) sums.values[k][t] += sums.values[k][t + half];
    }
    __syncthreads();
    if (t < kSums) parts[int64_t(blockIdx.x) * kSums + t] = sums.values[t][0];
}

// The sum of channel k over the images: of a (which = 0) or of a * b (1).
__device__ double channel_sum(const BatchNorm& b, const double* parts, int k, int which) {
    double sum = 0;
    for (int image = 0; image < b.n; image++)
        sum += parts[(int64_t(image) * blocks_of(b.c) + k / kBlock) * kSums + which * kBlock + k % kBlock];
    return sum;
}

// Rows [padded channels] of coefficients; 0 beyond the channels, so that lanes there stay 0.
struct Coefficients {
    float *shift, *scale, *slope, *offset;
};

__global__ void forward_coefficients_kernel(BatchNorm b, double count, const double* parts, const float* gamma,
                                            const float* beta, float* mean, float* variance, Coefficients to) {
    const int k = int(global_thread());
    if (k >= padded_channels(b.c)) return;
    to.shift[k] = to.scale[k] = to.offset[k] = 0;
    if (k >= b.c) return;
    const double centre = channel_sum(b, parts, k, 0) / count;
    double spread = channel_sum(b, parts, k, 1) / count - centre * centre;
    spread = spread > 0 ? spread : 0;
    mean[k] = float(centre);
    variance[k] = float(spread);
    const double factor = gamma[k] / sqrt(spread + b.epsilon);
    to.shift[k] = -mean[k];
    to.scale[k] = float(factor);
    to.offset[k] = float(beta[k] + factor * (mean[k] - centre));  // what rounding the mean took away
}

__global__ void reverse_coefficients_kernel(BatchNorm b, double count, const double* parts, const float* gamma,
                                            const float* mean, const float* variance, float* gamma_bar, float* beta_bar,
                                            Coefficients to) {
    const int k = int(global_thread());
    if (k >= padded_channels(b.c)) return;
    to.shift[k] = to.scale[k] = to.slope[k] = to.offset[k] = 0;
    if (k >= b.c) return;
    const double inverse = 1 / sqrt(double(variance[k]) + b.epsilon), sum = channel_sum(b, parts, k, 0);
    const double product = (channel_sum(b, parts, k, 1) - mean[k] * sum) * inverse;  // of y_bar and x_hat
    gamma_bar[k] = float(product);
    beta_bar[k] = float(sum);
    to.shift[k] = -mean[k];
    to.scale[k] = float(gamma[k] * inverse);
    to.slope[k] = float(-gamma[k] * inverse * inverse * product / count);
    to.offset[k] = float(-gamma[k] * inverse * sum / count);
}

__device__ float4 times(float4 a, float4 b) { return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w); }

// y = (x + shift) scale + offset
__global__ void normalise_kernel(BatchNorm b, int64_t quads, const float* x, Coefficients from, float* y) {
    const int64_t i = global_thread();
    if (i >= quads) return;
    const int64_t k = i / (int64_t(b.h) * b.w) % blocks_of(b.c) * kBlock;
    st4(y + i * kBlock, times(ld4(x + i * kBlock) + ld4(from.shift + k), ld4(from.scale + k)) + ld4(from.offset + k));
}

// x_bar = y_bar scale + (x + shift) slope + offset
__global__ void normalise_vjp_kernel(BatchNorm b, int64_t quads, const float* x, const float* y_bar, Coefficients from,
                                     float* x_bar, bool accumulate) {
    const int64_t i = global_thread();
    if (i >= quads) return;
    const int64_t k = i / (int64_t(b.h) * b.w) % blocks_of(b.c) * kBlock;
    const float4 tilt = times(ld4(x + i * kBlock) + ld4(from.shift + k), ld4(from.slope + k)) + ld4(from.offset + k);
    put4(x_bar + i * kBlock, times(ld4(y_bar + i * kBlock), ld4(from.scale + k)) + tilt, accumulate);
}

// The scratch of either op: sums of planes, then coefficients.
struct Work {
    explicit Work(const BatchNorm& b)
        : planes(int64_t(b.n) * blocks_of(b.c)),
          row(padded(sizeof(float) * size_t(padded_channels(b.c)))),
          sums(padded(sizeof(double) * size_t(planes) * kSums)),
          scratch(sums + 4 * row) {}

    double* parts() const { return scratch.at<double>(0); }
    Coefficients coefficients() const {
        return {scratch.at<float>(sums), scratch.at<float>(sums + row), scratch.at<float>(sums + 2 * row),
                scratch.at<float>(sums + 3 * row)};
    }
    void add_planes(const BatchNorm& b, const float* left, const float* right) const {
        LQF_LAUNCH(plane_sums_kernel, dim3(unsigned(planes)), dim3(kThreads), sizeof(PlaneSums), stream(),
                   int64_t(b.h) * b.w, left, right, parts());
    }

    int64_t planes;
    size_t row, sums;
    Scratch scratch;
};

}  // namespace

void batch_norm(Threads&, const BatchNorm& b, const float* x, const float* gamma, const float* beta, float* mean,
                float* variance, float* y) {
    const Work work(b);
    const int64_t quads = work.planes * b.h * b.w;
    work.add_planes(b, x, x);
    LQF_LAUNCH(forward_coefficients_kernel, grid_of(padded_channels(b.c)), dim3(kThreads), 0, stream(), b,
               double(b.count()), work.parts(), gamma, beta, mean, variance, work.coefficients());
    LQF_LAUNCH(normalise_kernel, grid_of(quads), dim3(kThreads), 0, stream(), b, quads, x, work.coefficients(), y);
}

void batch_norm_vjp(Threads&, const BatchNorm& b, const float* x, const float* gamma, const float* mean,
                    const float* variance, const float* y_bar, float* gamma_bar, float* beta_bar, float* x_bar,
                    bool accumulate) {
    const Work work(b);
    const int64_t quads = work.planes * b.h * b.w;
    work.add_planes(b, y_bar, x);
    LQF_LAUNCH(reverse_coefficients_kernel, grid_of(padded_channels(b.c)), dim3(kThreads), 0, stream(), b,
               double(b.count()), work.parts(), gamma, mean, variance, gamma_bar, beta_bar, work.coefficients());
    if (!x_bar) return;
    LQF_LAUNCH(normalise_vjp_kernel, grid_of(quads), dim3(kThreads), 0, stream(), b, quads, x, y_bar,
               work.coefficients(), x_bar, accumulate);
}

}  // namespace lqf::gpu
