// Winograd's minimal filtering F(m x m, 3 x 3) (Lavin & Gray, CVPR 2016), 16 channels at a time: y = A^T [(G g G^T) . (B^T d B)] A for tiles of
// m x m outputs. Included by kernels_table.h.
namespace lqf::LQF_ISA {

template <int FORM>
struct Winograd;

// Points 0, 1, -1: sums, differences and halves, exact on small integers.
template <>
struct Winograd<cpu::kF2> {
    LQF_INLINE void input(const Block (&d)[4], Block (&v)[4]) {  // B^T
        v[0] = sub(d[0], d[2]), v[1] = add(d[1], d[2]), v[2] = sub(d[2], d[1]), v[3] = sub(d[1], d[3]);
    }
    LQF_INLINE void output(const Block (&q)[4], Block (&y)[2]) {  // A^T
        y[0] = add(add(q[0], q[1]), q[2]), y[1] = sub(sub(q[1], q[2]), q[3]);
    }
    LQF_INLINE void weights(const Block (&g)[3], Block (&u)[4]) {  // G
        const Block half = broadcast(0.5f), even = mul(half, add(g[0], g[2])), odd = mul(half, g[1]);
        u[0] = g[0], u[1] = add(even, odd), u[2] = sub(even, odd), u[3] = g[2];
    }
    LQF_INLINE void cotangent(const Block (&y)[2], Block (&q)[4]) {  // A
        q[0] = y[0], q[1] = add(y[0], y[1]), q[2] = sub(y[0], y[1]), q[3] = sub(zero(), y[1]);
    }
    LQF_INLINE void gradient(const Block (&u)[4], Block (&g)[3]) {  // G^T
        const Block half = broadcast(0.5f), even = mul(half, add(u[1], u[2]));
        g[0] = add(u[0], even), g[1] = mul(half, sub(u[1], u[2])), g[2] = add(even, u[3]);
    }
};

// Points 0, 1, -1, 2, -2.
template <>
struct Winograd<cpu::kF4> {
    LQF_INLINE void input(const Block (&d)[6], Block (&v)[6]) {
        const Block two = broadcast(2.0f), four = broadcast(4.0f), minus_four = broadcast(-4.0f),
                    minus_five = broadcast(-5.0f);
        const Block even = fma(minus_four, d[2], d[4]), odd = fma(minus_four, d[1], d[3]);
        const Block even2 = sub(d[4], d[2]), odd2 = mul(two, sub(d[3], d[1]));
        v[0] = fma(four, d[0], fma(minus_five, d[2], d[4]));
        v[1] = add(even, odd), v[2] = sub(even, odd), v[3] = add(even2, odd2), v[4] = sub(even2, odd2);
        v[5] = fma(four, d[1], fma(minus_five, d[3], d[5]));
    }
    LQF_INLINE void output(const Block (&q)[6], Block (&y)[4]) {
        const Block two = broadcast(2.0f), four = broadcast(4.0f), eight = broadcast(8.0f);
        const Block even = add(q[1], q[2]), odd = sub(q[1], q[2]), even2 = add(q[3], q[4]), odd2 = sub(q[3], q[4]);
        y[0] = add(add(q[0], even), even2), y[1] = fma(two, odd2, odd);
        y[2] = fma(four, even2, even), y[3] = add(fma(eight, odd2, odd), q[5]);
    }
    LQF_INLINE void weights(const Block (&g)[3], Block (&u)[6]) {
        const Block even = mul(broadcast(-1.0f / 6), add(g[0], g[2])), odd = mul(broadcast(-1.0f / 6), g[1]);
        const Block even2 = fma(broadcast(1.0f / 24), g[0], mul(broadcast(1.0f / 6), g[2])),
                    odd2 = mul(broadcast(1.0f / 12), g[1]);
        u[0] = mul(broadcast(0.25f), g[0]), u[1] = add(even, odd), u[2] = sub(even, odd);
        u[3] = add(even2, odd2), u[4] = sub(even2, odd2), u[5] = g[2];
    }
    LQF_INLINE void cotangent(const Block (&y)[4], Block (&q)[6]) {
        const Block two = broadcast(2.0f), four = broadcast(4.0f), eight = broadcast(8.0f);
        const Block even = add(y[0], y[2]), odd = add(y[1], y[3]);
        const Block even2 = fma(four, y[2], y[0]), odd2 = fma(eight, y[3], mul(two, y[1]));
        q[0] = y[0], q[1] = add(even, odd), q[2] = sub(even, odd);
        q[3] = add(even2, odd2), q[4] = sub(even2, odd2), q[5] = y[3];
    }
    LQF_INLINE void gradient(const Block (&u)[6], Block (&g)[3]) {
        const Block sixth = broadcast(-1.0f / 6), even = mul(sixth, add(u[1], u[2])), odd = mul(sixth, sub(u[1], u[2]));
        const Block even2 = add(u[3], u[4]), odd2 = sub(u[3], u[4]);
        g[0] = fma(broadcast(1.0f / 24), even2, fma(broadcast(0.25f), u[0], even));
        g[1] = fma(broadcast(1.0f / 12), odd2, odd);
        g[2] = add(fma(broadcast(1.0f / 6), even2, even), u[5]);
    }
};

// Stride 2 (Yepez & Ko, IEEE TVLSI 2020): every other input sees one tap, the ones between two, by F(2, 2): 25 products in place of 36. Sums and
// differences of two, exact on small integers.
template <>
struct Winograd<cpu::kF2Stride2> {
    LQF_INLINE void input(const Block (&d)[5], Block (&v)[5]) {
        v[0] = d[2], v[1] = sub(d[0], d[2]), v[2] = d[1], v[3] = sub(d[2], d[4]), v[4] = d[3];
    }
    LQF_INLINE void output(const Block (&q)[5], Block (&y)[2]) {
        y[0] = add(add(q[0], q[1]), q[2]), y[1] = add(sub(q[0], q[3]), q[4]);
    }
    LQF_INLINE void weights(const Block (&g)[3], Block (&u)[5]) {
        u[0] = add(g[0], g[2]), u[1] = g[0], u[2] = g[1], u[3] = g[2], u[4] = g[1];
    }
    LQF_INLINE void cotangent(const Block (&y)[2], Block (&q)[5]) {
        q[0] = add(y[0], y[1]), q[1] = y[0], q[2] = y[0], q[3] = sub(zero(), y[1]), q[4] = y[1];
    }
    LQF_INLINE void gradient(const Block (&u)[5], Block (&g)[3]) {
        g[0] = add(u[0], u[1]), g[1] = add(u[2], u[4]), g[2] = add(u[0], u[3]);
    }
};

// Its transpose, of a padding of 1: even outputs see the middle tap alone, odd ones the others. g has the taps backwards.
template <>
struct Winograd<cpu::kF2Transposed> {
    LQF_INLINE void input(const Block (&d)[3], Block (&v)[5]) {
        v[0] = d[0], v[1] = sub(d[0], d[1]), v[2] = d[1], v[3] = d[1], v[4] = sub(d[1], d[2]);
    }
    LQF_INLINE void output(const Block (&q)[5], Block (&y)[4]) {
        y[0] = q[0], y[1] = add(q[1], q[2]), y[2] = q[3], y[3] = sub(q[2], q[4]);
    }
    LQF_INLINE void weights(const Block (&g)[3], Block (&u)[5]) {
        u[0] = g[1], u[1] = g[0], u[2] = add(g[0], g[2]), u[3] = g[1], u[4] = g[2];
    }
};

// NOTE: stores of the kernels may alias everything: what stays the same is copied out of its struct, or it is fetched anew for every store.

// v = B^T d B. The columns that a tile shares with the one beside it are transformed once.
template <int FORM>
void winograd_input(const cpu::WinogradInput& t) {
    constexpr int A = cpu::kWinogradTiles[FORM].elements, INPUTS = cpu::kWinogradTiles[FORM].inputs,
                  STEP = cpu::kWinogradTiles[FORM].step, SHARED = INPUTS - STEP;
    alignas(64) static constexpr float kZeros[cpu::kBlock] = {};
    const int64_t v_element = t.v_element, v_tile = t.v_tile;
    const int tiles = t.tiles, w = t.w;
    const float* rows[INPUTS];
    int64_t inside[INPUTS];  // all bits, or none: a row outside of the plane has one pixel
    for (int i = 0; i < INPUTS; ++i) {
        const int row = t.top + i;
        inside[i] = -int64_t(row >= 0 && row < t.h);
        rows[i] = inside[i] ? t.x + int64_t(row) * w * cpu::kBlock : kZeros;
    }
    Block s[A][INPUTS];
    auto transform = [&](int column, int j) __attribute__((always_inline)) {
        Block d[INPUTS], r[A];
        if (column >= 0 && column < w) {
            const int64_t at = int64_t(column) * cpu::kBlock;
#pragma GCC unroll 6
            for (int i = 0; i < INPUTS; ++i) d[i] = load(rows[i] + (at & inside[i]));
            Winograd<FORM>::input(d, r);
        } else {
#pragma GCC unroll 6
            for (int i = 0; i < A; ++i) r[i] = zero();
        }
#pragma GCC unroll 6
        for (int i = 0; i < A; ++i) s[i][j] = r[i];
    };
#pragma GCC unroll 2
    for (int j = 0; j < SHARED; ++j) transform(t.left + j, STEP + j);
    float *to = t.v, *const last = t.v_last;
    for (int tile = 0, left = t.left; tile < tiles; ++tile, left += STEP, to += v_tile) {
#pragma GCC unroll 6
        for (int i = 0; i < A; ++i) {
#pragma GCC unroll 2
            for (int j = 0; j < SHARED; ++j) s[i][j] = s[i][STEP + j];
        }
#pragma GCC unroll 4
        for (int j = SHARED; j < INPUTS; ++j) transform(left + j, j);
        float* v = tile + 1 < tiles ? to : last;
#pragma GCC unroll 6
        for (int i = 0; i < A; ++i) {
            Block r[A];
            Winograd<FORM>::input(s[i], r);
#pragma GCC unroll 6
            for (int j = 0; j < A; ++j, v += v_element) store(v, r[j]);
        }
    }
}

template <int FORM>
void winograd_output(const cpu::WinogradOutput& t) {
    constexpr int A = cpu::kWinogradTiles[FORM].elements, M = cpu::kWinogradTiles[FORM].outputs;
    const Block bias = load(t.bias), slope = broadcast(t.slope);
    const int rows = t.h - t.top < M ? t.h - t.top : M, tiles = t.tiles, w = t.w;
    const bool bends = t.slope != 1;
    const int64_t q_element = t.q_element;
    const float *residual = t.residual, *mask = t.mask, *from = t.q, *const last = t.q_last;
    float* y = t.y;
    int64_t at = int64_t(t.top) * w * cpu::kBlock;  // of the tile
    for (int tile = 0; tile < tiles; ++tile, from += cpu::kBlock, at += M * cpu::kBlock) {
        const float* q = tile + 1 < tiles ? from : last;
        Block s[M][A];
#pragma GCC unroll 6
        for (int j = 0; j < A; ++j) {
            Block d[A], v[M];
#pragma GCC unroll 6
            for (int i = 0; i < A; ++i) d[i] = load(q + (i * A + j) * q_element);
            Winograd<FORM>::output(d, v);
#pragma GCC unroll 4
            for (int i = 0; i < M; ++i) s[i][j] = v[i];
        }
        const int columns = w - tile * M < M ? w - tile * M : M;
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i) {
            Block r[M];
            Winograd<FORM>::output(s[i], r);
            if (i >= rows) continue;
#pragma GCC unroll 4
            for (int j = 0; j < M; ++j) {
                if (j >= columns) continue;
                const int64_t pixel = at + (int64_t(i) * w + j) * cpu::kBlock;
                Block value = add(r[j], bias);
                if (residual) value = add(value, load(residual + pixel));
                if (bends) value = where_positive(mask ? load(mask + pixel) : value, value, mul(slope, value));
                store(y + pixel, value);
            }
        }
    }
}

// The transpose of winograd_output's A^T . A, for the weights' gradient; outside of the plane are zeros.
template <int FORM>
void winograd_cotangent(const cpu::WinogradInput& t) {
    constexpr int A = cpu::kWinogradTiles[FORM].elements, M = cpu::kWinogradTiles[FORM].outputs;
    const int rows = t.h - t.top < M ? t.h - t.top : M, tiles = t.tiles, w = t.w;
    const int64_t row = int64_t(w) * cpu::kBlock, v_element = t.v_element, v_tile = t.v_tile;
    const float* y = t.x + int64_t(t.top) * row;
    float *to = t.v, *const last = t.v_last;
    for (int tile = 0; tile < tiles; ++tile, y += M * cpu::kBlock, to += v_tile) {
        const int columns = w - tile * M < M ? w - tile * M : M;
        Block s[A][M];
#pragma GCC unroll 4
        for (int j = 0; j < M; ++j) {
            Block d[M], q[A];
#pragma GCC unroll 4
            for (int i = 0; i < M; ++i) d[i] = load_if((i < rows) & (j < columns), y + i * row + j * cpu::kBlock);
            Winograd<FORM>::cotangent(d, q);
#pragma GCC unroll 6
            for (int i = 0; i < A; ++i) s[i][j] = q[i];
        }
        float* v = tile + 1 < tiles ? to : last;
#pragma GCC unroll 6
        for (int i = 0; i < A; ++i) {
            Block q[A];
            Winograd<FORM>::cotangent(s[i], q);
#pragma GCC unroll 6
            for (int j = 0; j < A; ++j, v += v_element) store(v, q[j]);
        }
    }
}

// g[3 * 3][channel][16] += G^T u G, or is set to it.
template <int FORM>
void winograd_gradient(const float* u, int64_t u_element, int channels, bool fresh, float* g) {
    constexpr int A = cpu::kWinogradTiles[FORM].elements;
    for (int c = 0; c < channels; ++c) {
        Block s[3][A];
#pragma GCC unroll 6
        for (int j = 0; j < A; ++j) {
            Block d[A], r[3];
#pragma GCC unroll 6
            for (int i = 0; i < A; ++i) d[i] = load(u + (i * A + j) * u_element + c * cpu::kBlock);
            Winograd<FORM>::gradient(d, r);
#pragma GCC unroll 3
            for (int i = 0; i < 3; ++i) s[i][j] = r[i];
        }
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) {
            Block r[3];
            Winograd<FORM>::gradient(s[i], r);
#pragma GCC unroll 3
            for (int j = 0; j < 3; ++j) {
                float* to = g + (int64_t(3 * i + j) * channels + c) * cpu::kBlock;
                store(to, fresh ? r[j] : add(load(to), r[j]));
            }
        }
    }
}

template <int FORM>
void winograd_weights(const float* g, int64_t tap, int channels, float* u, int64_t u_element) {
    constexpr int A = cpu::kWinogradTiles[FORM].elements;
    for (int c = 0; c < channels; ++c, g += cpu::kBlock, u += cpu::kBlock) {
        Block s[A][3];
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) {
            Block v[A];
            Winograd<FORM>::weights({load(g + j * tap), load(g + (3 + j) * tap), load(g + (6 + j) * tap)}, v);
#pragma GCC unroll 6
            for (int i = 0; i < A; ++i) s[i][j] = v[i];
        }
#pragma GCC unroll 6
        for (int i = 0; i < A; ++i) {
            Block r[A];
            Winograd<FORM>::weights(s[i], r);
#pragma GCC unroll 6
            for (int j = 0; j < A; ++j) store(u + (i * A + j) * u_element, r[j]);
        }
    }
}

}  // namespace lqf::LQF_ISA
