// The innermost loops, compiled once for every instruction set and chosen at run time. The rest of cpu/ is ordinary C++.
//
// The translation units kernels_*.cpp are compiled for processors that the machine may not have: they must not use anything of the
// standard library or inline functions of other headers, or the linker might keep their copy for everybody.
#ifndef LQF_CPU_KERNELS_H
#define LQF_CPU_KERNELS_H

#include <cstdint>

namespace lqf::cpu {

constexpr int kBlock = 16;  // channels of a block: the layout is [n, ceil(c / 16), h, w, 16]
constexpr int kMostTilePixels = 16;
constexpr int kMostOuterChannels = 16;

// A kernel element of a convolution: where its input stands relative to the output pixel's, and which slice of the weights it takes.
struct TapOffset {
    int64_t x;  // floats
    int index;  // 0 .. ConvTile::w_taps - 1
};

// y[block][pixel] = f * (start + residual + sum over channels and taps of w[block][channel][tap] * x[pixel + tap][channel]), for some pixels
// and blocks; f = 1 where mask (or the sum) is positive, else slope.
struct ConvTile {
    const float* x;   // first pixel, first channel block; pixels stand 16 floats apart
    int64_t x_block;  // floats from a channel block to the next
    int channels;     // input channels, not padded
    const float* w;   // [channel block][w_taps][its channels][16]
    int64_t w_block;  // floats from an output block to the next
    int w_taps;       // slices of a channel block
    const TapOffset* taps;
    int tap_count;
    const float* start;     // [blocks * 16], or null: start from y
    const float* residual;  // like y, or null
    const float* mask;      // like y, or null: the sum itself
    float slope;
    float* y;
    int64_t y_block, y_pixel;  // floats
};
using ConvTileKernel = void (*)(const ConvTile&);

// sum[block][channel] += sum over pixels of x[pixel][channel] * y[pixel][block]: an outer product of a few channels with whole blocks.
struct OuterTile {
    const float* x;  // first pixel, first channel
    int64_t x_row, x_pixel;
    const float* y;
    int64_t y_row, y_pixel, y_block;
    int rows, pixels;
    float* sum;         // [block][channel][16]
    int64_t sum_block;  // floats from a block to the next
};
using OuterTileKernel = void (*)(const OuterTile&);

struct Kernels {
    const char* name;

    int tile_pixels[2];  // the most pixels of a conv tile of 1 and of 2 output blocks; 0: there is none
    ConvTileKernel conv_tile[2][kMostTilePixels];  // [blocks - 1][pixels - 1]

    int outer_channels[2];  // the most channels of an outer tile of 1 and of 2 blocks; 0: there is none
    OuterTileKernel outer_tile[2][kMostOuterChannels];  // [blocks - 1][channels - 1]

    // sum[16] += the pixels of a block
    void (*sum_pixels)(const float* y, int64_t pixels, float* sum);

    // Weights of up to 16 outputs, rows[lane * row + channel * taps + tap], to and from held[tap][channel][16]. Lanes beyond lanes are set to
    // zero, and not given back.
    void (*to_lanes)(const float* rows, int64_t row, int lanes, int channels, int taps, float* held);
    void (*from_lanes)(const float* held, int lanes, int channels, int taps, float* rows, int64_t row);

    // Elementwise; count is any number of floats.
    void (*leaky_relu)(int64_t count, float slope, const float* z, float* y);
    void (*leaky_relu_scale)(int64_t count, float slope, const float* y, const float* y_bar, float* z_bar,
                             bool accumulate);
    void (*add)(int64_t count, const float* a, const float* b, float* y);
    void (*scale)(int64_t count, float a, float* x);
    void (*axpy)(int64_t count, float a, const float* x, float* y);
    double (*dot)(int64_t count, const float* x, const float* y);
    // y += a x, where a and x are floats: the products are exact
    void (*axpy_double)(int64_t count, float a, const float* x, double* y);
};

extern const Kernels kAvx512Kernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kPortableKernels;

// The kernels in use: the best that this processor has, or what LQF_ISA = avx512 | avx2 | portable asks for.
const Kernels& kernels();

// Chooses by name; false if this processor does not have it. Not to be called while ops run: for tests and benchmarks.
bool use_kernels(const char* name);

}  // namespace lqf::cpu
#endif
