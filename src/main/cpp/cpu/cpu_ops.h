// The ops of the cpu table, one file each; what they do is said in ops.h.
#ifndef LQF_CPU_CPU_OPS_H
#define LQF_CPU_CPU_OPS_H

#include "ops.h"

namespace lqf::cpu {

const char* describe();
void* allocate(size_t bytes);
void release(void* memory);
void copy(void* to, const void* from, size_t bytes);

void import_images(Threads&, int n, int c, int h, int w, const float* images, float* x);
void export_outputs(Threads&, int n, int c, const float* y, float* out);
void import_cotangent(Threads&, int n, int c, const float* u, float* y_bar);

size_t conv2d_packed_floats(const Conv2d&);
void conv2d_pack(Threads&, const Conv2d&, const float* w, const float* b, float* packed);
void conv2d_pack_transposed(Threads&, const Conv2d&, const float* w, float* packed);
void conv2d(Threads&, const Conv2d&, const float* x, const float* w0, const Epilogue&, float* y);
void conv2d_jvp(Threads&, const Conv2d&, const float* x, const float* x_dot, const float* w0, const float* delta,
                const Epilogue&, float* y_dot);
void conv2d_with_jvp(Threads&, const Conv2d&, const float* x, const float* x_dot, const float* w0, const float* delta,
                     const Epilogue&, const float* residual_dot, float* y, float* y_dot);
void conv2d_vjp_x(Threads&, const Conv2d&, const float* y_bar, const float* w0, const Epilogue&, float* x_bar);
void conv2d_vjp_w(Threads&, const Conv2d&, const float* x, const float* y_bar, float* w_bar, float* b_bar,
                  int64_t image_stride);

void leaky_relu(Threads&, int64_t count, float slope, const float* z, float* y);
void leaky_relu_scale(Threads&, int64_t count, float slope, const float* y, const float* y_bar, float* z_bar,
                      bool accumulate);
void add(Threads&, int64_t count, const float* a, const float* b, float* y);

void max_pool(Threads&, const Pool2d&, const float* x, float* y, int32_t* argmax);
void max_pool_jvp(Threads&, const Pool2d&, const float* x_dot, const int32_t* argmax, float* y_dot);
void max_pool_vjp(Threads&, const Pool2d&, const float* y_bar, const int32_t* argmax, float* x_bar, bool accumulate);
void avg_pool(Threads&, const Pool2d&, const float* x, float* y);
void avg_pool_vjp(Threads&, const Pool2d&, const float* y_bar, float* x_bar, bool accumulate);
void subsample(Threads&, const Subsample&, const float* x, float* y);
void subsample_vjp(Threads&, const Subsample&, const float* y_bar, float* x_bar, bool accumulate);

void batch_norm(Threads&, const BatchNorm&, const float* x, const float* gamma, const float* beta, float* mean,
                float* variance, float* y);
void batch_norm_vjp(Threads&, const BatchNorm&, const float* x, const float* gamma, const float* mean,
                    const float* variance, const float* y_bar, float* gamma_bar, float* beta_bar, float* x_bar,
                    bool accumulate);

void kron_input(Threads&, const Conv2d&, const float* x, bool reduce, double* a);
void kron_output(Threads&, const Conv2d&, const float* y_bar, bool reduce, double* g, int64_t image_stride);
void kron_precondition(Threads&, int count, const KronLayer* layers, double damping, const float* gradient,
                       float* step);

void fill(Threads&, int64_t n, float value, float* x);
void copy_floats(Threads&, int64_t n, const float* x, float* y);
void scale(Threads&, int64_t n, float a, float* x);
void axpy(Threads&, int64_t n, float a, const float* x, float* y);
double dot(Threads&, int64_t n, const float* x, const float* y);

void scale_doubles(Threads&, int64_t n, double a, double* x);
void add_doubles(Threads&, int64_t n, int count, const double* x, int64_t stride, double* y);

double trace(Threads&, int64_t side, const double* a, double divisor);
void spd_inverse(Threads&, int count, const SpdInverse* matrices, int64_t* pivots);
void symmetric_eigen(Threads&, int count, const SymmetricEigen* matrices, int64_t* failures);
void gram(Threads&, int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b, bool add,
          double* out, double* mirrored, int64_t stride);
int64_t cholesky(Threads&, int64_t side, double* a, double shift);
void cholesky_solve(Threads&, int64_t side, const double* l, int64_t columns, double* x);
void cholesky_inverse(Threads&, int64_t side, double* l);
int64_t eigen(Threads&, int64_t side, double* a, double* values);

}  // namespace lqf::cpu
#endif
