#include "conv2d_weights.h"
#include "cpu_ops.h"
#include "digit_conv.h"
#include "row_winograd.h"
#include "tap_conv.h"
#include "winograd.h"

namespace lqf::cpu {
namespace {

Grid only_grid(const Conv2d& c, int) {
    if (is_linear(c)) {  // images stand side by side, pixels below each other
        const int taps = c.kh * c.kw;
        return {1, c.n, 0, 0, {taps, 0, 1, 0, 1}, {1, 0, 0, 0, 0}};
    }
    if (is_pointwise(c)) return {1, c.oh * c.ow, 0, 0, {1, 0, 0, 0, 0}, {1, 0, 0, 0, 0}};
    return {c.oh, c.ow, 0, 0, {c.kh, -c.pad, 1, 0, c.kw}, {c.kw, -c.pad, 1, 0, 1}};
}

TapConv forward_conv(const Conv2d& c) {
    TapConv conv{};
    conv.taps = c.kh * c.kw;
    conv.stride = conv.step = 1;
    conv.grids = 1;
    conv.grid = only_grid;
    if (is_linear(c)) {
        conv.in = Planes::images_as_pixels(c.n, c.ic, c.ih * c.iw);
        conv.out = Planes::images_as_pixels(c.n, c.oc, 1);
    } else if (is_pointwise(c)) {  // rows end to end
        conv.in = Planes::of(c.n, c.ic, 1, c.ih * c.iw);
        conv.out = Planes::of(c.n, c.oc, 1, c.oh * c.ow);
    } else {
        conv.in = Planes::of(c.n, c.ic, c.ih, c.iw);
        conv.out = Planes::of(c.n, c.oc, c.oh, c.ow);
        conv.stride = c.stride;
        conv.row_taps = has_row_taps(c);
    }
    return conv;
}

void add_output(TapConv& conv, const float* bias, const Epilogue& epilogue, float* y) {
    conv.output[conv.outputs++] = {bias, epilogue, y};
}

// Adds conv(x, w) to the last output, if there are such a source and such weights.
void add_source(TapConv& conv, const Conv2d& c, const float* x, const float* packed) {
    if (x && packed) conv.source[conv.sources++] = {x, packed + bias_floats(c), conv.outputs - 1};
}

void run(Threads& threads, const Conv2d& c, const TapConv& conv) {
    if (const WinogradForm form = winograd_form(c))
        winograd_conv(threads, form, c.pad, winograd_keeps_taps(c), conv);
    else if (const RowForm row = row_form(c))
        row_winograd_conv(threads, row, c, conv);
    else if (suits_digits(c))
        digit_conv(threads, c, conv);
    else
        tap_conv(threads, c, conv);
}

}  // namespace

void conv2d(Threads& threads, const Conv2d& c, const float* x, const float* w0, const Epilogue& epilogue, float* y) {
    TapConv conv = forward_conv(c);
    add_output(conv, w0, epilogue, y);
    add_source(conv, c, x, w0);
    run(threads, c, conv);
}

void conv2d_jvp(Threads& threads, const Conv2d& c, const float* x, const float* x_dot, const float* w0,
                const float* delta, const Epilogue& epilogue, float* y_dot) {
    TapConv conv = forward_conv(c);
    add_output(conv, delta, epilogue, y_dot);
    add_source(conv, c, x_dot, w0);
    add_source(conv, c, x, delta);
    run(threads, c, conv);
}

void conv2d_with_jvp(Threads& threads, const Conv2d& c, const float* x, const float* x_dot, const float* w0,
                     const float* delta, const Epilogue& epilogue, const float* residual_dot, float* y, float* y_dot) {
    TapConv conv = forward_conv(c);
    add_output(conv, w0, epilogue, y);
    add_source(conv, c, x, w0);
    add_output(conv, delta, {residual_dot, y, epilogue.slope}, y_dot);
    add_source(conv, c, x_dot, w0);
    add_source(conv, c, x, delta);
    run(threads, c, conv);
}

}  // namespace lqf::cpu
