// The op list: what a back end has to offer. plan.cpp, vector.cpp, factors.cpp and matrix.cpp know nothing else of it.
//
// Value x, tangent x_dot, cotangent x_bar, pre-trained weights w0, displacement delta. "sets" overwrites, "accumulates" adds.
//
// Layout. Activations, tangents and cotangents are [n, ceil(c / B), h, w, B] with B = Ops::channel_block (1: plain NCHW). Lanes beyond c
// are zero in everything that a plan hands to an op, and an op must leave them zero in everything it sets. Images, outputs and parameters
// cross the border in plain order by import_images, export_outputs, import_cotangent and conv2d_pack.
//
// Determinism. The result for an image must not depend on n, on the number of threads or on the other images; sums over images run in
// image order, one image's contribution after the other (so that two calls on halves of a batch give the bits of one call on the whole).
#ifndef LQF_OPS_H
#define LQF_OPS_H

#include <cstddef>
#include <cstdint>

#include "lqf.h"
#include "queue.h"

namespace lqf {

class Threads;

// y[n,oc,oh,ow] = sum x[n,ic,oh*stride+i-pad,ow*stride+j-pad] w[oc,ic,i,j] + b[oc];  oh = (ih + 2 pad - kh) / stride + 1.
// A linear layer is the case kh = ih, kw = iw, pad = 0: its kernel is the whole input.
struct Conv2d {
    int n, ic, ih, iw, oc, oh, ow, kh, kw, stride, pad;
    // The most outputs a side of a tile in Winograd's minimal filtering: 2 or 4, or 0 for sums as the formula has them. A back end may do less.
    int winograd = 2;
    int precision = LQF_FP32;  // of the products; sums are fp32
    // Of delta and w_bar: conv2d_pack packs unit * w, unit * b, and conv2d_vjp_w adds unit times the gradient. A power of two: exact.
    float unit = 1;
    int most = 0;  // the largest n, which weights may be packed for; 0: any
    constexpr int64_t patch() const { return int64_t(ic) * kh * kw; }  // length of an input patch, the inner dimension
};

// What follows a convolution before its sum is stored: y = f * (sum + residual), where f = 1 if mask > 0, else slope.
struct Epilogue {
    const float* residual = nullptr;  // like y; null: none. May be y itself: then the op accumulates
    const float* mask = nullptr;      // like y; null: sum + residual itself, so that y = leaky_relu(sum + residual)
    float slope = 1;
};

// Windows of kh x kw; max ignores padding, average counts it as zeros (divides by kh * kw always).
struct Pool2d {
    int n, c, ih, iw, oh, ow, kh, kw, stride, pad;
};

// Over the m = n * h * w values of each channel.
struct BatchNorm {
    int n, c, h, w;
    double epsilon;
    int64_t count() const { return int64_t(n) * h * w; }
};

// y[n, before + k, i, j] = x[n, k, i * stride, j * stride]; other channels of y are zero.
struct Subsample {
    int n, c, ih, iw, oc, oh, ow, stride, before;
};

// A symmetric matrix to invert: out = (a / divisor + shift I)^-1.
struct SpdInverse {
    int64_t side;
    const double* a;  // [side, side]
    double divisor, shift;
    float* out;  // [side, side], full
};

// A symmetric matrix to decompose: a / divisor = vectors^T diag(values) vectors.
struct SymmetricEigen {
    int64_t side;
    const double* a;  // [side, side]
    double divisor;
    float* vectors;  // [side, side], rows are eigenvectors
    double* values;  // [side], ascending
};

// What kron_precondition knows of a layer. Its gradient as a matrix is [oc, in1] = [dL/dW | dL/db].
struct KronLayer {
    int64_t oc, in1;                           // sides of gamma and a; in1 = patch + 1
    int64_t weight_offset, bias_offset;        // of dL/dW [oc, in1 - 1] and dL/db [oc] in gradient and step
    const float *left, *right;                 // of gamma [oc, oc] and a [in1, in1]: inverses, or eigenvectors as rows
    const double *left_values, *right_values;  // eigenvalues [oc] and [in1]; null: left and right are inverses
    float* scratch;                            // [2, oc, in1]
};

// Of this table. A library that was built apart must have the same one: raise it with every change of an entry's meaning or arguments.
constexpr int32_t kOpsVersion = 6;

struct Ops {
    const char* name;
    int channel_block;
    int precisions = 1 << LQF_FP32;  // of convolutions, as bits
    const char* (*describe)();       // instruction set and libraries in use, one line

    // ---- memory. allocate returns null when there is none. Pointers below are device memory unless said otherwise. What is released may
    // be in use by what joined this thread's queue.
    void* (*allocate)(size_t bytes);  // at least 64-byte aligned
    void (*release)(void* memory);
    void (*copy_in)(void* device, const void* host, size_t bytes);
    void (*copy_out)(void* host, const void* device, size_t bytes);
    void (*memory)(size_t* free, size_t* all);  // bytes of the device; null if its memory is the host's

    // Of an engine. *stream is the caller's, in the device's terms; stream null: one of its own. open_queue null: ops are done when they return.
    Queue* (*open_queue)(void* const* stream);

    // ---- border
    void (*import_images)(Threads&, int n, int c, int h, int w, const float* images /*[n,c,h,w]*/, float* x);
    void (*export_outputs)(Threads&, int n, int c, const float* y /*[n,c,1,1] in layout*/, float* out /*[n,c]*/);
    void (*import_cotangent)(Threads&, int n, int c, const float* u /*[n,c]*/, float* y_bar);

    // ---- conv2d. Weights are packed once and used many times; what a packed buffer holds is the back end's business.
    size_t (*conv2d_packed_floats)(const Conv2d&);
    void (*conv2d_pack)(Threads&, const Conv2d&, const float* w, const float* b,
                        float* packed);  // for the next three, unit times
    void (*conv2d_pack_transposed)(Threads&, const Conv2d&, const float* w, float* packed);  // for conv2d_vjp_x
    // y = epilogue(conv(x, w0))
    void (*conv2d)(Threads&, const Conv2d&, const float* x, const float* w0, const Epilogue&, float* y);
    // y_dot = epilogue(conv(x_dot, w0 without bias) + conv(x, delta with bias)); x_dot or delta may be null, not both
    void (*conv2d_jvp)(Threads&, const Conv2d&, const float* x, const float* x_dot, const float* w0, const float* delta,
                       const Epilogue&, float* y_dot);
    // conv2d, and conv2d_jvp with residual_dot for residual and y for mask: the bits of the two calls, for less
    void (*conv2d_with_jvp)(Threads&, const Conv2d&, const float* x, const float* x_dot, const float* w0,
                            const float* delta, const Epilogue&, const float* residual_dot, float* y, float* y_dot);
    // x_bar = epilogue(transposed conv of y_bar); w0 packed by conv2d_pack_transposed
    void (*conv2d_vjp_x)(Threads&, const Conv2d&, const float* y_bar, const float* w0, const Epilogue&, float* x_bar);
    // w_bar [oc,ic,kh,kw] += unit sum_t y_bar_t patch_t^T, b_bar [oc] += unit sum_t y_bar_t. Image i goes to w_bar + i * image_stride (and b_bar
    // likewise): 0 sums the batch, P or more gives one Jacobian row an image.
    void (*conv2d_vjp_w)(Threads&, const Conv2d&, const float* x, const float* y_bar, float* w_bar, float* b_bar,
                         int64_t image_stride);

    // ---- elementwise, count floats in layout
    void (*leaky_relu)(Threads&, int64_t count, float slope, const float* z,
                       float* y);  // y = z > 0 ? z : slope z; y may be z
    // z_bar = (y > 0 ? 1 : slope) y_bar: the diagonal map of jvp and vjp alike; y_bar may be z_bar unless accumulating
    void (*leaky_relu_scale)(Threads&, int64_t count, float slope, const float* y, const float* y_bar, float* z_bar,
                             bool accumulate);
    void (*add)(Threads&, int64_t count, const float* a, const float* b, float* y);  // y = a + b; y may be a or b

    // ---- pools and shortcut
    void (*max_pool)(Threads&, const Pool2d&, const float* x, float* y,
                     int32_t* argmax);  // argmax: offset in the image's plane, first wins
    void (*max_pool_jvp)(Threads&, const Pool2d&, const float* x_dot, const int32_t* argmax, float* y_dot);
    void (*max_pool_vjp)(Threads&, const Pool2d&, const float* y_bar, const int32_t* argmax, float* x_bar,
                         bool accumulate);
    void (*avg_pool)(Threads&, const Pool2d&, const float* x, float* y);  // linear: jvp is the same
    void (*avg_pool_vjp)(Threads&, const Pool2d&, const float* y_bar, float* x_bar, bool accumulate);
    void (*subsample)(Threads&, const Subsample&, const float* x, float* y);  // linear: jvp is the same
    void (*subsample_vjp)(Threads&, const Subsample&, const float* y_bar, float* x_bar, bool accumulate);

    // ---- batch norm in training mode (Ioffe & Szegedy 2015): the one op whose result for an image depends on the others of the call.
    // gamma, beta and the statistics are [c] in plain order. With x_hat = (x - mean) / sqrt(variance + epsilon):
    // mean = sum x / m, variance = sum (x - mean)^2 / m, y = gamma x_hat + beta; sets all three
    void (*batch_norm)(Threads&, const BatchNorm&, const float* x, const float* gamma, const float* beta, float* mean,
                       float* variance, float* y);
    // gamma_bar = sum y_bar x_hat and beta_bar = sum y_bar, sets; unless x_bar is null (the image's),
    // x_bar = gamma / sqrt(variance + epsilon) (y_bar - beta_bar / m - x_hat gamma_bar / m), sets, or accumulates if asked
    void (*batch_norm_vjp)(Threads&, const BatchNorm&, const float* x, const float* gamma, const float* mean,
                           const float* variance, const float* y_bar, float* gamma_bar, float* beta_bar, float* x_bar,
                           bool accumulate);

    // ---- Kronecker factors. Accumulate one image's float products into double, in image order.
    // a [(patch+1)^2] += sum_n sum_t ã ã^T (expand) or sum_n ā ā^T, ā = mean_t ã (reduce); ã = patch in the order of w's [ic,kh,kw], then 1
    void (*kron_input)(Threads&, const Conv2d&, const float* x, bool reduce, double* a);
    // g [oc^2] += sum_n sum_t y_bar y_bar^T / T (expand) or sum_n ĝ ĝ^T, ĝ = sum_t y_bar (reduce); T = oh * ow. Image i goes to
    // g + i * image_stride: 0 sums the batch.
    void (*kron_output)(Threads&, const Conv2d&, const float* y_bar, bool reduce, double* g, int64_t image_stride);
    // step = left G right (inverses), or left^T ((left G right^T) / (left_values right_values^T + damping)) right (eigenvectors), G the
    // layer's gradient; eigenvalues below 0 are rounding and count as 0. Sets the entries of these layers.
    void (*kron_precondition)(Threads&, int count, const KronLayer* layers, double damping, const float* gradient,
                              float* step);

    // ---- vector algebra, plain order
    void (*fill)(Threads&, int64_t n, float value, float* x);
    void (*copy)(Threads&, int64_t n, const float* x, float* y);
    void (*scale)(Threads&, int64_t n, float a, float* x);
    void (*axpy)(Threads&, int64_t n, float a, const float* x, float* y);
    double (*dot)(Threads&, int64_t n, const float* x, const float* y);  // fixed tree

    // ---- double sums
    void (*scale_doubles)(Threads&, int64_t n, double a, double* x);
    // y[k] += x[k], then x[stride + k], ...: count arrays in order
    void (*add_doubles)(Threads&, int64_t n, int count, const double* x, int64_t stride, double* y);

    // ---- dense linear algebra. Row-major; symmetric matrices are given and returned full.
    // sum of a[i,i] / divisor, fixed order
    double (*trace)(Threads&, int64_t side, const double* a, double divisor);
    // Many at once, the largest first. pivots [count], host: 0, or the 1-based pivot that was not positive.
    void (*spd_inverse)(Threads&, int count, const SpdInverse* matrices, int64_t* pivots);
    // Many at once, the largest first. failures [count], host: 0, or what LAPACK calls info: no convergence.
    void (*symmetric_eigen)(Threads&, int count, const SymmetricEigen* matrices, int64_t* failures);
    // out[i * stride + j] = (add: +=) <a_i, b_j>, and mirrored[j * stride + i] the same value; mirrored may be null, or out: then j >= i only
    void (*gram)(Threads&, int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b, bool add,
                 double* out, double* mirrored, int64_t stride);
    // a + shift I = L L^T, in place on the lower triangle; returns 0 or the 1-based failing pivot
    int64_t (*cholesky)(Threads&, int64_t side, double* a, double shift);
    void (*cholesky_solve)(Threads&, int64_t side, const double* l, int64_t columns, double* x /*[side, columns]*/);
    void (*cholesky_inverse)(Threads&, int64_t side, double* l);  // full symmetric inverse, in place
    // rows of a become eigenvectors, values [side] ascending; 0 or LAPACK info
    int64_t (*eigen)(Threads&, int64_t side, double* a, double* values);

    // The ops of forward, jvp and vjp, fill, kron_output and add_doubles may be called by tasks of their Threads.
    bool nests = false;
};

const Ops& reference_ops();
const Ops& cpu_ops();
// Of liblqf_NAME.so, which lies beside this library: "cuda", or "emulator" (the same kernels on the CPU, for tests). Throws
// LQF_UNAVAILABLE with the reason.
const Ops& library_ops(const char* name);

}  // namespace lqf
#endif
