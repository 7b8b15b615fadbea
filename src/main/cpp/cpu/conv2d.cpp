#include "conv2d_weights.h"
#include "cpu_ops.h"
#include "tap_conv.h"

namespace lqf::cpu {
namespace {

TapConv forward_conv(const Conv2d& c) {
    TapConv conv{};
    conv.taps = c.kh * c.kw;
    conv.stride = conv.step = 1;
    Grid grid{};
    if (is_linear(c)) {
        conv.in = Planes::images_as_pixels(c.n, c.ic, c.ih * c.iw);
        conv.out = Planes::images_as_pixels(c.n, c.oc, 1);
        for (int tap = 0; tap < conv.taps; ++tap) grid.taps.push_back({tap, 0, tap});
    } else if (is_pointwise(c)) {  // rows end to end
        conv.in = Planes::of(c.n, c.ic, 1, c.ih * c.iw);
        conv.out = Planes::of(c.n, c.oc, 1, c.oh * c.ow);
        grid.taps = {{0, 0, 0}};
    } else {
        conv.in = Planes::of(c.n, c.ic, c.ih, c.iw);
        conv.out = Planes::of(c.n, c.oc, c.oh, c.ow);
        conv.stride = c.stride;
        for (int i = 0; i < c.kh; ++i)
            for (int j = 0; j < c.kw; ++j) grid.taps.push_back({i - c.pad, j - c.pad, i * c.kw + j});
    }
    grid.rows = conv.out.h, grid.columns = conv.out.w;
    conv.grids.push_back(std::move(grid));
    return conv;
}

}  // namespace

void conv2d(Threads& threads, const Conv2d& c, const float* x, const float* w0, float* y) {
    TapConv conv = forward_conv(c);
    conv.bias = w0;
    conv.sources = {{x, w0 + bias_floats(c)}};
    conv.y = y;
    tap_conv(threads, conv);
}

void conv2d_jvp(Threads& threads, const Conv2d& c, const float* x, const float* x_dot, const float* w0,
                const float* delta, float* y_dot) {
    TapConv conv = forward_conv(c);
    conv.bias = delta;
    if (x_dot) conv.sources.push_back({x_dot, w0 + bias_floats(c)});
    if (delta) conv.sources.push_back({x, delta + bias_floats(c)});
    conv.y = y_dot;
    tap_conv(threads, conv);
}

}  // namespace lqf::cpu
