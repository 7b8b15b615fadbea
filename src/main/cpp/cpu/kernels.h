// The innermost loops, compiled once for every instruction set and chosen at run time. The rest of cpu/ is ordinary C++.
//
// The translation units kernels_*.cpp are compiled for processors that the machine may not have: they must not use anything of the
// standard library or inline functions of other headers, or the linker might keep their copy for everybody.
#ifndef LQF_CPU_KERNELS_H
#define LQF_CPU_KERNELS_H

#include <cstdint>

namespace lqf::cpu {

constexpr int kBlock = 16;  // channels of a block: the layout is [n, ceil(c / 16), h, w, 16]
constexpr int kMostTileBlocks = 2;
constexpr int kMostTilePixels = 16;
constexpr int kMostOuterBlocks = 4;
constexpr int kMostOuterChannels = 16;

// A kernel element of a convolution: where its input stands relative to the output pixel's, and which slice of the weights it takes.
struct TapOffset {
    int64_t x;  // floats
    int index;  // 0 .. ConvTile::w_taps - 1
};

// y[block][pixel] = f * (start + residual + sum over channels and taps of w[block][channel][tap] * x[pixel + tap][channel]), for some pixels
// and blocks; f = 1 where mask (or the sum) is positive, else slope.
struct ConvTile {
    const float* x;   // first pixel, first channel block
    int64_t x_pixel;  // floats from a pixel to the next: 16, but for conv_row_tile
    int64_t x_block;  // floats from a channel block to the next
    int channels;     // input channels, not padded
    const float* w;   // [channel block][w_taps][its channels][16]
    int64_t w_block;  // floats from an output block to the next
    int w_taps;       // slices of a channel block
    // What is fetched meanwhile, 16 floats a channel from both on, or, for rows, a tap from next on; it may lie beyond all arrays.
    const float *next, *ahead;
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

// Minimal filtering of 3 x 3 taps by Winograd's method, in tiles: of the input, of stride 1 with few and with more outputs, of stride 2, and the
// transpose of that.
enum WinogradForm { kByTaps, kF2, kF4, kF2Stride2, kF2Transposed, kWinogradForms };

// A tile along an axis: so many products make outputs from inputs, and the next one stands `step` inputs further.
struct WinogradTile {
    int outputs, inputs, elements, step;
    int needed[5];  // of the elements, the first ones, for so many of the outputs
};
constexpr WinogradTile kWinogradTiles[kWinogradForms] = {
    {}, {2, 4, 4, 2, {0, 3, 4}}, {4, 6, 6, 4, {0, 5, 5, 5, 6}}, {2, 5, 5, 4, {0, 3, 5}}, {4, 3, 5, 2, {0, 1, 3, 4, 5}}};

// A row of tiles in one plane [h][w][16]: v [elements^2][tile][16] = B^T d B, zeros outside of the plane.
struct WinogradInput {
    const float* x;
    int h, w;
    int top, left;  // of the first tile; the others stand beside it
    int tiles;
    float *v, *v_last;          // of the first tile and of the last one
    int64_t v_element, v_tile;  // floats from an element of the tiles to the next, from a tile to the next
};

// Back: y = f * (A^T q A + bias + residual), f = 1 where mask (or the sum) is positive, else slope.
struct WinogradOutput {
    const float *q, *q_last;  // of the first tile and of the last one
    int64_t q_element;
    int tiles;
    const float* bias;      // [16]
    const float* residual;  // like y, or null
    const float* mask;      // like y, or null: the sum itself
    float slope;
    float* y;  // the plane [h][w][16]
    int h, w, top;
};

// The same along rows, of stride 2 with kRowTaps taps: elements of a class go into the outputs with the same factors, so their products are
// summed before.
enum RowForm { kRowByTaps, kRowF2, kRowF4, kRowForms };
struct RowTile {
    int outputs, elements, classes;
    int first[8];  // element of each class, and the end
};
constexpr RowTile kRowTiles[kRowForms] = {{}, {2, 10, 4, {0, 3, 6, 7, 10}}, {4, 13, 7, {0, 2, 4, 6, 8, 10, 12, 13}}};
constexpr int kRowTaps = 7;

// v [element][tile, channel] = B^T d of a row, whose columns are split by their residue mod the inputs from a tile to the next. Whole blocks are
// read and written.
struct RowInput {
    const float* x;
    int64_t x_residue;  // floats from a residue to the next
    int pixel, count;   // floats of a pixel, of an element of all tiles
    float* v;
    int64_t v_element;
};

// y = f * (A^T q + bias + residual), f = 1 where mask (or the sum) is positive, else slope, for the w outputs of a row.
struct RowOutput {
    const float* q;  // [class][tile][16]
    int64_t q_class;
    const float* bias;      // [16]
    const float* residual;  // like y, or null
    const float* mask;      // like y, or null: the sum itself
    float slope;
    float* y;
    int w;
};

// sum[block][channel] += sum over pixels of x[pixel][channel] * y[pixel][block]: an outer product of a few channels with whole blocks.
struct OuterTile {
    const float* x;  // first pixel, first channel
    int64_t x_row, x_pixel;
    const float* y;
    int64_t y_row, y_pixel, y_block;
    int rows, pixels;
    float* sum;         // [block][channel][16]
    int64_t sum_block;  // floats from a block to the next
    bool fresh;         // sum is set, not added to
    const float* next;  // a line a pixel is fetched meanwhile; it may lie beyond all arrays
};
using OuterTileKernel = void (*)(const OuterTile&);

// A row of a max pool: for each of the outputs the largest value of its window and the pixel of the plane [h][w][16] where it first stands.
struct MaxPoolRow {
    const float* x;
    int h, w;
    int top;  // of the windows, may be negative
    int kh, kw, stride, pad;
    int outputs;
    float* y;
    int32_t* argmax;  // like y
};

// Rows of a panel: a matrix in panels is [panel][column][kPanelRows], three AVX-512 registers a column.
template <class T>
constexpr int kPanelRows = 192 / sizeof(T);
constexpr int kPanelStep = 8;

// c += a b^T, where a and c are one panel each and b as many as columns takes.
template <class T>
struct PanelProduct {
    int count;  // columns of a and b, a multiple of kPanelStep
    int rows;   // of a and c, whole vectors of 64 bytes, up to kPanelRows
    const T* a;
    const T* b;
    int64_t b_panel;  // from a panel to the next
    T* c;
    int columns;
    const T* next[2];  // what the next product takes of a and, per panel of its a, of b: fetched meanwhile
};

// Products of rows on the matrix unit. Floats are sums of two bf16, "halves", but for 2^-17 of their size: of 16 rows and 32 floats of each,
// tiles [2: high, low][16][16] of pairs of bf16. A left tile has a row a line, a right tile a row a column.
constexpr int kTileDepth = 32;                        // floats of a row in a tile
constexpr int64_t kHalvesTile = 2 * kBlock * kBlock;  // pairs
constexpr int kPanelTiles = 4;  // of 16 rows in a panel: two times 32 rows fit into a first-level cache
constexpr int64_t kPanelGroup = kPanelTiles * kHalvesTile;  // pairs of 16 rows in a panel

// sum[row][column] = sum over tiles of the products of left and right rows, [panel][16 rows][kPanelTiles].
struct HalvesProduct {
    const uint32_t *left, *right;
    int64_t left_panel, right_panel;  // pairs from a panel to the next
    int rows, columns;                // multiples of 32
    int tiles;                        // of each row
    int64_t below;                    // sums whose column is less than row + below may be left out
    float* sum;
    int64_t sum_row;
};

// Products of few rows to float's accuracy. A float is a sum of three bf16, its digits, and of their nine products the six largest are taken:
// what is left out is 2^-25 of the product. A tile has 16 lines of 16 pairs of digits; the pairs of a left tile are a row's, those of a line of
// a right tile stand below each other. The digits of 16 rows, [3: high, middle, low][16][16], make a step of 32 of their floats: the first of
// each pair is from one block of 16, the second from another.
constexpr int64_t kDigitsTile = kBlock * kBlock, kDigitsStep = 3 * kDigitsTile;  // pairs
constexpr int kMostDigitSteps = 16;

// Lines of 16 floats to be split: units of some lines, [outer][inner] of them.
struct DigitLines {
    const float *first, *second;  // null: zeros
    int64_t line;                 // floats from a line to the next
    int lines;                    // of a unit
    uint32_t* digits;             // the first line of the step's high digits
    int64_t tile;                 // pairs from a tile to the next
    int units = 1, inner = 1;
    int64_t inner_floats = 0, inner_pairs = 0, outer_floats = 0, outer_pairs = 0;  // from a unit to the next
    int64_t ahead = 0;  // floats from a line to another that is fetched for later; 0: none
};

// Some of their units.
struct DigitShare {
    const DigitLines* lines;
    int first, last;
};
constexpr int kMostDigitShares = 4;

// sum[row][column] = or += left * right over some steps, for two groups of 16 columns. Lines for later products are split meanwhile.
struct DigitProduct {
    int steps;
    const uint32_t *left[kMostDigitSteps], *right[kMostDigitSteps];  // first line of each step's high digits
    int64_t left_group, right_group;  // pairs from a group of 16 rows or columns to the next
    int64_t left_tile, right_tile;    // from a tile of a step to the next
    int64_t right_next;  // from right to what is fetched meanwhile, of as many steps and columns; 0: nothing
    int rows;            // groups
    float* sum;          // [group of rows][16 rows][16 columns]
    int64_t sum_column;  // floats from a group of columns to the next
    bool fresh;
    int shares;
    DigitShare share[kMostDigitShares];

    // One of so many equal parts; the lines must stay where they are.
    void add_share(const DigitLines& lines, int part, int parts) {
        share[shares++] = {&lines, lines.units * part / parts, lines.units * (part + 1) / parts};
    }
};

// Many products of the same few rows, whose right operands are used once: sum[element][block][group] = or += left[element] * right[element]
// [block]. The right lines are split where they are used, into a ring of steps that stays in the first-level cache.
struct DigitStream {
    int elements, blocks, steps;  // blocks of 16 columns, even
    int rows;                     // groups of 16: 1 or 2
    const uint32_t* left;         // [element][group][step]: digits
    int64_t left_element, left_group;
    const float* right;  // [element][block][32 * steps][16]
    int64_t right_element, right_block;
    float* sum;  // [16 rows][16 columns]
    int64_t sum_element, sum_block, sum_group;
    bool fresh;
    uint32_t* ring;  // kDigitRing pairs
};
constexpr int kRingSteps = 4;  // one is multiplied, the next one loaded, another one split
constexpr int64_t kDigitRing = kRingSteps * 2 * kDigitsStep;

// y[pixel] = f * (sum[pixel] + bias + residual[pixel]), f = 1 where mask (or the sum) is positive, else slope.
struct DigitOutput {
    const float* sum;  // [pixel][16]
    int pixels;
    const float* bias;      // [16], or null
    const float* residual;  // like y, or null
    const float* mask;      // like y, or null: the sum itself
    float slope;
    float* y;
    int64_t y_pixel;  // floats
};

// Products of rows in fixed point, exact sums of them in integers. A number is a sum of signed bytes, each worth 2^-8 of the one before, times a
// scale of its row in its tile: with `bytes` of them it is off by 2^(2 - 8 bytes) of the row's largest one at most. Of two numbers' bytes i and j
// the products with i + j < bytes are taken; what that leaves out is of the same order. The bytes of 16 rows are [step of 64 numbers][byte][16][16
// quads]: a line of a left tile has 64 numbers of a row, one of a right tile four numbers of each row.
constexpr int kByteDepth = 64;                   // numbers of a step
constexpr int kMostByteDepth = 192;              // of a product: sums do not overflow
constexpr int64_t kBytesTile = kBlock * kBlock;  // quads
constexpr int kMostBytes = 6;

// Makes them of panels [column][16 rows].
template <class T>
struct ByteLines {
    const T* panel;
    int columns, bytes;
    double* scale;    // [16]
    uint32_t* right;  // bytes of 16 rows, set
    uint32_t* left;   // the same, or null
};

// c += a b^T, like a panel product: a, its bytes as right tiles, and c in panels of 16 rows, b, its bytes as left tiles, of any number of rows.
// Floats have 4 bytes, doubles 5 or 6.
template <class T>
struct ByteProduct {
    int bytes;
    int steps;
    int rows, columns;  // of c, multiples of 16
    const uint32_t *left, *right;
    int64_t left_group, right_group;  // quads from 16 rows to the next
    const double *left_scale, *right_scale;
    T* c;
    int64_t c_panel;                         // from a panel to the next
    bool lower;                              // of c the blocks of 16 x 16 on and below the diagonal
    bool triangle;                           // b is lower: what is above its diagonal is zero and left out
    bool upper;                              // the same of a, below its diagonal
    const uint32_t *next_left, *next_right;  // as many bytes, fetched meanwhile
};

struct Kernels {
    const char* name;

    // The matrix unit: null without one. split makes tiles of up to 16 rows (none: zeros) of `length` floats.
    void (*split_rows)(const float* rows, int64_t row, int lanes, int length, bool right, uint32_t* tiles);
    void (*multiply_halves)(const HalvesProduct&);
    // For left tiles the lines are rows, for right ones the floats of 16 columns.
    void (*split_digits)(const DigitLines&);
    void (*multiply_digits)(const DigitProduct&);
    void (*stream_digits)(const DigitStream&);
    void (*write_digit_sums)(const DigitOutput&);
    void (*split_bytes)(const ByteLines<float>&);
    void (*split_bytes_double)(const ByteLines<double>&);
    void (*multiply_bytes)(const ByteProduct<float>&);
    void (*multiply_bytes_double)(const ByteProduct<double>&);

    int tile_blocks;                                             // the most output blocks of a conv tile
    int tile_pixels[kMostTileBlocks];                            // the most pixels of one of 1, 2, ... output blocks
    ConvTileKernel conv_tile[kMostTileBlocks][kMostTilePixels];  // [blocks - 1][pixels - 1]
    // The same with pixels at any distance and one block of any number of channels.
    ConvTileKernel conv_row_tile[kMostTileBlocks][kMostTilePixels];

    int outer_blocks;                                                  // the most blocks of an outer tile
    int outer_channels[kMostOuterBlocks];                              // the most channels of one of 1, 2, ... blocks
    OuterTileKernel outer_tile[kMostOuterBlocks][kMostOuterChannels];  // [blocks - 1][channels - 1]

    // By form. Weights: u[elements^2][channel][16] = G g G^T of g[3 * 3][channel][16], whose taps stand tap floats apart.
    void (*winograd_input[kWinogradForms])(const WinogradInput&);
    void (*winograd_output[kWinogradForms])(const WinogradOutput&);
    void (*winograd_weights[kWinogradForms])(const float* g, int64_t tap, int channels, float* u, int64_t u_element);
    // For their gradient, of all but the transpose: v = A y A^T of a row of tiles, top and left that of the outputs; g += G^T u G, or is set to it.
    void (*winograd_cotangent[kWinogradForms])(const WinogradInput&);
    void (*winograd_gradient[kWinogradForms])(const float* u, int64_t u_element, int channels, bool fresh, float* g);

    // By form of a row. Weights: u[element][channel][16] = G g of g[7][channel][16]; for their gradient, of kRowF4 alone, q[class][tile][16] = A y,
    // g += G^T u.
    void (*row_input[kRowForms])(const RowInput&);
    void (*row_output[kRowForms])(const RowOutput&);
    void (*row_weights[kRowForms])(const float* g, int64_t tap, int channels, float* u, int64_t u_element);
    void (*row_cotangent[kRowForms])(const float* y, int w, float* q, int64_t q_class);
    void (*row_gradient[kRowForms])(const float* u, int64_t u_element, int channels, float* g, int64_t tap);

    void (*panel_product)(const PanelProduct<float>&);
    void (*panel_product_double)(const PanelProduct<double>&);
    // 16 rows of a panel, from rows[lane * row + column]: columns beyond count, up to padded, and lanes beyond lanes are 0.
    void (*to_panel)(const float* rows, int64_t row, int lanes, int count, int padded, float* panel);
    // A = R^T R, in place on and above the diagonal of a, and R^-T, lower, its zeros too. Both [side][side], side of whole Blocks. 0, or the pivot that was
    // not positive and finite, from 1.
    int (*invert_triangle)(int side, float* a, float* inverse);
    int (*invert_triangle_double)(int side, double* a, double* inverse);

    void (*max_pool_row)(const MaxPoolRow&);

    // sum[16] += the pixels of a block
    void (*sum_pixels)(const float* y, int64_t pixels, float* sum);

    // Weights of up to 16 outputs, rows[lane * row + channel * taps + tap], to and from held[tap][channel][16]. Lanes beyond lanes are set to
    // zero, and not given back.
    void (*to_lanes)(const float* rows, int64_t row, int lanes, int channels, int taps, float factor, float* held);
    void (*from_lanes)(const float* held, int lanes, int channels, int taps, float factor, float* rows, int64_t row);

    // Batch norm of a channel block. sums [2][16]: of a, and of a * b, over the pixels; b may be a
    void (*pair_sums)(const float* a, const float* b, int64_t pixels, double* sums);
    // y = (x + shift) scale + offset; shift, scale, offset [16]
    void (*normalise)(const float* x, int64_t pixels, const float* shift, const float* scale, const float* offset,
                      float* y);
    // x_bar = y_bar scale + (x + shift) slope + offset, set or accumulated
    void (*normalise_vjp)(const float* x, const float* y_bar, int64_t pixels, const float* shift, const float* scale,
                          const float* slope, const float* offset, float* x_bar, bool accumulate);

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

    // y = factor c - scale x
    void (*minus_row)(int64_t count, double scale, const double* x, double factor, const double* c, float* y);
    void (*minus_row_double)(int64_t count, double scale, const double* x, double factor, const double* c, double* y);
    // sums[2]: of scale x - factor c, and of its absolute values
    void (*row_sums)(int64_t count, double scale, const double* x, double factor, const double* c, double* sums);
    double (*dot_double)(int64_t count, const float* x, const double* y);
    // y -= a x
    void (*subtract_double)(int64_t count, double a, const double* x, float* y);
};

extern const Kernels kAvx512Kernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kPortableKernels;

// The kernels in use: the best that this processor has, or what LQF_ISA = avx512-amx | avx512 | avx2 | portable asks for.
const Kernels& kernels();

// Chooses by name; false if this processor does not have it. Not to be called while ops run: for tests and benchmarks.
bool use_kernels(const char* name);

}  // namespace lqf::cpu

namespace lqf::amx {
void split_rows(const float* rows, int64_t row, int lanes, int length, bool right, uint32_t* tiles);
void multiply_halves(const cpu::HalvesProduct&);
void split_digits(const cpu::DigitLines&);
void multiply_digits(const cpu::DigitProduct&);
void stream_digits(const cpu::DigitStream&);
void write_digit_sums(const cpu::DigitOutput&);
void split_bytes(const cpu::ByteLines<float>&);
void split_bytes(const cpu::ByteLines<double>&);
void multiply_bytes(const cpu::ByteProduct<float>&);
void multiply_bytes(const cpu::ByteProduct<double>&);
}  // namespace lqf::amx
#endif
