// Minimal filtering along a row (Winograd, 1980; stride 2 by its even and odd inputs, as in Yepez & Ko, IEEE TVLSI 2020), for 7 taps of stride 2
// over the few channels of an image: y = A^T sum (G g) . (B^T d). Even inputs see four of the taps, odd ones three. Included by kernels_table.h.
namespace lqf::LQF_ISA {

template <int FORM>
struct RowFilter;

// F(2, 2) twice and F(2, 3): what goes into both outputs, into the first, into both with opposite signs, into the second.
template <>
struct RowFilter<cpu::kRowF2> {
    static constexpr float input[10][9] = {
        {0, 0, 1, 0, 0, 0, 0, 0, 0},  {0, 0, 0, 0, 0, 0, 1, 0, 0},  {0, 0, 0, 1, 0, 1, 0, 0, 0},    // both
        {1, 0, -1, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 1, 0, -1, 0, 0}, {0, 1, 0, 0, 0, -1, 0, 0, 0},   // first
        {0, 0, 0, -1, 0, 1, 0, 0, 0},                                                               // opposite
        {0, 0, 1, 0, -1, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 1, 0, -1}, {0, 0, 0, 1, 0, 0, 0, -1, 0}};  // second
    static constexpr float weights[10][7] = {
        {1, 0, 1, 0, 0, 0, 0}, {0, 0, 0, 0, 1, 0, 1}, {0, 0.5f, 0, 0.5f, 0, 0.5f, 0},  {1, 0, 0, 0, 0, 0, 0},
        {0, 0, 0, 0, 1, 0, 0}, {0, 1, 0, 0, 0, 0, 0}, {0, 0.5f, 0, -0.5f, 0, 0.5f, 0}, {0, 0, 1, 0, 0, 0, 0},
        {0, 0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 1, 0}};
    static constexpr float output[2][4] = {{1, 1, 1, 0}, {1, 0, -1, -1}};
};

// F(4, 4) and F(4, 3), by the points 0, 1, -1, 2, -2, infinity and 1/2, which only the former has.
template <>
struct RowFilter<cpu::kRowF4> {
    static constexpr float input[13][13] = {
        {-2, 0, 4, 0, 2.5f, 0, -5, 0, -0.5f, 0, 1, 0, 0}, {0, 4, 0, 0, 0, -5, 0, 0, 0, 1, 0, 0, 0},
        {0, 0, 2, 0, -2, 0, -4.5f, 0, 0.5f, 0, 1, 0, 0},  {0, 0, 0, -4, 0, -4, 0, 1, 0, 1, 0, 0, 0},
        {0, 0, -2, 0, 6, 0, -3.5f, 0, -1.5f, 0, 1, 0, 0}, {0, 0, 0, 4, 0, -4, 0, -1, 0, 1, 0, 0, 0},
        {0, 0, 1, 0, -1.5f, 0, -2, 0, 1.5f, 0, 1, 0, 0},  {0, 0, 0, -2, 0, -1, 0, 2, 0, 1, 0, 0, 0},
        {0, 0, -1, 0, 2.5f, 0, 0, 0, -2.5f, 0, 1, 0, 0},  {0, 0, 0, 2, 0, -1, 0, -2, 0, 1, 0, 0, 0},
        {0, 0, -2, 0, 4, 0, 2.5f, 0, -5, 0, -0.5f, 0, 1}, {0, 0, 0, 4, 0, 0, 0, -5, 0, 0, 0, 1, 0},
        {0, 0, 4, 0, 0, 0, -5, 0, 0, 0, 1, 0, 0}};
    static constexpr float weights[13][7] = {{-0.5f, 0, 0, 0, 0, 0, 0},
                                             {0, 0.25f, 0, 0, 0, 0, 0},
                                             {-1.0f / 3, 0, -1.0f / 3, 0, -1.0f / 3, 0, -1.0f / 3},
                                             {0, -1.0f / 6, 0, -1.0f / 6, 0, -1.0f / 6, 0},
                                             {1.0f / 9, 0, -1.0f / 9, 0, 1.0f / 9, 0, -1.0f / 9},
                                             {0, -1.0f / 6, 0, 1.0f / 6, 0, -1.0f / 6, 0},
                                             {1.0f / 36, 0, 1.0f / 18, 0, 1.0f / 9, 0, 2.0f / 9},
                                             {0, 1.0f / 24, 0, 1.0f / 12, 0, 1.0f / 6, 0},
                                             {-1.0f / 60, 0, 1.0f / 30, 0, -1.0f / 15, 0, 2.0f / 15},
                                             {0, 1.0f / 24, 0, -1.0f / 12, 0, 1.0f / 6, 0},
                                             {0, 0, 0, 0, 0, 0, 1},
                                             {0, 0, 0, 0, 0, 1, 0},
                                             {32.0f / 45, 0, 16.0f / 45, 0, 8.0f / 45, 0, 4.0f / 45}};
    static constexpr float output[4][7] = {
        {1, 1, 1, 1, 1, 0, 1}, {0, 1, -1, 2, -2, 0, 0.5f}, {0, 1, 1, 4, 4, 0, 0.25f}, {0, 1, -1, 8, -8, 1, 0.125f}};
};

// out = m in, or of its transpose: what is zero or one costs nothing.
template <int R, int C, class At>
LQF_INLINE void apply(const At& m, const Block (&in)[C], Block (&out)[R]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
        Block sum = zero();
        bool begun = false;
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) {
            const float factor = m(r, c);
            if (factor == 0) continue;
            if (factor == 1)
                sum = begun ? add(sum, in[c]) : in[c];
            else if (factor == -1)
                sum = begun ? sub(sum, in[c]) : sub(zero(), in[c]);
            else
                sum = begun ? fma(broadcast(factor), in[c], sum) : mul(broadcast(factor), in[c]);
            begun = true;
        }
        out[r] = sum;
    }
}

template <int FORM>
void row_input(const cpu::RowInput& t) {
    using F = RowFilter<FORM>;
    constexpr int E = cpu::kRowTiles[FORM].elements, STEP = 2 * cpu::kRowTiles[FORM].outputs, INPUTS = STEP + 5;
    const int64_t residue = t.x_residue, v_element = t.v_element;
    const int pixel = t.pixel, count = t.count;
    const float* x = t.x;
    float* to = t.v;
    for (int i = 0; i < count; i += cpu::kBlock) {
        Block d[INPUTS], v[E];
#pragma GCC unroll 16
        for (int c = 0; c < INPUTS; ++c) d[c] = load(x + c % STEP * residue + c / STEP * pixel + i);
        apply(
            [](int r, int c) __attribute__((always_inline)) { return F::input[r][c]; }, d, v);
#pragma GCC unroll 16
        for (int e = 0; e < E; ++e) store(to + e * v_element + i, v[e]);
    }
}

template <int FORM>
void row_output(const cpu::RowOutput& t) {
    using F = RowFilter<FORM>;
    constexpr int K = cpu::kRowTiles[FORM].classes, M = cpu::kRowTiles[FORM].outputs;
    const Block bias = load(t.bias), slope = broadcast(t.slope);
    const bool bends = t.slope != 1;
    const int64_t q_class = t.q_class;
    const float *q = t.q, *residual = t.residual, *mask = t.mask;
    float* y = t.y;
    for (int first = 0; first < t.w; first += M, q += cpu::kBlock) {
        Block d[K], r[M];
#pragma GCC unroll 16
        for (int k = 0; k < K; ++k) d[k] = load(q + k * q_class);
        apply(
            [](int i, int c) __attribute__((always_inline)) { return F::output[i][c]; }, d, r);
#pragma GCC unroll 4
        for (int j = 0; j < M; ++j) {
            if (first + j >= t.w) continue;
            const int64_t pixel = int64_t(first + j) * cpu::kBlock;
            Block value = add(r[j], bias);
            if (residual) value = add(value, load(residual + pixel));
            if (bends) value = where_positive(mask ? load(mask + pixel) : value, value, mul(slope, value));
            store(y + pixel, value);
        }
    }
}

// The transpose of the output's map, for the weights' gradient; outside of the row are zeros.
template <int FORM>
void row_cotangent(const float* y, int w, float* q, int64_t q_class) {
    using F = RowFilter<FORM>;
    constexpr int K = cpu::kRowTiles[FORM].classes, M = cpu::kRowTiles[FORM].outputs;
    for (int first = 0; first < w; first += M, q += cpu::kBlock) {
        Block d[M], r[K];
#pragma GCC unroll 4
        for (int j = 0; j < M; ++j) d[j] = load_if(first + j < w, y + int64_t(first + j) * cpu::kBlock);
        apply(
            [](int k, int i) __attribute__((always_inline)) { return F::output[i][k]; }, d, r);
#pragma GCC unroll 16
        for (int k = 0; k < K; ++k) store(q + k * q_class, r[k]);
    }
}

template <int FORM>
void row_weights(const float* g, int64_t tap, int channels, float* u, int64_t u_element) {
    using F = RowFilter<FORM>;
    constexpr int E = cpu::kRowTiles[FORM].elements;
    for (int c = 0; c < channels; ++c, g += cpu::kBlock, u += cpu::kBlock) {
        Block d[cpu::kRowTaps], r[E];
#pragma GCC unroll 16
        for (int i = 0; i < cpu::kRowTaps; ++i) d[i] = load(g + i * tap);
        apply(
            [](int e, int i) __attribute__((always_inline)) { return F::weights[e][i]; }, d, r);
#pragma GCC unroll 16
        for (int e = 0; e < E; ++e) store(u + e * u_element, r[e]);
    }
}

template <int FORM>
void row_gradient(const float* u, int64_t u_element, int channels, float* g, int64_t tap) {
    using F = RowFilter<FORM>;
    constexpr int E = cpu::kRowTiles[FORM].elements;
    for (int c = 0; c < channels; ++c, g += cpu::kBlock, u += cpu::kBlock) {
        Block d[E], r[cpu::kRowTaps];
#pragma GCC unroll 16
        for (int e = 0; e < E; ++e) d[e] = load(u + e * u_element);
        apply(
            [](int i, int e) __attribute__((always_inline)) { return F::weights[e][i]; }, d, r);
#pragma GCC unroll 16
        for (int i = 0; i < cpu::kRowTaps; ++i) store(g + i * tap, add(load(g + i * tap), r[i]));
    }
}

}  // namespace lqf::LQF_ISA
