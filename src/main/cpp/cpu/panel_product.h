// The inner loop of factorisations and inverses: VECTORS x COLUMNS sums stay in registers. Included by kernels_table.h.
namespace lqf::LQF_ISA {

// One register tile. Fetches a line of both next ones for every kFetch columns.
template <class Vector, class T>
LQF_INLINE void panel_tile(int count, const T* a, const T* b, T* c, const T* (&next)[2]) {
    constexpr int kVectors = kPanelTile[0], kColumns = kPanelTile[1], kLanes = 64 / sizeof(T);
    constexpr int kRows = cpu::kPanelRows<T>, kFetch = 8;
    Vector sum[kColumns][kVectors];
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) {
#pragma GCC unroll 3
        for (int v = 0; v < kVectors; ++v) sum[j][v] = load(c + j * kRows + v * kLanes);
    }
    for (int k = 0; k < count; k += kFetch) {
        for (const T*& line : next) {
            __builtin_prefetch(line, 0, 2);
            line += kLanes;
        }
#pragma GCC unroll 2
        for (int i = 0; i < kFetch; ++i, a += kRows, b += kRows) {
            Vector rows[kVectors];
#pragma GCC unroll 3
            for (int v = 0; v < kVectors; ++v) rows[v] = load(a + v * kLanes);
#pragma GCC unroll 8
            for (int j = 0; j < kColumns; ++j) {
                const Vector value = broadcast(b[j]);
#pragma GCC unroll 3
                for (int v = 0; v < kVectors; ++v) sum[j][v] = fma(rows[v], value, sum[j][v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) {
#pragma GCC unroll 3
        for (int v = 0; v < kVectors; ++v) store(c + j * kRows + v * kLanes, sum[j][v]);
    }
}

template <class Vector, class T>
void panel_product(const cpu::PanelProduct<T>& p) {
    constexpr int kRows = cpu::kPanelRows<T>, kTileRows = kPanelTile[0] * 64 / sizeof(T);
    static_assert(kRows % kTileRows == 0 && kRows % kPanelTile[1] == 0, "a panel is a whole number of tiles");
    const T* next[2] = {p.next[0], p.next[1]};
    for (int row = 0; row < kRows; row += kTileRows)
        for (int column = 0; column < p.columns; column += kPanelTile[1])
            panel_tile<Vector>(p.count, p.a + row, p.b + column / kRows * p.b_panel + column % kRows,
                               p.c + column * kRows + row, next);
}

}  // namespace lqf::LQF_ISA
