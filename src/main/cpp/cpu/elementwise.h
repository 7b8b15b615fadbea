// Elementwise loops over any number of floats, the last few one by one. Included by kernels_table.h.
namespace lqf::LQF_ISA {

static void leaky_relu(int64_t count, float slope, const float* z, float* y) {
    const Block a = broadcast(slope);
    int64_t i = 0;
    for (; i + cpu::kBlock <= count; i += cpu::kBlock) {
        const Block value = load(z + i);
        store(y + i, where_positive(value, value, mul(a, value)));
    }
    for (; i < count; ++i) y[i] = z[i] > 0 ? z[i] : slope * z[i];
}

static void leaky_relu_scale(int64_t count, float slope, const float* y, const float* y_bar, float* z_bar,
                             bool accumulate) {
    const Block a = broadcast(slope);
    int64_t i = 0;
    for (; i + cpu::kBlock <= count; i += cpu::kBlock) {
        const Block cotangent = load(y_bar + i);
        const Block scaled = where_positive(load(y + i), cotangent, mul(a, cotangent));
        store(z_bar + i, accumulate ? add(load(z_bar + i), scaled) : scaled);
    }
    for (; i < count; ++i) {
        const float scaled = y[i] > 0 ? y_bar[i] : slope * y_bar[i];
        z_bar[i] = accumulate ? z_bar[i] + scaled : scaled;
    }
}

static void add_arrays(int64_t count, const float* a, const float* b, float* y) {
    int64_t i = 0;
    for (; i + cpu::kBlock <= count; i += cpu::kBlock) store(y + i, add(load(a + i), load(b + i)));
    for (; i < count; ++i) y[i] = a[i] + b[i];
}

static void scale(int64_t count, float a, float* x) {
    const Block factor = broadcast(a);
    int64_t i = 0;
    for (; i + cpu::kBlock <= count; i += cpu::kBlock) store(x + i, mul(factor, load(x + i)));
    for (; i < count; ++i) x[i] *= a;
}

// Product and sum round apart, so that where a vector is cut into shares does not show in the bits.
static void axpy(int64_t count, float a, const float* x, float* y) {
    const Block factor = broadcast(a);
    int64_t i = 0;
    for (; i + cpu::kBlock <= count; i += cpu::kBlock) store(y + i, add(load(y + i), mul(factor, load(x + i))));
    for (; i < count; ++i) y[i] += a * x[i];
}

// GCC's vectors of double, as wide as the registers.
typedef double Doubles __attribute__((vector_size(kDoubles * sizeof(double))));
typedef double UnalignedDoubles
    __attribute__((vector_size(kDoubles * sizeof(double)), aligned(sizeof(double)), may_alias));
typedef float Floats __attribute__((vector_size(kDoubles * sizeof(float)), aligned(sizeof(float)), may_alias));

LQF_INLINE Doubles doubles(const float* p) {
    return __builtin_convertvector(*reinterpret_cast<const Floats*>(p), Doubles);
}
LQF_INLINE Doubles doubles(const double* p) { return *reinterpret_cast<const UnalignedDoubles*>(p); }
LQF_INLINE void store_doubles(float* p, Doubles a) {
    *reinterpret_cast<Floats*>(p) = __builtin_convertvector(a, Floats);
}
LQF_INLINE void store_doubles(double* p, Doubles a) { *reinterpret_cast<UnalignedDoubles*>(p) = a; }

// Sixteen chains, then a fixed tree: every instruction set gives the same bits.
constexpr int kChains = 16;

static double tree_sum(double (&sums)[kChains]) {
    for (int half = kChains / 2; half > 0; half /= 2)
        for (int k = 0; k < half; ++k) sums[k] += sums[k + half];
    return sums[0];
}

template <class T>
static double dot(int64_t count, const float* x, const T* y) {
    Doubles chains[kChains / kDoubles] = {};
    int64_t i = 0;
    for (; i + kChains <= count; i += kChains) {
#pragma GCC unroll 8
        for (int k = 0; k < kChains / kDoubles; ++k) {
            const int64_t at = i + k * kDoubles;
            chains[k] += doubles(x + at) * doubles(y + at);
        }
    }
    double sums[kChains];
    for (int k = 0; k < kChains; ++k) sums[k] = chains[k / kDoubles][k % kDoubles];
    for (; i < count; ++i) sums[i % kChains] += double(x[i]) * double(y[i]);
    return tree_sum(sums);
}

template <class T>
static void minus_row(int64_t count, double scale, const double* x, double factor, const double* c, T* y) {
    int64_t i = 0;
    for (; i + kDoubles <= count; i += kDoubles) store_doubles(y + i, doubles(c + i) * factor - doubles(x + i) * scale);
    for (; i < count; ++i) y[i] = T(c[i] * factor - x[i] * scale);
}

static void row_sums(int64_t count, double scale, const double* x, double factor, const double* c, double* sums) {
    Doubles chains[kChains / kDoubles] = {}, size_chains[kChains / kDoubles] = {};
    int64_t i = 0;
    for (; i + kChains <= count; i += kChains) {
#pragma GCC unroll 8
        for (int k = 0; k < kChains / kDoubles; ++k) {
            const int64_t at = i + k * kDoubles;
            const Doubles entry = doubles(x + at) * scale - doubles(c + at) * factor;
            chains[k] += entry;
            size_chains[k] += entry < 0 ? -entry : entry;
        }
    }
    double entries[kChains], sizes[kChains];
    for (int k = 0; k < kChains; ++k) {
        entries[k] = chains[k / kDoubles][k % kDoubles];
        sizes[k] = size_chains[k / kDoubles][k % kDoubles];
    }
    for (; i < count; ++i) {
        const double entry = x[i] * scale - c[i] * factor;
        entries[i % kChains] += entry;
        sizes[i % kChains] += entry < 0 ? -entry : entry;
    }
    sums[0] = tree_sum(entries);
    sums[1] = tree_sum(sizes);
}

static void subtract_double(int64_t count, double a, const double* x, float* y) {
    int64_t i = 0;
    for (; i + kDoubles <= count; i += kDoubles) store_doubles(y + i, doubles(y + i) - doubles(x + i) * a);
    for (; i < count; ++i) y[i] = float(double(y[i]) - x[i] * a);
}

static void axpy_double(int64_t count, float a, const float* x, double* y) {
    int64_t i = 0;
    for (; i + kDoubles <= count; i += kDoubles) store_doubles(y + i, doubles(y + i) + doubles(x + i) * double(a));
    for (; i < count; ++i) y[i] += double(a) * double(x[i]);
}

}  // namespace lqf::LQF_ISA
