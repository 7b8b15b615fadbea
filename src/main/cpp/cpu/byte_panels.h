// Square matrices as sums of products of their rows, like Panels, in fixed point for the matrix unit.
#ifndef LQF_CPU_BYTE_PANELS_H
#define LQF_CPU_BYTE_PANELS_H

#include <vector>

#include "panels.h"

namespace lqf::cpu {

inline void split_bytes(const ByteLines<float>& l) { kernels().split_bytes(l); }
inline void split_bytes(const ByteLines<double>& l) { kernels().split_bytes_double(l); }
inline void multiply_bytes(const ByteProduct<float>& p) { kernels().multiply_bytes(p); }
inline void multiply_bytes(const ByteProduct<double>& p) { kernels().multiply_bytes_double(p); }

// Tiles in bytes, for the left of products, the right, or both. What is not set takes no memory.
class ByteTiles {
public:
    static constexpr int64_t kTile = kMostByteDepth;  // rows and columns

    ByteTiles(Arena& arena, int64_t tiles, int bytes, bool left, bool right)
        : bytes_(bytes),
          left_(left ? arena.take<uint32_t>(tiles * quads()) : nullptr),
          right_(right ? arena.take<uint32_t>(tiles * quads()) : nullptr),
          scales_(arena.take<double>(tiles * kTile)) {}
    // In the memory of as many tiles of no fewer bytes, which are lost.
    ByteTiles(Arena& arena, int64_t tiles, int bytes, const ByteTiles& memory)
        : bytes_(bytes), left_(memory.left_), right_(memory.right_), scales_(arena.take<double>(tiles * kTile)) {}

    int bytes() const { return bytes_; }
    int64_t group() const { return kTile / kByteDepth * bytes_ * kBytesTile; }  // quads from 16 rows to the next

    const uint32_t* left(int64_t tile) const { return left_ + tile * quads(); }
    const uint32_t* right(int64_t tile) const { return right_ + tile * quads(); }
    const double* scales(int64_t tile) const { return scales_ + tile * kTile; }

    // 16 rows from `row` on: panel [column][16].
    template <class T>
    void set(int64_t tile, int64_t row, int64_t columns, const T* panel) {
        alignas(64) uint32_t spare[kTile / kByteDepth * kMostBytes * kBytesTile];
        const int64_t at = tile * quads() + row / kBlock * group();
        split_bytes(ByteLines<T>{panel, int(columns), bytes_, scales_ + tile * kTile + row,
                                 right_ ? right_ + at : spare, left_ ? left_ + at : nullptr});
    }

private:
    int64_t quads() const { return kTile / kBlock * group(); }  // of a tile

    int bytes_;
    uint32_t *left_, *right_;
    double* scales_;
};

// Sums are of T.
template <class T>
class BytePanels {
public:
    using Number = T;
    static constexpr int64_t kTile = ByteTiles::kTile, kRows = kBlock;

    // A factor, tiles below the diagonal. side: of whole panels. The condition of a triangle, at most the root of its matrix's, is in what a product
    // with its inverse loses: one byte more there.
    BytePanels(Arena& arena, int64_t side, int bytes)
        : side_(side),
          lower_(arena, pairs(), bytes, true, true),
          upper_(lower_),
          diagonal_(arena, 0, bytes, false, false),
          triangles_(arena, tiles(), std::min(bytes + 1, kMostBytes), true, false),
          inverse_(false) {}
    // An inverse: the factor's tiles, for the left alone, and those on and above the diagonal, which take the factor's memory when they are set.
    template <class F>
    BytePanels(Arena& arena, int bytes, const BytePanels<F>& factor)
        : side_(factor.side_),
          lower_(arena, pairs(), bytes, true, false),
          upper_(arena, pairs(), bytes, factor.lower_),
          diagonal_(arena, tiles(), bytes, true, true),
          triangles_(arena, tiles(), bytes, true, false),
          inverse_(true) {}

    int64_t tiles() const { return ceil_div(side_, kTile); }
    int64_t size(int64_t tile) const { return std::min(kTile, side_ - tile * kTile); }

    // Tile (i, j), from numbers of T or another type.
    template <class S>
    void set(int64_t i, int64_t j, const PanelTile<S, kRows>& tile) {
        for (int64_t row = 0; row < size(i); row += kRows) of(i, j).set(at(i, j), row, size(j), tile.at(row, 0));
    }
    // Tile (k, k) of an inverse = triangle^T; what set_product takes is -triangle. triangle [size(k)][size(k)] is lower.
    template <class S>
    void set_triangle(int64_t k, const S* triangle) {
        std::vector<S> rows(size_t(kRows * size(k))), columns(rows.size());
        for (int64_t first = 0; first < size(k); first += kRows) {
            for (int64_t column = 0; column < size(k); ++column)
                for (int64_t lane = 0; lane < kRows; ++lane) {
                    rows[size_t(column * kRows + lane)] = -triangle[(first + lane) * size(k) + column];
                    columns[size_t(column * kRows + lane)] = triangle[column * size(k) + first + lane];
                }
            triangles_.set(k, first, size(k), rows.data());
            if (inverse_) diagonal_.set(k, first, size(k), columns.data());
        }
    }

    // To p.sum [panels of i][size(j)][16]. Of a tile with itself the blocks of 16 x 16 on and below the diagonal alone. What `next` takes is
    // fetched meanwhile.
    void add_product(const TileProduct<T>& p, const TileProduct<T>& next) const {
        const ByteTiles &a = of(p.i, p.k), &b = of(p.j, p.k);
        ByteProduct<T> product = this->product(p.i, p.j, size(p.k), p.sum);
        product.bytes = a.bytes();
        product.right = a.right(at(p.i, p.k)), product.right_group = a.group();
        product.right_scale = a.scales(at(p.i, p.k));
        product.left = b.left(at(p.j, p.k)), product.left_group = b.group();
        product.left_scale = b.scales(at(p.j, p.k));
        product.next_right = of(next.i, next.k).right(at(next.i, next.k));
        product.next_left = of(next.j, next.k).left(at(next.j, next.k));
        product.lower = p.i == p.j, product.upper = p.i == p.k;
        multiply_bytes(product);
    }

    // Tile (i, j) and sum itself = -sum triangle^T, with the triangle of j.
    PanelTile<T, kRows> set_product(int64_t i, int64_t j, T* sums) {
        alignas(64) uint32_t bytes[kTile / kByteDepth * kMostBytes * kBytesTile];
        alignas(64) double scales[kRows];
        T* sum = sums;
        for (int64_t row = 0; row < size(i); row += kRows, sum += size(j) * kRows) {
            split_bytes(ByteLines<T>{sum, int(size(j)), triangles_.bytes(), scales, bytes, nullptr});
            std::fill_n(sum, size(j) * kRows, T(0));
            ByteProduct<T> p = product(i, j, size(j), sum);
            p.bytes = triangles_.bytes();
            p.rows = kRows;
            p.right = bytes, p.right_scale = scales;
            p.left = triangles_.left(j), p.left_scale = triangles_.scales(j), p.left_group = triangles_.group();
            p.next_right = p.right, p.next_left = p.left;
            p.triangle = true;
            multiply_bytes(p);
            of(i, j).set(at(i, j), row, size(j), sum);
        }
        return {sums, size(j) * kRows};
    }

private:
    template <class>
    friend class BytePanels;

    int64_t pairs() const { return tiles() * (tiles() - 1) / 2; }
    static int64_t at(int64_t i, int64_t j) {
        return i == j ? i : std::max(i, j) * (std::max(i, j) - 1) / 2 + std::min(i, j);
    }
    const ByteTiles& of(int64_t i, int64_t j) const { return i > j ? lower_ : i < j ? upper_ : diagonal_; }
    ByteTiles& of(int64_t i, int64_t j) { return i > j ? lower_ : i < j ? upper_ : diagonal_; }

    ByteProduct<T> product(int64_t i, int64_t j, int64_t depth, T* sum) const {
        ByteProduct<T> p{};
        p.steps = int(ceil_div(depth, kByteDepth));
        p.rows = int(size(i)), p.columns = int(size(j));
        p.c = sum, p.c_panel = size(j) * kRows;
        return p;
    }

    int64_t side_;
    ByteTiles lower_, upper_, diagonal_, triangles_;
    bool inverse_;
};

}  // namespace lqf::cpu
#endif
