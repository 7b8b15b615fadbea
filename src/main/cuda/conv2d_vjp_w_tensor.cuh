// Shapes of the tiles of conv2d_vjp_w, and the product of one warp on tensor cores.
#ifndef LQF_GPU_CONV2D_VJP_W_TENSOR_CUH
#define LQF_GPU_CONV2D_VJP_W_TENSOR_CUH

#include "conv2d_operands.cuh"
#include "ptx.cuh"

namespace lqf::gpu::gradient {

constexpr int kBlockThreads = 128;

// A stage holds kPixels of kFilterQuads and kPatchQuads, and comes and is multiplied in kParts. kQuads: that 16 bytes of it hold.
// kTileFilters: quads, in fp32 fewer for layers of few channels.
template <Precision kPrecision, int kTileFilters = 16>
struct Shape {
    static constexpr bool kIsFp32 = kPrecision == Precision::kFp32, kIsBf16 = kPrecision == Precision::kBf16;
    static constexpr int kPixels = 16, kFilterQuads = kTileFilters, kPatchQuads = kIsFp32 ? 32 : 64;
    static constexpr int kQuads = kIsBf16 ? 2 : 1, kParts = kIsFp32 ? 1 : 2;
    static constexpr int kStages = kPrecision == Precision::kTf32 ? 3 : 2;
};

// 16 bytes more than there is: pixels, which neighbouring threads write, then start in different banks, and so do those that lanes read.
template <typename Shape>
struct Stage {
    float y_bar[Shape::kPixels][Shape::kFilterQuads / Shape::kQuads + 1][kBlock];
    float x[Shape::kPixels][Shape::kPatchQuads / Shape::kQuads + 1][kBlock];
};

// One sum [oc][patch quads][4], where tiles put theirs.
struct Sums {
    float* at;
    int filters, quads;

    template <int kCount>
    __device__ void put(int filter, int quad, int component, const Floats<kCount>& sum) const {
        if (filter < filters && quad < quads)
            store_floats(at + (int64_t(filter) * quads + quad) * kBlock + component, sum);
    }
};

__device__ __forceinline__ void split(float4 v, float* lanes) {
    lanes[0] = v.x, lanes[1] = v.y, lanes[2] = v.z, lanes[3] = v.w;
}

// To the nearest tf32, ties away from zero, as cvt.rna.tf32: two instructions, where that takes five if its result goes to another register.
// x = tf32 + rest, and tf32 + 2 rest reaches the next tf32 where rest is half of the way or more; mma ignores the bits beyond. NaN stays NaN,
// infinity becomes it.
__device__ __forceinline__ unsigned tf32_for_mma(float x) {
    const float tf32 = __uint_as_float(__float_as_uint(x) & 0xffffe000u);
    return __float_as_uint(fmaf(2, x, -tf32));
}

// 64 filters x 64 components of the patch a warp, in pieces of 16 x 8; lane = 4 g + t.
struct Warp {
    static constexpr int kRows = 4, kColumns = 8, kQuads = 16;  // pieces; of the patch
    static __device__ int lane() { return int(threadIdx.x) % 32; }
    static __device__ int g() { return lane() / 4; }
    static __device__ int t() { return lane() % 4; }
    static __device__ int first_quad() { return int(threadIdx.x) / 32 * kQuads; }
};

// ldmatrix cannot transpose words of 4 bytes, but 16-byte loads feed the pieces as well: a lane has one quad of one pixel, and gives a
// component of it to each of four pieces. Row g of piece i is so component i of quad g, row g + 8 that of quad g + 8; likewise columns. Depth
// t is pixel 2 t and t + 4 pixel 2 t + 1: the lanes of a load then start in different banks.
class Tf32 {
    using Stage = gradient::Stage<Shape<Precision::kTf32>>;

public:
    __device__ void multiply(const Stage& stage, int part) {
        const int pixel = 8 * part + 2 * Warp::t();
        unsigned u[Warp::kRows][4];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            unsigned lanes[kBlock];
            load(stage.y_bar[pixel + k / 2][Warp::g() + k % 2 * 8], lanes);
            for (int i = 0; i < Warp::kRows; i++) u[i][k] = lanes[i];
        }
#pragma unroll
        for (int eight = 0; eight < Warp::kQuads / 8; eight++) {
            const int quad = Warp::first_quad() + 8 * eight + Warp::g();
            unsigned v[2][kBlock];
            for (int k = 0; k < 2; k++) load(stage.x[pixel + k][quad], v[k]);
#pragma unroll
            for (int i = 0; i < Warp::kRows; i++)
#pragma unroll
                for (int j = 0; j < kBlock; j++)
                    ptx::mma_tf32_16x8x8(sum_[i][eight * kBlock + j], u[i], v[0][j], v[1][j]);
        }
    }

    __device__ void write(const Sums& to, int first_filter, int first_quad) const {
        const int filter = first_filter + Warp::g() * kBlock, quad = first_quad + Warp::first_quad() + 2 * Warp::t();
#pragma unroll
        for (int i = 0; i < Warp::kRows; i++)
#pragma unroll
            for (int d = 0; d < 4; d++)
#pragma unroll
                for (int eight = 0; eight < Warp::kQuads / 8; eight++) {
                    Floats<kBlock> sum;
                    for (int j = 0; j < kBlock; j++) sum.at[j] = sum_[i][eight * kBlock + j][d];
                    to.put(filter + d / 2 * 8 * kBlock + i, quad + 8 * eight + d % 2, 0, sum);
                }
    }

private:
    static __device__ void load(const float* from, unsigned (&to)[kBlock]) {
        float lanes[kBlock];
        split(ld4(from), lanes);
        for (int i = 0; i < kBlock; i++) to[i] = tf32_for_mma(lanes[i]);
    }

    float sum_[Warp::kRows][Warp::kColumns][4] = {};
};

// A stage is one piece deep; a part is half of its rows.
class Bf16 {
    using Stage = gradient::Stage<Shape<Precision::kBf16>>;

public:
    __device__ void multiply(const Stage& stage, int part) {
        const int matrix = Warp::lane() / 8, row = Warp::lane() % 8;
        if (part == 0)
#pragma unroll
            for (int pair = 0; pair < Warp::kColumns / 2; pair++)
                ptx::load_matrix_x4_transposed(
                    v_[pair], stage.x[matrix % 2 * 8 + row][Warp::first_quad() / 2 + 2 * pair + matrix / 2]);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int i = 2 * part + half;
            unsigned u[4];
            ptx::load_matrix_x4_transposed(u, stage.y_bar[matrix / 2 * 8 + row][2 * i + matrix % 2]);
#pragma unroll
            for (int j = 0; j < Warp::kColumns; j++)
                ptx::mma_bf16_16x8x16(sum_[i][j], u, v_[j / 2][j % 2 * 2], v_[j / 2][j % 2 * 2 + 1]);
        }
    }

    __device__ void write(const Sums& to, int first_filter, int first_quad) const {
        const int filter = first_filter + Warp::g(), component = Warp::t() * 2 % kBlock;
        const int quad = first_quad + Warp::first_quad() + Warp::t() * 2 / kBlock;
#pragma unroll
        for (int i = 0; i < Warp::kRows; i++)
#pragma unroll
            for (int j = 0; j < Warp::kColumns; j++)
#pragma unroll
                for (int half = 0; half < 2; half++)
                    to.put(filter + 16 * i + 8 * half, quad + 2 * j, component,
                           Floats<2>{{sum_[i][j][2 * half], sum_[i][j][2 * half + 1]}});
    }

private:
    unsigned v_[Warp::kColumns / 2][4];
    float sum_[Warp::kRows][Warp::kColumns][4] = {};
};

}  // namespace lqf::gpu::gradient
#endif
