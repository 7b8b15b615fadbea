#include <algorithm>
#include <vector>

#include "conv2d_weights.h"
#include "cpu_ops.h"
#include "digit_gradient.h"
#include "outer_sum.h"
#include "row_winograd.h"
#include "stage.h"
#include "threads.h"
#include "winograd.h"

namespace lqf::cpu {
namespace {

constexpr int64_t kMostSums = 1280 * 1024;     // floats of an image's sums, for images to be worked off side by side
constexpr int64_t kBufferFloats = 128 * 1024;  // for those of some images: of a second-level cache
// Of an image with fewer, writing and reading its sums takes as long as making them: threads share out parts rather than images.
constexpr int kFewPixels = 144;
constexpr int64_t kTileFloats = 128 * 1024;  // of a strip of Winograd's tiles: a share of the second-level cache
constexpr int kStagedRows = 16;              // outputs whose inputs are staged together, where taps are rows
constexpr int kTiledRows = 4;                // of them, whose cotangents are transformed together
constexpr int kWinogradInBlocks = 4;         // of a part: as many share the transformed cotangents
constexpr int kTapOutBlocks = 2;  // of a part by taps: the sums of more are not in the first-level cache between taps

// The weights are cut into parts: some input blocks by some output blocks, held as [output block][input block][tap][channel][16] while
// the sums of the images are added to them one after the other.
class Gradient {
public:
    Gradient(const Conv2d& c, const float* x, const float* y_bar, float* w_bar, int64_t image_stride, int threads)
        : c_(c), k_(kernels()), x_(x), y_bar_(y_bar), w_bar_(w_bar), image_stride_(image_stride) {
        chained_ = is_linear(c);
        images_as_pixels_ = chained_ && image_stride == 0;
        in_ = images_as_pixels_ ? Planes::images_as_pixels(c.n, c.ic, c.ih * c.iw) : Planes::of(c.n, c.ic, c.ih, c.iw);
        out_ = images_as_pixels_ ? Planes::images_as_pixels(c.n, c.oc, 1) : Planes::of(c.n, c.oc, c.oh, c.ow);
        stride_ = images_as_pixels_ ? 1 : c.stride;
        form_ = chained_ ? kByTaps : winograd_vjp_w_form(c);
        row_form_ = row_vjp_w_form(c);
        const bool by_taps = !form_ && !has_row_taps(c);
        groups_ = int(ceil_div(out_.blocks(), by_taps ? std::min(kTapOutBlocks, k_.outer_blocks) : k_.outer_blocks));
        out_blocks_ = int(ceil_div(out_.blocks(), groups_));
        in_blocks_ = form_ ? int(ceil_div(in_.blocks(), ceil_div(in_.blocks(), kWinogradInBlocks))) : 1;
        tile_blocks_ = in_blocks_ + out_blocks_;
        by_parts_ = threads == 1 || parts() >= 4 * threads;
        const bool few = image_stride == 0 && out_.h * out_.w <= kFewPixels;
        for (int blocks = in_blocks_; few && !by_parts_ && blocks > 0; blocks /= 2)
            if (parts(blocks) % threads == 0) in_blocks_ = blocks, by_parts_ = true;
    }

    void run(Threads& threads) const {
        const int64_t floats = parts() * part_floats();
        if (image_stride_ != 0) {
            threads.each(parts() * out_.n, [&](int64_t task, int thread) {
                const int image = int(task / parts());
                add_images(part(task % parts()), image, image + 1, threads, thread);
            });
        } else if (chained_ || by_parts_ || floats > kMostSums) {
            threads.each(parts(),
                         [&](int64_t task, int thread) { add_images(part(task), 0, out_.n, threads, thread); });
        } else {
            side_by_side(threads);
        }
    }

private:
    struct Part {
        int in_block, in_blocks, out_block, blocks;
    };

    int taps() const { return c_.kh * c_.kw; }
    int64_t elements() const { return elements_of(form_); }
    int64_t parts() const { return parts(in_blocks_); }
    int64_t parts(int in_blocks) const { return int64_t(groups_) * ceil_div(in_.blocks(), in_blocks); }
    int64_t block_floats() const { return int64_t(taps()) * std::min(kBlock, c_.ic) * kBlock; }
    int64_t part_floats() const { return out_blocks_ * in_blocks_ * block_floats(); }
    Part part(int64_t index) const {
        const int in_block = int(index / groups_) * in_blocks_, out_block = int(index % groups_) * out_blocks_;
        return {in_block, std::min(in_blocks_, in_.blocks() - in_block), out_block,
                std::min(out_blocks_, out_.blocks() - out_block)};
    }
    // One of the blocks that a part holds; of none where the part is a smaller one.
    Part block(const Part& p, int index) const {
        const int out = index / in_blocks_, in = index % in_blocks_;
        return {p.in_block + in, std::min(1, p.in_blocks - in), p.out_block + out, std::min(1, p.blocks - out)};
    }
    int channels(int in_block) const { return std::min(kBlock, c_.ic - in_block * kBlock); }

    // Few parts, many threads: the images' sums are made side by side, then added to each part in image order.
    void side_by_side(Threads& threads) const {
        const int64_t image_floats = parts() * part_floats();
        const int at_once = int(std::min<int64_t>(out_.n, std::max<int64_t>(1, kBufferFloats / image_floats)));
        float* sums = threads.shared_scratch(size_t(at_once * image_floats));
        for (int first = 0; first < out_.n; first += at_once) {
            const int images = std::min(at_once, out_.n - first);
            threads.each(images * parts(), [&](int64_t task, int thread) {
                add_image(part(task % parts()), first + int(task / parts()),
                          threads.scratch(thread, size_t(work_floats())), true, sums + task * part_floats());
            });
            const int blocks = out_blocks_ * in_blocks_;
            threads.each(parts() * blocks, [&](int64_t task, int thread) {
                const Part p = block(part(task / blocks), int(task % blocks));
                if (p.in_blocks <= 0 || p.blocks <= 0) return;
                float* total = threads.scratch(thread, size_t(block_floats()));
                read(p, w_bar_, total);
                for (int image = 0; image < images; ++image)
                    k_.add(block_floats(), total, sums + image * image_floats + task * block_floats(), total);
                write(p, total, w_bar_);
            });
        }
    }

    void add_images(const Part& part, int first, int last, Threads& threads, int thread) const {
        float* work = threads.scratch(thread, size_t(work_floats() + 2 * part_floats()));
        float *total = work + work_floats(), *sum = total + part_floats();
        float* w_bar = w_bar_ + first * image_stride_;
        read(part, w_bar, total);
        for (int image = first; image < last; ++image) {
            if (chained_ || form_) {  // by tiles an image's sum is added at once
                add_image(part, image, work, false, total);
            } else {
                add_image(part, image, work, true, sum);
                k_.add(part_floats(), total, sum, total);
            }
        }
        write(part, total, w_bar);
    }

    // sum += the image's, or is set to it where it is fresh.
    void add_image(const Part& part, int image, float* work, bool fresh, float* sum) const {
        if (fresh && !form_) std::fill_n(sum, part_floats(), 0.0f);
        if (form_)
            add_image_by_tiles(part, image, work, fresh, sum);
        else if (row_form_)
            add_image_by_row_tiles(part, image, work, sum);
        else if (has_row_taps(c_))
            add_image_by_rows(part, image, work, sum);
        else
            add_image_by_taps(part, image, sum);
    }

    void add_image_by_taps(const Part& part, int image, float* sum) const {
        const int channels = this->channels(part.in_block);
        const float* x = x_ + image * in_.image + part.in_block * in_.block;
        const PixelGrid y_grid{y_bar_ + image * out_.image + part.out_block * out_.block, out_.row, out_.pixel};
        const int rows = rows_at_once(out_.w, 1 + part.blocks);
        for (int row = 0; row < out_.h; row += rows) {
            for (int tap = 0; tap < taps(); ++tap) {
                const int dy = images_as_pixels_ ? tap : tap / c_.kw - c_.pad,
                          dx = images_as_pixels_ ? 0 : tap % c_.kw - c_.pad;
                const Range valid_rows =
                    intersect({row, std::min(out_.h, row + rows)}, valid_outputs(out_.h, in_.h, stride_, dy));
                const PixelGrid x_grid{x + dy * in_.row + dx * in_.pixel, stride_ * in_.row, stride_ * in_.pixel};
                outer_sum(k_, valid_rows, valid_outputs(out_.w, in_.w, stride_, dx), x_grid, channels, y_grid,
                          out_.block, part.blocks, sum + int64_t(tap) * channels * kBlock, block_floats());
            }
        }
    }

    Stage stage(int row, int rows) const {
        return {1,
                c_.ic,
                row * c_.stride - c_.pad,
                (rows - 1) * c_.stride + c_.kh,
                -c_.pad,
                (c_.ow - 1) * c_.stride + c_.kw};
    }

    // The taps of a row of the kernel are one run of kw * ic inputs, held as they are: [row][column][channel][16].
    void add_image_by_rows(const Part& part, int image, float* work, float* sum) const {
        const int run = c_.kw * c_.ic, few = rows_at_once(out_.w, part.blocks);
        const float* y_bar = y_bar_ + image * out_.image + part.out_block * out_.block;
        for (int first = 0; first < out_.h; first += kStagedRows) {
            const int last = std::min(out_.h, first + kStagedRows);
            const Stage stage = this->stage(first, last - first);
            fill_stage(stage, in_, x_ + image * in_.image, work);
            for (int row = 0; row < last - first; row += few)
                for (int i = 0; i < c_.kh; ++i)
                    outer_sum(k_, {row, std::min(last - first, row + few)}, {0, out_.w},
                              {work + i * stage.row(), c_.stride * stage.row(), int64_t(c_.stride) * c_.ic}, run,
                              {y_bar + first * out_.row, out_.row, out_.pixel}, out_.block, part.blocks,
                              sum + int64_t(i) * run * kBlock, block_floats());
        }
    }

    // By the transpose of minimal filtering along rows: u = sum over tiles of (B^T x) (A y_bar)^T for each element and row of taps, then G^T u.
    void add_image_by_row_tiles(const Part& part, int image, float* work, float* sum) const {
        const RowTile& shape = kRowTiles[row_form_];
        const int64_t tap = int64_t(c_.ic) * kBlock, u_element = c_.kh * tap, u_block = shape.elements * u_element;
        float *u = work, *v = u + u_block * part.blocks;
        std::fill_n(u, u_block * part.blocks, 0.0f);
        for (int first = 0; first < out_.h; first += kStagedRows) {
            const int last = std::min(out_.h, first + kStagedRows);
            const RowStrip strip(c_, row_form_, first, last - first);
            float* const q = v + strip.floats();  // [class][block][row][tile][16]
            strip.fill(in_, x_ + image * in_.image, q, v);
            const int64_t q_row = int64_t(strip.tiles) * kBlock, q_block = kTiledRows * q_row,
                          q_class = part.blocks * q_block;
            for (int row = first; row < last; row += kTiledRows) {
                const int rows = std::min(kTiledRows, last - row);
                for (int b = 0; b < part.blocks; ++b)
                    for (int r = 0; r < rows; ++r)
                        k_.row_cotangent[row_form_](
                            y_bar_ + image * out_.image + (part.out_block + b) * out_.block + (row + r) * out_.row,
                            c_.ow, q + b * q_block + r * q_row, q_class);
                for (int k = 0; k < shape.classes; ++k)
                    for (int e = shape.first[k]; e < shape.first[k + 1]; ++e)
                        for (int i = 0; i < c_.kh; ++i)
                            outer_sum(k_, {0, rows}, {0, strip.tiles},
                                      {v + e * strip.element + ((row - first) * c_.stride + i) * strip.line,
                                       c_.stride * strip.line, c_.ic},
                                      c_.ic, {q + k * q_class, q_row, kBlock}, q_block, part.blocks,
                                      u + e * u_element + i * tap, u_block);
            }
        }
        for (int b = 0; b < part.blocks; ++b)
            for (int i = 0; i < c_.kh; ++i)
                k_.row_gradient[row_form_](u + b * u_block + i * tap, u_element, c_.ic,
                                           sum + held(b, 0) + i * kRowTaps * tap, tap);
    }

    // By the transpose of Winograd's filtering: u = sum over tiles of (B^T x B) (A y_bar A^T)^T for each element of the tiles, then G^T u G.
    void add_image_by_tiles(const Part& part, int image, float* work, bool fresh, float* sum) const {
        const WinogradTile& shape = kWinogradTiles[form_];
        TileOrder order(form_, c_.oh, c_.ow);
        const int some_rows = strip_rows();
        const int channels = std::min(part.in_blocks * kBlock, c_.ic - part.in_block * kBlock);
        const int64_t u_block = int64_t(part.in_blocks) * kBlock * kBlock, u_element = u_block * part.blocks + kBlock;
        float *u = work, *v = u + elements() * u_element;  // v [element][tile][its input channels, its output channels]
        const int64_t tile = int64_t(part.in_blocks + part.blocks) * kBlock;
        for (int first = 0, next; first < order.rows; first = next) {
            next = std::min(first + some_rows, order.rows);
            order.take(first, next);
            const int64_t v_element = order.tiles() * tile + kBlock;
            float* q = v + part.in_blocks * kBlock;
            for (int row = first; row < next; ++row) {
                const int64_t at = order.first_tile(row) * tile, last = order.last_tile(row) * tile;
                for (int i = 0; i < part.in_blocks; ++i)
                    k_.winograd_input[form_]({x_ + image * in_.image + (part.in_block + i) * in_.block, c_.ih, c_.iw,
                                              row * shape.step - c_.pad, -c_.pad, order.columns, v + at + i * kBlock,
                                              v + last + i * kBlock, v_element, tile});
                for (int b = 0; b < part.blocks; ++b)
                    k_.winograd_cotangent[form_]({y_bar_ + image * out_.image + (part.out_block + b) * out_.block,
                                                  c_.oh, c_.ow, row * shape.outputs, 0, order.columns,
                                                  q + at + b * kBlock, q + last + b * kBlock, v_element, tile});
            }
            for (int e = 0; e < elements(); ++e)
                outer_sum(k_, {0, 1}, order.tiles_of(e), {v + e * v_element, 0, tile}, channels,
                          {q + e * v_element, 0, tile}, kBlock, part.blocks, u + e * u_element, u_block, first == 0,
                          next < order.rows ? next_strip(part, image, next, std::min(some_rows, order.rows - next), e)
                                            : next_strip(part, image + 1, 0, std::min(some_rows, order.rows), e));
        }
        for (int i = 0; i < part.in_blocks; ++i)
            for (int b = 0; b < part.blocks; ++b)
                k_.winograd_gradient[form_](u + b * u_block + i * kBlock * kBlock, u_element,
                                            this->channels(part.in_block + i), fresh, sum + held(b, i));
    }

    // What the products of an element fetch of the next strip's planes: inputs, but for the rows that it shares with the strip before, or cotangents.
    const float* next_strip(const Part& part, int image, int row, int rows, int element) const {
        if (image == out_.n) return nullptr;
        const WinogradTile& shape = kWinogradTiles[form_];
        const int all = int(elements()), inputs = all * part.in_blocks / (part.in_blocks + part.blocks);
        if (element < inputs)
            return part_of_planes(x_ + image * in_.image + part.in_block * in_.block +
                                      (row * shape.step + shape.inputs - shape.step - c_.pad) * in_.row,
                                  in_.block, part.in_blocks, int64_t(rows) * shape.step * in_.w, element, inputs);
        return part_of_planes(
            y_bar_ + image * out_.image + part.out_block * out_.block + row * shape.outputs * out_.row, out_.block,
            part.blocks, int64_t(rows) * shape.outputs * out_.w, element - inputs, all - inputs);
    }

    // Rows of tiles whose transforms are in the cache together. Their order shows in the bits, so threads must not show in it.
    int strip_rows() const {
        const TileOrder order(form_, c_.oh, c_.ow);
        const int64_t row = elements() * order.columns * kBlock * tile_blocks_;
        return int(std::clamp<int64_t>(kTileFloats / row, 1, order.rows));
    }
    int64_t work_floats() const {
        if (row_form_) {
            const RowTile& shape = kRowTiles[row_form_];
            const RowStrip strip(c_, row_form_, 0, kStagedRows);
            const int64_t q = int64_t(shape.classes) * out_blocks_ * kTiledRows * strip.tiles * kBlock;
            return int64_t(shape.elements) * c_.kh * c_.ic * kBlock * out_blocks_ + strip.floats() +
                   std::max(q, strip.staged_floats());
        }
        if (!form_) return has_row_taps(c_) ? stage(0, kStagedRows).block() : 0;
        const int64_t tiles = int64_t(strip_rows()) * TileOrder(form_, c_.oh, c_.ow).columns;
        return elements() * kBlock * (in_blocks_ * out_blocks_ * kBlock + 1 + tiles * (in_blocks_ + out_blocks_) + 1);
    }

    int64_t held(int out, int in) const { return (int64_t(out) * in_blocks_ + in) * block_floats(); }
    int lanes(const Part& part, int block) const { return std::min(kBlock, c_.oc - (part.out_block + block) * kBlock); }
    int64_t offset(const Part& part, int out, int in) const {
        return (int64_t(part.out_block + out) * kBlock * c_.ic + (part.in_block + in) * kBlock) * taps();
    }
    // Sums are held in units of 1: a unit is a power of two, so that no bit is lost on the way in and out.
    void read(const Part& part, const float* w_bar, float* to) const {
        for (int b = 0; b < part.blocks; ++b)
            for (int i = 0; i < part.in_blocks; ++i)
                k_.to_lanes(w_bar + offset(part, b, i), c_.patch(), lanes(part, b), channels(part.in_block + i), taps(),
                            1 / c_.unit, to + held(b, i));
    }
    void write(const Part& part, const float* from, float* w_bar) const {
        for (int b = 0; b < part.blocks; ++b)
            for (int i = 0; i < part.in_blocks; ++i)
                k_.from_lanes(from + held(b, i), lanes(part, b), channels(part.in_block + i), taps(), c_.unit,
                              w_bar + offset(part, b, i), c_.patch());
    }

    const Conv2d& c_;
    const Kernels& k_;
    const float* x_;
    const float* y_bar_;
    float* w_bar_;
    int64_t image_stride_;
    bool chained_;           // one product an image: the chain of an image starts from w_bar
    bool images_as_pixels_;  // then all images are one chain
    Planes in_, out_;
    int stride_, groups_;
    WinogradForm form_;
    RowForm row_form_;
    int in_blocks_, out_blocks_;  // of a part, at most
    int tile_blocks_;             // of both, whatever the threads
    bool by_parts_;               // threads share out the parts, each of all images
};

// An image's sum of each block is a task of its own: few channels make few blocks.
void add_bias_gradient(Threads& threads, const Conv2d& c, const float* y_bar, float* b_bar, int64_t image_stride) {
    const int blocks = blocks_of(c.oc);
    const int64_t pixels = int64_t(c.oh) * c.ow, tasks = int64_t(c.n) * blocks;
    auto sum_of = [&](int64_t task, float* sum) {
        std::fill_n(sum, kBlock, 0.0f);
        kernels().sum_pixels(y_bar + task * pixels * kBlock, pixels, sum);
    };
    auto add_sum = [&](int64_t task, const float* sum) {
        const int image = int(task / blocks), first = int(task % blocks) * kBlock;
        for (int lane = 0; lane < std::min(kBlock, c.oc - first); ++lane)
            b_bar[image * image_stride + first + lane] += c.unit * sum[lane];
    };
    if (threads.sharing() == 1) {
        for (int64_t task = 0; task < tasks; ++task) {
            float sum[kBlock];
            sum_of(task, sum);
            add_sum(task, sum);
        }
        return;
    }
    float* sums = threads.shared_scratch(size_t(tasks * kBlock));
    threads.each(tasks, [&](int64_t task, int) { sum_of(task, sums + task * kBlock); });
    for (int64_t task = 0; task < tasks; ++task) add_sum(task, sums + task * kBlock);
}

}  // namespace

void conv2d_vjp_w(Threads& threads, const Conv2d& c, const float* x, const float* y_bar, float* w_bar, float* b_bar,
                  int64_t image_stride) {
    if (suits_digit_gradient(c))
        digit_gradient(threads, c, x, y_bar, w_bar, image_stride);
    else
        Gradient(c, x, y_bar, w_bar, image_stride, threads.sharing()).run(threads);
    add_bias_gradient(threads, c, y_bar, b_bar, image_stride);
}

}  // namespace lqf::cpu
