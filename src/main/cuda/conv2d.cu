// conv2d, conv2d_jvp, conv2d_with_jvp, conv2d_vjp_x: which kernel makes them, and the tiled products in fp32.
#include "conv2d_tile.cuh"

namespace lqf::gpu {

LQF_CONV2D_PRODUCT(Precision::kFp32)

namespace {

void product(const Conv2d& c, const ConvOperands& p, bool backward) {
    if (!backward && is_linear(c)) return linear_product(c, p);
    switch (c.precision) {
        case LQF_TF32:
            return conv2d_product<Precision::kTf32>(c, p, backward);
        case LQF_BF16:
            return conv2d_product<Precision::kBf16>(c, p, backward);
        default:
            return conv2d_product<Precision::kFp32>(c, p, backward);
    }
}

const float* bias_of(const Conv2d& c, const float* packed) { return packed + bias_offset(c); }

}  // namespace

void conv2d(Threads&, const Conv2d& c, const float* x, const float* w0, const Epilogue& epilogue, float* y) {
    ConvOperands p{};
    p.x = x, p.w = w0, p.bias = bias_of(c, w0), p.epilogue = epilogue, p.y = y;
    product(c, p, false);
}

void conv2d_jvp(Threads&, const Conv2d& c, const float* x, const float* x_dot, const float* w0, const float* delta,
                const Epilogue& epilogue, float* y_dot) {
    ConvOperands p{};
    p.epilogue = epilogue;
    if (delta && x_dot) {
        p.x = x, p.x_dot = x_dot, p.w = w0, p.delta = delta, p.bias_dot = bias_of(c, delta), p.y_dot = y_dot;
    } else if (delta) {  // one product, as of a value
        p.x = x, p.w = delta, p.bias = bias_of(c, delta), p.y = y_dot;
    } else {
        p.x = x_dot, p.w = w0, p.y = y_dot;
    }
    product(c, p, false);
}

void conv2d_with_jvp(Threads&, const Conv2d& c, const float* x, const float* x_dot, const float* w0, const float* delta,
                     const Epilogue& epilogue, const float* residual_dot, float* y, float* y_dot) {
    ConvOperands p{};
    p.x = x, p.x_dot = x_dot, p.w = w0, p.delta = delta;
    p.bias = bias_of(c, w0), p.bias_dot = delta ? bias_of(c, delta) : nullptr;
    p.epilogue = epilogue, p.residual_dot = residual_dot, p.y = y, p.y_dot = y_dot;
    product(c, p, false);
}

void conv2d_vjp_x(Threads&, const Conv2d& c, const float* y_bar, const float* w0, const Epilogue& epilogue,
                  float* x_bar) {
    ConvOperands p{};
    p.x = y_bar, p.w = w0, p.epilogue = epilogue, p.y = x_bar;
    product(c, p, true);
}

}  // namespace lqf::gpu
