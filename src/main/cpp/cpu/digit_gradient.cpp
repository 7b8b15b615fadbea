#include "digit_gradient.h"

#include <cstring>

#include "conv2d_weights.h"
#include "threads.h"
#include "winograd.h"

namespace lqf::cpu {
namespace {

constexpr int kPartInBlocks = 8, kPartOutBlocks = 4;  // of a part, at most: their digits are in the second-level cache
constexpr int kTasksPerThread = 2;
constexpr int kLines = 2 * kBlock;  // pixels of a step

// w_bar[tap] = sum over the pixels q of an image of x[q] y_bar[q - shift of the tap]^T. The rows of both are `pitch` pixels apart, so that a
// shift across the end of a row meets zeros: pixels are split into digits once for all taps, x's and y_bar's, and the tap is where y_bar's begin.
class Gradient {
public:
    Gradient(const Conv2d& c, const float* x, const float* y_bar, float* w_bar, int64_t image_stride, int threads)
        : c_(c), k_(kernels()), x_(x), y_bar_(y_bar), w_bar_(w_bar), image_stride_(image_stride) {
        pitch_ = pitch(c);
        steps_ = steps(c);
        reach_ = steps_ * kLines + (c.kh - 1) * pitch_ + c.kw - 1;
        images_ = std::min(kMostDigitSteps / steps_, image_stride ? 1 : c.n);
        in_blocks_ = std::min(kPartInBlocks, blocks_of(c.ic));
        out_blocks_ = std::min(kPartOutBlocks, blocks_of(c.oc));
        if (threads > 1 && parts() < threads * kTasksPerThread) out_blocks_ = 2;
    }

    static int pitch(const Conv2d& c) { return std::max(c.ow + std::max(c.kw - 1 - c.pad, 0), c.iw + c.pad); }
    static int steps(const Conv2d& c) { return int(ceil_div(c.ih * pitch(c), kLines)); }

    void run(Threads& threads) const {
        threads.each(int64_t(parts()) * (image_stride_ ? c_.n : 1), [&](int64_t task, int thread) {
            const Part part = part_of(int(task % parts()));
            const int image = int(task / parts());
            float* w_bar = w_bar_ + image * image_stride_;
            float* sum = threads.scratch(thread, size_t(sum_floats() + left_pairs() + right_pairs() + line_floats()));
            for (int o = 0; o < part.out_blocks; ++o)
                k_.to_lanes(w_bar + offset(part, o), c_.patch(), kBlock, part.in_blocks * kBlock, taps(), 1 / c_.unit,
                            sum + o * sum_block());
            const int last = image_stride_ ? image + 1 : c_.n;
            for (int first = image; first < last; first += images_)
                add_images(part, first, std::min(images_, last - first), sum);
            for (int o = 0; o < part.out_blocks; ++o)
                k_.from_lanes(sum + o * sum_block(), kBlock, part.in_blocks * kBlock, taps(), c_.unit,
                              w_bar + offset(part, o), c_.patch());
        });
    }

private:
    struct Part {
        int in_block, in_blocks, out_block, out_blocks;
    };

    int taps() const { return c_.kh * c_.kw; }
    int groups() const { return int(ceil_div(blocks_of(c_.oc), out_blocks_)); }
    int parts() const { return groups() * int(ceil_div(blocks_of(c_.ic), in_blocks_)); }
    Part part_of(int index) const {
        const int in = index / groups() * in_blocks_, out = index % groups() * out_blocks_;
        return {in, std::min(in_blocks_, blocks_of(c_.ic) - in), out, std::min(out_blocks_, blocks_of(c_.oc) - out)};
    }
    int64_t offset(const Part& part, int out) const {
        return int64_t(part.out_block + out) * kBlock * c_.patch() + int64_t(part.in_block) * kBlock * taps();
    }

    // Sums in units of 1, [out block][tap][in block][channel][16]: a unit is a power of two, so that no bit is lost on the way in and out.
    int64_t sum_block() const { return int64_t(taps()) * in_blocks_ * kDigitsTile; }
    int64_t sum_floats() const { return sum_block() * out_blocks_; }
    // Digits, [in block][image][step] and [out block][image][3][reach].
    int64_t left_block() const { return int64_t(images_) * steps_ * kDigitsStep; }
    int64_t left_pairs() const { return left_block() * in_blocks_; }
    int64_t right_image() const { return int64_t(3) * reach_ * kBlock; }
    int64_t right_pairs() const { return right_image() * images_ * out_blocks_; }
    int64_t line_floats() const { return int64_t(reach_ + kBlock) * kBlock + 2 * kDigitsTile; }

    void add_images(const Part& part, int first, int count, float* sum) const {
        auto* left = reinterpret_cast<uint32_t*>(sum + sum_floats());
        uint32_t* right = left + left_pairs();
        auto* lines = reinterpret_cast<float*>(right + right_pairs());
        for (int image = 0; image < count; ++image) {
            for (int i = 0; i < part.in_blocks; ++i)
                split_inputs(first + image, part.in_block + i, lines,
                             left + i * left_block() + image * steps_ * kDigitsStep);
            for (int o = 0; o < part.out_blocks; ++o)
                split_cotangents(first + image, part.out_block + o, lines,
                                 right + (o * images_ + image) * right_image());
        }
        DigitProduct product{};
        product.steps = count * steps_;
        product.left_group = left_block(), product.left_tile = kDigitsTile;
        product.right_group = images_ * right_image(), product.right_tile = int64_t(reach_) * kBlock;
        product.rows = part.in_blocks;
        product.sum_column = sum_block();
        for (int j = 0; j < product.steps; ++j) product.left[j] = left + j * kDigitsStep;
        for (int o = 0; o < part.out_blocks; o += 2) {
            for (int tap = 0; tap < taps(); ++tap) {
                const int from = (c_.kh - 1 - tap / c_.kw) * pitch_ + c_.kw - 1 - tap % c_.kw;
                for (int j = 0; j < product.steps; ++j)
                    product.right[j] =
                        right + (o * images_ + j / steps_) * right_image() + (from + j % steps_ * kLines) * kBlock;
                product.sum = sum + o * sum_block() + tap * part.in_blocks * kDigitsTile;
                k_.multiply_digits(product);
            }
        }
    }

    void split_inputs(int image, int block, float* lines, uint32_t* digits) const {
        const float* x = x_ + (int64_t(image) * blocks_of(c_.ic) + block) * c_.ih * c_.iw * kBlock;
        copy_rows(x, c_.ih, c_.iw, 0, steps_ * kLines, lines);
        float* channels = lines + int64_t(reach_ + kBlock) * kBlock;  // [2][channel][16 pixels]
        for (int step = 0; step < steps_; ++step, lines += kLines * kBlock, digits += kDigitsStep) {
            for (int half = 0; half < 2; ++half)
                k_.to_lanes(lines + half * kDigitsTile, kBlock, kBlock, kBlock, 1, 1.0f, channels + half * kDigitsTile);
            k_.split_digits({channels, channels + kDigitsTile, kBlock, kBlock, digits, kDigitsTile});
        }
    }

    // The first line is that of q = 0 and the last tap.
    void split_cotangents(int image, int block, float* lines, uint32_t* digits) const {
        const float* y_bar = y_bar_ + (int64_t(image) * blocks_of(c_.oc) + block) * c_.oh * c_.ow * kBlock;
        const int before = (c_.kh - 1 - c_.pad) * pitch_ + c_.kw - 1 - c_.pad;
        copy_rows(y_bar, c_.oh, c_.ow, before, reach_ + kBlock, lines);
        k_.split_digits({lines, lines + kDigitsTile, kBlock, reach_, digits, int64_t(reach_) * kBlock});
    }

    // Lines of a plane with zeros between its rows, before and after them.
    void copy_rows(const float* plane, int rows, int columns, int before, int count, float* lines) const {
        std::memset(lines, 0, size_t(count) * kBlock * sizeof(float));
        for (int row = 0; row < rows; ++row, plane += columns * kBlock) {
            const int at = before + row * pitch_, from = std::max(0, -at), to = std::min(columns, count - at);
            if (from < to)
                std::memcpy(lines + int64_t(at + from) * kBlock, plane + from * kBlock,
                            size_t(to - from) * kBlock * sizeof(float));
        }
    }

    const Conv2d& c_;
    const Kernels& k_;
    const float* x_;
    const float* y_bar_;
    float* w_bar_;
    int64_t image_stride_;
    int pitch_, steps_, reach_;   // pixels; of an image; lines of y_bar that its taps see
    int images_;                  // of a product
    int in_blocks_, out_blocks_;  // of a part, at most
};

}  // namespace

bool suits_digit_gradient(const Conv2d& c) {
    return suits_digits(c) && c.stride == 1 && c.kh * c.kw >= 4 && c.pad < c.kw && winograd_vjp_w_form(c) == kByTaps &&
           Gradient::steps(c) <= kMostDigitSteps;
}

void digit_gradient(Threads& threads, const Conv2d& c, const float* x, const float* y_bar, float* w_bar,
                    int64_t image_stride) {
    Gradient(c, x, y_bar, w_bar, image_stride, threads.sharing()).run(threads);
}

}  // namespace lqf::cpu
