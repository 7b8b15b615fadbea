// Symmetric double matrices for the Gram (dual) route: K = J J^T of all training images, its Cholesky factor, inverse and eigenvectors.
#include <cmath>

#include "engine.h"

using namespace lqf;

struct lqf_matrix {
    enum State { kSymmetric, kCholesky, kEigenvectors, kFailed };

    std::shared_ptr<Engine> engine;
    int64_t side;
    State state;
    Memory memory;
    double* data() const { return memory.as<double>(); }
};

namespace {

int32_t with(lqf_matrix* matrix, const std::function<void(const Ops&, Threads&)>& body) {
    return guard([&] {
        LQF_CHECK(matrix, "matrix is null");
        const Session session(*matrix->engine);
        body(matrix->engine->ops, matrix->engine->threads);
    });
}

void check_state(const lqf_matrix* matrix, lqf_matrix::State expected) {
    static const char* const names[] = {"a symmetric matrix", "a Cholesky factor", "eigenvectors",
                                        "the rest of a failed factorisation"};
    LQF_CHECK(matrix->state == expected, "the matrix holds %s, this needs %s", names[matrix->state], names[expected]);
}

void check_corner(const lqf_matrix* matrix, int64_t row, int64_t column, int64_t rows, int64_t columns) {
    LQF_CHECK(row >= 0 && column >= 0 && rows >= 0 && columns >= 0 && rows <= matrix->side && columns <= matrix->side &&
                  row <= matrix->side - rows && column <= matrix->side - columns,
              "rows [%lld, %lld), columns [%lld, %lld) of a matrix of side %lld", (long long)row,
              (long long)(row + rows), (long long)column, (long long)(column + columns), (long long)matrix->side);
}

// Calls copy(at, count) for the runs of a block [rows, columns] that are contiguous in the matrix: its rows, or all of it.
void each_run(const lqf_matrix* matrix, int64_t rows, int64_t columns,
              const std::function<void(int64_t at, int64_t count)>& copy) {
    const int64_t count = columns == matrix->side ? rows * columns : columns;
    for (int64_t at = 0; at < rows * columns; at += count) copy(at, count);
}

}  // namespace

int32_t lqf_matrix_create(lqf_engine* engine, int64_t side, lqf_matrix** out) {
    return guard([&] {
        LQF_CHECK(engine && out, "engine or out is null");
        LQF_CHECK(side >= 1 && side <= (1 << 20), "side is %lld", (long long)side);
        const Session session(*engine->engine);
        Memory memory(*engine->engine, size_t(side) * size_t(side) * sizeof(double), "a Gram matrix");
        engine->engine->ops.fill(engine->engine->threads, 2 * side * side, 0.0f, memory.as<float>());  // as doubles
        *out = new lqf_matrix{engine->engine, side, lqf_matrix::kSymmetric, std::move(memory)};
    });
}

int32_t lqf_matrix_destroy(lqf_matrix* matrix) {
    return guard([&] {
        if (matrix) destroy(matrix, matrix->engine);
    });
}

int32_t lqf_matrix_gram(lqf_matrix* matrix, int64_t row, lqf_vector* a, int64_t a_rows, int64_t column, lqf_vector* b,
                        int64_t b_rows, int64_t length, int32_t add) {
    return with(matrix, [&](const Ops& ops, Threads& threads) {
        check_state(matrix, lqf_matrix::kSymmetric);
        check_corner(matrix, row, column, a_rows, b_rows);
        LQF_CHECK(length >= 1 && length < (int64_t(1) << 40), "rows of length %lld", (long long)length);
        const bool diagonal = row == column && a_rows == b_rows;
        LQF_CHECK(diagonal || row + a_rows <= column || column + b_rows <= row,
                  "rows [%lld, %lld) and columns [%lld, %lld) overlap: they must be disjoint or the same",
                  (long long)row, (long long)(row + a_rows), (long long)column, (long long)(column + b_rows));
        check_vector(a, matrix->engine.get(), a_rows * length, "a");
        check_vector(b, matrix->engine.get(), b_rows * length, "b");
        double* k = matrix->data();
        ops.gram(threads, a_rows, b_rows, length, a->data(), b->data(), add != 0, k + row * matrix->side + column,
                 k + column * matrix->side + row, matrix->side);
    });
}

int32_t lqf_matrix_read(lqf_matrix* matrix, int64_t row, int64_t column, int64_t rows, int64_t columns,
                        double* target) {
    return with(matrix, [&](const Ops& ops, Threads&) {
        check_corner(matrix, row, column, rows, columns);
        LQF_CHECK(target, "target is null");
        each_run(matrix, rows, columns, [&](int64_t at, int64_t count) {
            ops.copy_out(target + at, matrix->data() + (row + at / columns) * matrix->side + column,
                         size_t(count) * sizeof(double));
        });
    });
}

int32_t lqf_matrix_write(lqf_matrix* matrix, int64_t row, int64_t column, int64_t rows, int64_t columns,
                         const double* source) {
    return with(matrix, [&](const Ops& ops, Threads&) {
        check_corner(matrix, row, column, rows, columns);
        LQF_CHECK(source, "source is null");
        each_run(matrix, rows, columns, [&](int64_t at, int64_t count) {
            ops.copy_in(matrix->data() + (row + at / columns) * matrix->side + column, source + at,
                        size_t(count) * sizeof(double));
        });
        matrix->state = lqf_matrix::kSymmetric;
    });
}

int32_t lqf_matrix_cholesky(lqf_matrix* matrix, double shift) {
    return with(matrix, [&](const Ops& ops, Threads& threads) {
        check_state(matrix, lqf_matrix::kSymmetric);
        LQF_CHECK(std::isfinite(shift), "shift is %g", shift);
        const int64_t side = matrix->side;
        matrix->state = lqf_matrix::kFailed;  // until it succeeds: the content is no longer the matrix
        if (int64_t pivot = ops.cholesky(threads, side, matrix->data(), shift))
            throw Error(LQF_NUMERIC, format("matrix of side %lld is not positive definite at pivot %lld with %g added "
                                            "to its diagonal; use a larger ridge",
                                            (long long)side, (long long)pivot, shift));
        matrix->state = lqf_matrix::kCholesky;
    });
}

int32_t lqf_matrix_solve(lqf_matrix* matrix, double* x, int64_t columns) {
    return with(matrix, [&](const Ops& ops, Threads& threads) {
        check_state(matrix, lqf_matrix::kCholesky);
        LQF_CHECK(x && columns >= 1, "x is null or has %lld columns", (long long)columns);
        Memory device(*matrix->engine, size_t(matrix->side) * size_t(columns) * sizeof(double), "right-hand sides");
        ops.copy_in(device.as<double>(), x, device.bytes());
        ops.cholesky_solve(threads, matrix->side, matrix->data(), columns, device.as<double>());
        ops.copy_out(x, device.as<double>(), device.bytes());
    });
}

int32_t lqf_matrix_invert(lqf_matrix* matrix) {
    return with(matrix, [&](const Ops& ops, Threads& threads) {
        check_state(matrix, lqf_matrix::kCholesky);
        ops.cholesky_inverse(threads, matrix->side, matrix->data());
        matrix->state = lqf_matrix::kSymmetric;
    });
}

int32_t lqf_matrix_eigen(lqf_matrix* matrix, double* values) {
    return with(matrix, [&](const Ops& ops, Threads& threads) {
        check_state(matrix, lqf_matrix::kSymmetric);
        LQF_CHECK(values, "values is null");
        matrix->state = lqf_matrix::kFailed;
        Memory device(*matrix->engine, size_t(matrix->side) * sizeof(double), "eigenvalues");
        if (int64_t info = ops.eigen(threads, matrix->side, matrix->data(), device.as<double>()))
            throw Error(LQF_NUMERIC, format("no eigendecomposition of a matrix of side %lld (info %lld)",
                                            (long long)matrix->side, (long long)info));
        ops.copy_out(values, device.as<double>(), device.bytes());
        matrix->state = lqf_matrix::kEigenvectors;
    });
}
