// Square matrices as sums of products a b^T of their rows: in panels of rows, cut into tiles.
#ifndef LQF_CPU_PANELS_H
#define LQF_CPU_PANELS_H

#include <cstdlib>
#include <memory>
#include <new>

#include "layout.h"
#include "pages.h"

namespace lqf::cpu {

constexpr int64_t kTile =
    144;  // rows and columns: a panel of a tile is in the first-level cache, tiles are in the second

inline void panel_product(const PanelProduct<float>& p) { kernels().panel_product(p); }
inline void panel_product(const PanelProduct<double>& p) { kernels().panel_product_double(p); }

template <class T>
class Panels {
public:
    static constexpr int64_t kRows = kPanelRows<T>;
    static_assert(kTile % kRows == 0, "tiles are whole panels");

    // Not set to anything. side: of whole panels.
    explicit Panels(int64_t side)
        : side_(side), data_(static_cast<T*>(allocate_lines(size_t(side * side) * sizeof(T))), &std::free) {
        if (!data_) throw std::bad_alloc();
    }

    int64_t tiles() const { return ceil_div(side_, kTile); }
    int64_t size(int64_t tile) const { return std::min(kTile, side_ - tile * kTile); }  // its rows or columns
    int64_t panel() const { return side_ * kRows; }                                     // from a panel to the next

    // Rows from i * kTile on, a multiple of kRows further, columns from j * kTile on: [panel][column][kRows]
    T* at(int64_t i, int64_t j, int64_t row = 0) const {
        return data_.get() + (i * kTile + row) / kRows * panel() + j * kTile * kRows;
    }
    T& entry(int64_t row, int64_t column) const {
        return data_.get()[row / kRows * panel() + column * kRows + row % kRows];
    }

    // sum [panels of i][size(j)][kRows] += a b^T, a and b the tiles (i, k) and (j, k), first <= k < last. Of a tile with itself the panels on
    // and below the diagonal alone.
    void add_products(int64_t i, int64_t j, int64_t first, int64_t last, T* sum) const {
        for (int64_t k = first; k < last; ++k) {
            const int64_t next = std::min(k + 1, last - 1);
            for (int64_t row = 0; row < size(i); row += kRows)
                panel_product({int(size(k)),
                               at(i, k, row),
                               at(j, k),
                               panel(),
                               sum + row * size(j),
                               int(i == j ? row + kRows : size(j)),
                               {at(i, next, row), at(j, next, row)}});
        }
    }

    // Tile (i, j) = sum triangle^T, triangle [panels of j][size(j)][kRows] being lower.
    void set_product(int64_t i, int64_t j, const T* sum, const T* triangle) const {
        for (int64_t row = 0; row < size(i); row += kRows) {
            std::fill_n(at(i, j, row), size(j) * kRows, T(0));
            for (int64_t column = 0; column < size(j); column += kRows)
                panel_product({int(column + kRows),
                               sum + row * size(j),
                               triangle + column * size(j),
                               0,
                               at(i, j, row) + column * kRows,
                               int(kRows),
                               {sum, sum}});
        }
    }

private:
    int64_t side_;
    std::unique_ptr<T, decltype(&std::free)> data_;
};

}  // namespace lqf::cpu
#endif
