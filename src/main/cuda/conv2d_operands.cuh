// What the kernels of a convolution are given, and how each of them ends: bias, residual, slope.
#ifndef LQF_GPU_CONV2D_OPERANDS_CUH
#define LQF_GPU_CONV2D_OPERANDS_CUH

#include "layout.cuh"

namespace lqf::gpu {

enum class Precision { kFp32, kTf32, kBf16 };

// Pointers are null where there is nothing: no tangent, no bias.
struct ConvOperands {
    const float *x, *x_dot;  // sources, [n, blocks, h, w, 4]
    const float *w, *delta;  // packed, [taps][packets][output channels][16 bytes]
    const float *bias, *bias_dot;
    Epilogue epilogue;          // of y; or of y_dot where there is no y
    const float* residual_dot;  // of y_dot where there is a y, whose sign is then its mask
    float *y, *y_dot;

    // Of the images from some offset of the sources, and of what is made, on.
    ConvOperands from(int64_t source, int64_t target) const {
        auto moved = [](auto* at, int64_t by) { return at ? at + by : at; };
        ConvOperands p = *this;
        p.x = moved(x, source), p.x_dot = moved(x_dot, source);
        p.y = moved(y, target), p.y_dot = moved(y_dot, target), p.residual_dot = moved(residual_dot, target);
        p.epilogue.residual = moved(epilogue.residual, target), p.epilogue.mask = moved(epilogue.mask, target);
        return p;
    }
};

// The tiled products of one precision: conv2d_tile.cuh, each in a file of its own so that they compile side by side.
template <Precision kPrecision>
void conv2d_product(const Conv2d& c, const ConvOperands& p, bool backward);
template <>
void conv2d_product<Precision::kFp32>(const Conv2d& c, const ConvOperands& p, bool backward);
template <>
void conv2d_product<Precision::kTf32>(const Conv2d& c, const ConvOperands& p, bool backward);
template <>
void conv2d_product<Precision::kBf16>(const Conv2d& c, const ConvOperands& p, bool backward);

// What linear_product makes, from weights as they are.
inline bool is_linear(const Conv2d& c) { return c.kh == c.ih && c.kw == c.iw && c.pad == 0; }

// Behind the packed weights, whatever their precision.
inline int64_t bias_offset(const Conv2d& c) {
    return int64_t(padded_channels(c.ic)) * c.kh * c.kw * padded_channels(c.oc);
}

// Forward only, for linear layers: linear.cu.
void linear_product(const Conv2d& c, const ConvOperands& p);

template <int kCount>
struct Floats {
    float at[kCount];
};

template <int kCount>
__device__ __forceinline__ Floats<kCount> load_floats(const float* p) {
    if constexpr (kCount == 4) {
        const float4 v = ld4(p);
        return {{v.x, v.y, v.z, v.w}};
    } else {
        const float2 v = ld2(p);
        return {{v.x, v.y}};
    }
}

template <int kCount>
__device__ __forceinline__ void store_floats(float* p, const Floats<kCount>& v) {
    if constexpr (kCount == 4)
        st4(p, make_float4(v.at[0], v.at[1], v.at[2], v.at[3]));
    else
        st2(p, make_float2(v.at[0], v.at[1]));
}

template <int kCount>
__device__ __forceinline__ Floats<kCount> operator+(Floats<kCount> a, const Floats<kCount>& b) {
    for (int i = 0; i < kCount; i++) a.at[i] += b.at[i];
    return a;
}

template <int kCount>
__device__ __forceinline__ Floats<kCount> completed(Floats<kCount> sum, const float* bias, const float* residual,
                                                    int64_t at, int channel) {
    if (bias) sum = sum + load_floats<kCount>(bias + channel);
    if (residual) sum = sum + load_floats<kCount>(residual + at);
    return sum;
}

template <int kCount>
__device__ __forceinline__ Floats<kCount> sloped(Floats<kCount> z, const Floats<kCount>& mask, float slope) {
    for (int i = 0; i < kCount; i++) z.at[i] = mask.at[i] > 0 ? z.at[i] : slope * z.at[i];
    return z;
}

// Stores y and y_dot of kCount channels (from `channel` on, in one block) of the pixel at offset `at`.
template <bool kPrimal, bool kTangent, int kCount>
__device__ __forceinline__ void finish(const ConvOperands& p, int64_t at, int channel, const Floats<kCount>& sum,
                                       const Floats<kCount>& sum_dot) {
    Floats<kCount> mask{};
    if constexpr (kPrimal) {
        const Floats<kCount> z = completed(sum, p.bias, p.epilogue.residual, at, channel);
        mask = p.epilogue.mask ? load_floats<kCount>(p.epilogue.mask + at) : z;
        store_floats(p.y + at, sloped(z, mask, p.epilogue.slope));
    }
    if constexpr (kTangent) {
        const float* residual = kPrimal ? p.residual_dot : p.epilogue.residual;
        const Floats<kCount> z = completed(sum_dot, p.bias_dot, residual, at, channel);
        if (!kPrimal) mask = p.epilogue.mask ? load_floats<kCount>(p.epilogue.mask + at) : z;
        store_floats(p.y_dot + at, sloped(z, mask, p.epilogue.slope));
    }
}

}  // namespace lqf::gpu
#endif
