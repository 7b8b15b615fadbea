// Dense linear algebra in double: Cholesky, and the eigenvalues of a symmetric matrix by Jacobi rotations.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "reference/reference.h"

namespace lqf::reference {
namespace {

// Lower triangle of a [side, side] becomes L with a = L L^T; 0, or the 1-based pivot that was not positive.
int64_t factor(int64_t side, double* a) {
    for (int64_t j = 0; j < side; j++) {
        for (int64_t i = j; i < side; i++) {
            double sum = a[i * side + j];
            for (int64_t k = 0; k < j; k++) sum -= a[i * side + k] * a[j * side + k];
            if (i == j && !(sum > 0 && std::isfinite(sum))) return j + 1;
            a[i * side + j] = i == j ? std::sqrt(sum) : sum / a[j * side + j];
        }
    }
    return 0;
}

// a becomes the full symmetric (L L^T)^-1 = L^-T L^-1.
void invert(int64_t side, double* a) {
    std::vector<double> inverse(side * side);  // L^-1, lower
    for (int64_t j = 0; j < side; j++)
        for (int64_t i = j; i < side; i++) {
            double sum = i == j ? 1 : 0;
            for (int64_t k = j; k < i; k++) sum -= a[i * side + k] * inverse[k * side + j];
            inverse[i * side + j] = sum / a[i * side + i];
        }
    for (int64_t i = 0; i < side; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t k = i; k < side; k++) sum += inverse[k * side + i] * inverse[k * side + j];
            a[i * side + j] = a[j * side + i] = sum;
        }
}

// Turns rows p and q of a symmetric a, then columns p and q, by the angle that makes a[p,q] zero; rows of v turn along.
void rotate(int64_t side, double* a, double* v, int64_t p, int64_t q) {
    double theta = (a[q * side + q] - a[p * side + p]) / (2 * a[p * side + q]);
    double t = std::copysign(1 / (std::abs(theta) + std::hypot(theta, 1)), theta);
    double c = 1 / std::hypot(t, 1), s = t * c;
    auto turn = [&](double& x, double& y) {
        double old = x;
        x = c * old - s * y;
        y = s * old + c * y;
    };
    for (int64_t k = 0; k < side; k++) turn(a[p * side + k], a[q * side + k]);
    for (int64_t k = 0; k < side; k++) turn(a[k * side + p], a[k * side + q]);
    a[p * side + q] = a[q * side + p] = 0;  // up to rounding, which would otherwise stop the convergence
    for (int64_t k = 0; k < side; k++) turn(v[p * side + k], v[q * side + k]);
}

// Cyclic Jacobi (Golub & Van Loan, section 8.5): rows of a become eigenvectors, values ascending.
// 0, or 1 if it does not converge: the matrix is not finite.
int64_t jacobi(int64_t side, double* a, double* values) {
    std::vector<double> v(side * side);
    for (int64_t i = 0; i < side; i++) v[i * side + i] = 1;
    for (int sweep = 0;; sweep++) {
        double all = 0, off = 0;
        for (int64_t i = 0; i < side * side; i++) {
            all += a[i] * a[i];
            if (i / side != i % side) off += a[i] * a[i];
        }
        if (off <= 1e-30 * all) break;
        if (sweep == 60) return 1;
        for (int64_t p = 0; p < side; p++)
            for (int64_t q = p + 1; q < side; q++)
                if (a[p * side + q] != 0) rotate(side, a, v.data(), p, q);
    }
    std::vector<int64_t> order(side);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t i, int64_t j) { return a[i * side + i] < a[j * side + j]; });
    for (int64_t i = 0; i < side; i++) values[i] = a[order[i] * side + order[i]];
    for (int64_t i = 0; i < side; i++) std::copy_n(&v[order[i] * side], side, a + i * side);
    return 0;
}

}  // namespace

double trace(Threads&, int64_t side, const double* a, double divisor) {
    double sum = 0;
    for (int64_t i = 0; i < side; i++) sum += a[i * side + i] / divisor;
    return sum;
}

void spd_inverse(Threads&, int count, const SpdInverse* matrices, int64_t* pivots) {
    for (int k = 0; k < count; k++) {
        const SpdInverse& m = matrices[k];
        std::vector<double> l(m.side * m.side);
        for (int64_t i = 0; i < m.side * m.side; i++)
            l[i] = m.a[i] / m.divisor + (i / m.side == i % m.side ? m.shift : 0);
        pivots[k] = factor(m.side, l.data());
        if (pivots[k] != 0) continue;
        invert(m.side, l.data());
        std::copy(l.begin(), l.end(), m.out);
    }
}

void symmetric_eigen(Threads&, int count, const SymmetricEigen* matrices, int64_t* failures) {
    for (int k = 0; k < count; k++) {
        const SymmetricEigen& m = matrices[k];
        std::vector<double> work(m.side * m.side);
        for (int64_t i = 0; i < m.side * m.side; i++) work[i] = m.a[i] / m.divisor;
        failures[k] = jacobi(m.side, work.data(), m.values);
        if (failures[k] == 0) std::copy(work.begin(), work.end(), m.vectors);
    }
}

void gram(Threads&, int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b, bool add,
          double* out, double* mirrored, int64_t stride) {
    for (int64_t i = 0; i < a_rows; i++)
        for (int64_t j = mirrored == out ? i : 0; j < b_rows; j++) {
            double sum = add ? out[i * stride + j] : 0;
            for (int64_t k = 0; k < length; k++) sum += double(a[i * length + k]) * b[j * length + k];
            out[i * stride + j] = sum;
            if (mirrored) mirrored[j * stride + i] = sum;
        }
}

int64_t cholesky(Threads&, int64_t side, double* a, double shift) {
    for (int64_t i = 0; i < side; i++) a[i * side + i] += shift;
    return factor(side, a);
}

void cholesky_solve(Threads&, int64_t side, const double* l, int64_t columns, double* x) {
    for (int64_t c = 0; c < columns; c++) {
        for (int64_t i = 0; i < side; i++) {  // L y = x
            for (int64_t k = 0; k < i; k++) x[i * columns + c] -= l[i * side + k] * x[k * columns + c];
            x[i * columns + c] /= l[i * side + i];
        }
        for (int64_t i = side - 1; i >= 0; i--) {  // L^T x = y
            for (int64_t k = i + 1; k < side; k++) x[i * columns + c] -= l[k * side + i] * x[k * columns + c];
            x[i * columns + c] /= l[i * side + i];
        }
    }
}

void cholesky_inverse(Threads&, int64_t side, double* l) { invert(side, l); }

int64_t eigen(Threads&, int64_t side, double* a, double* values) { return jacobi(side, a, values); }

}  // namespace lqf::reference
