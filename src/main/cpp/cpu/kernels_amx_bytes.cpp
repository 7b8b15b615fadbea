// Products of rows in fixed point on the matrix unit (AMX). What prepares and sums them up is AVX-512.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC target("amx-tile,amx-int8,avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
#include "kernels.h"
#include "matrix_unit.h"

namespace lqf::amx {

using avx512::Block;

namespace {
// A column of a panel: rows 0 to 7 and 8 to 15.
struct Column {
    __m512d low, high;
};
}  // namespace

LQF_INLINE Column load_column(const double* p) { return {_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)}; }
LQF_INLINE Column load_column(const float* p) {
    return {_mm512_cvtps_pd(_mm256_loadu_ps(p)), _mm512_cvtps_pd(_mm256_loadu_ps(p + 8))};
}
LQF_INLINE void store_column(double* p, Column c) {
    _mm512_storeu_pd(p, c.low);
    _mm512_storeu_pd(p + 8, c.high);
}

// The power of two above the largest one, which takes a whole number to its magnitude. Rows of zeros are numbers below 2^-400.
LQF_INLINE __m512d exponent_above(__m512d largest) {
    constexpr double kLeast = -400, kMost = 400;
    const __m512d exponent = _mm512_add_pd(_mm512_getexp_pd(largest), _mm512_set1_pd(1));
    return _mm512_min_pd(_mm512_max_pd(exponent, _mm512_set1_pd(kLeast)), _mm512_set1_pd(kMost));
}

// The signed bytes of whole numbers: with 128 for every byte but the first one added, and taken away again from each byte, what is left of a byte
// is -128 to 127, and the next one has the carry.
LQF_INLINE __m512i signed_bytes(__m512d x, __m512d exponent, __m512i carries) {
    return _mm512_xor_si512(_mm512_add_epi64(_mm512_cvtpd_epi64(_mm512_scalef_pd(x, exponent)), carries), carries);
}

// Byte `at` of four numbers, beside each other.
LQF_INLINE __m512i quad(const __m512i (&numbers)[4], int at) {
    __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        const __m512i byte = _mm512_and_si512(_mm512_srli_epi32(numbers[i], unsigned(8 * at)), _mm512_set1_epi32(0xff));
        sum = _mm512_or_si512(sum, _mm512_slli_epi32(byte, unsigned(8 * i)));
    }
    return sum;
}

template <class T>
LQF_INLINE void split(const cpu::ByteLines<T>& l) {
    Column largest = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    for (int column = 0; column < l.columns; ++column) {
        const Column c = load_column(l.panel + column * cpu::kBlock);
        largest.low = _mm512_max_pd(largest.low, _mm512_abs_pd(c.low));
        largest.high = _mm512_max_pd(largest.high, _mm512_abs_pd(c.high));
    }
    const Column exponent = {exponent_above(largest.low), exponent_above(largest.high)};
    const __m512d first_byte = _mm512_set1_pd(0x1p-6);  // is at most 64: numbers have two bits less than their bytes
    store_column(l.scale, {_mm512_scalef_pd(first_byte, exponent.low), _mm512_scalef_pd(first_byte, exponent.high)});
    const __m512d bits = _mm512_set1_pd(8 * l.bytes - 2);
    const Column scale = {_mm512_sub_pd(bits, exponent.low), _mm512_sub_pd(bits, exponent.high)};
    const __m512i carries = _mm512_set1_epi64(0x0080808080808080 & ((int64_t(1) << 8 * (l.bytes - 1)) - 1));
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    const int64_t step_quads = l.bytes * cpu::kBytesTile;
    for (int first = 0, step = 0; first < l.columns; first += cpu::kByteDepth, ++step) {
        uint32_t* right = l.right + step * step_quads;
        for (int line = 0; line < cpu::kBlock; ++line) {
            __m512i lower[4], upper[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) {
                const int column = first + 4 * line + i;
                lower[i] = upper[i] = _mm512_setzero_si512();
                if (column >= l.columns) continue;
                const Column c = load_column(l.panel + column * cpu::kBlock);
                const __m512i low = signed_bytes(c.low, scale.low, carries),
                              high = signed_bytes(c.high, scale.high, carries);
                lower[i] = _mm512_permutex2var_epi32(low, even, high);
                upper[i] = _mm512_permutex2var_epi32(low, odd, high);
            }
            for (int byte = 0; byte < l.bytes; ++byte) {
                const int place = l.bytes - 1 - byte;
                _mm512_storeu_si512(right + byte * cpu::kBytesTile + line * cpu::kBlock,
                                    place < 4 ? quad(lower, place) : quad(upper, place - 4));
            }
        }
        if (!l.left) continue;
        uint32_t* left = l.left + step * step_quads;
        for (int byte = 0; byte < l.bytes; ++byte, left += cpu::kBytesTile, right += cpu::kBytesTile) {
            Block lines[cpu::kBlock];
#pragma GCC unroll 16
            for (int i = 0; i < cpu::kBlock; ++i) lines[i].v = _mm512_loadu_ps(right + i * cpu::kBlock);
            avx512::transpose(lines);
#pragma GCC unroll 16
            for (int i = 0; i < cpu::kBlock; ++i) _mm512_storeu_ps(left + i * cpu::kBlock, lines[i].v);
        }
    }
}

void split_bytes(const cpu::ByteLines<float>& lines) { split(lines); }
void split_bytes(const cpu::ByteLines<double>& lines) { split(lines); }

// One step of 16 x 16 sums, for each order s = i + j of the bytes i of the left and j of the right one.
template <int BYTES>
struct Step;

#define LQF_LEFT(tile, i) _tile_loadd(tile, a + (i)*cpu::kBytesTile, kLine)
#define LQF_RIGHT(tile, j) _tile_loadd(tile, b + (j)*cpu::kBytesTile, kLine)

// The last order has two sums, so that none waits for itself: the other is in tile 4.
template <>
struct Step<4> {
    __attribute__((always_inline)) static void add(const uint32_t* a, const uint32_t* b) {
        LQF_LEFT(5, 0);
        LQF_RIGHT(6, 0);
        _tile_dpbssd(0, 5, 6);
        LQF_RIGHT(7, 1);
        _tile_dpbssd(1, 5, 7);
        LQF_RIGHT(6, 2);
        _tile_dpbssd(2, 5, 6);
        LQF_RIGHT(7, 3);
        _tile_dpbssd(3, 5, 7);
        LQF_LEFT(5, 1);
        _tile_dpbssd(4, 5, 6);
        LQF_RIGHT(7, 1);
        _tile_dpbssd(2, 5, 7);
        LQF_RIGHT(6, 0);
        _tile_dpbssd(1, 5, 6);
        LQF_LEFT(5, 2);
        _tile_dpbssd(3, 5, 7);
        _tile_dpbssd(2, 5, 6);
        LQF_LEFT(5, 3);
        _tile_dpbssd(4, 5, 6);
    }
};
template <>
struct Step<5> {
    __attribute__((always_inline)) static void add(const uint32_t* a, const uint32_t* b) {
        LQF_LEFT(5, 0);
        LQF_RIGHT(6, 0);
        _tile_dpbssd(0, 5, 6);
        LQF_RIGHT(7, 1);
        _tile_dpbssd(1, 5, 7);
        LQF_RIGHT(6, 2);
        _tile_dpbssd(2, 5, 6);
        LQF_RIGHT(7, 3);
        _tile_dpbssd(3, 5, 7);
        LQF_RIGHT(6, 4);
        _tile_dpbssd(4, 5, 6);
        LQF_LEFT(5, 1);
        LQF_RIGHT(6, 2);
        _tile_dpbssd(3, 5, 6);
        _tile_dpbssd(4, 5, 7);
        LQF_RIGHT(7, 1);
        _tile_dpbssd(2, 5, 7);
        LQF_RIGHT(6, 0);
        _tile_dpbssd(1, 5, 6);
        LQF_LEFT(5, 2);
        _tile_dpbssd(3, 5, 7);
        _tile_dpbssd(2, 5, 6);
        LQF_RIGHT(6, 2);
        _tile_dpbssd(4, 5, 6);
        LQF_LEFT(5, 3);
        LQF_RIGHT(6, 0);
        _tile_dpbssd(3, 5, 6);
        _tile_dpbssd(4, 5, 7);
        LQF_LEFT(5, 4);
        _tile_dpbssd(4, 5, 6);
    }
};
template <>
struct Step<6> {
    __attribute__((always_inline)) static void add(const uint32_t* a, const uint32_t* b) {
        LQF_LEFT(6, 0);
        LQF_RIGHT(7, 0);
        _tile_dpbssd(0, 6, 7);
        LQF_RIGHT(7, 1);
        _tile_dpbssd(1, 6, 7);
        LQF_RIGHT(7, 2);
        _tile_dpbssd(2, 6, 7);
        LQF_RIGHT(7, 3);
        _tile_dpbssd(3, 6, 7);
        LQF_RIGHT(7, 4);
        _tile_dpbssd(4, 6, 7);
        LQF_RIGHT(7, 5);
        _tile_dpbssd(5, 6, 7);
        LQF_LEFT(6, 1);
        LQF_RIGHT(7, 3);
        _tile_dpbssd(4, 6, 7);
        LQF_RIGHT(7, 2);
        _tile_dpbssd(3, 6, 7);
        LQF_RIGHT(7, 4);
        _tile_dpbssd(5, 6, 7);
        LQF_RIGHT(7, 1);
        _tile_dpbssd(2, 6, 7);
        LQF_RIGHT(7, 0);
        _tile_dpbssd(1, 6, 7);
        LQF_LEFT(6, 2);
        LQF_RIGHT(7, 2);
        _tile_dpbssd(4, 6, 7);
        LQF_RIGHT(7, 3);
        _tile_dpbssd(5, 6, 7);
        LQF_RIGHT(7, 1);
        _tile_dpbssd(3, 6, 7);
        LQF_RIGHT(7, 0);
        _tile_dpbssd(2, 6, 7);
        LQF_LEFT(6, 3);
        LQF_RIGHT(7, 1);
        _tile_dpbssd(4, 6, 7);
        LQF_RIGHT(7, 2);
        _tile_dpbssd(5, 6, 7);
        LQF_RIGHT(7, 0);
        _tile_dpbssd(3, 6, 7);
        LQF_LEFT(6, 4);
        _tile_dpbssd(4, 6, 7);
        LQF_RIGHT(7, 1);
        _tile_dpbssd(5, 6, 7);
        LQF_LEFT(6, 5);
        LQF_RIGHT(7, 0);
        _tile_dpbssd(5, 6, 7);
    }
};

#undef LQF_LEFT
#undef LQF_RIGHT

// 16 x 16 sums on their way from integers to c. Orders are sums of products of bytes i and j with i + j the same: each is worth 2^-8 of the one
// before.
template <class T>
struct Orders {
    const int32_t* integers;  // [order][column][row]; null: none
    const double *left_scale, *right_scale;
    T* c;
};

template <int BYTES>
LQF_INLINE __m512i load_order(const int32_t* integers, int order) {
    const __m512i sum = _mm512_load_si512(integers + order * cpu::kBytesTile);
    return BYTES == 4 && order == 3 ? _mm512_add_epi32(sum, _mm512_load_si512(integers + 4 * cpu::kBytesTile)) : sum;
}
// In one integer, of 31 bits at most: the first byte of a number is no more than 64.
template <int BYTES>
LQF_INLINE __m512i load_orders(const int32_t* integers, int order) {
    return _mm512_add_epi32(_mm512_slli_epi32(load_order<BYTES>(integers, order), 8),
                            load_order<BYTES>(integers, order + 1));
}

LQF_INLINE __m512d low_half(__m512i v) { return _mm512_cvtepi32_pd(_mm512_castsi512_si256(v)); }
LQF_INLINE __m512d high_half(__m512i v) { return _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(v, 1)); }

template <int BYTES>
LQF_INLINE void add_columns(const Orders<float>& o, int first, int last) {
    const __m512 right_scale =
        _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(_mm512_loadu_pd(o.right_scale))),
                           _mm512_cvtpd_ps(_mm512_loadu_pd(o.right_scale + 8)), 1);
    for (int column = first; column < last; ++column) {
        const int32_t* integers = o.integers + column * cpu::kBlock;
        float* c = o.c + column * cpu::kBlock;
        // The scale is of the size of the result: with the weight of the orders in it, it may be smaller than floats are.
        const __m512 first_orders =
            _mm512_mul_ps(_mm512_cvtepi32_ps(load_orders<BYTES>(integers, 0)), _mm512_set1_ps(0x1p-20f));
        const __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(load_orders<BYTES>(integers, 2)),
                                           _mm512_set1_ps(0x1p-36f), first_orders);
        const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(float(0x1p12 * o.left_scale[column])), right_scale);
        _mm512_storeu_ps(c, _mm512_fmadd_ps(sum, scale, _mm512_loadu_ps(c)));
    }
}
template <int BYTES>
LQF_INLINE void add_columns(const Orders<double>& o, int first, int last) {
    const Column right_scale = load_column(o.right_scale);
    const __m512d byte = _mm512_set1_pd(0x1p-8), pair = _mm512_set1_pd(0x1p-16);
    for (int column = first; column < last; ++column) {
        const int32_t* integers = o.integers + column * cpu::kBlock;
        double* c = o.c + column * cpu::kBlock;
        __m512i order = load_orders<BYTES>(integers, 2);
        Column sum = {low_half(order), high_half(order)};
        if constexpr (BYTES >= 5) {
            order = load_order<BYTES>(integers, 4);
            Column rest = {low_half(order), high_half(order)};
            if constexpr (BYTES == 6) {
                order = load_order<BYTES>(integers, 5);
                rest = {_mm512_fmadd_pd(low_half(order), byte, rest.low),
                        _mm512_fmadd_pd(high_half(order), byte, rest.high)};
            }
            sum = {_mm512_fmadd_pd(rest.low, byte, sum.low), _mm512_fmadd_pd(rest.high, byte, sum.high)};
        }
        order = load_orders<BYTES>(integers, 0);
        sum = {_mm512_fmadd_pd(sum.low, pair, low_half(order)), _mm512_fmadd_pd(sum.high, pair, high_half(order))};
        const __m512d scale = _mm512_set1_pd(0x1p-8 * o.left_scale[column]);
        const Column before = load_column(c);
        store_column(c, {_mm512_fmadd_pd(sum.low, _mm512_mul_pd(scale, right_scale.low), before.low),
                         _mm512_fmadd_pd(sum.high, _mm512_mul_pd(scale, right_scale.high), before.high)});
    }
}

LQF_INLINE void fetch(const uint32_t* from, int lines) {
    for (int i = 0; i < lines; ++i) __builtin_prefetch(from + i * cpu::kBlock, 0, 2);
}

template <int BYTES, class T>
LQF_INLINE void multiply(const cpu::ByteProduct<T>& p) {
    alignas(64) int32_t integers[2][cpu::kMostBytes * cpu::kBytesTile];
    // Lines of a group to be fetched with each block of its sums.
    const int lines = p.steps * BYTES * cpu::kBlock, row_groups = p.rows / cpu::kBlock,
              groups = p.columns / cpu::kBlock;
    const int left_lines = (lines + row_groups - 1) / row_groups, right_lines = (lines + groups - 1) / groups;
    Orders<T> last{};  // added while the matrix unit is at the next ones
    for (int column = 0, turn = 0; column < p.columns; column += cpu::kBlock) {
        const int group = column / cpu::kBlock;
        const uint32_t* left = p.left + group * p.left_group;
        const int last_step = column / cpu::kByteDepth + 1,
                  steps = p.triangle && last_step < p.steps ? last_step : p.steps;
        for (int row = p.lower ? column : 0; row < p.rows; row += cpu::kBlock, turn ^= 1) {
            const int64_t across = row / cpu::kBlock;
            const uint32_t* right = p.right + across * p.right_group;
            fetch(p.next_left + group * p.left_group + across * left_lines * cpu::kBlock, left_lines);
            fetch(p.next_right + across * p.right_group + group * right_lines * cpu::kBlock, right_lines);
            zero_sums();
            _tile_zero(4);
            if constexpr (BYTES > 5) _tile_zero(5);
            const int first_step = p.upper ? row / cpu::kByteDepth : 0;
            const int share = (cpu::kBlock + steps - first_step - 1) / (steps - first_step);
            for (int step = first_step, done = 0; step < steps; ++step, done += share) {
                Step<BYTES>::add(left + step * BYTES * cpu::kBytesTile, right + step * BYTES * cpu::kBytesTile);
                if (last.integers)
                    add_columns<BYTES>(last, done, done + share < cpu::kBlock ? done + share : cpu::kBlock);
            }
            int32_t* sums = integers[turn];
            _tile_stored(0, sums, kLine);
            _tile_stored(1, sums + cpu::kBytesTile, kLine);
            _tile_stored(2, sums + 2 * cpu::kBytesTile, kLine);
            _tile_stored(3, sums + 3 * cpu::kBytesTile, kLine);
            _tile_stored(4, sums + 4 * cpu::kBytesTile, kLine);
            if constexpr (BYTES > 5) _tile_stored(5, sums + 5 * cpu::kBytesTile, kLine);
            last = {sums, p.left_scale + column, p.right_scale + row,
                    p.c + row / cpu::kBlock * p.c_panel + column * cpu::kBlock};
        }
    }
    if (last.integers) add_columns<BYTES>(last, 0, cpu::kBlock);
}

void multiply_bytes(const cpu::ByteProduct<float>& given) {
    const cpu::ByteProduct<float> p = given;
    const TileShapes shapes;
    _tile_loadconfig(&shapes);
    multiply<4>(p);
    _tile_release();
}

void multiply_bytes(const cpu::ByteProduct<double>& given) {
    const cpu::ByteProduct<double> p = given;
    const TileShapes shapes;
    _tile_loadconfig(&shapes);
    if (p.bytes == 4)
        multiply<4>(p);
    else if (p.bytes == 5)
        multiply<5>(p);
    else
        multiply<6>(p);
    _tile_release();
}

}  // namespace lqf::amx
