#include <algorithm>

#include "conv2d_weights.h"
#include "cpu_ops.h"
#include "outer_sum.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

constexpr int kTasksPerThread = 4;

// The gradient is cut into units: one tap, up to outer_channels of an input block, up to outer_blocks output blocks. A task has some units
// of one input block and one group of output blocks, holds them in the order of the sums, and goes through the images with them.
class Gradient {
public:
    Gradient(const Conv2d& c, const float* x, const float* y_bar, float* w_bar, int64_t image_stride, int threads)
        : c_(c), k_(kernels()), y_bar_(y_bar), x_(x), w_bar_(w_bar), image_stride_(image_stride) {
        // A map of one pixel adds one product an image: then pixels are images, and their chain starts from w_bar.
        chained_ = c.oh == 1 && c.ow == 1 && is_pointwise(c);
        rows_of_images_ = chained_ && image_stride == 0;
        in_ = rows_of_images_ ? Planes::flat(c.n, c.ic, 1) : Planes::of(c.n, c.ic, c.ih, c.iw);
        out_ = rows_of_images_ ? Planes::flat(c.n, c.oc, 1) : Planes::of(c.n, c.oc, c.oh, c.ow);
        stride_ = rows_of_images_ ? 1 : c.stride;
        groups_ = int(ceil_div(out_.blocks(), k_.outer_blocks));
        pairs_ = int64_t(groups_) * in_.blocks();
        parts_ = int(ceil_div(std::min(kBlock, c.ic), k_.outer_channels));
        units_ = c.kh * c.kw * parts_;
        image_tasks_ = image_stride == 0 ? 1 : out_.n;
        splits_ =
            int(std::clamp<int64_t>(ceil_div(int64_t(threads) * kTasksPerThread, pairs_ * image_tasks_), 1, units_));
        unit_floats_ = int64_t(k_.outer_blocks) * k_.outer_channels * kBlock;
    }

    int64_t tasks() const { return pairs_ * splits_ * image_tasks_; }

    void run(int64_t task, Threads& threads, int thread) const {
        const int split = int(task % splits_);
        const int64_t pair = task / splits_ % pairs_;
        const int image_task = int(task / splits_ / pairs_);
        Part part;
        part.in_block = int(pair / groups_);
        part.out_block = int(pair % groups_) * k_.outer_blocks;
        part.blocks = std::min(k_.outer_blocks, out_.blocks() - part.out_block);
        part.first_unit = int(int64_t(units_) * split / splits_);
        part.last_unit = int(int64_t(units_) * (split + 1) / splits_);
        const int64_t floats = (part.last_unit - part.first_unit) * unit_floats_;
        float* total = threads.scratch(thread, size_t(2 * floats));
        float* sum = total + floats;
        float* w_bar = w_bar_ + image_task * image_stride_;
        const int first = image_stride_ == 0 ? 0 : image_task, last = image_stride_ == 0 ? out_.n : image_task + 1;

        exchange(
            part, [](float& held, float& stored) { held = stored; }, total, w_bar);
        for (int image = first; image < last; ++image) {
            if (chained_) {
                add_image(part, image, total);
            } else {
                std::fill_n(sum, floats, 0.0f);
                add_image(part, image, sum);
                k_.add(floats, total, sum, total);
            }
        }
        exchange(
            part, [](float& held, float& stored) { stored = held; }, total, w_bar);
    }

private:
    struct Part {
        int in_block, out_block, blocks, first_unit, last_unit;
    };

    int channels_of(const Part& part, int unit) const {
        const int first = unit % parts_ * k_.outer_channels;
        return std::clamp(c_.ic - part.in_block * kBlock - first, 0, std::min(k_.outer_channels, kBlock - first));
    }

    void add_image(const Part& part, int image, float* sum) const {
        const float* x = x_ + image * in_.image + part.in_block * in_.block;
        const float* y = y_bar_ + image * out_.image + part.out_block * out_.block;
        const PixelGrid y_grid{y, out_.row, out_.pixel};
        const int rows = rows_at_once(out_.w, 1 + part.blocks);
        for (int row = 0; row < out_.h; row += rows) {
            float* target = sum;
            for (int unit = part.first_unit; unit < part.last_unit; ++unit, target += unit_floats_) {
                const int tap = unit / parts_, dy = tap / c_.kw - c_.pad, dx = tap % c_.kw - c_.pad;
                const int channels = channels_of(part, unit);
                if (channels == 0) continue;
                const Range valid_rows =
                    intersect({row, std::min(out_.h, row + rows)}, valid_outputs(out_.h, in_.h, stride_, dy));
                const Range columns = valid_outputs(out_.w, in_.w, stride_, dx);
                const PixelGrid x_grid{x + dy * in_.row + dx * in_.pixel + unit % parts_ * k_.outer_channels,
                                       stride_ * in_.row, stride_ * in_.pixel};
                outer_sum(k_, valid_rows, columns, x_grid, channels, y_grid, out_.block, part.blocks, target);
            }
        }
    }

    // Calls each(held, stored) for every weight of the part, in the order of w_bar [oc, ic, kh, kw].
    template <class Each>
    void exchange(const Part& part, Each each, float* held, float* w_bar) const {
        const int taps = c_.kh * c_.kw;
        const int lanes = std::min(part.blocks * kBlock, c_.oc - part.out_block * kBlock);
        for (int o = 0; o < lanes; ++o) {
            float* stored = w_bar + (int64_t(part.out_block * kBlock + o) * c_.ic + part.in_block * kBlock) * taps;
            const float* const first = held;
            for (int unit = part.first_unit; unit < part.last_unit; ++unit) {
                const int channels = channels_of(part, unit);
                float* of_unit = const_cast<float*>(first) + (unit - part.first_unit) * unit_floats_ +
                                 int64_t(o / kBlock) * channels * kBlock + o % kBlock;
                float* row = stored + int64_t(unit % parts_ * k_.outer_channels) * taps + unit / parts_;
                for (int i = 0; i < channels; ++i) each(of_unit[i * kBlock], row[int64_t(i) * taps]);
            }
        }
    }

    const Conv2d& c_;
    const Kernels& k_;
    const float* y_bar_;
    const float* x_;
    float* w_bar_;
    int64_t image_stride_;
    bool chained_, rows_of_images_;
    Planes in_, out_;
    int stride_, groups_, parts_, units_, splits_, image_tasks_;
    int64_t pairs_, unit_floats_;
};

void add_bias_gradient(const Conv2d& c, int block, const float* y_bar, float* b_bar, int64_t image_stride) {
    const int64_t pixels = int64_t(c.oh) * c.ow;
    const int lanes = std::min(kBlock, c.oc - block * kBlock);
    for (int image = 0; image < c.n; ++image) {
        float sum[kBlock] = {};
        kernels().sum_pixels(y_bar + (int64_t(image) * blocks_of(c.oc) + block) * pixels * kBlock, pixels, sum);
        float* target = b_bar + image * image_stride + block * kBlock;
        for (int o = 0; o < lanes; ++o) target[o] += sum[o];
    }
}

}  // namespace

void conv2d_vjp_w(Threads& threads, const Conv2d& c, const float* x, const float* y_bar, float* w_bar, float* b_bar,
                  int64_t image_stride) {
    const Gradient gradient(c, x, y_bar, w_bar, image_stride, threads.count());
    const int64_t weight_tasks = gradient.tasks();
    threads.each(weight_tasks + (b_bar ? blocks_of(c.oc) : 0), [&](int64_t task, int thread) {
        if (task < weight_tasks)
            gradient.run(task, threads, thread);
        else
            add_bias_gradient(c, int(task - weight_tasks), y_bar, b_bar, image_stride);
    });
}

}  // namespace lqf::cpu
