// Square matrices as sums of products a b^T of their rows: in panels of rows, cut into tiles.
#ifndef LQF_CPU_PANELS_H
#define LQF_CPU_PANELS_H

#include "arena.h"
#include "layout.h"

namespace lqf::cpu {

inline void panel_product(const PanelProduct<float>& p) { kernels().panel_product(p); }
inline void panel_product(const PanelProduct<double>& p) { kernels().panel_product_double(p); }
inline int invert_triangle(int side, float* a, float* inverse) { return kernels().invert_triangle(side, a, inverse); }
inline int invert_triangle(int side, double* a, double* inverse) {
    return kernels().invert_triangle_double(side, a, inverse);
}
inline void minus_row(int64_t count, double scale, const double* x, double factor, const double* c, float* y) {
    kernels().minus_row(count, scale, x, factor, c, y);
}
inline void minus_row(int64_t count, double scale, const double* x, double factor, const double* c, double* y) {
    kernels().minus_row_double(count, scale, x, factor, c, y);
}

// A tile [panel][column][rows of a panel].
template <class T, int64_t ROWS>
struct PanelTile {
    static constexpr int64_t kRows = ROWS;
    const T* data;
    int64_t panel;  // from a panel to the next
    const T* at(int64_t row, int64_t column) const { return data + row / ROWS * panel + column * ROWS + row % ROWS; }
};

// sum += a b^T, a and b the tiles (i, k) and (j, k).
template <class T>
struct TileProduct {
    int64_t i, j, k;
    T* sum;
};

template <class T>
class Panels {
public:
    using Number = T;
    static constexpr int64_t kRows = kPanelRows<T>;
    // Rows and columns of a tile: a panel of it is in the first-level cache, tiles are in the second.
    static constexpr int64_t kTile = 96;
    static constexpr int64_t kPart = 24;  // columns of a product with a triangle
    static_assert(kTile % kRows == 0 && kRows % kPart == 0, "tiles are whole panels, these whole parts");

    // Not set to anything. side: of whole Blocks. The last panel is as long as the others, of memory alone.
    Panels(Arena& arena, int64_t side)
        : side_(side),
          data_(arena.take<T>(ceil_div(side, kRows) * panel())),
          triangles_(arena.take<T>(tiles() * kTile * kTile)) {}

    int64_t tiles() const { return ceil_div(side_, kTile); }
    int64_t size(int64_t tile) const { return std::min(kTile, side_ - tile * kTile); }  // its rows or columns

    // Tile (i, j), from numbers of another type, or panels of other rows.
    template <class Tile>
    void set(int64_t i, int64_t j, const Tile& tile) {
        constexpr int64_t kCopied = std::min(kRows, Tile::kRows);
        for (int64_t row = 0; row < size(i); row += kCopied)
            for (int64_t column = 0; column < size(j); ++column)
                std::copy_n(tile.at(row, column), kCopied, &entry(i * kTile + row, j * kTile + column));
    }
    // Tile (k, k) = triangle^T; what set_product takes is -triangle. triangle [size(k)][size(k)] is lower.
    template <class S>
    void set_triangle(int64_t k, const S* triangle) {
        T* panels = triangles_ + k * kTile * kTile;
        for (int64_t row = 0; row < size(k); ++row)
            for (int64_t column = 0; column < size(k); ++column) {
                const T value = T(*triangle++);
                panels[(row / kRows * size(k) + column) * kRows + row % kRows] = -value;
                entry(k * kTile + column, k * kTile + row) = value;
            }
    }

    // To p.sum [panels of i][size(j)][kRows]. Of a tile with itself the panels on and below the diagonal alone, of one on the diagonal what is on
    // and above it. What `next` takes is fetched meanwhile.
    void add_product(const TileProduct<T>& p, const TileProduct<T>& next) const {
        for (int64_t row = 0; row < size(p.i); row += kRows) {
            const int64_t first = p.i == p.k ? row : 0;
            panel_product({int(size(p.k) - first),
                           int(std::min(kRows, size(p.i) - row)),
                           at(p.i, p.k, row) + first * kRows,
                           at(p.j, p.k) + first * kRows,
                           panel(),
                           p.sum + row * size(p.j),
                           int(p.i == p.j ? std::min(row + kRows, size(p.j)) : size(p.j)),
                           {at(next.i, next.k, row), at(next.j, next.k, row)}});
        }
    }

    // Tile (i, j) = -sum triangle^T, with the triangle of j: of its zeros no more than a part is multiplied with.
    PanelTile<T, kRows> set_product(int64_t i, int64_t j, const T* sum) {
        const T* triangle = triangles_ + j * kTile * kTile;
        for (int64_t row = 0; row < size(i); row += kRows) {
            std::fill_n(at(i, j, row), size(j) * kRows, T(0));
            for (int64_t column = 0; column < size(j); column += kPart) {
                const int64_t columns = std::min(kPart, size(j) - column);
                panel_product({int(column + columns),
                               int(std::min(kRows, size(i) - row)),
                               sum + row * size(j),
                               triangle + column / kRows * kRows * size(j) + column % kRows,
                               0,
                               at(i, j, row) + column * kRows,
                               int(columns),
                               {sum, sum}});
            }
        }
        return {at(i, j), panel()};
    }

private:
    int64_t panel() const { return side_ * kRows; }  // from a panel to the next

    // Rows from i * kTile on, a multiple of kRows further, columns from j * kTile on: [panel][column][kRows]
    T* at(int64_t i, int64_t j, int64_t row = 0) const {
        return data_ + (i * kTile + row) / kRows * panel() + j * kTile * kRows;
    }
    T& entry(int64_t row, int64_t column) const { return data_[row / kRows * panel() + column * kRows + row % kRows]; }

    int64_t side_;
    T *data_, *triangles_;
};

}  // namespace lqf::cpu
#endif
