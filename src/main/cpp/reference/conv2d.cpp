// conv2d: y = epilogue(conv(x, w) + b).  Packed weights are w [oc,ic,kh,kw], then b [oc].
#include <cstring>

#include "reference/reference.h"

namespace lqf::reference {
namespace {

size_t weights(const Conv2d& c) { return size_t(c.oc) * c.patch(); }

// <patch of x [ic,ih,iw] at output position (row, column), filter w [ic,kh,kw]>; padding is zero.
double correlate(const Conv2d& c, const float* x, const float* w, int row, int column) {
    double sum = 0;
    for (int k = 0; k < c.ic; k++)
        for (int i = 0; i < c.kh; i++)
            for (int j = 0; j < c.kw; j++) {
                int h = row * c.stride + i - c.pad, v = column * c.stride + j - c.pad;
                if (h >= 0 && h < c.ih && v >= 0 && v < c.iw)
                    sum += double(x[(int64_t(k) * c.ih + h) * c.iw + v]) * w[(int64_t(k) * c.kh + i) * c.kw + j];
            }
    return sum;
}

// y[at] = f * (sum + residual), f = 1 where the mask (or the sum itself) is positive, else slope.
void finish(const Epilogue& e, int64_t at, double sum, float* y) {
    if (e.residual) sum += e.residual[at];
    double sign = e.mask ? e.mask[at] : sum;
    y[at] = float(sign > 0 ? sum : e.slope * sum);
}

}  // namespace

size_t conv2d_packed_floats(const Conv2d& c) { return weights(c) + c.oc; }

void conv2d_pack(Threads&, const Conv2d& c, const float* w, const float* b, float* packed) {
    for (size_t i = 0; i < weights(c); i++) packed[i] = c.unit * w[i];
    for (int o = 0; o < c.oc; o++) packed[weights(c) + o] = c.unit * b[o];
}

void conv2d_pack_transposed(Threads&, const Conv2d& c, const float* w, float* packed) {
    std::memcpy(packed, w, sizeof(float) * weights(c));
}

void conv2d(Threads& threads, const Conv2d& c, const float* x, const float* w0, const Epilogue& epilogue, float* y) {
    const float* b = w0 + weights(c);
    threads.each(c.n, [&](int64_t image, int) {
        const float* xn = x + image * c.ic * c.ih * c.iw;
        int64_t at = image * c.oc * c.oh * c.ow;
        for (int o = 0; o < c.oc; o++)
            for (int row = 0; row < c.oh; row++)
                for (int column = 0; column < c.ow; column++)
                    finish(epilogue, at++, correlate(c, xn, w0 + o * c.patch(), row, column) + b[o], y);
    });
}

// y_dot = conv(x_dot, w0) + conv(x, delta) + b_dot.  The bias of w0 has no part in the tangent.
void conv2d_jvp(Threads& threads, const Conv2d& c, const float* x, const float* x_dot, const float* w0,
                const float* delta, const Epilogue& epilogue, float* y_dot) {
    threads.each(c.n, [&](int64_t image, int) {
        const int64_t in = image * c.ic * c.ih * c.iw;
        int64_t at = image * c.oc * c.oh * c.ow;
        for (int o = 0; o < c.oc; o++)
            for (int row = 0; row < c.oh; row++)
                for (int column = 0; column < c.ow; column++) {
                    double sum = 0;
                    if (x_dot) sum += correlate(c, x_dot + in, w0 + o * c.patch(), row, column);
                    if (delta) sum += correlate(c, x + in, delta + o * c.patch(), row, column) + delta[weights(c) + o];
                    finish(epilogue, at++, sum, y_dot);
                }
    });
}

void conv2d_with_jvp(Threads& threads, const Conv2d& c, const float* x, const float* x_dot, const float* w0,
                     const float* delta, const Epilogue& epilogue, const float* residual_dot, float* y, float* y_dot) {
    conv2d(threads, c, x, w0, epilogue, y);
    conv2d_jvp(threads, c, x, x_dot, w0, delta, {residual_dot, y, epilogue.slope}, y_dot);
}

// x_bar[k,h,v] = sum over outputs o and taps (i,j) of w[o,k,i,j] y_bar[o, the window that has (h,v) under the tap].
void conv2d_vjp_x(Threads& threads, const Conv2d& c, const float* y_bar, const float* w0, const Epilogue& epilogue,
                  float* x_bar) {
    threads.each(c.n, [&](int64_t image, int) {
        const float* yn = y_bar + image * c.oc * c.oh * c.ow;
        int64_t at = image * c.ic * c.ih * c.iw;
        for (int k = 0; k < c.ic; k++)
            for (int h = 0; h < c.ih; h++)
                for (int v = 0; v < c.iw; v++) {
                    double sum = 0;
                    for (int i = 0; i < c.kh; i++)
                        for (int j = 0; j < c.kw; j++) {
                            int row = window_with(h, i, c.stride, c.pad, c.oh);
                            int column = window_with(v, j, c.stride, c.pad, c.ow);
                            if (row < 0 || column < 0) continue;
                            for (int o = 0; o < c.oc; o++)
                                sum += double(w0[((int64_t(o) * c.ic + k) * c.kh + i) * c.kw + j]) *
                                       yn[(int64_t(o) * c.oh + row) * c.ow + column];
                        }
                    finish(epilogue, at++, sum, x_bar);
                }
    });
}

// w_bar[o,k,i,j] += unit sum_t y_bar[o,t] x[k, t * stride + (i,j) - pad],  b_bar[o] += unit sum_t y_bar[o,t]; images in order.
void conv2d_vjp_w(Threads& threads, const Conv2d& c, const float* x, const float* y_bar, float* w_bar, float* b_bar,
                  int64_t image_stride) {
    threads.each(c.oc, [&](int64_t o, int) {
        for (int image = 0; image < c.n; image++) {
            const float* xn = x + int64_t(image) * c.ic * c.ih * c.iw;
            const float* yn = y_bar + (int64_t(image) * c.oc + o) * c.oh * c.ow;
            float* w = w_bar + image * image_stride + o * c.patch();
            for (int k = 0; k < c.ic; k++)
                for (int i = 0; i < c.kh; i++)
                    for (int j = 0; j < c.kw; j++) {
                        double sum = 0;
                        for (int row = 0; row < c.oh; row++)
                            for (int column = 0; column < c.ow; column++) {
                                int h = row * c.stride + i - c.pad, v = column * c.stride + j - c.pad;
                                if (h >= 0 && h < c.ih && v >= 0 && v < c.iw)
                                    sum += double(yn[row * c.ow + column]) * xn[(int64_t(k) * c.ih + h) * c.iw + v];
                            }
                        put(*w++, c.unit * sum, true);
                    }
            double sum = 0;
            for (int t = 0; t < c.oh * c.ow; t++) sum += yn[t];
            put(b_bar[image * image_stride + o], c.unit * sum, true);
        }
    });
}

}  // namespace lqf::reference
