// Weights, and rows of matrices, between the plain order and that of the kernels, 16 x 16 at a time. Included by kernels_table.h.
namespace lqf::LQF_ISA {

// Where the next (channel, tap) of the plain order stands in held[tap][channel][16].
struct HeldPosition {
    int channels, taps;
    int tap = 0;
    int64_t at = 0;
    void next() {
        at += int64_t(channels) * cpu::kBlock;
        if (++tap == taps) {
            tap = 0;
            at -= (int64_t(channels) * taps - 1) * cpu::kBlock;
        }
    }
};

LQF_INLINE void load_transposed(const float* rows, int64_t row, Block (&block)[cpu::kBlock]) {
#pragma GCC unroll 16
    for (int k = 0; k < cpu::kBlock; ++k) block[k] = load(rows + k * row);
    transpose(block);
}

// held = factor * rows
static void to_lanes(const float* rows, int64_t row, int lanes, int channels, int taps, float factor, float* held) {
    const int count = channels * taps;
    const Block factors = broadcast(factor);
    HeldPosition position{channels, taps};
    int i = 0;
    if (lanes == cpu::kBlock) {
        for (; i + cpu::kBlock <= count; i += cpu::kBlock) {
            Block block[cpu::kBlock];
            load_transposed(rows + i, row, block);
#pragma GCC unroll 16
            for (int k = 0; k < cpu::kBlock; ++k, position.next()) store(held + position.at, mul(factors, block[k]));
        }
    }
    for (; i < count; ++i, position.next()) {
        for (int k = 0; k < cpu::kBlock; ++k) held[position.at + k] = k < lanes ? factor * rows[k * row + i] : 0;
    }
}

static void to_panel(const float* rows, int64_t row, int lanes, int count, int padded, float* panel) {
    constexpr int kRows = cpu::kPanelRows<float>;
    int i = 0;
    if (lanes == cpu::kBlock) {
        for (; i + cpu::kBlock <= count; i += cpu::kBlock) {
            Block block[cpu::kBlock];
            load_transposed(rows + i, row, block);
#pragma GCC unroll 16
            for (int k = 0; k < cpu::kBlock; ++k) store(panel + (i + k) * kRows, block[k]);
        }
    }
    for (; i < padded; ++i)
        for (int k = 0; k < cpu::kBlock; ++k) panel[i * kRows + k] = k < lanes && i < count ? rows[k * row + i] : 0;
}

// rows = factor * held
static void from_lanes(const float* held, int lanes, int channels, int taps, float factor, float* rows, int64_t row) {
    const int count = channels * taps;
    const Block factors = broadcast(factor);
    HeldPosition position{channels, taps};
    int i = 0;
    if (lanes == cpu::kBlock) {
        for (; i + cpu::kBlock <= count; i += cpu::kBlock) {
            Block block[cpu::kBlock];
#pragma GCC unroll 16
            for (int k = 0; k < cpu::kBlock; ++k, position.next()) block[k] = load(held + position.at);
            transpose(block);
#pragma GCC unroll 16
            for (int k = 0; k < cpu::kBlock; ++k) store(rows + k * row + i, mul(factors, block[k]));
        }
    }
    for (; i < count; ++i, position.next()) {
        for (int k = 0; k < lanes; ++k) rows[k * row + i] = factor * held[position.at + k];
    }
}

}  // namespace lqf::LQF_ISA
