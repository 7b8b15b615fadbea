#include <algorithm>
#include <vector>

#include "conv2d_weights.h"
#include "cpu_ops.h"
#include "outer_sum.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

constexpr int64_t kBufferFloats = 512 * 1024;  // for sums of images that are worked off side by side

// The weights are cut into parts: an input block by one or two output blocks, held as [output block][tap][channel][16] while the sums of the
// images are added to them one after the other.
class Gradient {
public:
    Gradient(const Conv2d& c, const float* x, const float* y_bar, float* w_bar, int64_t image_stride)
        : c_(c), k_(kernels()), x_(x), y_bar_(y_bar), w_bar_(w_bar), image_stride_(image_stride) {
        chained_ = is_linear(c);
        images_as_pixels_ = chained_ && image_stride == 0;
        in_ = images_as_pixels_ ? Planes::images_as_pixels(c.n, c.ic, c.ih * c.iw) : Planes::of(c.n, c.ic, c.ih, c.iw);
        out_ = images_as_pixels_ ? Planes::images_as_pixels(c.n, c.oc, 1) : Planes::of(c.n, c.oc, c.oh, c.ow);
        stride_ = images_as_pixels_ ? 1 : c.stride;
        groups_ = int(ceil_div(out_.blocks(), outer_blocks(k_)));
    }

    void run(Threads& threads) const {
        const int64_t floats = parts() * part_floats();
        if (image_stride_ != 0) {
            threads.each(parts() * out_.n, [&](int64_t task, int thread) {
                const int image = int(task / parts());
                add_images(part(task % parts()), image, image + 1, threads, thread);
            });
        } else if (chained_ || parts() >= 4 * threads.count() || floats > kBufferFloats) {
            threads.each(parts(),
                         [&](int64_t task, int thread) { add_images(part(task), 0, out_.n, threads, thread); });
        } else {
            side_by_side(threads);
        }
    }

private:
    struct Part {
        int in_block, channels, out_block, blocks;
    };

    int taps() const { return c_.kh * c_.kw; }
    int64_t parts() const { return int64_t(groups_) * in_.blocks(); }
    int64_t block_floats() const { return int64_t(taps()) * std::min(kBlock, c_.ic) * kBlock; }
    int64_t part_floats() const { return outer_blocks(k_) * block_floats(); }
    Part part(int64_t index) const {
        const int in_block = int(index / groups_), out_block = int(index % groups_) * outer_blocks(k_);
        return {in_block, std::min(kBlock, c_.ic - in_block * kBlock), out_block,
                std::min(outer_blocks(k_), out_.blocks() - out_block)};
    }

    // Few parts, many threads: the images' sums are made side by side, then added to each part in image order.
    void side_by_side(Threads& threads) const {
        const int64_t image_floats = parts() * part_floats();
        const int at_once = int(std::min<int64_t>(out_.n, std::max<int64_t>(1, kBufferFloats / image_floats)));
        std::vector<float> sums(size_t(at_once * image_floats));
        for (int first = 0; first < out_.n; first += at_once) {
            const int images = std::min(at_once, out_.n - first);
            threads.each(images, [&](int64_t image, int) {
                float* sum = sums.data() + image * image_floats;
                std::fill_n(sum, image_floats, 0.0f);
                for (int64_t p = 0; p < parts(); ++p) add_image(part(p), first + int(image), sum + p * part_floats());
            });
            threads.each(parts(), [&](int64_t p, int thread) {
                float* total = threads.scratch(thread, size_t(part_floats()));
                read(part(p), w_bar_, total);
                for (int image = 0; image < images; ++image)
                    k_.add(part_floats(), total, sums.data() + image * image_floats + p * part_floats(), total);
                write(part(p), total, w_bar_);
            });
        }
    }

    void add_images(const Part& part, int first, int last, Threads& threads, int thread) const {
        float* total = threads.scratch(thread, size_t(2 * part_floats()));
        float* sum = total + part_floats();
        float* w_bar = w_bar_ + first * image_stride_;
        read(part, w_bar, total);
        for (int image = first; image < last; ++image) {
            if (chained_) {
                add_image(part, image, total);
            } else {
                std::fill_n(sum, part_floats(), 0.0f);
                add_image(part, image, sum);
                k_.add(part_floats(), total, sum, total);
            }
        }
        write(part, total, w_bar);
    }

    void add_image(const Part& part, int image, float* sum) const {
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
                outer_sum(k_, valid_rows, valid_outputs(out_.w, in_.w, stride_, dx), x_grid, part.channels, y_grid,
                          out_.block, part.blocks, sum + int64_t(tap) * part.channels * kBlock, block_floats());
            }
        }
    }

    int lanes(const Part& part, int block) const { return std::min(kBlock, c_.oc - (part.out_block + block) * kBlock); }
    int64_t offset(const Part& part, int block) const {
        return (int64_t(part.out_block + block) * kBlock * c_.ic + part.in_block * kBlock) * taps();
    }
    void read(const Part& part, const float* w_bar, float* held) const {
        for (int b = 0; b < part.blocks; ++b)
            k_.to_lanes(w_bar + offset(part, b), c_.patch(), lanes(part, b), part.channels, taps(),
                        held + b * block_floats());
    }
    void write(const Part& part, const float* held, float* w_bar) const {
        for (int b = 0; b < part.blocks; ++b)
            k_.from_lanes(held + b * block_floats(), lanes(part, b), part.channels, taps(), w_bar + offset(part, b),
                          c_.patch());
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
    Gradient(c, x, y_bar, w_bar, image_stride).run(threads);
    threads.each(blocks_of(c.oc),
                 [&](int64_t block, int) { add_bias_gradient(c, int(block), y_bar, b_bar, image_stride); });
}

}  // namespace lqf::cpu
