// The inner loop of every convolution: PIXELS x BLOCKS sums of 16 channels stay in registers. Included by kernels_table.h.
namespace lqf::LQF_ISA {

template <int PIXELS, int BLOCKS>
LQF_INLINE void multiply_channel(const float* x, const float* w, int64_t w_block, Block (&sum)[BLOCKS][PIXELS]) {
    Block weight[BLOCKS];
#pragma GCC unroll 2
    for (int o = 0; o < BLOCKS; ++o) weight[o] = load(w + o * w_block);
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p) {
        const Block value = broadcast(x[p * cpu::kBlock]);
#pragma GCC unroll 2
        for (int o = 0; o < BLOCKS; ++o) sum[o][p] = fma(weight[o], value, sum[o][p]);
    }
}

// Taps of up to 16 channels a block, pixels 16 floats apart.
struct BlockTaps {
    template <int PIXELS, int BLOCKS>
    LQF_INLINE void multiply(const cpu::ConvTile& t, Block (&sum)[BLOCKS][PIXELS]) {
        const float* x_block = t.x;
        const float* w_block = t.w;
        const float *next = t.next, *ahead = t.ahead;
        for (int left = t.channels; left > 0; left -= cpu::kBlock) {
            const int channels = left < cpu::kBlock ? left : cpu::kBlock;
            for (int tap = 0; tap < t.tap_count; ++tap) {
                const float* x = x_block + t.taps[tap].x;
                const float* w = w_block + int64_t(t.taps[tap].index) * channels * cpu::kBlock;
                if (channels == cpu::kBlock) {
#pragma GCC unroll 4
                    for (int c = 0; c < cpu::kBlock; ++c) {
                        __builtin_prefetch(next + c * cpu::kBlock, 0, 2);
                        __builtin_prefetch(ahead + c * cpu::kBlock, 0, 2);
                        multiply_channel<PIXELS, BLOCKS>(x + c, w + c * cpu::kBlock, t.w_block, sum);
                    }
                    next += cpu::kBlock * cpu::kBlock;
                    ahead += cpu::kBlock * cpu::kBlock;
                } else {
                    for (int c = 0; c < channels; ++c)
                        multiply_channel<PIXELS, BLOCKS>(x + c, w + c * cpu::kBlock, t.w_block, sum);
                }
            }
            x_block += t.x_block;
            w_block += int64_t(t.w_taps) * channels * cpu::kBlock;
        }
    }
};

// Taps of any number of channels, pixels x_pixel floats apart: every third pixel has a pointer, which leaves registers for two distances.
struct RowTaps {
    template <int PIXELS, int BLOCKS>
    LQF_INLINE void multiply(const cpu::ConvTile& t, Block (&sum)[BLOCKS][PIXELS]) {
        constexpr int kPointers = (PIXELS + 2) / 3;
        const float* next = t.next;
        for (int tap = 0; tap < t.tap_count; ++tap, next += cpu::kBlock) {
            __builtin_prefetch(next, 0, 2);
            const float* x[kPointers];
            for (int i = 0; i < kPointers; ++i) x[i] = t.x + t.taps[tap].x + 3 * i * t.x_pixel;
            const float* w = t.w + int64_t(t.taps[tap].index) * t.channels * cpu::kBlock;
            for (int c = 0; c < t.channels; ++c, w += cpu::kBlock) {
                Block weight[BLOCKS];
#pragma GCC unroll 2
                for (int o = 0; o < BLOCKS; ++o) weight[o] = load(w + o * t.w_block);
#pragma GCC unroll 16
                for (int p = 0; p < PIXELS; ++p) {
                    const Block value = broadcast(x[p / 3][p % 3 * t.x_pixel]);
#pragma GCC unroll 2
                    for (int o = 0; o < BLOCKS; ++o) sum[o][p] = fma(weight[o], value, sum[o][p]);
                }
#pragma GCC unroll 6
                for (int i = 0; i < kPointers; ++i) ++x[i];
            }
        }
    }
};

// NOTE: stores of the kernels may alias everything: what stays the same is copied out of its struct, or it is fetched anew for every store.
template <int PIXELS, int BLOCKS, class Taps>
void conv_tile(const cpu::ConvTile& t) {
    const int64_t y_block = t.y_block, y_pixel = t.y_pixel;
    Block sum[BLOCKS][PIXELS];
#pragma GCC unroll 2
    for (int o = 0; o < BLOCKS; ++o) {
#pragma GCC unroll 16
        for (int p = 0; p < PIXELS; ++p)
            sum[o][p] = t.start ? load(t.start + o * cpu::kBlock) : load(t.y + o * y_block + p * y_pixel);
    }
    if (t.residual) {
#pragma GCC unroll 2
        for (int o = 0; o < BLOCKS; ++o) {
#pragma GCC unroll 16
            for (int p = 0; p < PIXELS; ++p) sum[o][p] = add(sum[o][p], load(t.residual + o * y_block + p * y_pixel));
        }
    }
    Taps::multiply(t, sum);
    if (t.slope != 1) {
        const Block slope = broadcast(t.slope);
#pragma GCC unroll 2
        for (int o = 0; o < BLOCKS; ++o) {
#pragma GCC unroll 16
            for (int p = 0; p < PIXELS; ++p) {
                const Block sign = t.mask ? load(t.mask + o * y_block + p * y_pixel) : sum[o][p];
                sum[o][p] = where_positive(sign, sum[o][p], mul(slope, sum[o][p]));
            }
        }
    }
    float* y = t.y;
#pragma GCC unroll 2
    for (int o = 0; o < BLOCKS; ++o) {
        float* pixel = y + o * y_block;
#pragma GCC unroll 16
        for (int p = 0; p < PIXELS; ++p, pixel += y_pixel) store(pixel, sum[o][p]);
    }
}

}  // namespace lqf::LQF_ISA
