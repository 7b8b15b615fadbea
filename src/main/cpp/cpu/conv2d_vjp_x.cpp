#include "conv2d_weights.h"
#include "cpu_ops.h"
#include "tap_conv.h"

namespace lqf::cpu {

// x_bar[h, w] = sum over (i, j) of w0[i, j]^T y_bar[(h + pad - i) / stride, (w + pad - j) / stride] where the division leaves no rest.
// Inputs of equal residue mod stride share their taps and make one grid, a convolution of stride 1.
void conv2d_vjp_x(Threads& threads, const Conv2d& c, const float* y_bar, const float* w0, float* x_bar,
                  bool accumulate) {
    TapConv conv{};
    conv.taps = c.kh * c.kw;
    conv.stride = 1;
    conv.sources = {{y_bar, w0}};
    conv.accumulate = accumulate;
    conv.y = x_bar;
    conv.step = 1;
    if (is_linear(c)) {
        conv.in = Planes::images_as_pixels(c.n, c.oc, 1);
        conv.out = Planes::images_as_pixels(c.n, c.ic, c.ih * c.iw);
        for (int tap = 0; tap < conv.taps; ++tap) conv.grids.push_back({1, c.n, tap, 0, {{0, 0, tap}}});
    } else if (is_pointwise(c)) {
        conv.in = Planes::of(c.n, c.oc, 1, c.oh * c.ow);
        conv.out = Planes::of(c.n, c.ic, 1, c.ih * c.iw);
        conv.grids = {{1, conv.out.w, 0, 0, {{0, 0, 0}}}};
    } else {
        conv.in = Planes::of(c.n, c.oc, c.oh, c.ow);
        conv.out = Planes::of(c.n, c.ic, c.ih, c.iw);
        conv.step = c.stride;
        for (int row = 0; row < std::min(c.stride, c.ih); ++row) {
            for (int column = 0; column < std::min(c.stride, c.iw); ++column) {
                Grid grid{int(ceil_div(c.ih - row, c.stride)), int(ceil_div(c.iw - column, c.stride)), row, column, {}};
                for (int i = (row + c.pad) % c.stride; i < c.kh; i += c.stride)
                    for (int j = (column + c.pad) % c.stride; j < c.kw; j += c.stride)
                        grid.taps.push_back(
                            {(row + c.pad - i) / c.stride, (column + c.pad - j) / c.stride, i * c.kw + j});
                conv.grids.push_back(std::move(grid));
            }
        }
    }
    tap_conv(threads, conv);
}

}  // namespace lqf::cpu
