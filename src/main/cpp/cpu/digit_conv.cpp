#include "digit_conv.h"

#include "conv2d_weights.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

constexpr int kPair = 2 * kBlock;      // channels of a step
constexpr int kPixels = 256;           // of a task: their digits and their sums are in the second-level cache
constexpr int64_t kSums = 192 * 1024;  // of a task

// The digits of a panel of the weights, of two output blocks and so many steps, are in the first-level cache.
constexpr int kPanelSteps = 5;

// The weights of an output block: taps of pairs of channel blocks.
struct Steps {
    int pairs, taps;
    int64_t block() const { return int64_t(pairs) * taps * kDigitsStep; }
    int64_t at(int pair, int tap) const { return (int64_t(pair) * taps + tap) * kDigitsStep; }
};

// How a grid is worked off. By bands: rows of outputs with their padding, `pitch` pixels each, so that the inputs of every tap are a shift
// away and are split once; the sums of the padding are left. Else pixel by pixel, and each tap's inputs are split anew.
struct Cut {
    explicit Cut(const TapConv& conv) : x(conv, &Source::x), w(conv, &Source::w) {}

    Distinct x, w;
    Steps steps{};
    int pitch = 0;                         // 0: pixel by pixel
    int band_rows = 0, image_bands = 0;    // rows of outputs of a band
    int band_groups = 0, band_lines = 0;   // groups of 16 outputs; lines of inputs
    int items = 0, task_items = 0;         // bands or pixels: all, of a task
    int block_tasks = 0, task_blocks = 0;  // output blocks
    int64_t tasks() const { return ceil_div(items, task_items) * block_tasks; }
};

// Outputs that stand side by side: where their sums stand, and the first one's place in the grid.
struct Run {
    int at, count;
    int image, row, column;
};

struct Tap {
    int dy, dx, index;
};

class Task {
public:
    Task(const TapConv& conv, const Grid& grid, const Cut& cut, int64_t task)
        : k_(kernels()),
          conv_(conv),
          grid_(grid),
          cut_(cut),
          x_(cut.x),
          w_(cut.w),
          first_(int(task / cut.block_tasks) * cut.task_items),
          last_(std::min(cut.items, first_ + cut.task_items)),
          first_block_(int(task % cut.block_tasks) * cut.task_blocks),
          last_block_(std::min(conv.out.blocks(), first_block_ + cut.task_blocks)) {
        groups_ = cut.pitch ? (last_ - first_) * cut.band_groups : int(ceil_div(last_ - first_, kBlock));
        left_ = cut.pitch ? int64_t(last_ - first_) * 3 * cut.band_lines * kBlock : groups_ * kPanelSteps * kDigitsStep;
        sum_block_ = groups_ * kDigitsTile + kBlock;  // so that blocks do not fall on the same cache lines
        sums_ = sum_block_ * std::max(0, last_block_ - first_block_);
    }

    void run(Threads& threads, int thread) {
        if (sums_ == 0) return;
        float* scratch = threads.scratch(thread, size_t(x_.count * left_ + conv_.outputs * sums_));
        digits_ = reinterpret_cast<uint32_t*>(scratch);
        sum_ = scratch + x_.count * left_;
        if (grid_.taps() == 0) std::fill_n(sum_, conv_.outputs * sums_, 0.0f);
        for (int pair = 0; pair < cut_.steps.pairs; ++pair) {
            if (cut_.pitch) split_bands(pair);
            for (int tap = 0; tap < grid_.taps(); tap += kPanelSteps)
                add_panel(pair, tap, grid_.taps() - tap < kPanelSteps ? grid_.taps() - tap : kPanelSteps);
        }
        each_run([&](const Run& run) {
            for (int o = 0; o < conv_.outputs; ++o) write(conv_.output[o], run, sum_ + o * sums_);
        });
    }

private:
    Tap tap(int i) const {
        const Taps &v = grid_.vertical, &h = grid_.horizontal;
        const int row = i / h.count, column = i % h.count;
        return {v.offset + row * v.step, h.offset + column * h.step,
                v.index + row * v.index_step + h.index + column * h.index_step};
    }

    // Some taps of a pair of channel blocks.
    void add_panel(int pair, int first_tap, int count) const {
        if (!cut_.pitch)
            for (int i = 0; i < x_.count; ++i)
                for (int j = 0; j < count; ++j)
                    split_pixels(x_.of[i], pair, tap(first_tap + j), digits_ + i * left_ + j * kDigitsStep);
        const int64_t block_digits = cut_.steps.block();
        DigitProduct product{};
        product.steps = count;
        product.right_group = block_digits, product.right_tile = kDigitsTile;
        product.sum_column = sum_block_;
        for (int block = first_block_; block < last_block_; block += 2) {
            // Then comes the next pair of blocks, or the next panel of the first one.
            product.right_next = block + 2 < last_block_ ? 2 * block_digits
                                                         : count * kDigitsStep - (block - first_block_) * block_digits;
            for (int w = 0; w < w_.count; ++w) {
                const auto* right = reinterpret_cast<const uint32_t*>(w_.of[w]) + block * block_digits;
                for (int j = 0; j < count; ++j)
                    product.right[j] = right + cut_.steps.at(pair, tap(first_tap + j).index);
                for (int s = 0; s < conv_.sources; ++s) {
                    if (w_.index[s] != w) continue;
                    product.fresh = pair == 0 && first_tap == 0 && conv_.begins(s);
                    product.sum = sum_ + conv_.source[s].output * sums_ + (block - first_block_) * sum_block_;
                    multiply(product, first_tap, digits_ + x_.index[s] * left_);
                }
            }
        }
    }

    void multiply(DigitProduct& product, int first_tap, const uint32_t* left) const {
        if (!cut_.pitch) {
            for (int j = 0; j < product.steps; ++j) product.left[j] = left + j * kDigitsStep;
            product.left_group = kPanelSteps * kDigitsStep;
            product.left_tile = kDigitsTile;
            product.rows = groups_;
            return k_.multiply_digits(product);
        }
        product.left_group = kDigitsTile;
        product.left_tile = int64_t(cut_.band_lines) * kBlock;
        product.rows = cut_.band_groups;
        for (int band = first_; band < last_; ++band) {
            for (int j = 0; j < product.steps; ++j) {
                const Tap t = tap(first_tap + j);
                const int down = t.dy - grid_.vertical.low(), right = t.dx - grid_.horizontal.low();
                product.left[j] = left + int64_t(down * cut_.pitch + right) * kBlock;
            }
            k_.multiply_digits(product);
            left += 3 * product.left_tile;
            product.sum += product.rows * kDigitsTile;
        }
    }

    // The lines of a pair of blocks of `count` inputs, conv_.stride apart, from (row, column) on; zeros outside of the image.
    void split_row(const float* x, int pair, int image, int row, int column, int count, uint32_t* to,
                   int64_t tile) const {
        const Planes& in = conv_.in;
        const Range inside = row < 0 || row >= in.h ? Range{0, 0} : valid_outputs(count, in.w, conv_.stride, column);
        const int64_t line = conv_.stride * in.pixel;
        const float* from = x + 2 * pair * in.block + image * in.image + row * in.row + column * in.pixel;
        const float* first = from + inside.first * line;
        k_.split_digits({nullptr, nullptr, 0, inside.first, to, tile});
        k_.split_digits({first, first + in.block, line, inside.size(), to + inside.first * kBlock, tile});
        k_.split_digits({nullptr, nullptr, 0, count - inside.first - inside.size(),
                         to + (inside.first + inside.size()) * kBlock, tile});
    }

    void split_pixels(const float* x, int pair, const Tap& t, uint32_t* to) const {
        each_run([&](const Run& run) {
            for (int i = 0; i < run.count;) {  // group by group
                const int at = run.at + i, count = std::min(kBlock - at % kBlock, run.count - i);
                split_row(x, pair, run.image, run.row * conv_.stride + t.dy, (run.column + i) * conv_.stride + t.dx,
                          count, to + at / kBlock * (kPanelSteps * kDigitsStep) + at % kBlock * kBlock, kDigitsTile);
                i += count;
            }
        });
    }

    void split_bands(int pair) const {
        const int64_t tile = int64_t(cut_.band_lines) * kBlock;
        const int low = grid_.vertical.low(), rows = cut_.band_rows + grid_.vertical.high() - low;
        for (int i = 0; i < x_.count; ++i) {
            uint32_t* to = digits_ + i * left_;
            for (int band = first_; band < last_; ++band, to += 3 * tile)
                for (int r = 0; r < rows; ++r)
                    split_row(x_.of[i], pair, band / cut_.image_bands,
                              band % cut_.image_bands * cut_.band_rows + low + r, grid_.horizontal.low(), cut_.pitch,
                              to + int64_t(r) * cut_.pitch * kBlock, tile);
        }
    }

    void write(const Output& output, const Run& run, const float* sum) const {
        const Epilogue& e = output.epilogue;
        for (int b = first_block_; b < last_block_; ++b, sum += sum_block_) {
            const int64_t at = run.image * conv_.out.image + b * conv_.out.block +
                               (grid_.first_row + int64_t(run.row) * conv_.step) * conv_.out.row +
                               (grid_.first_column + int64_t(run.column) * conv_.step) * conv_.out.pixel;
            k_.write_digit_sums({sum + int64_t(run.at) * kBlock, run.count,
                                 output.bias ? output.bias + b * kBlock : nullptr,
                                 e.residual ? e.residual + at : nullptr, e.mask ? e.mask + at : nullptr, e.slope,
                                 output.y + at, conv_.step * conv_.out.pixel});
        }
    }

    // The rows of the task's outputs.
    template <class Work>
    void each_run(Work work) const {
        if (cut_.pitch) {
            for (int band = first_; band < last_; ++band) {
                const int first = band % cut_.image_bands * cut_.band_rows;
                for (int row = first; row < std::min(grid_.rows, first + cut_.band_rows); ++row)
                    work(Run{(band - first_) * cut_.band_groups * kBlock + (row - first) * cut_.pitch, grid_.columns,
                             band / cut_.image_bands, row, 0});
            }
            return;
        }
        for (int pixel = first_; pixel < last_;) {
            const int row = pixel / grid_.columns, column = pixel % grid_.columns;
            const int count = std::min(grid_.columns - column, last_ - pixel);
            work(Run{pixel - first_, count, row / grid_.rows, row % grid_.rows, column});
            pixel += count;
        }
    }

    const Kernels& k_;
    const TapConv& conv_;
    const Grid& grid_;
    const Cut& cut_;
    const Distinct &x_, &w_;
    int first_, last_;  // pixels or bands
    int first_block_, last_block_, groups_;
    int64_t left_, sum_block_, sums_;  // digits of an input; sums of an output block, of an output
    uint32_t* digits_ = nullptr;
    float* sum_ = nullptr;
};

// Cycles, roughly: 15 for a line that is split, 6 for a step of a pixel and an output block.
bool suits_bands(const TapConv& conv, const Grid& grid, int pitch) {
    if (conv.stride > 1 || grid.taps() < 2 || pitch > kPixels) return false;
    return 6 * (pitch - grid.columns) * conv.out.blocks() * conv.sources <= 15 * grid.columns;
}

Cut cut_for(const Conv2d& c, const TapConv& conv, const Grid& grid, int threads) {
    Cut cut(conv);
    cut.steps = {conv.in.blocks() / 2, c.kh * c.kw};
    const int pitch = grid.columns + grid.horizontal.high() - grid.horizontal.low();
    int most = kPixels;  // items of a task
    cut.items = conv.in.n * grid.rows * grid.columns;
    if (cut.items > 0 && suits_bands(conv, grid, pitch)) {
        cut.pitch = pitch;
        cut.image_bands = int(ceil_div(grid.rows, std::min(grid.rows, kPixels / pitch)));
        cut.band_rows = int(ceil_div(grid.rows, cut.image_bands));
        cut.image_bands = int(ceil_div(grid.rows, cut.band_rows));
        cut.band_groups = int(ceil_div(cut.band_rows * pitch, kBlock));
        cut.band_lines =
            cut.band_groups * kBlock + (grid.vertical.high() - grid.vertical.low()) * pitch + pitch - grid.columns;
        cut.items = conv.in.n * cut.image_bands;
        most = std::max(1, kPixels / kBlock / cut.band_groups);
    }
    int item_tasks = int(ceil_div(cut.items, most));
    if (item_tasks > threads) item_tasks = int(ceil_div(item_tasks, threads)) * threads;
    cut.task_items = int(ceil_div(cut.items, std::max(1, item_tasks)));
    if (!cut.pitch) cut.task_items = int(ceil_div(cut.task_items, kPair)) * kPair;
    cut.task_items = std::max(1, cut.task_items);
    const int blocks =
        conv.out.blocks();  // tasks of some of them split the same inputs again: no more than threads need
    const int64_t most_blocks = std::max<int64_t>(2, kSums / (int64_t(kPixels) * kBlock * conv.outputs));
    cut.block_tasks =
        int(std::clamp<int64_t>(ceil_div(threads, std::max(1, item_tasks)), ceil_div(blocks, most_blocks), blocks / 2));
    cut.task_blocks = int(ceil_div(blocks / 2, cut.block_tasks)) * 2;
    return cut;
}

// The digits of an output block from its weights held as [in block][tap][16 channels][16].
void pack(const Steps& steps, const float* held, uint32_t* digits) {
    const int64_t block = int64_t(steps.taps) * kBlock * kBlock;
    for (int pair = 0; pair < steps.pairs; ++pair)
        for (int tap = 0; tap < steps.taps; ++tap) {
            const float* first = held + 2 * pair * block + int64_t(tap) * kBlock * kBlock;
            kernels().split_digits({first, first + block, kBlock, kBlock, digits + steps.at(pair, tap), kDigitsTile});
        }
}

}  // namespace

bool suits_digits(const Conv2d& c) {
    return kernels().multiply_digits && c.ic % kPair == 0 && c.oc % kPair == 0 && !is_linear(c);
}

int64_t digit_floats(const Conv2d& c) {
    const int64_t weights = int64_t(c.oc) * c.patch() / (kPair * kBlock) * kDigitsStep;
    return bias_floats(c) + weights;
}

void digit_pack(Threads& threads, const Conv2d& c, const float* w, float* packed) {
    const Steps steps{c.ic / kPair, c.kh * c.kw};
    threads.each(c.oc / kBlock, [&](int64_t out, int thread) {
        float* held = threads.scratch(thread, size_t(c.patch()) * kBlock);
        for (int in = 0; in < c.ic; in += kBlock)
            kernels().to_lanes(w + out * kBlock * c.patch() + int64_t(in) * steps.taps, c.patch(), kBlock, kBlock,
                               steps.taps, c.unit, held + int64_t(in) * steps.taps * kBlock);
        pack(steps, held, reinterpret_cast<uint32_t*>(packed) + out * steps.block());
    });
}

void digit_pack_transposed(Threads& threads, const Conv2d& c, const float* w, float* packed) {
    const Steps steps{c.oc / kPair, c.kh * c.kw};
    threads.each(c.ic / kBlock, [&](int64_t out, int thread) {
        float* held = threads.scratch(thread, size_t(c.oc) * steps.taps * kBlock);
        for (int in = 0; in < c.oc; ++in) {
            const float* source = w + (int64_t(in) * c.ic + out * kBlock) * steps.taps;
            float* channel = held + (int64_t(in / kBlock) * steps.taps * kBlock + in % kBlock) * kBlock;
            for (int lane = 0; lane < kBlock; ++lane)
                for (int tap = 0; tap < steps.taps; ++tap) channel[int64_t(tap) * kBlock * kBlock + lane] = *source++;
        }
        pack(steps, held, reinterpret_cast<uint32_t*>(packed) + out * steps.block());
    });
}

void digit_conv(Threads& threads, const Conv2d& c, const TapConv& conv) {
    for (int g = 0; g < conv.grids; ++g) {
        const Grid grid = conv.grid(c, g);
        const Cut cut = cut_for(c, conv, grid, threads.sharing());
        threads.each(cut.tasks(), [&](int64_t task, int thread) { Task(conv, grid, cut, task).run(threads, thread); });
    }
}

}  // namespace lqf::cpu
