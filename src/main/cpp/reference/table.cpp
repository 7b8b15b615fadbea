#include "reference/reference.h"

namespace lqf {

const Ops& reference_ops() {
    using namespace reference;
    static const Ops table = [] {
        Ops ops{};
        ops.name = "reference";
        ops.channel_block = 1;
        ops.describe = [] { return "plain loops, double sums"; };
        ops.allocate = allocate;
        ops.release = release;
        ops.copy_in = copy_in;
        ops.copy_out = copy_out;
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
        ops.kron_input = kron_input;
        ops.kron_output = kron_output;
        ops.fill = fill;
        ops.copy = copy;
        ops.scale = scale;
        ops.axpy = axpy;
        ops.dot = dot;
        ops.matmul = matmul;
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
