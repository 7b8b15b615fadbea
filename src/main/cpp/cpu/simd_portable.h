// Sixteen floats, the channel block of the layout, in four vectors of GCC's own: any processor, no FMA.
#ifndef LQF_CPU_SIMD_PORTABLE_H
#define LQF_CPU_SIMD_PORTABLE_H

#define LQF_INLINE static inline __attribute__((always_inline))

namespace lqf::portable {

typedef float Quad __attribute__((vector_size(16)));
typedef float UnalignedQuad __attribute__((vector_size(16), aligned(4), may_alias));

struct Block {
    Quad q0, q1, q2, q3;
};

typedef double Pair __attribute__((vector_size(16)));
typedef double UnalignedPair __attribute__((vector_size(16), aligned(8), may_alias));

struct DoubleBlock {  // half as many
    Pair p[4];
};

constexpr int kTilePixels[] = {2};  // of a conv tile of one output block: 8 sums of 16 registers; of two there is none
constexpr int kOuterChannels[] = {2};  // of an outer tile
constexpr int kPanelTile[] = {1, 3};   // Blocks by columns of a panel product
constexpr int kDoubles = 2;            // doubles of a register

LQF_INLINE Quad load_quad(const float* p) { return *reinterpret_cast<const UnalignedQuad*>(p); }
LQF_INLINE void store_quad(float* p, Quad a) { *reinterpret_cast<UnalignedQuad*>(p) = a; }
LQF_INLINE Quad pick(Quad test, Quad a, Quad b) { return test > 0.0f ? a : b; }

LQF_INLINE Block zero() { return {Quad{}, Quad{}, Quad{}, Quad{}}; }
LQF_INLINE Block load(const float* p) { return {load_quad(p), load_quad(p + 4), load_quad(p + 8), load_quad(p + 12)}; }
LQF_INLINE void store(float* p, Block a) {
    store_quad(p, a.q0);
    store_quad(p + 4, a.q1);
    store_quad(p + 8, a.q2);
    store_quad(p + 12, a.q3);
}
// Zeros, and p is not touched, where take is false.
LQF_INLINE Block load_if(bool take, const float* p) { return take ? load(p) : zero(); }
LQF_INLINE Block broadcast(float s) {
    const Quad q = {s, s, s, s};
    return {q, q, q, q};
}
LQF_INLINE Block add(Block a, Block b) { return {a.q0 + b.q0, a.q1 + b.q1, a.q2 + b.q2, a.q3 + b.q3}; }
LQF_INLINE Block sub(Block a, Block b) { return {a.q0 - b.q0, a.q1 - b.q1, a.q2 - b.q2, a.q3 - b.q3}; }
LQF_INLINE Block mul(Block a, Block b) { return {a.q0 * b.q0, a.q1 * b.q1, a.q2 * b.q2, a.q3 * b.q3}; }
LQF_INLINE Block fma(Block a, Block b, Block c) { return add(mul(a, b), c); }
LQF_INLINE DoubleBlock load(const double* p) {
    DoubleBlock a;
    for (int i = 0; i < 4; ++i) a.p[i] = *reinterpret_cast<const UnalignedPair*>(p + 2 * i);
    return a;
}
LQF_INLINE void store(double* p, DoubleBlock a) {
    for (int i = 0; i < 4; ++i) *reinterpret_cast<UnalignedPair*>(p + 2 * i) = a.p[i];
}
LQF_INLINE DoubleBlock broadcast(double s) {
    const Pair p = {s, s};
    return {{p, p, p, p}};
}
LQF_INLINE DoubleBlock fma(DoubleBlock a, DoubleBlock b, DoubleBlock c) {
    for (int i = 0; i < 4; ++i) c.p[i] += a.p[i] * b.p[i];
    return c;
}
// where test > 0: a, elsewhere b
LQF_INLINE Block where_positive(Block test, Block a, Block b) {
    return {pick(test.q0, a.q0, b.q0), pick(test.q1, a.q1, b.q1), pick(test.q2, a.q2, b.q2), pick(test.q3, a.q3, b.q3)};
}
// where x > y: a, elsewhere b
LQF_INLINE Block where_greater(Block x, Block y, Block a, Block b) {
    return {x.q0 > y.q0 ? a.q0 : b.q0, x.q1 > y.q1 ? a.q1 : b.q1, x.q2 > y.q2 ? a.q2 : b.q2, x.q3 > y.q3 ? a.q3 : b.q3};
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

}  // namespace lqf::portable
#endif
