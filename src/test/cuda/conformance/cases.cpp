// What the PTX ISA says (version 9.0; sections named below) that each wrapper of ptx.cuh makes of an input, in plain arithmetic.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "conformance.h"

namespace lqf::gpu::conformance {
namespace {

uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
float float_of(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

Words random_words(size_t count, unsigned seed) {
    std::mt19937 random(seed);
    Words words(count);
    for (uint32_t& word : words) word = uint32_t(random());
    return words;
}

// Any bits but NaN, among them denormals, infinities, halfway cases and what rounds over the largest number.
Words numbers(size_t count) {
    Words words = random_words(count, 1);
    const uint32_t kSpecial[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7f7fffff, 0xff7fffff,
                                 0x00000001, 0x00001000, 0x00000fff, 0x3f801000, 0x3f803000, 0x3f800fff,
                                 0x3f808000, 0x3f818000, 0x3f807fff, 0x007fffff};
    size_t i = 0;
    for (uint32_t& word : words) {
        if (i % 4 == 0) word &= 0xfffff000;  // more halfway cases
        if (i < sizeof kSpecial / sizeof *kSpecial) word = kSpecial[i];
        if (std::isnan(float_of(word))) word &= 0xff800000;
        i++;
    }
    return words;
}

// x to a multiple of 2^-fraction of its power of two, in exact arithmetic; ties away from zero, or to even.
uint32_t rounded(uint32_t bits, int fraction, bool ties_away) {
    const double x = double(float_of(bits));
    if (x == 0 || std::isinf(x)) return bits;
    const double quantum = std::ldexp(1.0, std::max(std::ilogb(x), -126) - fraction), count = std::fabs(x) / quantum;
    const double magnitude = (ties_away ? std::floor(count + 0.5) : std::nearbyint(count)) * quantum;
    const float result = magnitude >= std::ldexp(1.0, 128) ? std::numeric_limits<float>::infinity() : float(magnitude);
    return bits_of(std::copysign(result, float_of(bits)));
}

// d = a b + c of matrices of small integers, whose sums are exact in any order.
struct Matrices {
    int a[16][16], b[16][8], c[16][8];

    explicit Matrices(unsigned seed) {
        std::mt19937 random(seed);
        auto fill = [&](auto& matrix) {
            for (auto& row : matrix)
                for (int& entry : row) entry = int(random() % 31) - 15;
        };
        fill(a), fill(b), fill(c);
    }
    int product(int row, int column, int depth) const {
        int sum = c[row][column];
        for (int k = 0; k < depth; k++) sum += a[row][k] * b[k][column];
        return sum;
    }
};

// The fragments of a warp, [32 lanes, a 4, b 2, d 4]: ISA 9.7.14.5, figures of mma.m16n8k8 (.tf32) and mma.m16n8k16 (.bf16).
Words fragments(const Matrices& m, bool tf32, uint32_t ignored_bits) {
    Words words;
    for (int lane = 0; lane < 32; lane++) {
        const int group = lane >> 2, in_group = lane % 4;
        auto pair = [](int low, int high) { return bits_of(float(low)) >> 16 | (bits_of(float(high)) & 0xffff0000); };
        for (int i = 0; i < 4; i++) {
            const int row = i == 0 || i == 2 ? group : group + 8;
            if (tf32) {
                words.push_back(bits_of(float(m.a[row][i < 2 ? in_group : in_group + 4])) | ignored_bits);
            } else {
                const int column = in_group * 2 + (i < 2 ? 0 : 8);
                words.push_back(pair(m.a[row][column], m.a[row][column + 1]));
            }
        }
        for (int i = 0; i < 2; i++) {
            if (tf32) {
                words.push_back(bits_of(float(m.b[i == 0 ? in_group : in_group + 4][group])) | ignored_bits);
            } else {
                const int row = in_group * 2 + (i == 0 ? 0 : 8);
                words.push_back(pair(m.b[row][group], m.b[row + 1][group]));
            }
        }
        for (int i = 0; i < 4; i++)
            words.push_back(bits_of(float(m.c[i < 2 ? group : group + 8][in_group * 2 + (i & 1)])));
    }
    return words;
}

// Matrices by the warp, every other one with bits set that the multiplication must ignore.
Case mma(bool tf32) {
    Case c;
    for (unsigned seed = 1; seed <= 16; seed++) {
        const Matrices m(seed);
        for (uint32_t word : fragments(m, tf32, tf32 && seed % 2 ? 0x1fff : 0)) c.in.push_back(word);
        for (int lane = 0; lane < 32; lane++)
            for (int i = 0; i < 4; i++) {
                const int row = lane / 4 + (i < 2 ? 0 : 8), column = lane % 4 * 2 + (i & 1);
                c.expected.push_back(bits_of(float(m.product(row, column, tf32 ? 8 : 16))));
            }
    }
    return c;
}

// 9.7.9.25.3: bytes beyond src-size are zeros; wait_group N leaves at most the N last groups under way.
Case copies() {
    Case c{random_words(4 * 384, 2), {}};
    c.expected = c.in;
    for (size_t i = 0; i < c.in.size(); i++) {
        const size_t group = i % 384 / 128, lane = i % 128 / 4;
        if ((lane + group) % 3 == 0) c.expected[i] = 0;
    }
    return c;
}

// 9.7.14.5.15: row i of matrix m is at the address of thread 8 m + i; thread l gets elements 2 (l % 4) and the next of row l / 4.
Case matrix_loads() {
    Case c{random_words(4 * 128, 3), {}};
    for (size_t warp = 0; warp < 4; warp++)
        for (size_t lane = 0; lane < 32; lane++)
            for (size_t matrix = 0; matrix < 4; matrix++) {
                const size_t row = (5 * (8 * matrix + lane / 4) + 3) % 32;
                c.expected.push_back(c.in[warp * 128 + row * 4 + lane % 4]);
            }
    return c;
}

// The same section, .trans: thread l gets element l / 4 of rows 2 (l % 4) and the next, the first of them in the lower half.
Case transposed_loads() {
    Case c{random_words(4 * 128, 5), {}};
    auto element = [&](size_t warp, size_t row, size_t column) {
        const uint32_t word = c.in[warp * 128 + (5 * row + 3) % 32 * 4 + column / 2];
        return column % 2 ? word >> 16 : word & 0xffff;
    };
    for (size_t warp = 0; warp < 4; warp++)
        for (size_t lane = 0; lane < 32; lane++)
            for (size_t matrix = 0; matrix < 4; matrix++) {
                const size_t row = 8 * matrix + lane % 4 * 2, column = lane / 4;
                c.expected.push_back(element(warp, row, column) | element(warp, row + 1, column) << 16);
            }
    return c;
}

// 9.7.9.22, cvt: .rna, to nearest, ties away from zero.
Case tf32s() {
    Case c{numbers(4096), {}};
    for (uint32_t word : c.in) c.expected.push_back(rounded(word, 10, true));
    return c;
}

// The same, of what is finite; zero has no sign.
Case tf32s_for_mma() {
    Case c{numbers(4096), {}};
    for (uint32_t& word : c.in) {
        if (std::isinf(float_of(word))) word -= 1;  // the largest number: it becomes infinity
        c.expected.push_back(word == 0x80000000 ? 0 : rounded(word, 10, true));
    }
    return c;
}

// 9.7.9.22, cvt: .rn, to nearest, ties to even; the first source is the upper half.
Case bf16s() {
    Case c{numbers(8192), {}};
    for (size_t i = 0; i < c.in.size(); i += 2)
        c.expected.push_back(rounded(c.in[i], 7, false) >> 16 | (rounded(c.in[i + 1], 7, false) & 0xffff0000));
    return c;
}

// 9.7.9.6: a lane whose source would be outside of the warp keeps its own value.
Case shuffles() {
    Case c{random_words(4 * 32, 4), {}};
    for (size_t warp = 0; warp < 4; warp++)
        for (size_t lane = 0; lane < 32; lane++)
            for (int width = 0; width < 2; width++)
                for (size_t from : {7 * lane % 32, lane ^ 5, lane + 3 < 32 ? lane + 3 : lane})
                    c.expected.push_back(c.in[warp * 32 + from]);
    return c;
}

}  // namespace

Case case_of(Wrapper wrapper) {
    switch (wrapper) {
        case Wrapper::kCopyAsync:
            return copies();
        case Wrapper::kLoadMatrix:
            return matrix_loads();
        case Wrapper::kLoadTransposed:
            return transposed_loads();
        case Wrapper::kToTf32:
            return tf32s();
        case Wrapper::kTf32ForMma:
            return tf32s_for_mma();
        case Wrapper::kToBf16:
            return bf16s();
        case Wrapper::kMmaTf32:
            return mma(true);
        case Wrapper::kMmaBf16:
            return mma(false);
        default:
            return shuffles();
    }
}

}  // namespace lqf::gpu::conformance
