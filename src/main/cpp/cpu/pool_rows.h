// Rows of max pools, 16 channels at a time. Included by kernels_table.h.
namespace lqf::LQF_ISA {

// The positions of the maxima are carried beside them as the bits of floats.
static Block position(int32_t pixel) {
    float bits;
    __builtin_memcpy(&bits, &pixel, sizeof bits);
    return broadcast(bits);
}

static void max_pool_row(const cpu::MaxPoolRow& t) {
    const int top = t.top > 0 ? t.top : 0, bottom = t.top + t.kh < t.h ? t.top + t.kh : t.h;
    for (int q = 0; q < t.outputs; ++q) {
        const int start = q * t.stride - t.pad, left = start > 0 ? start : 0,
                  right = start + t.kw < t.w ? start + t.kw : t.w;
        Block best = broadcast(-__builtin_inff()), where = position(top * t.w + left);
        for (int i = top; i < bottom; ++i) {
            for (int j = left; j < right; ++j) {
                const Block value = load(t.x + (int64_t(i) * t.w + j) * cpu::kBlock);
                where = where_greater(value, best, position(i * t.w + j), where);
                best = where_greater(value, best, value, best);
            }
        }
        store(t.y + q * cpu::kBlock, best);
        store(reinterpret_cast<float*>(t.argmax + q * cpu::kBlock), where);
    }
}

}  // namespace lqf::LQF_ISA
