// The one convolution loop behind conv2d, conv2d_jvp and conv2d_vjp_x: a sum over taps of weights times a shifted input.
#ifndef LQF_CPU_TAP_CONV_H
#define LQF_CPU_TAP_CONV_H

#include <vector>

#include "layout.h"

namespace lqf {
class Threads;
}

namespace lqf::cpu {

// Output (r, c) takes input (r * stride + dy, c * stride + dx) times slice index of the weights.
struct Tap {
    int dy, dx, index;
};

// A grid of outputs that share their taps: y[first_row + step * r, first_column + step * c], r < rows, c < columns.
// A forward convolution has one grid; the transposed one of stride s has s * s.
struct Grid {
    int rows, columns, first_row, first_column;
    std::vector<Tap> taps;
};

struct Source {
    const float* x;
    const float* w;  // [out block][in block][taps][channels of the block][16]
};

struct TapConv {
    Planes in, out;
    int stride, step;
    int taps;  // slices of the weights, over all grids
    std::vector<Grid> grids;
    std::vector<Source> sources;  // their sum goes to y
    const float* bias;            // [out blocks * 16] or null
    bool accumulate;              // y += instead of y =
    float* y;
};

// Every output is one chain: start, then source by source, block by block, tap by tap, channel by channel.
void tap_conv(Threads&, const TapConv&);

}  // namespace lqf::cpu
#endif
