#include "stage.h"

#include <cstring>

namespace lqf::cpu {

void fill_stage(const Stage& s, const Planes& in, const float* image, float* staged) {
    constexpr size_t kPixel = kBlock * sizeof(float);
    for (int b = 0; b < in.blocks(); ++b) {
        for (int r = 0; r < s.rows; ++r, staged += s.row()) {
            const int row = s.first_row + r;
            if (row < 0 || row >= in.h) {
                std::memset(staged, 0, s.row() * sizeof(float));
                continue;
            }
            const float* source = image + b * in.block + row * in.row;
            for (int residue = 0; residue < s.stride; ++residue) {
                float* target = staged + int64_t(residue) * s.columns * kBlock;
                const Range valid = valid_outputs(s.columns, in.w, s.stride, s.first_column + residue);
                if (valid.size() == 0) {
                    std::memset(target, 0, s.columns * kPixel);
                    continue;
                }
                std::memset(target, 0, valid.first * kPixel);
                const float* first = source + (int64_t(valid.first) * s.stride + s.first_column + residue) * in.pixel;
                if (s.stride == 1 && in.pixel == kBlock) {
                    std::memcpy(target + valid.first * kBlock, first, valid.size() * kPixel);
                } else {
                    for (int c = valid.first; c < valid.last; ++c, first += s.stride * in.pixel)
                        std::memcpy(target + c * kBlock, first, kPixel);
                }
                std::memset(target + valid.last * kBlock, 0, (s.columns - valid.last) * kPixel);
            }
        }
    }
}

}  // namespace lqf::cpu
