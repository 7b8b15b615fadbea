#include <algorithm>
#include <cstring>

#include "conv2d_weights.h"
#include "cpu_ops.h"
#include "digit_conv.h"
#include "row_winograd.h"
#include "threads.h"
#include "winograd.h"

namespace lqf::cpu {

constexpr size_t kHeldFloats =
    9 * kBlock * kBlock;  // the weights of an input and an output block, before Winograd's transform

size_t conv2d_packed_floats(const Conv2d& c) {
    if (winograd_form(c)) return size_t(winograd_floats(c));
    if (suits_digits(c)) return size_t(digit_floats(c));
    const RowForm row = row_form(c);
    const int64_t plain = row ? row_winograd_floats(c, row) : bias_floats(c) + weight_floats(c);
    return size_t(std::max(plain, transposed_floats(c)));
}

void conv2d_pack(Threads& threads, const Conv2d& c, const float* w, const float* b, float* packed) {
    std::fill_n(packed, bias_floats(c), 0.0f);
    if (b)
        for (int o = 0; o < c.oc; ++o) packed[o] = c.unit * b[o];
    const int taps = c.kh * c.kw;
    const WinogradForm form = winograd_form(c);
    const bool transforms = form && !winograd_keeps_taps(c);
    float* const first = packed + bias_floats(c);
    if (!form && suits_digits(c)) return digit_pack(threads, c, w, first);
    if (const RowForm row = row_form(c)) {
        const int64_t packed_block = (row_winograd_floats(c, row) - bias_floats(c)) / blocks_of(c.oc);
        return threads.each(blocks_of(c.oc), [&](int64_t block, int thread) {
            float* held = threads.scratch(thread, size_t(c.patch()) * kBlock);
            kernels().to_lanes(w + block * kBlock * c.patch(), c.patch(), std::min(kBlock, c.oc - int(block) * kBlock),
                               c.ic, taps, c.unit, held);
            row_winograd_pack(c, row, held, first + block * packed_block);
        });
    }
    threads.each(int64_t(blocks_of(c.oc)) * blocks_of(c.ic), [&](int64_t task, int) {
        const int out = int(task / blocks_of(c.ic)) * kBlock, in = int(task % blocks_of(c.ic)) * kBlock;
        const int channels = std::min(kBlock, c.ic - in), lanes = std::min(kBlock, c.oc - out);
        alignas(64) float winograd[kHeldFloats];
        float* held = transforms ? winograd : first + out * c.patch() + int64_t(in) * kBlock * taps;
        kernels().to_lanes(w + int64_t(out) * c.patch() + int64_t(in) * taps, c.patch(), lanes, channels, taps, c.unit,
                           held);
        if (transforms)
            winograd_pack(form, held, int64_t(channels) * kBlock, in, c.ic, out / kBlock, blocks_of(c.oc), first);
    });
}

void conv2d_pack_transposed(Threads& threads, const Conv2d& c, const float* w, float* packed) {
    const int taps = c.kh * c.kw;
    const WinogradForm form = winograd_vjp_x_form(c);
    const bool transforms = form && !winograd_vjp_x_keeps_taps(c);
    if (!form && suits_digits(c)) return digit_pack_transposed(threads, c, w, packed);
    threads.each(int64_t(blocks_of(c.ic)) * blocks_of(c.oc), [&](int64_t task, int) {
        const int out = int(task / blocks_of(c.oc)) * kBlock, in = int(task % blocks_of(c.oc)) * kBlock;
        const int channels = std::min(kBlock, c.oc - in), lanes = std::min(kBlock, c.ic - out);
        alignas(64) float winograd[kHeldFloats];
        float* target = transforms
                            ? winograd
                            : packed + (int64_t(out) * c.oc + int64_t(in) * kBlock) * taps;  // [taps][channels][16]
        if (lanes < kBlock) std::fill_n(target, int64_t(taps) * channels * kBlock, 0.0f);
        for (int i = 0; i < channels; ++i) {
            const float* source = w + (int64_t(in + i) * c.ic + out) * taps;
            for (int o = 0; o < lanes; ++o)
                for (int t = 0; t < taps; ++t)
                    target[(int64_t(form ? taps - 1 - t : t) * channels + i) * kBlock + o] = *source++;
        }
        if (transforms)
            winograd_pack(form, target, int64_t(channels) * kBlock, in, c.oc, out / kBlock, blocks_of(c.ic), packed);
    });
}

}  // namespace lqf::cpu
