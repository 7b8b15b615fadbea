// Where things stand in the layout [n, ceil(c / 16), h, w, 16].
#ifndef LQF_CPU_LAYOUT_H
#define LQF_CPU_LAYOUT_H

#include <algorithm>
#include <cstdint>

#include "kernels.h"

namespace lqf::cpu {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int blocks_of(int channels) { return (channels + kBlock - 1) / kBlock; }
// Floats of one image.
constexpr int64_t image_floats(int channels, int h, int w) { return int64_t(blocks_of(channels)) * h * w * kBlock; }

// A batch of planes by its distances in floats.
struct Planes {
    int n, channels, h, w;
    int64_t image, block, row, pixel;

    static Planes of(int n, int channels, int h, int w) {
        const int64_t plane = int64_t(h) * w * kBlock;
        return {n, channels, h, w, blocks_of(channels) * plane, plane, int64_t(w) * kBlock, kBlock};
    }
    // Images as the pixels of a row, and pixels as rows: for layers whose output is one pixel an image, so that the inner loops have many.
    static Planes images_as_pixels(int n, int channels, int pixels) {
        return {1, channels, pixels, n, 0, int64_t(pixels) * kBlock, kBlock, image_floats(channels, 1, pixels)};
    }
    int blocks() const { return blocks_of(channels); }
};

// Where a part begins, if parts share out the first lines of some planes: whole planes, or shares of one.
inline const float* part_of_planes(const float* first, int64_t plane, int planes, int64_t lines, int part, int parts) {
    return first + part * planes / parts * plane + part * planes % parts * lines / parts * kBlock;
}

// The outputs o in [first, last) whose input o * stride + offset lies in [0, size), of count outputs.
struct Range {
    int first, last;
    int size() const { return std::max(0, last - first); }
};
inline Range valid_outputs(int count, int size, int stride, int offset) {
    const int first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    const int last = size - offset > 0 ? (size - offset - 1) / stride + 1 : 0;
    return {std::min(first, count), std::min(last, count)};
}
// Cuts count things into as few shares of at most `most` as it takes, whose sizes differ by one at most: work(first, size).
template <class Work>
void each_share(int count, int most, Work work) {
    const int shares = int(ceil_div(count, most));
    for (int share = 0, first = 0; share < shares; ++share) {
        const int size = count / shares + (share < count % shares);
        work(first, size);
        first += size;
    }
}
inline Range intersect(Range a, Range b) { return {std::max(a.first, b.first), std::min(a.last, b.last)}; }

// m [side, side]: rows [first, last) of the lower triangle go to the upper one. first is a multiple of kMirrorTile.
constexpr int64_t kMirrorTile = 32;  // rows and columns that are in the cache together
template <class T>
void mirror_rows(int64_t side, int64_t first, int64_t last, T* m) {
    for (int64_t top = first; top < last; top += kMirrorTile)
        for (int64_t left = 0; left <= top; left += kMirrorTile)
            for (int64_t row = top; row < std::min(last, top + kMirrorTile); ++row)
                for (int64_t column = left; column < std::min(row, left + kMirrorTile); ++column)
                    m[column * side + row] = m[row * side + column];
}

}  // namespace lqf::cpu
#endif
