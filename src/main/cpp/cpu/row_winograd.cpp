#include "row_winograd.h"

#include <algorithm>

#include "conv2d_weights.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

constexpr int64_t kStripFloats = 96 * 1024;  // transformed inputs of a task: a share of the second-level cache
constexpr int kRowsAtOnce = 2;               // of outputs: as many share the weights that are in the first-level cache
constexpr int kTasksPerThread = 4;

int steps_of(RowForm form) { return 2 * kRowTiles[form].outputs; }

// How the work is cut. None of it shows in the bits.
struct Cut {
    int strips, rows;  // of an image
};

Cut cut_for(const Conv2d& c, RowForm form, int inputs, int threads) {
    const RowStrip line(c, form, 0, 1);
    const int64_t lines = kStripFloats / (inputs * line.line * kRowTiles[form].elements);
    const int most = int(std::clamp<int64_t>((lines - c.kh) / c.stride + 1, 1, c.oh));
    int strips = int(ceil_div(c.oh, most));
    while (c.n * strips < kTasksPerThread * threads && c.n * strips % threads && strips < c.oh)
        ++strips;  // equal shares
    return {strips, int(ceil_div(c.oh, strips))};
}

class Task {
public:
    Task(const Conv2d& c, RowForm form, const TapConv& conv, int image, int first_row, int last_row)
        : c_(c),
          conv_(conv),
          k_(kernels()),
          form_(form),
          shape_(kRowTiles[form]),
          x_(conv, &Source::x),
          image_(image),
          first_row_(first_row),
          last_row_(last_row),
          strip_(c, form, first_row, last_row - first_row) {}

    void run(Threads& threads, int thread) {
        q_block_ = int64_t(kRowsAtOnce) * strip_.tiles * kBlock;
        q_class_ = k_.tile_blocks * q_block_;
        const int64_t offset_floats = ceil_div(int64_t(shape_.elements * c_.kh * sizeof(TapOffset)), 64) * 16;
        float* scratch = threads.scratch(
            thread, size_t(offset_floats + x_.count * strip_.floats() +
                           std::max(strip_.staged_floats(), conv_.outputs * shape_.classes * q_class_)));
        offsets_ = reinterpret_cast<TapOffset*>(scratch);
        v_ = scratch + offset_floats;
        q_ = v_ + x_.count * strip_.floats();
        for (int i = 0; i < x_.count; ++i)
            strip_.fill(conv_.in, x_.of[i] + image_ * conv_.in.image, q_, v_ + i * strip_.floats());
        set_offsets();
        each_share(conv_.out.blocks(), k_.tile_blocks, [&](int block, int blocks) {
            for (int row = first_row_; row < last_row_; row += kRowsAtOnce) {
                const int rows = std::min(kRowsAtOnce, last_row_ - row);
                for (int s = 0; s < conv_.sources; ++s)
                    for (int k = 0; k < shape_.classes; ++k) multiply(s, k, block, blocks, row, rows);
                for (int o = 0; o < conv_.outputs; ++o)
                    for (int b = 0; b < blocks; ++b)
                        for (int r = 0; r < rows; ++r) write(o, block + b, b, row + r, r);
            }
        });
    }

private:
    // Of a class, from its first element.
    void set_offsets() {
        TapOffset* next = offsets_;
        for (int k = 0; k < shape_.classes; ++k)
            for (int e = shape_.first[k]; e < shape_.first[k + 1]; ++e)
                for (int i = 0; i < c_.kh; ++i)
                    *next++ = {(e - shape_.first[k]) * strip_.element + i * strip_.line, e * c_.kh + i};
    }

    float* sums(int output, int k) const { return q_ + (output * shape_.classes + k) * q_class_; }

    // The elements of a class, of some rows of tiles and one or two output blocks.
    void multiply(int s, int k, int block, int blocks, int row, int rows) const {
        static constexpr float kZeros[kMostTileBlocks * kBlock] = {};
        const int first = shape_.first[k];
        ConvTile tile{};
        tile.x_pixel = c_.ic;
        tile.channels = c_.ic;
        tile.w_block = int64_t(shape_.elements) * c_.kh * c_.ic * kBlock;
        tile.w = conv_.source[s].w + block * tile.w_block;
        tile.taps = offsets_ + first * c_.kh;
        tile.tap_count = (shape_.first[k + 1] - first) * c_.kh;
        tile.start = conv_.begins(s) ? kZeros : nullptr;
        tile.slope = 1;
        tile.y_block = q_block_;
        tile.y_pixel = kBlock;
        const float* v = v_ + x_.index[s] * strip_.floats() + first * strip_.element;
        for (int r = 0; r < rows; ++r) {
            tile.x = v + (row - first_row_ + r) * c_.stride * strip_.line;
            tile.y = sums(conv_.source[s].output, k) + r * strip_.tiles * kBlock;
            const float* y = conv_.output[conv_.source[s].output].y + image_ * conv_.out.image +
                             block * conv_.out.block + (row + r) * conv_.out.row;
            each_share(strip_.tiles, k_.tile_pixels[blocks - 1], [&](int first_tile, int pixels) {
                // What these tiles will write is fetched meanwhile, a pixel a tap, one block after the other.
                const int line = first * c_.kh, lines = pixels * shape_.outputs;
                tile.next = y + line / lines % blocks * conv_.out.block +
                            (int64_t(first_tile) * shape_.outputs + line % lines) * kBlock;
                k_.conv_row_tile[blocks - 1][pixels - 1](tile);
                tile.x += pixels * c_.ic;
                tile.y += pixels * kBlock;
            });
        }
    }

    void write(int o, int block, int at, int row, int r) const {
        static constexpr float kZeros[kBlock] = {};
        const Output& output = conv_.output[o];
        const Epilogue& e = output.epilogue;
        const int64_t y = image_ * conv_.out.image + block * conv_.out.block + row * conv_.out.row;
        k_.row_output[form_]({sums(o, 0) + at * q_block_ + r * strip_.tiles * kBlock, q_class_,
                              output.bias ? output.bias + block * kBlock : kZeros,
                              e.residual ? e.residual + y : nullptr, e.mask ? e.mask + y : nullptr, e.slope,
                              output.y + y, c_.ow});
    }

    const Conv2d& c_;
    const TapConv& conv_;
    const Kernels& k_;
    const RowForm form_;
    const RowTile& shape_;
    const Distinct x_;
    const int image_, first_row_, last_row_;
    const RowStrip strip_;
    TapOffset* offsets_ = nullptr;
    int64_t q_block_ = 0, q_class_ = 0;
    float *v_ = nullptr, *q_ = nullptr;  // [input][element][line], [output][class][block][row][tile][16]
};

}  // namespace

RowForm row_form(const Conv2d& c) {
    if (!has_row_taps(c) || c.kw != kRowTaps || c.stride != 2 || c.winograd == 0) return kRowByTaps;
    const RowForm form = c.winograd >= 4 ? kRowF4 : kRowF2;
    const int64_t tiles = ceil_div(c.ow, kRowTiles[form].outputs);
    return tiles * kRowTiles[form].elements < int64_t(c.ow) * kRowTaps ? form : kRowByTaps;
}

// Of F(2) the narrow products of a single tap take what it saves.
RowForm row_vjp_w_form(const Conv2d& c) { return row_form(c) == kRowF4 ? kRowF4 : kRowByTaps; }

int64_t row_winograd_floats(const Conv2d& c, RowForm form) {
    return bias_floats(c) + int64_t(blocks_of(c.oc)) * kRowTiles[form].elements * c.kh * c.ic * kBlock;
}

void row_winograd_pack(const Conv2d& c, RowForm form, const float* held, float* packed) {
    const int64_t tap = int64_t(c.ic) * kBlock;
    for (int i = 0; i < c.kh; ++i)
        kernels().row_weights[form](held + i * kRowTaps * tap, tap, c.ic, packed + i * tap, c.kh * tap);
}

RowStrip::RowStrip(const Conv2d& c, RowForm form, int first_row, int rows)
    : tiles(int(ceil_div(c.ow, kRowTiles[form].outputs))),
      line(ceil_div(int64_t(tiles) * c.ic, kBlock) * kBlock),
      element(((rows - 1) * c.stride + c.kh) * line),
      form_(form),
      elements_(kRowTiles[form].elements),
      stage_{steps_of(form),
             c.ic,
             first_row * c.stride - c.pad,
             (rows - 1) * c.stride + c.kh,
             -c.pad,
             tiles + (steps_of(form) + kRowTaps - 3) / steps_of(form)} {}

void RowStrip::fill(const Planes& in, const float* image, float* staged, float* v) const {
    fill_stage(stage_, in, image, staged);
    for (int r = 0; r < stage_.rows; ++r)
        kernels().row_input[form_]({staged + r * stage_.row(), int64_t(stage_.columns) * stage_.pixel, stage_.pixel,
                                    tiles * stage_.pixel, v + r * line, element});
}

void row_winograd_conv(Threads& threads, RowForm form, const Conv2d& c, const TapConv& conv) {
    const Cut cut = cut_for(c, form, Distinct(conv, &Source::x).count, threads.sharing());
    threads.each(int64_t(c.n) * cut.strips, [&](int64_t task, int thread) {
        const int first = int(task % cut.strips) * cut.rows, last = std::min(c.oh, first + cut.rows);
        if (first < last) Task(c, form, conv, int(task / cut.strips), first, last).run(threads, thread);
    });
}

}  // namespace lqf::cpu
