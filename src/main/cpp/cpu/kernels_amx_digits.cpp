// Products of few rows on the matrix unit (AMX), to float's accuracy. What prepares its operands is AVX-512.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("amx-tile,amx-bf16,avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
#include "kernels.h"
#include "matrix_unit.h"

namespace lqf::amx {

using avx512::Block;

LQF_INLINE __m512i upper_half() { return _mm512_set1_epi32(int(0xffff0000)); }

// The nearest float that bf16 can hold.
LQF_INLINE __m512 digit(__m512 x) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000)), upper_half()));
}

// Pairs of digits: bf16 is the upper half of a float.
LQF_INLINE void store_pairs(__m512 first, __m512 second, uint32_t* to) {
    constexpr int kMaskedOrThird = 0xea;
    _mm512_storeu_si512(to,
                        _mm512_ternarylogic_epi32(_mm512_castps_si512(second), upper_half(),
                                                  _mm512_srli_epi32(_mm512_castps_si512(first), 16), kMaskedOrThird));
}

LQF_INLINE void split_line(__m512 a, __m512 b, uint32_t* to, int64_t tile) {
    const __m512 a_high = digit(a), b_high = digit(b);
    store_pairs(a_high, b_high, to);
    a = _mm512_sub_ps(a, a_high), b = _mm512_sub_ps(b, b_high);
    const __m512 a_middle = digit(a), b_middle = digit(b);
    store_pairs(a_middle, b_middle, to + tile);
    store_pairs(_mm512_sub_ps(a, a_middle), _mm512_sub_ps(b, b_middle), to + 2 * tile);  // 8 bits are left of 24
}

// Splits shares of lines, some at a time.
class Splitter {
public:
    Splitter(const cpu::DigitShare* shares, int count) : share_(shares), end_(shares + count) { begin_share(); }

    int64_t lines() const {
        int64_t lines = 0;
        for (const cpu::DigitShare* s = share_; s != end_; ++s) lines += int64_t(s->last - s->first) * s->lines->lines;
        return lines;
    }

    __attribute__((always_inline)) void split(int64_t lines) {
        while (lines > 0 && share_ != end_) {
            const int64_t some = lines < left_ ? lines : left_;
            for (int64_t i = 0; i < some; ++i, first_ += line_, second_ += line_, digits_ += cpu::kBlock) {
                __builtin_prefetch(first_ + ahead_, 0, 2);
                __builtin_prefetch(second_ + ahead_, 0, 2);
                split_line(_mm512_loadu_ps(first_), _mm512_loadu_ps(second_), digits_, tile_);
            }
            lines -= some;
            left_ -= some;
            if (left_ == 0) begin_unit(unit_ + 1);
        }
    }

private:
    void begin_share() {
        while (share_ != end_ && share_->first == share_->last) ++share_;
        if (share_ != end_) begin_unit(share_->first);
    }
    void begin_unit(int unit) {
        if (unit == share_->last) {
            ++share_;
            return begin_share();
        }
        const cpu::DigitLines& l = *share_->lines;
        const int outer = unit / l.inner, inner = unit % l.inner;
        const int64_t floats = outer * l.outer_floats + inner * l.inner_floats;
        unit_ = unit;
        first_ = l.first + floats, second_ = l.second + floats;
        digits_ = l.digits + outer * l.outer_pairs + inner * l.inner_pairs;
        line_ = l.line, tile_ = l.tile, left_ = l.lines, ahead_ = l.ahead;
    }

    const cpu::DigitShare *share_, *end_;
    int unit_ = 0;
    const float *first_ = nullptr, *second_ = nullptr;
    uint32_t* digits_ = nullptr;
    int64_t line_ = 0, tile_ = 0, left_ = 0, ahead_ = 0;
};

void split_digits(const cpu::DigitLines& given) {
    const cpu::DigitLines l = given;
    if (l.first) {
        const cpu::DigitShare all{&l, 0, l.units};
        Splitter splitter(&all, 1);
        return splitter.split(splitter.lines());
    }
    for (int digit = 0; digit < 3; ++digit)
        for (int i = 0; i < l.lines; ++i)
            _mm512_storeu_si512(l.digits + digit * l.tile + i * cpu::kBlock, _mm512_setzero_si512());
}

void write_digit_sums(const cpu::DigitOutput& given) {
    const cpu::DigitOutput o = given;
    const Block bias = o.bias ? avx512::load(o.bias) : avx512::zero(), slope = avx512::broadcast(o.slope);
    int64_t at = 0;
    for (int p = 0; p < o.pixels; ++p, at += o.y_pixel) {
        Block sum = avx512::add(avx512::load(o.sum + p * cpu::kBlock), bias);
        if (o.residual) sum = avx512::add(sum, avx512::load(o.residual + at));
        if (o.slope != 1)
            sum = avx512::where_positive(o.mask ? avx512::load(o.mask + at) : sum, sum, avx512::mul(slope, sum));
        avx512::store(o.y + at, sum);
    }
}

// The digits of one or two groups of rows (tiles 4 and 5) and of two of columns (6 and 7), of a step.
template <int ROWS>
struct StepDigits {
    const uint32_t *left, *right;
    int64_t left_group, left_tile, right_group, right_tile;

    __attribute__((always_inline)) void load_left(int digit) const { _tile_loadd(4, left + digit * left_tile, kLine); }
    __attribute__((always_inline)) void load_left_below(int digit) const {
        if constexpr (ROWS > 1) _tile_loadd(5, left + digit * left_tile + left_group, kLine);
    }
    __attribute__((always_inline)) void load_right(int digit) const {
        _tile_loadd(6, right + digit * right_tile, kLine);
    }
    __attribute__((always_inline)) void load_right_beside(int digit) const {
        _tile_loadd(7, right + digit * right_tile + right_group, kLine);
    }
    __attribute__((always_inline)) void begin() const {
        load_left(0), load_right(2), load_left_below(0), load_right_beside(2);
    }
};

// A product's multiplications, and the tiles of the next one: each is loaded as soon as what it holds has been used.
template <int ROWS>
LQF_INLINE void multiply_then_right(const StepDigits<ROWS>& step, int digit) {
    keep_pace();
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (ROWS > 1) _tile_dpbf16ps(2, 5, 6);
    step.load_right(digit);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (ROWS > 1) _tile_dpbf16ps(3, 5, 7);
    step.load_right_beside(digit);
}
template <int ROWS>
LQF_INLINE void multiply_then_left(const StepDigits<ROWS>& step, int digit) {
    keep_pace();
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    step.load_left(digit);
    if constexpr (ROWS > 1) {
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    step.load_left_below(digit);
}

template <int ROWS>
LQF_INLINE void multiply_then_begin(const StepDigits<ROWS>& next) {
    keep_pace();
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (ROWS > 1) _tile_dpbf16ps(2, 5, 6);
    next.load_right(2);
    _tile_dpbf16ps(1, 4, 7);
    next.load_left(0);
    if constexpr (ROWS > 1) _tile_dpbf16ps(3, 5, 7);
    next.load_left_below(0);
    next.load_right_beside(2);
}

constexpr int kProducts = 6;  // of a step

// Lines to be split before each of a step's products, so that they go to where the matrix unit is busy.
struct Pace {
    int lines[kProducts];
    Pace(int64_t all, int steps) {
        const int64_t step = (all + steps - 1) / steps;
        for (int i = 0; i < kProducts; ++i) lines[i] = int(step * (i + 1) / kProducts - step * i / kProducts);
    }
};

// A step, the largest product last, the others so that few tiles are loaded; split(i) prepares lines for later before the i-th. Then begins
// the next one.
template <int ROWS, class Split>
LQF_INLINE void multiply_step(StepDigits<ROWS>& step, const uint32_t* next_left, const uint32_t* next_right,
                              Split split) {
    split(0);
    multiply_then_right(step, 1);
    split(1);
    multiply_then_left(step, 1);
    split(2);
    multiply_then_right(step, 0);
    split(3);
    multiply_then_left(step, 2);
    split(4);
    multiply_then_left(step, 0);
    split(5);
    step.left = next_left, step.right = next_right;
    multiply_then_begin(step);
}

// Of two groups of columns, and one or two of rows.
template <int ROWS>
struct Sums {
    float* sum;
    int64_t column, row;  // from a group to the next

    __attribute__((always_inline)) void begin(bool fresh) const {
        if (fresh) return zero_sums();
        _tile_loadd(0, sum, kLine);
        _tile_loadd(1, sum + column, kLine);
        if constexpr (ROWS > 1) {
            _tile_loadd(2, sum + row, kLine);
            _tile_loadd(3, sum + row + column, kLine);
        }
    }
    __attribute__((always_inline)) void end() const {
        _tile_stored(0, sum, kLine);
        _tile_stored(1, sum + column, kLine);
        if constexpr (ROWS > 1) {
            _tile_stored(2, sum + row, kLine);
            _tile_stored(3, sum + row + column, kLine);
        }
    }
};

template <int ROWS>
LQF_INLINE void multiply(const cpu::DigitProduct& p, int row, int fetch, Splitter& splitter, const Pace& pace) {
    const Sums<ROWS> sums{p.sum + row * cpu::kDigitsTile, p.sum_column, cpu::kDigitsTile};
    sums.begin(p.fresh);
    StepDigits<ROWS> step{
        p.left[0] + row * p.left_group, p.right[0], p.left_group, p.left_tile, p.right_group, p.right_tile};
    step.begin();
    for (int i = 0; i < p.steps; ++i) {
        const uint32_t* next = p.right[i] + p.right_next + row / 2 * fetch * cpu::kBlock;
        for (int f = 0; f < fetch; ++f, next += cpu::kBlock) {
            __builtin_prefetch(next, 0, 2);
            __builtin_prefetch(next + p.right_group, 0, 2);
        }
        const int following = i + 1 < p.steps ? i + 1 : i;
        multiply_step(
            step, p.left[following] + row * p.left_group,
            p.right[following], [&](int product) __attribute__((always_inline)) {
                splitter.split(pace.lines[product]);
            });
    }
    sums.end();
}

void multiply_digits(const cpu::DigitProduct& given) {
    const cpu::DigitProduct p = given;
    const TileShapes shapes;
    _tile_loadconfig(&shapes);
    const int pairs = (p.rows + 1) / 2;
    const int fetch =
        p.right_next ? (3 * cpu::kBlock + pairs - 1) / pairs : 0;  // lines of a step with each pair of rows
    Splitter splitter(p.share, p.shares);
    const Pace pace(splitter.lines(), pairs * p.steps);
    int row = 0;
    for (; row + 2 <= p.rows; row += 2) multiply<2>(p, row, fetch, splitter, pace);
    if (row < p.rows) multiply<1>(p, row, fetch, splitter, pace);
    _tile_release();
}

// The right lines of a stream, on their way into the ring. Each is fetched when that of the two blocks before is split: all come from memory.
class Ring {
public:
    explicit Ring(const cpu::DigitStream& s)
        : s_(s), first_(s.right), left_(int64_t(s.elements) * s.blocks * s.steps * cpu::kBlock) {}

    __attribute__((always_inline)) void split(int lines) {
        for (int i = 0; i < lines && left_ > 0; ++i, --left_) {
            const int beside = line_ / cpu::kBlock, at = line_ % cpu::kBlock * cpu::kBlock;
            const float *first = first_ + beside * s_.right_block + at, *second = first + cpu::kDigitsTile;
            __builtin_prefetch(first + 2 * s_.right_block, 0, 2);
            __builtin_prefetch(second + 2 * s_.right_block, 0, 2);
            split_line(_mm512_loadu_ps(first), _mm512_loadu_ps(second), digits(slot_) + beside * cpu::kDigitsStep + at,
                       cpu::kDigitsTile);
            if (++line_ == kLines) begin_step();
        }
    }
    uint32_t* digits(int slot) const { return s_.ring + slot * 2 * cpu::kDigitsStep; }
    static int after(int slot) { return (slot + 1) % cpu::kRingSteps; }

    static constexpr int kLines = 2 * cpu::kBlock;  // of a step

private:
    void begin_step() {
        line_ = 0, slot_ = after(slot_);
        first_ += 2 * cpu::kDigitsTile;
        if (++step_ < s_.steps) return;
        step_ = 0, block_ += 2;
        if (block_ == s_.blocks) block_ = 0, ++element_;
        first_ = s_.right + element_ * s_.right_element + block_ * s_.right_block;
    }

    const cpu::DigitStream& s_;
    const float* first_;
    int64_t left_;
    int element_ = 0, block_ = 0, step_ = 0, line_ = 0, slot_ = 0;
};

template <int ROWS>
LQF_INLINE void stream(const cpu::DigitStream& s) {
    static constexpr int kPace[kProducts] = {6, 5, 5, 6, 5, 5};  // lines
    Ring ring(s);
    ring.split(2 * Ring::kLines);
    StepDigits<ROWS> step{s.left, ring.digits(0), s.left_group, cpu::kDigitsTile, cpu::kDigitsStep, cpu::kDigitsTile};
    step.begin();
    int slot = 0;
    for (int e = 0; e < s.elements; ++e) {
        const uint32_t* left = s.left + e * s.left_element;
        for (int b = 0; b < s.blocks; b += 2) {
            const Sums<ROWS> sums{s.sum + e * s.sum_element + b * s.sum_block, s.sum_block, s.sum_group};
            sums.begin(s.fresh);
            const bool last = b + 2 == s.blocks && e + 1 < s.elements;  // of the element, and there is another one
            for (int i = 0; i < s.steps; ++i) {
                const uint32_t* following =
                    i + 1 < s.steps ? left + (i + 1) * cpu::kDigitsStep : left + (last ? s.left_element : 0);
                slot = Ring::after(slot);
                multiply_step(
                    step, following,
                    ring.digits(slot), [&](int product) __attribute__((always_inline)) { ring.split(kPace[product]); });
            }
            sums.end();
        }
    }
}

void stream_digits(const cpu::DigitStream& given) {
    const cpu::DigitStream s = given;
    const TileShapes shapes;
    _tile_loadconfig(&shapes);
    if (s.rows > 1)
        stream<2>(s);
    else
        stream<1>(s);
    _tile_release();
}

}  // namespace lqf::amx
