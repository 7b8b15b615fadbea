// Sixteen floats, the channel block of the layout, in one AVX-512 register.
#ifndef LQF_CPU_SIMD_AVX512_H
#define LQF_CPU_SIMD_AVX512_H

#include <immintrin.h>

#define LQF_INLINE static inline __attribute__((always_inline))

namespace lqf::avx512 {

struct Block {
    __m512 v;
};
struct DoubleBlock {  // half as many
    __m512d v;
};

// Of 32 registers: the sums, a register a block, a broadcast.
constexpr int kTilePixels[] = {16, 14};           // of a conv tile of 1, 2 output blocks
constexpr int kOuterChannels[] = {16, 12, 9, 6};  // of an outer tile of 1, 2, 3, 4 blocks
constexpr int kPanelTile[] = {3, 8};              // Blocks by columns of a panel product
constexpr int kDoubles = 8;                       // doubles of a register

LQF_INLINE Block zero() { return {_mm512_setzero_ps()}; }
LQF_INLINE Block load(const float* p) { return {_mm512_loadu_ps(p)}; }
LQF_INLINE void store(float* p, Block a) { _mm512_storeu_ps(p, a.v); }
// Zeros, and p is not touched, where take is false.
LQF_INLINE Block load_if(bool take, const float* p) { return {_mm512_maskz_loadu_ps(__mmask16(-int(take)), p)}; }
LQF_INLINE Block broadcast(float s) { return {_mm512_set1_ps(s)}; }
LQF_INLINE Block add(Block a, Block b) { return {_mm512_add_ps(a.v, b.v)}; }
LQF_INLINE Block sub(Block a, Block b) { return {_mm512_sub_ps(a.v, b.v)}; }
LQF_INLINE Block mul(Block a, Block b) { return {_mm512_mul_ps(a.v, b.v)}; }
LQF_INLINE Block fma(Block a, Block b, Block c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
LQF_INLINE DoubleBlock load(const double* p) { return {_mm512_loadu_pd(p)}; }
LQF_INLINE void store(double* p, DoubleBlock a) { _mm512_storeu_pd(p, a.v); }
LQF_INLINE DoubleBlock broadcast(double s) { return {_mm512_set1_pd(s)}; }
LQF_INLINE DoubleBlock fma(DoubleBlock a, DoubleBlock b, DoubleBlock c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
// where test > 0: a, elsewhere b
LQF_INLINE Block where_positive(Block test, Block a, Block b) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(test.v, _mm512_setzero_ps(), _CMP_GT_OQ), b.v, a.v)};
}
// where x > y: a, elsewhere b
LQF_INLINE Block where_greater(Block x, Block y, Block a, Block b) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, y.v, _CMP_GT_OQ), b.v, a.v)};
}

// r[i][k] becomes r[k][i]: twice, neighbours are interleaved within quarters of the registers, then quarters are exchanged.
LQF_INLINE void transpose(Block (&r)[16]) {
    __m512 t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i].v, r[i + 1].v);
        t[i + 1] = _mm512_unpackhi_ps(r[i].v, r[i + 1].v);
    }
    __m512 u[16];  // u[i + k]: column 4 q + k of rows i .. i + 3 in quarter q
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
#pragma GCC unroll 2
        for (int k = 0; k < 2; ++k) {
            const __m512d a = _mm512_castps_pd(t[i + k]), b = _mm512_castps_pd(t[i + k + 2]);
            u[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            u[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
        const __m512 top_even = _mm512_shuffle_f32x4(u[k], u[4 + k], 0x88),
                     top_odd = _mm512_shuffle_f32x4(u[k], u[4 + k], 0xdd);
        const __m512 low_even = _mm512_shuffle_f32x4(u[8 + k], u[12 + k], 0x88),
                     low_odd = _mm512_shuffle_f32x4(u[8 + k], u[12 + k], 0xdd);
        r[k].v = _mm512_shuffle_f32x4(top_even, low_even, 0x88);
        r[4 + k].v = _mm512_shuffle_f32x4(top_odd, low_odd, 0x88);
        r[8 + k].v = _mm512_shuffle_f32x4(top_even, low_even, 0xdd);
        r[12 + k].v = _mm512_shuffle_f32x4(top_odd, low_odd, 0xdd);
    }
}

}  // namespace lqf::avx512
#endif
