#include "tap_conv.h"

#include <climits>

#include "stage.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

constexpr int64_t kStagedFloats = 96 * 1024;  // staged input of a task: a share of the 1 MB second-level cache
constexpr int64_t kWeightFloats = 40 * 1024;  // weights that are swept over a task's pixels before the next ones
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
    int rows = 0, columns = 0;  // of the largest grid
    int low_dy = INT_MAX, high_dy = INT_MIN, low_dx = INT_MAX, high_dx = INT_MIN;
};

Reach reach_of(const TapConv& conv) {
    Reach reach;
    for (const Grid& grid : conv.grids) {
        reach.rows = std::max(reach.rows, grid.rows);
        reach.columns = std::max(reach.columns, grid.columns);
        for (const Tap& tap : grid.taps) {
            reach.low_dy = std::min(reach.low_dy, tap.dy);
            reach.high_dy = std::max(reach.high_dy, tap.dy);
            reach.low_dx = std::min(reach.low_dx, tap.dx);
            reach.high_dx = std::max(reach.high_dx, tap.dx);
        }
    }
    if (reach.low_dy > reach.high_dy) reach.low_dy = reach.high_dy = reach.low_dx = reach.high_dx = 0;  // no tap at all
    return reach;
}

Stage stage_for(const TapConv& conv, const Reach& reach, int first_row, int rows) {
    const int columns = (reach.columns - 1) * conv.stride + reach.high_dx - reach.low_dx + 1;
    return {conv.stride, first_row * conv.stride + reach.low_dy,
            (rows - 1) * conv.stride + reach.high_dy - reach.low_dy + 1, reach.low_dx,
            int(ceil_div(columns, conv.stride))};
}

// No tap leaves the image and neighbouring outputs read neighbouring inputs: the input can be read where it is.
bool reads_in_place(const TapConv& conv, const Reach& reach) {
    return conv.stride == 1 && conv.in.pixel == kBlock && reach.low_dy >= 0 && reach.low_dx >= 0 &&
           reach.rows + reach.high_dy <= conv.in.h && reach.columns + reach.high_dx <= conv.in.w;
}

Cut cut_for(const TapConv& conv, const Reach& reach, int threads) {
    Cut cut;
    const int64_t sources = int64_t(conv.sources.size());
    const int64_t row_floats = stage_for(conv, reach, 0, 1).row() * conv.stride * conv.in.blocks() * sources;
    cut.rows = int(std::clamp<int64_t>(kStagedFloats / row_floats, 1, reach.rows));
    cut.row_tasks = int(ceil_div(reach.rows, cut.rows));
    cut.rows = int(ceil_div(reach.rows, cut.row_tasks));
    const int64_t fit = kStagedFloats / (row_floats * cut.rows);
    cut.images = int(std::clamp<int64_t>(fit, 1, ceil_div(conv.in.n, threads * kTasksPerThread)));
    cut.image_tasks = int(ceil_div(conv.in.n, cut.images));
    const int step = kernels().tile_pixels[1] > 0 ? 2 : 1;
    const int groups = int(ceil_div(conv.out.blocks(), step));
    const int64_t wanted = ceil_div(int64_t(threads) * kTasksPerThread, int64_t(cut.image_tasks) * cut.row_tasks);
    cut.block_tasks = threads == 1 ? 1 : int(std::min<int64_t>(wanted, groups));
    cut.blocks = int(ceil_div(groups, cut.block_tasks)) * step;
    cut.block_tasks = int(ceil_div(conv.out.blocks(), cut.blocks));
    return cut;
}

class Task {
public:
    Task(const TapConv& conv, const Reach& reach, const Cut& cut, int64_t task)
        : conv_(conv), reach_(reach), k_(kernels()) {
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
        if (reads_in_place(conv_, reach_)) {
            for (const Source& source : conv_.sources) {
                x_.push_back(source.x + first_image_ * conv_.in.image + first_row_ * conv_.in.row);
            }
            x_image_ = conv_.in.image, x_row_ = conv_.in.row, x_block_ = conv_.in.block;
        } else {
            fill(threads, thread);
        }
        for (const Grid& grid : conv_.grids) {
            offsets_.clear();
            for (const Tap& tap : grid.taps) offsets_.push_back({offset(tap), tap.index});
            const int most = k_.tile_pixels[1] > 0 ? 2 : 1;
            for (int block = first_block_; block < last_block_; block += most)
                sweep(grid, block, std::min(most, last_block_ - block));
        }
    }

private:
    void fill(Threads& threads, int thread) {
        stage_ = stage_for(conv_, reach_, first_row_, last_row_ - first_row_);
        staged_ = true;
        x_image_ = stage_.block() * conv_.in.blocks(), x_row_ = stage_.row() * conv_.stride, x_block_ = stage_.block();
        const int images = last_image_ - first_image_;
        float* to = threads.scratch(thread, size_t(x_image_) * images * conv_.sources.size());
        for (const Source& source : conv_.sources) {
            x_.push_back(to);
            for (int i = first_image_; i < last_image_; ++i, to += x_image_)
                fill_stage(stage_, conv_.in, source.x + i * conv_.in.image, to);
        }
    }

    int64_t offset(const Tap& tap) const {
        return staged_ ? stage_.offset(tap.dy - reach_.low_dy, tap.dx)
                       : tap.dy * conv_.in.row + tap.dx * conv_.in.pixel;
    }

    // All of the task's pixels for one or two output blocks; the weights in shares that stay in the cache.
    void sweep(const Grid& grid, int block, int blocks) {
        const int64_t w_in_block = int64_t(conv_.taps) * kBlock * kBlock;  // of a full input block
        const int64_t w_block = int64_t(conv_.taps) * conv_.in.channels * kBlock;
        const int share = int(std::max<int64_t>(1, kWeightFloats / (w_in_block * blocks)));
        const float* start = conv_.accumulate ? nullptr : conv_.bias ? conv_.bias + block * kBlock : kZeros;
        for (size_t s = 0; s < conv_.sources.size(); ++s) {
            for (int b = 0; b < conv_.in.blocks(); b += share) {
                ConvTile tile{};
                tile.x_block = x_block_;
                tile.channels = std::min(share * kBlock, conv_.in.channels - b * kBlock);
                tile.w = conv_.sources[s].w + block * w_block + b * w_in_block;
                tile.w_block = w_block;
                tile.w_taps = conv_.taps;
                tile.taps = offsets_.data();
                tile.tap_count = int(offsets_.size());
                tile.start = start;
                tile.y_block = conv_.out.block;
                tile.y_pixel = conv_.step * conv_.out.pixel;
                cover(grid, block, blocks, x_[s] + b * x_block_, tile);
                start = nullptr;
            }
        }
    }

    void cover(const Grid& grid, int block, int blocks, const float* x, ConvTile& tile) {
        const ConvTileKernel* kernel = k_.conv_tile[blocks - 1];
        const int tiles = int(ceil_div(grid.columns, k_.tile_pixels[blocks - 1]));
        for (int image = first_image_; image < last_image_; ++image) {
            for (int row = first_row_; row < std::min(last_row_, grid.rows); ++row) {
                tile.x = x + (image - first_image_) * x_image_ + (row - first_row_) * x_row_;
                tile.y = conv_.y + image * conv_.out.image + block * conv_.out.block +
                         (grid.first_row + int64_t(row) * conv_.step) * conv_.out.row +
                         grid.first_column * conv_.out.pixel;
                for (int t = 0; t < tiles; ++t) {  // widths differ by one at most
                    const int pixels = grid.columns / tiles + (t < grid.columns % tiles);
                    kernel[pixels - 1](tile);
                    tile.x += pixels * kBlock;
                    tile.y += pixels * tile.y_pixel;
                }
            }
        }
    }

    static constexpr float kZeros[2 * kBlock] = {};

    const TapConv& conv_;
    const Reach& reach_;
    const Kernels& k_;
    int first_block_, last_block_, first_row_, last_row_, first_image_, last_image_;
    Stage stage_{};
    bool staged_ = false;
    std::vector<const float*> x_;  // of each source: first image and row of the task
    int64_t x_image_ = 0, x_row_ = 0, x_block_ = 0;
    std::vector<TapOffset> offsets_;
};

}  // namespace

void tap_conv(Threads& threads, const TapConv& conv) {
    const Reach reach = reach_of(conv);
    const Cut cut = cut_for(conv, reach, threads.count());
    threads.each(cut.tasks(), [&](int64_t task, int thread) { Task(conv, reach, cut, task).run(threads, thread); });
}

}  // namespace lqf::cpu
