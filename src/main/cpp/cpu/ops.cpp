#include "ops.h"

#include <cblas.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "cpu_ops.h"
#include "kernels.h"
#include "pages.h"

namespace lqf {
namespace cpu {

const char* describe() {
    static thread_local std::string line;
    line = std::string(kernels().name) + " kernels, channels in blocks of 16; OpenBLAS " + openblas_get_corename();
    return line.c_str();
}

void* allocate(size_t bytes) { return allocate_lines(bytes); }

void release(void* memory) { std::free(memory); }

void copy(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }

}  // namespace cpu

const Ops& cpu_ops() {
    using namespace cpu;
    static const Ops table = [] {
        openblas_set_num_threads(
            1);  // of the whole process: our threads call BLAS side by side, and its own would fight them
        Ops ops{};
        ops.name = "cpu";
        ops.channel_block = kBlock;
        ops.nests = true;
        ops.describe = describe;
        ops.allocate = allocate;
        ops.release = release;
        ops.copy_in = cpu::copy;
        ops.copy_out = cpu::copy;
        ops.import_images = import_images;
        ops.export_outputs = export_outputs;
        ops.import_cotangent = import_cotangent;
        ops.conv2d_packed_floats = conv2d_packed_floats;
        ops.conv2d_pack = conv2d_pack;
        ops.conv2d_pack_transposed = conv2d_pack_transposed;
        ops.conv2d = conv2d;
        ops.conv2d_jvp = conv2d_jvp;
        ops.conv2d_with_jvp = conv2d_with_jvp;
        ops.conv2d_vjp_x = conv2d_vjp_x;
        ops.conv2d_vjp_w = conv2d_vjp_w;
        ops.leaky_relu = leaky_relu;
        ops.leaky_relu_scale = leaky_relu_scale;
        ops.add = add;
        ops.max_pool = max_pool;
        ops.max_pool_jvp = max_pool_jvp;
        ops.max_pool_vjp = max_pool_vjp;
        ops.avg_pool = avg_pool;
        ops.avg_pool_vjp = avg_pool_vjp;
        ops.subsample = subsample;
        ops.subsample_vjp = subsample_vjp;
        ops.batch_norm = batch_norm;
        ops.batch_norm_vjp = batch_norm_vjp;
        ops.kron_input = kron_input;
        ops.kron_output = kron_output;
        ops.kron_precondition = kron_precondition;
        ops.fill = fill;
        ops.copy = copy_floats;
        ops.scale = scale;
        ops.axpy = axpy;
        ops.dot = dot;
        ops.scale_doubles = scale_doubles;
        ops.add_doubles = add_doubles;
        ops.trace = trace;
        ops.spd_inverse = spd_inverse;
        ops.symmetric_eigen = symmetric_eigen;
        ops.gram = gram;
        ops.cholesky = cholesky;
        ops.cholesky_solve = cholesky_solve;
        ops.cholesky_inverse = cholesky_inverse;
        ops.eigen = eigen;
        return ops;
    }();
    return table;
}

}  // namespace lqf
