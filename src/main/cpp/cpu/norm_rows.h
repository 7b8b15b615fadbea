// Batch norm over the pixels of a channel block: sums, and the two maps that they decide. Included by kernels_table.h after elementwise.h.
namespace lqf::LQF_ISA {

// Two chains, so that the additions of neighbouring pixels overlap. The products of floats are exact in double.
static void pair_sums(const float* a, const float* b, int64_t pixels, double* sums) {
    for (int lane = 0; lane < cpu::kBlock; lane += kDoubles) {
        Doubles sum[2] = {}, product[2] = {};
        auto take = [&](int64_t p, int chain) __attribute__((always_inline)) {
            const int64_t at = p * cpu::kBlock + lane;
            const Doubles left = doubles(a + at);
            sum[chain] += left;
            product[chain] += left * doubles(b + at);
        };
        int64_t p = 0;
        for (; p + 2 <= pixels; p += 2) take(p, 0), take(p + 1, 1);
        if (p < pixels) take(p, 0);
        *reinterpret_cast<UnalignedDoubles*>(sums + lane) = sum[0] + sum[1];
        *reinterpret_cast<UnalignedDoubles*>(sums + cpu::kBlock + lane) = product[0] + product[1];
    }
}

static void normalise(const float* x, int64_t pixels, const float* shift, const float* scale, const float* offset,
                      float* y) {
    const Block s = load(shift), f = load(scale), o = load(offset);
    for (int64_t p = 0; p < pixels; ++p) store(y + p * cpu::kBlock, fma(add(load(x + p * cpu::kBlock), s), f, o));
}

static void normalise_vjp(const float* x, const float* y_bar, int64_t pixels, const float* shift, const float* scale,
                          const float* slope, const float* offset, float* x_bar, bool accumulate) {
    const Block s = load(shift), f = load(scale), k = load(slope), o = load(offset);
    for (int64_t p = 0; p < pixels; ++p) {
        const int64_t at = p * cpu::kBlock;
        const Block bar = fma(load(y_bar + at), f, fma(add(load(x + at), s), k, o));
        store(x_bar + at, accumulate ? add(load(x_bar + at), bar) : bar);
    }
}

}  // namespace lqf::LQF_ISA
