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

template <int PIXELS, int BLOCKS>
void conv_tile(const cpu::ConvTile& t) {
    Block sum[BLOCKS][PIXELS];
#pragma GCC unroll 2
    for (int o = 0; o < BLOCKS; ++o) {
#pragma GCC unroll 16
        for (int p = 0; p < PIXELS; ++p)
            sum[o][p] = t.start ? load(t.start + o * cpu::kBlock) : load(t.y + o * t.y_block + p * t.y_pixel);
    }
    if (t.residual) {
#pragma GCC unroll 2
        for (int o = 0; o < BLOCKS; ++o) {
#pragma GCC unroll 16
            for (int p = 0; p < PIXELS; ++p)
                sum[o][p] = add(sum[o][p], load(t.residual + o * t.y_block + p * t.y_pixel));
        }
    }
    const float* x_block = t.x;
    const float* w_block = t.w;
    for (int left = t.channels; left > 0; left -= cpu::kBlock) {
        const int channels = left < cpu::kBlock ? left : cpu::kBlock;
        for (int tap = 0; tap < t.tap_count; ++tap) {
            const float* x = x_block + t.taps[tap].x;
            const float* w = w_block + int64_t(t.taps[tap].index) * channels * cpu::kBlock;
            if (channels == cpu::kBlock) {
#pragma GCC unroll 4
                for (int c = 0; c < cpu::kBlock; ++c)
                    multiply_channel<PIXELS, BLOCKS>(x + c, w + c * cpu::kBlock, t.w_block, sum);
            } else {
                for (int c = 0; c < channels; ++c)
                    multiply_channel<PIXELS, BLOCKS>(x + c, w + c * cpu::kBlock, t.w_block, sum);
            }
        }
        x_block += t.x_block;
        w_block += int64_t(t.w_taps) * channels * cpu::kBlock;
    }
    if (t.slope != 1) {
        const Block slope = broadcast(t.slope);
#pragma GCC unroll 2
        for (int o = 0; o < BLOCKS; ++o) {
#pragma GCC unroll 16
            for (int p = 0; p < PIXELS; ++p) {
                const Block sign = t.mask ? load(t.mask + o * t.y_block + p * t.y_pixel) : sum[o][p];
                sum[o][p] = where_positive(sign, sum[o][p], mul(slope, sum[o][p]));
            }
        }
    }
#pragma GCC unroll 2
    for (int o = 0; o < BLOCKS; ++o) {
#pragma GCC unroll 16
        for (int p = 0; p < PIXELS; ++p) store(t.y + o * t.y_block + p * t.y_pixel, sum[o][p]);
    }
}

}  // namespace lqf::LQF_ISA
