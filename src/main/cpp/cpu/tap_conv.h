// The one convolution loop behind conv2d, conv2d_jvp and conv2d_vjp_x: a sum over taps of weights times a shifted input.
#ifndef LQF_CPU_TAP_CONV_H
#define LQF_CPU_TAP_CONV_H

#include "layout.h"
#include "ops.h"

namespace lqf::cpu {

// Taps along one axis: the k-th of count looks offset + k * step inputs further and takes slice index + k * index_step of the weights.
struct Taps {
    int count, offset, step, index, index_step;
    int low() const { return std::min(offset, offset + (count - 1) * step); }
    int high() const { return std::max(offset, offset + (count - 1) * step); }
};

// Outputs that share their taps: y[first_row + step * r, first_column + step * c], r < rows, c < columns, takes the inputs
// (r * stride + dy, c * stride + dx). A forward convolution has one grid; the transposed one of stride s has s * s.
struct Grid {
    int rows, columns, first_row, first_column;
    Taps vertical, horizontal;
    int taps() const { return vertical.count * horizontal.count; }
};

constexpr int kMostSources = 3, kMostOutputs = 2;

struct Source {
    const float* x;
    const float* w;  // [out block][in block][taps][channels of the block][16]
    int output;      // that it is added to; ascending
};

struct Output {
    const float* bias;  // [out blocks * 16] or null
    Epilogue epilogue;
    float* y;
};

struct TapConv {
    Planes in, out;
    int stride, step;
    int taps;  // slices of the weights, over all grids
    int grids;
    bool row_taps;  // the only grid's taps of a row, all of the kernel's, are worked off as one of kw * channels inputs
    Grid (*grid)(const Conv2d&, int index);
    int sources, outputs;
    Source source[kMostSources];
    Output output[kMostOutputs];

    // Whether this source is the first of its output.
    bool begins(int s) const { return s == 0 || source[s - 1].output != source[s].output; }
};

// What the sources read, each once, and which of them a source reads: their inputs, or their weights.
struct Distinct {
    int count = 0;
    const float* of[kMostSources] = {};
    int index[kMostSources] = {};

    Distinct(const TapConv& conv, const float* Source::*what) {
        for (int s = 0; s < conv.sources; ++s) {
            const float* read = conv.source[s].*what;
            int i = 0;
            while (i < count && of[i] != read) ++i;
            if (i == count) of[count++] = read;
            index[s] = i;
        }
    }
};

// Every output is one chain: bias, residual, then source by source, block by block, tap by tap, channel by channel.
void tap_conv(Threads&, const Conv2d&, const TapConv&);

}  // namespace lqf::cpu
#endif
