// The inner loop of weight gradients and Kronecker factors: CHANNELS x BLOCKS sums stay in registers. Included by kernels_table.h.
namespace lqf::LQF_ISA {

template <int CHANNELS, int BLOCKS>
void outer_tile(const cpu::OuterTile& t) {
    Block sum[BLOCKS][CHANNELS];
#pragma GCC unroll 4
    for (int o = 0; o < BLOCKS; ++o) {
#pragma GCC unroll 16
        for (int c = 0; c < CHANNELS; ++c)
            sum[o][c] = t.fresh ? zero() : load(t.sum + o * t.sum_block + c * cpu::kBlock);
    }
    const float* next = t.next;
    for (int row = 0; row < t.rows; ++row) {
        const float* x = t.x + row * t.x_row;
        const float* y = t.y + row * t.y_row;
        for (int p = 0; p < t.pixels; ++p, next += cpu::kBlock) {
            __builtin_prefetch(next, 0, 2);
            Block cotangent[BLOCKS];
#pragma GCC unroll 4
            for (int o = 0; o < BLOCKS; ++o) cotangent[o] = load(y + o * t.y_block);
#pragma GCC unroll 16
            for (int c = 0; c < CHANNELS; ++c) {
                const Block value = broadcast(x[c]);
#pragma GCC unroll 4
                for (int o = 0; o < BLOCKS; ++o) sum[o][c] = fma(cotangent[o], value, sum[o][c]);
            }
            x += t.x_pixel;
            y += t.y_pixel;
        }
    }
#pragma GCC unroll 4
    for (int o = 0; o < BLOCKS; ++o) {
#pragma GCC unroll 16
        for (int c = 0; c < CHANNELS; ++c) store(t.sum + o * t.sum_block + c * cpu::kBlock, sum[o][c]);
    }
}

// Four chains, so that the additions of neighbouring pixels overlap.
static void sum_pixels(const float* y, int64_t pixels, float* sum) {
    Block chain[4] = {load(sum), zero(), zero(), zero()};
    int64_t p = 0;
    for (; p + 4 <= pixels; p += 4) {
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) chain[k] = add(chain[k], load(y + (p + k) * cpu::kBlock));
    }
    for (; p < pixels; ++p) chain[0] = add(chain[0], load(y + p * cpu::kBlock));
    store(sum, add(add(chain[0], chain[1]), add(chain[2], chain[3])));
}

}  // namespace lqf::LQF_ISA
