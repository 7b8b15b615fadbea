// Sixteen floats, the channel block of the layout, in one AVX-512 register.
#ifndef LQF_CPU_SIMD_AVX512_H
#define LQF_CPU_SIMD_AVX512_H

#include <immintrin.h>

#define LQF_INLINE static inline __attribute__((always_inline))

namespace lqf::avx512 {

struct Block {
    __m512 v;
};

constexpr int kTilePixels1 = 16;  // pixels of a conv tile of one output block: 16 sums of 32 registers
constexpr int kTilePixels2 = 14;  // of two output blocks: 28 sums, 2 weights, 1 broadcast
constexpr int kOuterChannels = 8;
constexpr int kOuterBlocks = 2;
constexpr int kDoubles = 8;  // doubles of a register

LQF_INLINE Block zero() { return {_mm512_setzero_ps()}; }
LQF_INLINE Block load(const float* p) { return {_mm512_loadu_ps(p)}; }
LQF_INLINE void store(float* p, Block a) { _mm512_storeu_ps(p, a.v); }
LQF_INLINE Block broadcast(float s) { return {_mm512_set1_ps(s)}; }
LQF_INLINE Block add(Block a, Block b) { return {_mm512_add_ps(a.v, b.v)}; }
LQF_INLINE Block mul(Block a, Block b) { return {_mm512_mul_ps(a.v, b.v)}; }
LQF_INLINE Block fma(Block a, Block b, Block c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// where test > 0: a, elsewhere b
LQF_INLINE Block where_positive(Block test, Block a, Block b) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(test.v, _mm512_setzero_ps(), _CMP_GT_OQ), b.v, a.v)};
}

}  // namespace lqf::avx512
#endif
