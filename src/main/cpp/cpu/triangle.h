// A tile's Cholesky factor and the inverse of that. Included by kernels_table.h.
namespace lqf::LQF_ISA {

// What stands left of the diagonal in a vector that goes through it is nobody's.
template <class Vector, class T>
int invert_triangle(int side, T* a, T* inverse) {
    constexpr int kLanes = 64 / sizeof(T);
    const Vector none = broadcast(T(0));
    for (int j = 0; j < side; ++j) {
        T* row = a + j * side;
        const T pivot = row[j];
        if (!(pivot > 0 && __builtin_isfinite(pivot))) return j + 1;
        const Vector factor = broadcast(T(1 / __builtin_sqrt(pivot)));
        for (int i = j / kLanes * kLanes; i < side; i += kLanes) store(row + i, fma(load(row + i), factor, none));
        for (int k = j + 1; k < side; ++k) {
            const Vector minus = broadcast(-row[k]);
            for (int i = k / kLanes * kLanes; i < side; i += kLanes)
                store(a + k * side + i, fma(minus, load(row + i), load(a + k * side + i)));
        }
    }
    for (int i = 0; i < side; ++i) {
        T* row = inverse + i * side;
        for (int k = 0; k < side; k += kLanes) store(row + k, none);
        const T factor = 1 / a[i * side + i];
        const Vector minus = broadcast(-factor);
        for (int first = 0; first < i; first += kLanes) {
            Vector sum = none;
            for (int k = first; k < i; ++k)
                sum = fma(broadcast(a[k * side + i]), load(inverse + k * side + first), sum);
            store(row + first, fma(minus, sum, none));
        }
        row[i] = factor;
    }
    return 0;
}

}  // namespace lqf::LQF_ISA
