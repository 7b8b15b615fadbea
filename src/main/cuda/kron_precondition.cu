// kron_precondition: step = left G right, or the same in the eigenbasis divided by eigenvalues + damping. Two products a layer (exact: four);
// one launch does one of them for all layers, so that small layers do not wait for each other. Gathering G from the gradient is the first
// product's load, scattering to the step the last one's store.
#include <algorithm>

#include "backend.h"
#include "product_tile.cuh"

namespace lqf::gpu {
namespace {

using Tile = ProductTile<float>;
using Along = Operand<float, true, int>;
using Across = Operand<float, false, int>;

// Kernels take it by value: at most 4 KB.
struct Layers {
    static constexpr int kMost = 32;
    KronLayer layer[kMost] = {};
    int first_tile[kMost] = {};  // of each layer in the grid
    int count, tiles;

    explicit Layers(int number, const KronLayer* layers) : count(number), tiles(0) {
        for (int i = 0; i < count; i++) {
            layer[i] = layers[i];
            first_tile[i] = tiles;
            tiles += int(ceil_div<int64_t>(layers[i].oc, kTile) * ceil_div<int64_t>(layers[i].in1, kTile));
        }
    }
};

// The four products. T is the second half of a layer's scratch, E the first.
enum Product {
    kLeft,      // T = left G
    kEigen,     // E = (T right^T) / (eigenvalues + damping)
    kLeftBack,  // T = left^T E
    kRight,     // step = T right
};

template <Product kProduct>
__global__ void __launch_bounds__(Tile::kThreads, 4)
    product_kernel(Layers layers, double damping, const float* gradient, float* step) {
    int index = 0;
    while (index + 1 < layers.count && layers.first_tile[index + 1] <= int(blockIdx.x)) index++;
    const KronLayer& l = layers.layer[index];
    const int oc = int(l.oc), in1 = int(l.in1), in = in1 - 1;
    const int number = int(blockIdx.x) - layers.first_tile[index], across = ceil_div(in1, kTile);
    const int first_row = number / across * kTile, first_column = number % across * kTile;
    float *e = l.scratch, *t = l.scratch + l.oc * l.in1;
    const int rows_left = oc - first_row, columns_left = in1 - first_column;
    Tile::Shared& s = shared<Tile::Shared>();
    const int left_steps = ceil_div(oc, kDepth), right_steps = ceil_div(in1, kDepth);
    const auto row_of = [&](const float* matrix, int row, int stride) { return matrix + int64_t(row) * stride; };
    Tile tile;
    if constexpr (kProduct == kLeft) {
        using Gradient = Across;
        const int i = first_column + Gradient::tile_index();
        tile.accumulate(s, left_steps, Along(row_of(l.left, first_row, oc), oc, rows_left, oc),
                        i == in ? Gradient(gradient + l.bias_offset, 1, columns_left, oc, Gradient::Own{})
                                : Gradient(gradient + l.weight_offset + i, in, columns_left, oc, Gradient::Own{}));
    } else if constexpr (kProduct == kEigen) {
        tile.accumulate(s, right_steps, Along(row_of(t, first_row, in1), in1, rows_left, in1),
                        Along(row_of(l.right, first_column, in1), in1, columns_left, in1));
    } else if constexpr (kProduct == kLeftBack) {
        tile.accumulate(s, left_steps, Across(l.left + first_row, oc, rows_left, oc),
                        Across(e + first_column, in1, columns_left, oc));
    } else {
        tile.accumulate(s, right_steps, Along(row_of(t, first_row, in1), in1, rows_left, in1),
                        Across(l.right + first_column, in1, columns_left, in1));
    }
    tile.for_each([&](int row, int column, float sum) {
        const int o = first_row + row, i = first_column + column;
        if (o >= oc || i >= in1) return;
        const int64_t at = int64_t(o) * in1 + i;
        if constexpr (kProduct == kEigen)
            e[at] = float(double(sum) / (fmax(l.left_values[o], 0.0) * fmax(l.right_values[i], 0.0) + damping));
        else if constexpr (kProduct == kRight)
            step[i < in ? l.weight_offset + int64_t(o) * in + i : l.bias_offset + o] = sum;
        else
            t[at] = sum;
    });
}

template <Product kProduct>
void launch_product(const Layers& layers, double damping, const float* gradient, float* step) {
    LQF_LAUNCH((product_kernel<kProduct>), dim3(unsigned(layers.tiles)), dim3(Tile::kThreads), sizeof(Tile::Shared),
               stream(), layers, damping, gradient, step);
}

}  // namespace

void kron_precondition(Threads&, int count, const KronLayer* layers, double damping, const float* gradient,
                       float* step) {
    for (int first = 0; first < count; first += Layers::kMost) {
        const Layers some(std::min(Layers::kMost, count - first), layers + first);
        launch_product<kLeft>(some, damping, gradient, step);
        if (layers[0].left_values) {
            launch_product<kEigen>(some, damping, gradient, step);
            launch_product<kLeftBack>(some, damping, gradient, step);
        }
        launch_product<kRight>(some, damping, gradient, step);
    }
}

}  // namespace lqf::gpu
