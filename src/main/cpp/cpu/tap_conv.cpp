#include "tap_conv.h"

#include <climits>

#include "stage.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

constexpr int64_t kStagedFloats = 96 * 1024;    // staged input of a task: a share of the second-level cache
constexpr int64_t kWeightFloats = 5 * 1024;     // weights that are swept over a task's pixels before the next ones
constexpr int64_t kCachedWeights = 512 * 1024;  // more are fetched anew by every task: it then stages more
constexpr int kTasksPerThread = 3;

// How the work is cut. None of it shows in the bits: an output's chain is interrupted by exact stores at most.
struct Cut {
    int row_tasks, rows;  // of the grids
    int images;           // of a task
    int image_tasks;
    int block_tasks, blocks;  // output blocks
    int64_t tasks() const { return int64_t(image_tasks) * row_tasks * block_tasks; }
};

// The rectangle of inputs that the grids can reach.
struct Reach {
    int rows = 0, columns = 0, most_taps = 0;  // of the largest grid
    int low_dy = INT_MAX, high_dy = INT_MIN, low_dx = INT_MAX, high_dx = INT_MIN;
};

Reach reach_of(const Conv2d& c, const TapConv& conv) {
    Reach reach;
    for (int g = 0; g < conv.grids; ++g) {
        const Grid grid = conv.grid(c, g);
        reach.rows = std::max(reach.rows, grid.rows);
        reach.columns = std::max(reach.columns, grid.columns);
        reach.most_taps = std::max(reach.most_taps, grid.taps());
        if (grid.taps() == 0) continue;
        reach.low_dy = std::min(reach.low_dy, grid.vertical.low());
        reach.high_dy = std::max(reach.high_dy, grid.vertical.high());
        reach.low_dx = std::min(reach.low_dx, grid.horizontal.low());
        reach.high_dx = std::max(reach.high_dx, grid.horizontal.high());
    }
    if (reach.low_dy > reach.high_dy) reach.low_dy = reach.high_dy = reach.low_dx = reach.high_dx = 0;  // no tap at all
    return reach;
}

Stage stage_for(const TapConv& conv, const Reach& reach, int first_row, int rows) {
    const int columns = (reach.columns - 1) * conv.stride + reach.high_dx - reach.low_dx + 1;
    const int split = conv.row_taps ? 1 : conv.stride;
    return {split,
            conv.row_taps ? conv.in.channels : kBlock,
            first_row * conv.stride + reach.low_dy,
            (rows - 1) * conv.stride + reach.high_dy - reach.low_dy + 1,
            reach.low_dx,
            int(ceil_div(columns, split))};
}

// No tap leaves the image and neighbouring outputs read neighbouring inputs: the input can be read where it is.
bool reads_in_place(const TapConv& conv, const Reach& reach) {
    return conv.stride == 1 && conv.in.pixel == kBlock && reach.low_dy >= 0 && reach.low_dx >= 0 &&
           reach.rows + reach.high_dy <= conv.in.h && reach.columns + reach.high_dx <= conv.in.w;
}

Cut cut_for(const TapConv& conv, const Reach& reach, int threads) {
    Cut cut;
    const int64_t row_floats =
        stage_for(conv, reach, 0, 1).row() * conv.stride * conv.in.blocks() * Distinct(conv, &Source::x).count;
    const bool streams = int64_t(conv.taps) * conv.in.channels * conv.out.blocks() * kBlock > kCachedWeights;
    const int64_t staged = streams ? 4 * kStagedFloats : kStagedFloats;
    cut.rows = int(std::clamp<int64_t>(staged / row_floats, 1, reach.rows));
    cut.row_tasks = int(ceil_div(reach.rows, cut.rows));
    cut.rows = int(ceil_div(reach.rows, cut.row_tasks));
    const int64_t fit = staged / (row_floats * cut.rows);
    const int64_t most = streams ? conv.in.n : ceil_div(conv.in.n, threads * kTasksPerThread);
    cut.images = int(std::clamp<int64_t>(fit, 1, most));
    cut.image_tasks = int(ceil_div(conv.in.n, cut.images));
    cut.images = int(ceil_div(conv.in.n, cut.image_tasks));
    const int step = kernels().tile_blocks;
    const int groups = int(ceil_div(conv.out.blocks(), step));
    const int64_t wanted = ceil_div(int64_t(threads) * kTasksPerThread, int64_t(cut.image_tasks) * cut.row_tasks);
    cut.block_tasks = threads == 1 ? 1 : int(std::min<int64_t>(wanted, groups));
    cut.blocks = int(ceil_div(groups, cut.block_tasks)) * step;
    cut.block_tasks = int(ceil_div(conv.out.blocks(), cut.blocks));
    return cut;
}

class Task {
public:
    Task(const Conv2d& c, const TapConv& conv, const Reach& reach, const Cut& cut, int64_t task)
        : c_(c), conv_(conv), reach_(reach), k_(kernels()) {
        const int block_task = int(task % cut.block_tasks);
        const int row_task = int(task / cut.block_tasks % cut.row_tasks);
        const int image_task = int(task / cut.block_tasks / cut.row_tasks);
        first_block_ = block_task * cut.blocks;
        last_block_ = std::min(conv.out.blocks(), first_block_ + cut.blocks);
        first_row_ = row_task * cut.rows;
        last_row_ = std::min(reach.rows, first_row_ + cut.rows);
        first_image_ = image_task * cut.images;
        last_image_ = std::min(conv.in.n, first_image_ + cut.images);
    }

    void run(Threads& threads, int thread) {
        staged_ = conv_.row_taps || !reads_in_place(conv_, reach_);
        stage_ = stage_for(conv_, reach_, first_row_, last_row_ - first_row_);
        x_image_ = staged_ ? stage_.block() * conv_.in.blocks() : conv_.in.image;
        x_row_ = staged_ ? stage_.row() * conv_.stride : conv_.in.row;
        x_block_ = staged_ ? stage_.block() : conv_.in.block;
        const int64_t offset_floats = ceil_div(int64_t(reach_.most_taps * sizeof(TapOffset)), 64) * 16;
        const int64_t stage_floats =
            staged_ ? x_image_ * (last_image_ - first_image_) * Distinct(conv_, &Source::x).count : 0;
        float* scratch = threads.scratch(thread, size_t(offset_floats + stage_floats));
        offsets_ = reinterpret_cast<TapOffset*>(scratch);
        find_inputs(scratch + offset_floats);
        for (int g = 0; g < conv_.grids; ++g) {
            const Grid grid = conv_.grid(c_, g);
            set_offsets(grid);
            each_share(last_block_ - first_block_, k_.tile_blocks,
                       [&](int block, int blocks) { sweep(grid, first_block_ + block, blocks); });
        }
    }

private:
    // The first image and row of the task in each source, where it is or in a copy with its padding.
    void find_inputs(float* to) {
        for (int s = 0; s < conv_.sources; ++s) {
            const float* x = conv_.source[s].x;
            x_[s] = x + first_image_ * conv_.in.image + first_row_ * conv_.in.row;
            if (!staged_) continue;
            int same = 0;
            while (conv_.source[same].x != x) ++same;
            if (same < s) {
                x_[s] = x_[same];
                continue;
            }
            x_[s] = to;
            for (int i = first_image_; i < last_image_; ++i, to += x_image_)
                fill_stage(stage_, conv_.in, x + i * conv_.in.image, to);
        }
    }

    void set_offsets(const Grid& grid) {
        TapOffset* next = offsets_;
        if (conv_.row_taps) {
            for (int i = 0; i < grid.vertical.count; ++i)
                *next++ = {stage_.offset(grid.vertical.offset + i - reach_.low_dy, grid.horizontal.offset), i};
            return;
        }
        for (int i = 0; i < grid.vertical.count; ++i) {
            for (int j = 0; j < grid.horizontal.count; ++j) {
                const int dy = grid.vertical.offset + i * grid.vertical.step,
                          dx = grid.horizontal.offset + j * grid.horizontal.step;
                *next++ = {staged_ ? stage_.offset(dy - reach_.low_dy, dx) : dy * conv_.in.row + dx * conv_.in.pixel,
                           grid.vertical.index + i * grid.vertical.index_step + grid.horizontal.index +
                               j * grid.horizontal.index_step};
            }
        }
    }

    // All of the task's pixels for one or two output blocks; the weights in shares that stay in the cache.
    void sweep(const Grid& grid, int block, int blocks) {
        const int64_t w_in_block = int64_t(conv_.taps) * kBlock * kBlock;  // of a full input block
        const int64_t used = int64_t(grid.taps()) * kBlock * kBlock;
        const int64_t w_block = int64_t(conv_.taps) * conv_.in.channels * kBlock;
        const int share = int(std::max<int64_t>(1, kWeightFloats / std::max<int64_t>(1, used * blocks)));
        for (int s = 0; s < conv_.sources; ++s) {
            const Output& output = conv_.output[conv_.source[s].output];
            const bool first_source = s == 0 || conv_.source[s - 1].output != conv_.source[s].output,
                       last_source = s + 1 == conv_.sources || conv_.source[s + 1].output != conv_.source[s].output;
            for (int b = 0; b < conv_.in.blocks(); b += share) {
                ConvTile tile{};
                tile.x_pixel = conv_.row_taps ? conv_.stride * stage_.pixel : kBlock;
                tile.x_block = x_block_;
                tile.channels = conv_.row_taps ? grid.horizontal.count * conv_.in.channels
                                               : std::min(share * kBlock, conv_.in.channels - b * kBlock);
                tile.w = conv_.source[s].w + block * w_block + b * w_in_block;
                tile.next = tile.ahead = tile.w;
                tile.w_block = w_block;
                tile.w_taps = conv_.taps;
                tile.taps = offsets_;
                tile.tap_count = conv_.row_taps ? grid.vertical.count : grid.taps();
                if (first_source && b == 0) {
                    tile.start = output.bias ? output.bias + block * kBlock : kZeros;
                    tile.residual = output.epilogue.residual;
                }
                const bool last = last_source && b + share >= conv_.in.blocks();
                tile.mask = last ? output.epilogue.mask : nullptr;
                tile.slope = last ? output.epilogue.slope : 1;
                tile.y_block = conv_.out.block;
                tile.y_pixel = conv_.step * conv_.out.pixel;
                cover(grid, block, blocks, x_[s] + b * x_block_, output.y, tile);
            }
        }
    }

    void cover(const Grid& grid, int block, int blocks, const float* x, float* y, ConvTile& tile) {
        const ConvTileKernel* kernel = (conv_.row_taps ? k_.conv_row_tile : k_.conv_tile)[blocks - 1];
        const float *residual = tile.residual, *mask = tile.mask;
        for (int image = first_image_; image < last_image_; ++image) {
            for (int row = first_row_; row < std::min(last_row_, grid.rows); ++row) {
                tile.x = x + (image - first_image_) * x_image_ + (row - first_row_) * x_row_;
                int64_t at = image * conv_.out.image + block * conv_.out.block +
                             (grid.first_row + int64_t(row) * conv_.step) * conv_.out.row +
                             grid.first_column * conv_.out.pixel;
                each_share(grid.columns, k_.tile_pixels[blocks - 1], [&](int, int pixels) {
                    tile.y = y + at;
                    if (residual) tile.residual = residual + at;
                    if (mask) tile.mask = mask + at;
                    kernel[pixels - 1](tile);
                    tile.x += pixels * tile.x_pixel;
                    at += pixels * tile.y_pixel;
                });
            }
        }
    }

    static constexpr float kZeros[kMostTileBlocks * kBlock] = {};

    const Conv2d& c_;
    const TapConv& conv_;
    const Reach& reach_;
    const Kernels& k_;
    int first_block_, last_block_, first_row_, last_row_, first_image_, last_image_;
    Stage stage_{};
    bool staged_ = false;
    const float* x_[kMostSources] = {};
    int64_t x_image_ = 0, x_row_ = 0, x_block_ = 0;
    TapOffset* offsets_ = nullptr;
};

}  // namespace

void tap_conv(Threads& threads, const Conv2d& c, const TapConv& conv) {
    const Reach reach = reach_of(c, conv);
    const Cut cut = cut_for(conv, reach, threads.sharing());
    threads.each(cut.tasks(), [&](int64_t task, int thread) { Task(c, conv, reach, cut, task).run(threads, thread); });
}

}  // namespace lqf::cpu
