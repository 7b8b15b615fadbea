// Index arithmetic of the implicit matrix product: which inputs and weights an output pixel is made of. Plain integers, the same on host
// and device.
#ifndef LQF_GPU_CONV2D_WALK_CUH
#define LQF_GPU_CONV2D_WALK_CUH

#include "layout.cuh"

namespace lqf::gpu {

// Target pixel (row, column) of the grid [rows, columns] stands at (row * target_scale + target_row, ...) in its plane and is the sum over
// taps (t, u), t < taps_h, u < taps_w, of the source at (row * scale + start_row + t * step, column * scale + start_column + u * step),
// where that is inside, times the weights of tap tap_first + t * tap_row + u * tap_column.
struct Walk {
    int rows, columns, target_scale, target_row, target_column;
    int scale, start_row, start_column, step;
    int taps_h, taps_w, tap_first, tap_row, tap_column;
};

// From x to y.
__host__ __device__ inline Walk forward_walk(const Conv2d& c) {
    return {c.oh, c.ow, 1, 0, 0, c.stride, -c.pad, -c.pad, 1, c.kh, c.kw, 0, c.kw, 1};
}

// From y_bar to x_bar. The inputs fall into stride^2 phases (h % stride, v % stride): within one all have the same taps, every stride-th,
// and walk through y_bar with step 1, backwards.
__host__ __device__ inline Walk backward_walk(const Conv2d& c, int phase) {
    const int s = c.stride, a = phase / s, b = phase % s;
    const int i = (a + c.pad) % s, j = (b + c.pad) % s;  // the first taps
    Walk walk{};
    walk.rows = a < c.ih ? ceil_div(c.ih - a, s) : 0;
    walk.columns = b < c.iw ? ceil_div(c.iw - b, s) : 0;
    walk.target_scale = s, walk.target_row = a, walk.target_column = b;
    walk.scale = 1, walk.start_row = (a + c.pad - i) / s, walk.start_column = (b + c.pad - j) / s, walk.step = -1;
    walk.taps_h = i < c.kh ? ceil_div(c.kh - i, s) : 0;
    walk.taps_w = j < c.kw ? ceil_div(c.kw - j, s) : 0;
    walk.tap_first = i * c.kw + j, walk.tap_row = s * c.kw, walk.tap_column = s;
    return walk;
}

// Goes through the packets of the inner dimension in order: (t, u, packet of channels), the packet fastest. No division. `packets`: of a
// tap, the quads of all channel blocks or pairs of them.
struct Cursor {
    int t, u, packet;

    __host__ __device__ void advance(const Walk& walk, int packets, int count) {
        for (packet += count; packet >= packets; packet -= packets) {
            if (++u < walk.taps_w) continue;
            u = 0;
            ++t;
        }
    }
    __host__ __device__ bool inside(const Walk& walk) const { return t < walk.taps_h; }
    // Number of this packet in the packed weights [taps][packets].
    __host__ __device__ int weight_packet(const Walk& walk, int packets) const {
        return (walk.tap_first + t * walk.tap_row + u * walk.tap_column) * packets + packet;
    }
};

__host__ __device__ inline Cursor cursor_at(const Walk& walk, int packets, int packet) {
    Cursor cursor{0, 0, 0};
    if (walk.taps_w == 0) cursor.t = walk.taps_h;  // nothing to go through
    cursor.advance(walk, packets, packet);
    return cursor;
}

}  // namespace lqf::gpu
#endif
