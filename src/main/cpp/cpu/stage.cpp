#include "stage.h"

#include <cstring>

namespace lqf::cpu {
namespace {

// The first channels of pixels, without what follows them: four floats at a time, of which the next pixels take back those too many.
void copy_few_channels(const float* from, int64_t pixel, int pixels, int channels, float* to) {
    constexpr int kFew = 4;
    for (; pixels * channels >= kFew && channels <= kFew; --pixels, from += pixel, to += channels)
        std::memcpy(to, from, kFew * sizeof(float));
    for (; pixels > 0; --pixels, from += pixel, to += channels) std::memcpy(to, from, channels * sizeof(float));
}

}  // namespace

void fill_stage(const Stage& s, const Planes& in, const float* image, float* staged) {
    const size_t pixel = s.pixel * sizeof(float);
    for (int b = 0; b < in.blocks(); ++b) {
        for (int r = 0; r < s.rows; ++r, staged += s.row()) {
            const int row = s.first_row + r;
            if (row < 0 || row >= in.h) {
                std::memset(staged, 0, s.row() * sizeof(float));
                continue;
            }
            const float* source = image + b * in.block + row * in.row;
            for (int residue = 0; residue < s.stride; ++residue) {
                float* target = staged + int64_t(residue) * s.columns * s.pixel;
                const Range valid = valid_outputs(s.columns, in.w, s.stride, s.first_column + residue);
                if (valid.size() == 0) {
                    std::memset(target, 0, s.columns * pixel);
                    continue;
                }
                std::memset(target, 0, valid.first * pixel);
                const float* first = source + (int64_t(valid.first) * s.stride + s.first_column + residue) * in.pixel;
                if (s.pixel < kBlock) {
                    copy_few_channels(first, s.stride * in.pixel, valid.size(), s.pixel,
                                      target + valid.first * s.pixel);
                } else if (s.stride == 1 && in.pixel == kBlock) {
                    std::memcpy(target + valid.first * kBlock, first, valid.size() * pixel);
                } else {
                    for (int c = valid.first; c < valid.last; ++c, first += s.stride * in.pixel)
                        std::memcpy(target + c * kBlock, first, pixel);
                }
                std::memset(target + valid.last * s.pixel, 0, (s.columns - valid.last) * pixel);
            }
        }
    }
}

}  // namespace lqf::cpu
