// The inner loop of inverses and of products of rows: VECTORS x COLUMNS sums stay in registers. Included by kernels_table.h.
namespace lqf::LQF_ISA {

// One register tile. Fetches a line of both next ones for every kFetch columns: of tiles that fill the registers, what the next two products take.
template <class Vector, int VECTORS, int COLUMNS, class T>
LQF_INLINE void panel_tile(int count, const T* a, const T* b, T* c, const T* (&next)[2]) {
    constexpr int kLanes = 64 / sizeof(T), kRows = cpu::kPanelRows<T>;
    constexpr int kFetch = VECTORS * COLUMNS > 12 ? 2 : VECTORS * COLUMNS > 6 ? 4 : cpu::kPanelStep;
    Vector sum[COLUMNS][VECTORS];
#pragma GCC unroll 8
    for (int j = 0; j < COLUMNS; ++j) {
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; ++v) sum[j][v] = load(c + j * kRows + v * kLanes);
    }
    for (int k = 0; k < count; k += kFetch) {
        for (const T*& line : next) {
            __builtin_prefetch(line, 0, 2);
            line += kLanes;
        }
#pragma GCC unroll 2
        for (int i = 0; i < kFetch; ++i, a += kRows, b += kRows) {
            Vector rows[VECTORS];
#pragma GCC unroll 3
            for (int v = 0; v < VECTORS; ++v) rows[v] = load(a + v * kLanes);
#pragma GCC unroll 8
            for (int j = 0; j < COLUMNS; ++j) {
                const Vector value = broadcast(b[j]);
#pragma GCC unroll 3
                for (int v = 0; v < VECTORS; ++v) sum[j][v] = fma(rows[v], value, sum[j][v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < COLUMNS; ++j) {
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; ++v) store(c + j * kRows + v * kLanes, sum[j][v]);
    }
}

// VECTORS x 64 bytes of rows from `row` on.
template <class Vector, int VECTORS, class T>
LQF_INLINE void panel_rows(const cpu::PanelProduct<T>& p, int row, const T* (&next)[2]) {
    constexpr int kRows = cpu::kPanelRows<T>, kColumns = kPanelTile[1];
    const T* a = p.a + row;
    T* c = p.c + row;
    int column = 0;
    auto b = [&] { return p.b + column / kRows * p.b_panel + column % kRows; };
    static_assert(kRows % kColumns == 0, "a panel is a whole number of tiles");
    for (; column + kColumns <= p.columns; column += kColumns)
        panel_tile<Vector, VECTORS, kColumns>(p.count, a, b(), c + column * kRows, next);
    for (; column < p.columns; ++column) panel_tile<Vector, VECTORS, 1>(p.count, a, b(), c + column * kRows, next);
}

template <class Vector, class T>
void panel_product(const cpu::PanelProduct<T>& p) {
    constexpr int kVectors = kPanelTile[0], kTileRows = kVectors * 64 / sizeof(T);
    static_assert(cpu::kPanelRows<T> % kTileRows == 0, "a panel is a whole number of tiles");
    const T* next[2] = {p.next[0], p.next[1]};
    int row = 0;
    for (; row + kTileRows <= p.rows; row += kTileRows) panel_rows<Vector, kVectors>(p, row, next);
    for (; row < p.rows; row += kTileRows / kVectors) panel_rows<Vector, 1>(p, row, next);
}

}  // namespace lqf::LQF_ISA
