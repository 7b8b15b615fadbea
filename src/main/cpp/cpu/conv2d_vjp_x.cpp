#include "conv2d_weights.h"
#include "cpu_ops.h"
#include "digit_conv.h"
#include "tap_conv.h"
#include "winograd.h"

namespace lqf::cpu {
namespace {

// The taps that reach inputs of this residue: input + pad - tap is then a multiple of the stride.
Taps taps_of(int residue, int pad, int stride, int kernel, int index_step) {
    const int first = (residue + pad) % stride;
    const int count = first < kernel ? (kernel - 1 - first) / stride + 1 : 0;
    return {count, (residue + pad - first) / stride, -1, first * index_step, stride * index_step};
}

// Inputs of equal residue mod stride share their taps and make one grid, a convolution of stride 1; in a linear layer every pixel makes one.
Grid grid_of(const Conv2d& c, int index) {
    if (is_linear(c)) return {1, c.n, index, 0, {1, 0, 0, index, 0}, {1, 0, 0, 0, 0}};
    if (is_pointwise(c)) return {1, c.ih * c.iw, 0, 0, {1, 0, 0, 0, 0}, {1, 0, 0, 0, 0}};
    const int across = std::min(c.stride, c.iw), row = index / across, column = index % across;
    return {int(ceil_div(c.ih - row, c.stride)),       int(ceil_div(c.iw - column, c.stride)),   row, column,
            taps_of(row, c.pad, c.stride, c.kh, c.kw), taps_of(column, c.pad, c.stride, c.kw, 1)};
}

}  // namespace

// x_bar[h, w] = sum over (i, j) of w0[i, j]^T y_bar[(h + pad - i) / stride, (w + pad - j) / stride] where the division leaves no rest.
void conv2d_vjp_x(Threads& threads, const Conv2d& c, const float* y_bar, const float* w0, const Epilogue& epilogue,
                  float* x_bar) {
    TapConv conv{};
    conv.taps = c.kh * c.kw;
    conv.stride = conv.step = 1;
    conv.grid = grid_of;
    conv.grids = 1;
    if (is_linear(c)) {
        conv.in = Planes::images_as_pixels(c.n, c.oc, 1);
        conv.out = Planes::images_as_pixels(c.n, c.ic, c.ih * c.iw);
        conv.grids = conv.taps;
    } else if (is_pointwise(c)) {
        conv.in = Planes::of(c.n, c.oc, 1, c.oh * c.ow);
        conv.out = Planes::of(c.n, c.ic, 1, c.ih * c.iw);
    } else {
        conv.in = Planes::of(c.n, c.oc, c.oh, c.ow);
        conv.out = Planes::of(c.n, c.ic, c.ih, c.iw);
        conv.step = c.stride;
        conv.grids = std::min(c.stride, c.ih) * std::min(c.stride, c.iw);
    }
    conv.sources = conv.outputs = 1;
    conv.source[0] = {y_bar, w0, 0};
    conv.output[0] = {nullptr, epilogue, x_bar};
    if (const WinogradForm form = winograd_vjp_x_form(c))  // the convolution of y_bar with the weights turned round
        winograd_conv(threads, form, form == kF2Transposed ? 0 : 2 - c.pad, winograd_vjp_x_keeps_taps(c), conv);
    else if (suits_digits(c))
        digit_conv(threads, c, conv);
    else
        tap_conv(threads, c, conv);
}

}  // namespace lqf::cpu
