// Kronecker factors without patches: the entry of A for (channel, tap) and (channel', tap') is a sum over the pixels that both taps reach, and
// the outer-product kernel of the weight gradients does it with the input in both places.
#include <algorithm>
#include <vector>

#include "conv2d_weights.h"
#include "cpu_ops.h"
#include "outer_sum.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

// m [side, side] += sum over images of the product of a map with itself under all pairs of taps, divided by divisor.
// The row of (channel, tap) is channel * taps + tap; side may be larger, the rest is left alone. Sets the lower triangle and some of the upper.
class SecondMoment {
public:
    SecondMoment(const Planes& in, int oh, int ow, int kh, int kw, int stride, int pad, const float* x, double divisor,
                 double* m, int64_t side)
        : k_(kernels()),
          in_(in),
          oh_(oh),
          ow_(ow),
          kw_(kw),
          taps_(kh * kw),
          stride_(stride),
          pad_(pad),
          x_(x),
          divisor_(divisor),
          m_(m),
          side_(side) {
        // The largest first: rows of the last block have the most columns.
        for (int i = in.blocks() - 1; i >= 0; --i)
            for (int tap = taps_ - 1; tap >= 0; --tap)
                for (int j = 0; j <= i; j += tasks_.back().blocks)
                    tasks_.push_back({i, tap, j, j == i ? 1 : std::min(outer_blocks(k_), i - j)});
    }

    int64_t tasks() const { return int64_t(tasks_.size()); }

    // Rows: the channels of block i under one tap. Columns: some blocks before i under all taps, or i itself under the taps up to the same.
    void run(int64_t index, Threads& threads, int thread) const {
        const Task& task = tasks_[size_t(index)];
        const int rows = std::min(kBlock, in_.channels - task.i * kBlock);
        const int64_t unit = int64_t(rows) * task.blocks * kBlock;  // sums of one tap of the columns
        float* sum = threads.scratch(thread, size_t(3 * unit * taps_));
        double* total = reinterpret_cast<double*>(sum + unit * taps_);
        exchange(
            task, rows, [](double& held, double& stored, double&) { held = stored; }, total);
        for (int image = 0; image < in_.n; ++image) {
            std::fill_n(sum, unit * taps_, 0.0f);
            add_image(task, rows, image, sum);
            for (int64_t e = 0; e < unit * taps_; ++e) total[e] += double(sum[e]) / divisor_;
        }
        exchange(
            task, rows, [](double& held, double& stored, double& mirrored) { stored = mirrored = held; }, total);
    }

private:
    struct Task {
        int i, tap, j, blocks;
    };

    Range rows_of(int tap) const { return valid_outputs(oh_, in_.h, stride_, tap / kw_ - pad_); }
    Range columns_of(int tap) const { return valid_outputs(ow_, in_.w, stride_, tap % kw_ - pad_); }
    PixelGrid grid(int image, int block, int tap) const {
        return {
            x_ + image * in_.image + block * in_.block + (tap / kw_ - pad_) * in_.row + (tap % kw_ - pad_) * in_.pixel,
            stride_ * in_.row, stride_ * in_.pixel};
    }
    int last_tap(const Task& task) const { return task.j == task.i ? task.tap + 1 : taps_; }

    // sum [tap'][column block][row][16]
    void add_image(const Task& task, int rows, int image, float* sum) const {
        const int at_once = rows_at_once(ow_, 1 + task.blocks);
        const Range reach_rows = rows_of(task.tap), reach_columns = columns_of(task.tap);
        const PixelGrid x = grid(image, task.i, task.tap);
        for (int row = 0; row < oh_; row += at_once) {
            const Range share = intersect(reach_rows, {row, std::min(oh_, row + at_once)});
            float* target = sum;
            for (int tap = 0; tap < last_tap(task); ++tap) {
                const PixelGrid y = grid(image, task.j, tap);
                const Range both_rows = intersect(share, rows_of(tap)),
                            both_columns = intersect(reach_columns, columns_of(tap));
                outer_sum(k_, both_rows, both_columns, x, rows, y, in_.block, task.blocks, target,
                          int64_t(rows) * kBlock);
                target += int64_t(rows) * task.blocks * kBlock;
            }
        }
    }

    // Calls each(held, stored, mirrored) for the entries of the task, in the order of held. Mirroring matters for columns of block i itself:
    // half of its lower triangle is computed as the upper one of another tap.
    template <class Each>
    void exchange(const Task& task, int rows, Each each, double* held) const {
        for (int tap = 0; tap < last_tap(task); ++tap) {
            for (int b = 0; b < task.blocks; ++b) {
                const int column = (task.j + b) * kBlock, lanes = std::min(kBlock, in_.channels - column);
                for (int r = 0; r < rows; ++r, held += kBlock) {
                    const int64_t row = int64_t(task.i * kBlock + r) * taps_ + task.tap;
                    for (int lane = 0; lane < lanes; ++lane) {
                        const int64_t at = int64_t(column + lane) * taps_ + tap;
                        each(held[lane], m_[row * side_ + at], m_[at * side_ + row]);
                    }
                }
            }
        }
    }

    const Kernels& k_;
    Planes in_;
    int oh_, ow_, kw_, taps_, stride_, pad_;
    const float* x_;
    double divisor_;
    double* m_;
    int64_t side_;
    std::vector<Task> tasks_;
};

// m [side, side] += sum over images of v v^T, v [n, side]; rows >= columns only. Products of floats are exact in double.
void add_outer(Threads& threads, int n, int64_t side, const float* v, double* m) {
    constexpr int64_t kRows = 16;
    threads.each(ceil_div(side, kRows), [&](int64_t task, int) {
        for (int64_t row = task * kRows; row < std::min(side, (task + 1) * kRows); ++row)
            for (int image = 0; image < n; ++image)
                kernels().axpy_double(row + 1, v[image * side + row], v + image * side, m + row * side);
    });
}

void mirror(Threads& threads, int64_t side, double* m) {
    constexpr int64_t kRows = 32;
    threads.each(ceil_div(side, kRows), [&](int64_t task, int) {
        for (int64_t row = task * kRows; row < std::min(side, (task + 1) * kRows); ++row)
            for (int64_t column = 0; column < row; ++column) m[column * side + row] = m[row * side + column];
    });
}

// Sums over the positions of every patch entry, then the number of positions: sum [patch + 1].
void sum_patches(const Conv2d& c, const float* x, int block, double* sum) {
    const Planes in = Planes::of(c.n, c.ic, c.ih, c.iw);
    for (int tap = 0; tap < c.kh * c.kw; ++tap) {
        const int dy = tap / c.kw - c.pad, dx = tap % c.kw - c.pad;
        const Range rows = valid_outputs(c.oh, c.ih, c.stride, dy), columns = valid_outputs(c.ow, c.iw, c.stride, dx);
        double total[kBlock] = {};
        for (int r = rows.first; r < rows.last; ++r) {
            const float* pixel =
                x + block * in.block + (r * c.stride + dy) * in.row + (columns.first * c.stride + dx) * in.pixel;
            float of_row[kBlock] = {};
            for (int q = columns.first; q < columns.last; ++q, pixel += c.stride * in.pixel)
                for (int lane = 0; lane < kBlock; ++lane) of_row[lane] += pixel[lane];
            for (int lane = 0; lane < kBlock; ++lane) total[lane] += of_row[lane];
        }
        for (int lane = 0; lane < std::min(kBlock, c.ic - block * kBlock); ++lane)
            sum[int64_t(block * kBlock + lane) * c.kh * c.kw + tap] = total[lane];
    }
    sum[c.patch()] = double(c.oh) * c.ow;
}

// g += sums of the batch.
void sum_outputs(Threads& threads, const Conv2d& c, const float* y_bar, bool reduce, double* g) {
    const int64_t positions = int64_t(c.oh) * c.ow;
    if (reduce || positions == 1) {
        std::vector<float> sums(size_t(c.n) * c.oc);
        threads.each(c.n, [&](int64_t image, int) {
            for (int block = 0; block < blocks_of(c.oc); ++block) {
                float sum[kBlock] = {};
                kernels().sum_pixels(y_bar + (image * blocks_of(c.oc) + block) * positions * kBlock, positions, sum);
                std::copy_n(sum, std::min(kBlock, c.oc - block * kBlock), sums.data() + image * c.oc + block * kBlock);
            }
        });
        add_outer(threads, c.n, c.oc, sums.data(), g);
    } else {
        const SecondMoment moment(Planes::of(c.n, c.oc, c.oh, c.ow), c.oh, c.ow, 1, 1, 1, 0, y_bar, double(positions),
                                  g, c.oc);
        threads.each(moment.tasks(), [&](int64_t task, int thread) { moment.run(task, threads, thread); });
    }
    mirror(threads, c.oc, g);
}

}  // namespace

void kron_input(Threads& threads, const Conv2d& c, const float* x, bool reduce, double* a) {
    const int64_t side = c.patch() + 1;
    const int positions = c.oh * c.ow, blocks = blocks_of(c.ic);
    std::vector<double> sums(size_t(c.n) * side);  // of each image's patches
    threads.each(int64_t(c.n) * blocks, [&](int64_t task, int) {
        const int64_t image = task / blocks;
        sum_patches(c, x + image * image_floats(c.ic, c.ih, c.iw), int(task % blocks), sums.data() + image * side);
    });
    if (reduce || positions == 1) {
        std::vector<float> means(sums.size());
        for (size_t k = 0; k < sums.size(); ++k) means[k] = float(sums[k] / positions);
        add_outer(threads, c.n, side, means.data(), a);
    } else {
        const SecondMoment moment(Planes::of(c.n, c.ic, c.ih, c.iw), c.oh, c.ow, c.kh, c.kw, c.stride, c.pad, x, 1, a,
                                  side);
        threads.each(moment.tasks(), [&](int64_t task, int thread) { moment.run(task, threads, thread); });
        double* of_bias = a + (side - 1) * side;  // the row of the appended 1
        for (int image = 0; image < c.n; ++image)
            for (int64_t k = 0; k < side; ++k) of_bias[k] += sums[image * side + k];
    }
    mirror(threads, side, a);
}

void kron_output(Threads& threads, const Conv2d& c, const float* y_bar, bool reduce, double* g, int64_t image_stride) {
    if (image_stride == 0) return sum_outputs(threads, c, y_bar, reduce, g);
    Conv2d one = c;
    one.n = 1;
    threads.each(c.n, [&](int64_t image, int) {
        sum_outputs(threads, one, y_bar + image * image_floats(c.oc, c.oh, c.ow), reduce, g + image * image_stride);
    });
}

}  // namespace lqf::cpu
