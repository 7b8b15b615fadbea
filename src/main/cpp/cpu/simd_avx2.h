// Sixteen floats, the channel block of the layout, in two AVX2 registers.
#ifndef LQF_CPU_SIMD_AVX2_H
#define LQF_CPU_SIMD_AVX2_H

#include <immintrin.h>

#define LQF_INLINE static inline __attribute__((always_inline))

namespace lqf::avx2 {

struct Block {
    __m256 lo, hi;
};
struct DoubleBlock {  // half as many
    __m256d lo, hi;
};

constexpr int kTilePixels[] = {6};  // of a conv tile of one output block: 12 sums of 16 registers; of two there is none
constexpr int kOuterChannels[] = {6};  // of an outer tile
constexpr int kPanelTile[] = {1, 6};   // Blocks by columns of a panel product
constexpr int kDoubles = 4;            // doubles of a register

LQF_INLINE Block zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
LQF_INLINE Block load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
LQF_INLINE void store(float* p, Block a) {
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
// Zeros, and p is not touched, where take is false.
LQF_INLINE Block load_if(bool take, const float* p) { return take ? load(p) : zero(); }
LQF_INLINE Block broadcast(float s) { return {_mm256_set1_ps(s), _mm256_set1_ps(s)}; }
LQF_INLINE Block add(Block a, Block b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
LQF_INLINE Block sub(Block a, Block b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
LQF_INLINE Block mul(Block a, Block b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
LQF_INLINE Block fma(Block a, Block b, Block c) {
    return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
LQF_INLINE DoubleBlock load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
LQF_INLINE void store(double* p, DoubleBlock a) {
    _mm256_storeu_pd(p, a.lo);
    _mm256_storeu_pd(p + 4, a.hi);
}
LQF_INLINE DoubleBlock broadcast(double s) { return {_mm256_set1_pd(s), _mm256_set1_pd(s)}; }
LQF_INLINE DoubleBlock fma(DoubleBlock a, DoubleBlock b, DoubleBlock c) {
    return {_mm256_fmadd_pd(a.lo, b.lo, c.lo), _mm256_fmadd_pd(a.hi, b.hi, c.hi)};
}
// where test > 0: a, elsewhere b
LQF_INLINE Block where_positive(Block test, Block a, Block b) {
    return {_mm256_blendv_ps(b.lo, a.lo, _mm256_cmp_ps(test.lo, _mm256_setzero_ps(), _CMP_GT_OQ)),
            _mm256_blendv_ps(b.hi, a.hi, _mm256_cmp_ps(test.hi, _mm256_setzero_ps(), _CMP_GT_OQ))};
}
// where x > y: a, elsewhere b
LQF_INLINE Block where_greater(Block x, Block y, Block a, Block b) {
    return {_mm256_blendv_ps(b.lo, a.lo, _mm256_cmp_ps(x.lo, y.lo, _CMP_GT_OQ)),
            _mm256_blendv_ps(b.hi, a.hi, _mm256_cmp_ps(x.hi, y.hi, _CMP_GT_OQ))};
}

// r[i][k] becomes r[k][i], by way of memory.
LQF_INLINE void transpose(Block (&r)[16]) {
    float m[16][16];
    for (int i = 0; i < 16; ++i) store(m[i], r[i]);
    for (int i = 0; i < 16; ++i) {
        float column[16];
        for (int k = 0; k < 16; ++k) column[k] = m[k][i];
        r[i] = load(column);
    }
}

}  // namespace lqf::avx2
#endif
