// Kronecker factors without patches: the entry of A for (channel, tap) and (channel', tap') is a sum over the pixels that both taps reach, and
// the outer-product kernel of the weight gradients does it with the input in both places. It depends, but for the borders, on the distance of
// the two taps alone.
#include <algorithm>
#include <vector>

#include "conv2d_weights.h"
#include "cpu_ops.h"
#include "outer_sum.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

// One axis of a convolution. Taps i and i' of an output r read the inputs r * stride + i - pad and, by `shift` further, i' - i. All pairs of
// equal i % stride and shift read the same pairs of inputs, but for some at the borders: they make a class, and the products of a class are
// summed in strips, between the places where one of its pairs begins or ends.
struct Axis {
    struct Pair {
        int tap, other;
        Range strips;  // of its class
    };
    struct Class {
        int residue, shift;
        std::vector<Range> strips;  // of m = r + i / stride; the input of tap i is m * stride + residue - pad
        std::vector<Pair> pairs;
    };
    std::vector<Class> classes;

    Axis(int outputs, int inputs, int taps, int stride, int pad) {
        for (int residue = 0; residue < std::min(stride, taps); ++residue)
            for (int shift = 1 - taps; shift < taps; ++shift) add(outputs, inputs, taps, stride, pad, residue, shift);
    }

private:
    void add(int outputs, int inputs, int taps, int stride, int pad, int residue, int shift) {
        Class c{residue, shift, {}, {}};
        std::vector<int> ends;
        std::vector<Range> ranges;
        for (int tap = residue; tap < taps; tap += stride) {
            const int other = tap + shift;
            if (other < 0 || other >= taps) continue;
            Range range = intersect(valid_outputs(outputs, inputs, stride, tap - pad),
                                    valid_outputs(outputs, inputs, stride, other - pad));
            if (range.size() == 0) continue;
            range.first += tap / stride, range.last += tap / stride;
            ranges.push_back(range);
            c.pairs.push_back({tap, other, {}});
            ends.push_back(range.first), ends.push_back(range.last);
        }
        if (c.pairs.empty()) return;
        std::sort(ends.begin(), ends.end());
        ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
        for (size_t k = 0; k + 1 < ends.size(); ++k) c.strips.push_back({ends[k], ends[k + 1]});
        auto index = [&](int end) { return int(std::lower_bound(ends.begin(), ends.end(), end) - ends.begin()); };
        for (size_t k = 0; k < ranges.size(); ++k) c.pairs[k].strips = {index(ranges[k].first), index(ranges[k].last)};
        classes.push_back(std::move(c));
    }
};

// m [side, side] += sum over images of the product of a map with itself under all pairs of taps, divided by divisor.
// The row of (channel, tap) is channel * taps + tap; side may be larger, the rest is left alone. Sets the lower triangle.
// For 3 x 3 taps of stride 1 that is 25 products of two blocks of channels for 81 pairs of taps, and 13 of a block with itself.
class SecondMoment {
public:
    SecondMoment(const Planes& in, int oh, int ow, int kh, int kw, int stride, int pad, const float* x, double divisor,
                 double* m, int64_t side)
        : k_(kernels()),
          in_(in),
          vertical_(oh, in.h, kh, stride, pad),
          horizontal_(ow, in.w, kw, stride, pad),
          kw_(kw),
          taps_(kh * kw),
          stride_(stride),
          pad_(pad),
          x_(x),
          divisor_(divisor),
          m_(m),
          side_(side) {
        for (int i = in.blocks() - 1; i >= 0; --i)
            for (int j = 0, blocks; j <= i; j += blocks) {
                blocks = j == i ? 1 : std::min(k_.outer_blocks, i - j);
                for (const Axis::Class& rows : vertical_.classes)
                    if (j < i || rows.shift <= 0) tasks_.push_back({i, j, blocks, &rows});
            }
    }

    int64_t tasks() const { return int64_t(tasks_.size()); }

    // Rows: the channels of block i. Columns: some blocks before i under all taps, or i itself under the taps up to the same.
    void run(int64_t index, Threads& threads, int thread) const {
        const Task& task = tasks_[size_t(index)];
        const int rows = std::min(kBlock, in_.channels - task.i * kBlock);
        const int64_t unit = int64_t(rows) * task.blocks * kBlock;  // sums of a pair of taps
        int64_t strips = 0, pairs = 0;
        each_class(task, [&](const Axis::Class& columns) {
            strips += int64_t(task.rows->strips.size() * columns.strips.size());
            pairs += int64_t(task.rows->pairs.size() * columns.pairs.size());
        });
        float* sum = threads.scratch(thread, size_t(unit * (strips + 2 * pairs)));
        double* total = reinterpret_cast<double*>(sum + unit * strips);
        exchange(
            task, rows, [](double& held, double& stored) { held = stored; }, total);
        for (int image = 0; image < in_.n; ++image) {
            std::fill_n(sum, unit * strips, 0.0f);
            for (const Range& strip : task.rows->strips) add_strip(task, rows, image, strip, sum);
            add_pairs(task, unit, sum, total);
        }
        exchange(
            task, rows, [](double& held, double& stored) { stored = held; }, total);
    }

private:
    struct Task {
        int i, j, blocks;
        const Axis::Class* rows;
    };

    // The classes of columns: for a block with itself, those of taps up to the same.
    template <class Each>
    void each_class(const Task& task, Each each) const {
        for (const Axis::Class& columns : horizontal_.classes)
            if (task.j < task.i || task.rows->shift < 0 || columns.shift <= 0) each(columns);
    }

    // Sums are [row strip][class of columns][column strip][column block][row][16].
    void add_strip(const Task& task, int rows, int image, const Range& strip, float* sum) const {
        const int at_once = rows_at_once(in_.w, 1 + task.blocks);
        const int64_t unit = int64_t(rows) * task.blocks * kBlock;
        int64_t before = 0;
        each_class(task, [&](const Axis::Class& columns) { before += unit * int64_t(columns.strips.size()); });
        sum += (&strip - task.rows->strips.data()) * before;
        for (int first = strip.first; first < strip.last; first += at_once) {
            float* target = sum;
            each_class(task, [&](const Axis::Class& columns) {
                const float* x = x_ + image * in_.image + (task.rows->residue - pad_) * in_.row +
                                 (columns.residue - pad_) * in_.pixel;
                const PixelGrid of_i{x + task.i * in_.block, stride_ * in_.row, stride_ * in_.pixel};
                const PixelGrid of_j{x + task.j * in_.block + task.rows->shift * in_.row + columns.shift * in_.pixel,
                                     of_i.row, of_i.pixel};
                for (const Range& column : columns.strips) {
                    outer_sum(k_, {first, std::min(strip.last, first + at_once)}, column, of_i, rows, of_j, in_.block,
                              task.blocks, target, int64_t(rows) * kBlock);
                    target += unit;
                }
            });
        }
    }

    // total [pair of rows][class of columns][pair of columns] += its strips / divisor
    void add_pairs(const Task& task, int64_t unit, const float* sum, double* total) const {
        int64_t row_floats = 0;
        each_class(task, [&](const Axis::Class& columns) { row_floats += unit * int64_t(columns.strips.size()); });
        for (const Axis::Pair& row : task.rows->pairs) {
            int64_t at = 0;
            each_class(task, [&](const Axis::Class& columns) {
                for (const Axis::Pair& column : columns.pairs) {
                    for (int r = row.strips.first; r < row.strips.last; ++r)
                        for (int c = column.strips.first; c < column.strips.last; ++c)
                            add(unit, sum + r * row_floats + at + c * unit, total);
                    total += unit;
                }
                at += unit * int64_t(columns.strips.size());
            });
        }
    }

    void add(int64_t count, const float* sum, double* total) const {
        if (divisor_ == 1)
            k_.axpy_double(count, 1, sum, total);
        else
            for (int64_t e = 0; e < count; ++e) total[e] += double(sum[e]) / divisor_;
    }

    // Calls each(held, stored) for the entries of the task, in the order of total. Half of what a block gives with itself under two taps
    // stands in the lower triangle with the taps exchanged.
    template <class Each>
    void exchange(const Task& task, int rows, Each each, double* held) const {
        for (const Axis::Pair& v : task.rows->pairs) {
            each_class(task, [&](const Axis::Class& columns) {
                for (const Axis::Pair& h : columns.pairs) {
                    for (int b = 0; b < task.blocks; ++b) {
                        const int column = (task.j + b) * kBlock, lanes = std::min(kBlock, in_.channels - column);
                        for (int r = 0; r < rows; ++r, held += kBlock) {
                            const int64_t row = int64_t(task.i * kBlock + r) * taps_ + v.tap * kw_ + h.tap;
                            for (int lane = 0; lane < lanes; ++lane) {
                                const int64_t at = int64_t(column + lane) * taps_ + v.other * kw_ + h.other;
                                each(held[lane], m_[std::max(row, at) * side_ + std::min(row, at)]);
                            }
                        }
                    }
                }
            });
        }
    }

    const Kernels& k_;
    Planes in_;
    Axis vertical_, horizontal_;
    int kw_, taps_, stride_, pad_;
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
    threads.each(ceil_div(side, kMirrorTile), [&](int64_t task, int) {
        mirror_rows(side, task * kMirrorTile, std::min(side, (task + 1) * kMirrorTile), m);
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
    if (block == 0) sum[c.patch()] = double(c.oh) * c.ow;
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
