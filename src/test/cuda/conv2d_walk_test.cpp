// The index arithmetic of convolutions against plain division and remainder, over all small shapes.
#include "conv2d_walk.cuh"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace lqf::gpu {
namespace {

// One product of a sum: a source pixel times the weights of a tap, in one block of channels.
struct Term {
    int row, column, weight_packet;
    bool operator==(const Term& o) const {
        return row == o.row && column == o.column && weight_packet == o.weight_packet;
    }
    bool operator<(const Term& o) const {
        return weight_packet != o.weight_packet ? weight_packet < o.weight_packet
               : row != o.row                   ? row < o.row
                                                : column < o.column;
    }
};
using Terms = std::vector<Term>;

// What the kernel adds up for target pixel (row, column) of the walk's grid; the cursor goes `apart` quads at a time, as many of them as
// cover all quads.
Terms walked(const Walk& walk, int row, int column, int source_h, int source_w, int blocks, int apart) {
    Terms terms;
    for (int first = 0; first < apart; first++) {
        Cursor cursor = cursor_at(walk, blocks, first);
        for (; cursor.inside(walk); cursor.advance(walk, blocks, apart)) {
            const int h = row * walk.scale + walk.start_row + cursor.t * walk.step;
            const int v = column * walk.scale + walk.start_column + cursor.u * walk.step;
            if (h >= 0 && h < source_h && v >= 0 && v < source_w)
                terms.push_back({h, v, cursor.weight_packet(walk, blocks)});
        }
    }
    std::sort(terms.begin(), terms.end());
    return terms;
}

// y[r, s] = sum of x[h, v] w[i, j], where h = r stride + i - pad
Terms forward_terms(const Conv2d& c, int r, int s, int blocks) {
    Terms terms;
    for (int quad = 0; quad < c.kh * c.kw * blocks; quad++) {
        const int h = r * c.stride + quad / blocks / c.kw - c.pad, v = s * c.stride + quad / blocks % c.kw - c.pad;
        if (h >= 0 && h < c.ih && v >= 0 && v < c.iw) terms.push_back({h, v, quad});
    }
    return terms;
}

// x_bar[h, v] = sum of y_bar[r, s] w[i, j] over the same pairs
Terms backward_terms(const Conv2d& c, int h, int v, int blocks) {
    Terms terms;
    for (int quad = 0; quad < c.kh * c.kw * blocks; quad++) {
        const int r = h + c.pad - quad / blocks / c.kw, s = v + c.pad - quad / blocks % c.kw;
        if (r < 0 || s < 0 || r % c.stride != 0 || s % c.stride != 0) continue;
        if (r / c.stride < c.oh && s / c.stride < c.ow) terms.push_back({r / c.stride, s / c.stride, quad});
    }
    return terms;
}

// Every target pixel of all phases: how often it was visited, and whether its sum is the right one.
bool is_right(const Conv2d& c, bool backward, int blocks, int apart) {
    const int h = backward ? c.ih : c.oh, w = backward ? c.iw : c.ow;
    std::vector<int> visits(size_t(h * w));
    for (int phase = 0; phase < (backward ? c.stride * c.stride : 1); phase++) {
        const Walk walk = backward ? backward_walk(c, phase) : forward_walk(c);
        for (int row = 0; row < walk.rows; row++)
            for (int column = 0; column < walk.columns; column++) {
                const int r = row * walk.target_scale + walk.target_row;
                const int s = column * walk.target_scale + walk.target_column;
                if (r >= h || s >= w) return false;
                visits[size_t(r * w + s)]++;
                const Terms terms =
                    walked(walk, row, column, backward ? c.oh : c.ih, backward ? c.ow : c.iw, blocks, apart);
                if (terms != (backward ? backward_terms(c, r, s, blocks) : forward_terms(c, r, s, blocks)))
                    return false;
            }
    }
    return std::all_of(visits.begin(), visits.end(), [](int count) { return count == 1; });
}

}  // namespace

TEST_CASE("walks of convolutions are division and remainder") {
    constexpr int kApart[] = {1, 2, 4};  // the first two are the loader's of conv2d_tile.cuh
    int shapes = 0;
    for (int ih = 1; ih <= 5; ih++)
        for (int iw = 1; iw <= 4; iw++)
            for (int kh = 1; kh <= 4; kh++)
                for (int kw = 1; kw <= 3; kw++)
                    for (int stride = 1; stride <= 3; stride++)
                        for (int pad = 0; pad <= 3; pad++) {
                            if (ih + 2 * pad < kh || iw + 2 * pad < kw) continue;
                            Conv2d c{};
                            c.n = c.ic = c.oc = 1, c.ih = ih, c.iw = iw, c.kh = kh, c.kw = kw;
                            c.stride = stride, c.pad = pad;
                            c.oh = (ih + 2 * pad - kh) / stride + 1, c.ow = (iw + 2 * pad - kw) / stride + 1;
                            const int blocks = 1 + shapes % 5, apart = kApart[shapes % 3];  // 15 pairs, in turn
                            for (bool backward : {false, true})
                                if (!is_right(c, backward, blocks, apart))
                                    FAIL_CHECK((backward ? "backward" : "forward"), ": ", ih, "x", iw, " kernel ", kh,
                                               "x", kw, " stride ", stride, " pad ", pad, " blocks ", blocks);
                            shapes++;
                        }
    CHECK(shapes > 2500);
}

}  // namespace lqf::gpu
