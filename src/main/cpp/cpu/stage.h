// Copies a part of some planes with its padding, so that the inner loops see neither borders nor strides.
#ifndef LQF_CPU_STAGE_H
#define LQF_CPU_STAGE_H

#include "layout.h"

namespace lqf::cpu {

// Columns are split by their residue mod stride: [block][row][residue][columns][pixel]; then neighbours of an output row are neighbours here.
struct Stage {
    int stride;                 // 1: columns stand as they are
    int pixel;                  // floats: 16, or the few channels of an image without the empty lanes
    int first_row, rows;        // of the input, padding included
    int first_column, columns;  // columns of one residue
    int64_t row() const { return int64_t(stride) * columns * pixel; }
    int64_t block() const { return rows * row(); }
    // Floats from the start of a block to the input of output (0, 0) of these rows under the tap (dy, dx), dy counted from first_row.
    int64_t offset(int dy, int dx) const {
        const int column = dx - first_column;
        return dy * row() + (int64_t(column % stride) * columns + column / stride) * pixel;
    }
};

void fill_stage(const Stage&, const Planes&, const float* image, float* staged);

}  // namespace lqf::cpu
#endif
