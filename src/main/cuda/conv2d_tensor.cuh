// Shapes of the tiles that a block multiplies, and the product of one warp on tensor cores.
#ifndef LQF_GPU_CONV2D_TENSOR_CUH
#define LQF_GPU_CONV2D_TENSOR_CUH

#include "conv2d_operands.cuh"
#include "ptx.cuh"

namespace lqf::gpu::tile {

constexpr int kBlockThreads = 256;

// Which tile a block makes: kWide where there are enough of them to fill the device, the next ones where not; of few channels the narrow ones,
// in fp32. All add up in the same order.
enum class Tile { kWide, kMiddle, kSmall, kNarrow32, kNarrow16 };

// kSources: x and w0, and where there is a tangent x_dot and delta; kPackets: of a stage, for every pixel and filter; kBlocks: of channels in
// a packet; kStages: in shared memory, 60 KB at most. A thread makes kRows pixels of kQuads quads of channels, a warp on tensor cores kRows
// pieces of 16 pixels.
template <Precision kPrecision, bool kPrimal, bool kTangent, Tile kTile>
struct Shape {
    static constexpr bool kIsFp32 = kPrecision == Precision::kFp32, kIsBf16 = kPrecision == Precision::kBf16;
    static constexpr bool kBoth = kPrimal && kTangent, kIsSmall = kTile == Tile::kSmall;
    static constexpr int kSources = kTangent ? 2 : 1;
    static constexpr int kFilters = kTile == Tile::kNarrow16 ? 16 : kTile == Tile::kNarrow32 ? 32 : 64;
    static constexpr int kQuads = kTile == Tile::kWide && !kBoth ? 2 : 1;
    static constexpr int kColumns = kFilters / (kQuads * kBlock);  // of threads
    static constexpr bool kIsShort = kIsSmall || kTile == Tile::kNarrow16 || (kTile == Tile::kNarrow32 && kBoth);
    static constexpr int kRows = kIsFp32 ? (kIsShort ? 4 : 8) : kIsSmall ? 2 : 4;
    static constexpr int kPixels = kIsFp32 ? kBlockThreads / kColumns * kRows : 64 * kRows;
    static constexpr double kCost = kIsSmall                 ? (kBoth || !kIsFp32 ? 1.5 : 1.8)
                                    : kTile == Tile::kMiddle ? 1.2
                                                             : 1;  // of a sum
    static constexpr int kPackets = kIsFp32 && kSources * kPixels <= 256 ? 4 : 2, kBlocks = kIsBf16 ? 2 : 1;
    static constexpr int kStages = kPrecision == Precision::kTf32 ? 3 : 2;
};

template <typename Shape>
struct Stage {
    float x[Shape::kSources][Shape::kPackets][Shape::kPixels][kBlock];
    float w[Shape::kSources][Shape::kPackets][Shape::kFilters][kBlock];
};

template <typename Shape>
struct Shared {
    Stage<Shape> stages[Shape::kStages];
};

// 64 pixels (of a small tile 32) x 32 channels a warp, in pieces of 16 x 8; lane = 4 g + t. The two packets of a stage are a piece's depth, 8
// channels of tf32 or 16 of bf16: the same addresses.
template <Precision kPrecision, bool kPrimal, bool kTangent, Tile kTile>
class Tensor {
    using Shape = tile::Shape<kPrecision, kPrimal, kTangent, kTile>;
    static constexpr int kRows = Shape::kRows, kColumns = 4;  // pieces
    using Stage = tile::Stage<Shape>;

public:
    __device__ void multiply(const Stage& stage) {
        unsigned w[kColumns / 2][4], delta[kColumns / 2][4];  // two pieces each
#pragma unroll
        for (int pair = 0; pair < kColumns / 2; pair++) {
            load_columns(stage.w[0], pair, w[pair]);
            if (kTangent) load_columns(stage.w[kTangent], pair, delta[pair]);
        }
#pragma unroll
        for (int i = 0; i < kRows; i++) {
            unsigned x[4], x_dot[4];
            load_rows(stage.x[0], i, x);
            if (kTangent) load_rows(stage.x[kTangent], i, x_dot);
#pragma unroll
            for (int j = 0; j < kColumns; j++) {
                if (kPrimal) mma(sum_[i][j], x, w[j / 2] + j % 2 * 2);
                if (!kTangent) continue;
                mma(sum_dot_[i][j], x_dot, w[j / 2] + j % 2 * 2);
                mma(sum_dot_[i][j], x, delta[j / 2] + j % 2 * 2);
            }
        }
    }

    template <typename Writer>
    __device__ void write(const Writer& to, int first_pixel, int first_filter) const {
        const int g = lane() / 4, t = lane() % 4;
#pragma unroll
        for (int i = 0; i < kRows; i++)
#pragma unroll
            for (int j = 0; j < kColumns; j++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const float *sum = sum_[i][j] + 2 * half, *sum_dot = sum_dot_[i][j] + 2 * half;
                    to.write(first_pixel + row() + 16 * i + 8 * half + g, first_filter + column() + 8 * j + 2 * t,
                             Floats<2>{{sum[0], sum[1]}}, Floats<2>{{sum_dot[0], sum_dot[1]}});
                }
    }

private:
    static __device__ int lane() { return int(threadIdx.x) % 32; }
    static __device__ int row() { return int(threadIdx.x) / 32 % 4 * (16 * kRows); }
    static __device__ int column() { return int(threadIdx.x) / 128 * 32; }

    template <int kPixels>
    static __device__ void load_rows(const float (&x)[2][kPixels][kBlock], int i, unsigned (&a)[4]) {
        ptx::load_matrix_x4(a, x[lane() / 16][row() + 16 * i + lane() % 16]);
        if (kPrecision == Precision::kTf32)
            for (unsigned& part : a) part = ptx::to_tf32(part);
    }
    template <int kFilters>
    static __device__ void load_columns(const float (&w)[2][kFilters][kBlock], int pair, unsigned (&b)[4]) {
        ptx::load_matrix_x4(b, w[lane() / 8 % 2][column() + 16 * pair + lane() / 16 * 8 + lane() % 8]);
    }

    static __device__ void mma(float (&d)[4], const unsigned (&a)[4], const unsigned* b) {
        if (kPrecision == Precision::kTf32)
            ptx::mma_tf32_16x8x8(d, a, b[0], b[1]);
        else
            ptx::mma_bf16_16x8x16(d, a, b[0], b[1]);
    }

    float sum_[kRows][kColumns][4] = {}, sum_dot_[kRows][kColumns][4] = {};
};

}  // namespace lqf::gpu::tile
#endif
