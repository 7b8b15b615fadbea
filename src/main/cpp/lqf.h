/*
 * The C ABI of the lqf engine: the only header that Java sees (JavaCPP parses it), and the whole of what native code offers.
 *
 * Conventions
 *   - Every function returns a status; LQF_OK is 0. On failure the text of the error is lqf_last_error() of the same thread, and no
 *     output argument was changed. No C++ exception leaves the library.
 *   - Handles are opaque. Who created one destroys it; destroying null is allowed. Plans, vectors, factors and matrices keep what they
 *     need of their engine alive, so the order of destruction does not matter. A destroyed handle must not be used again.
 *   - All work on one engine is serialised by the engine: calls from several threads are safe and wait for each other.
 *   - Shapes are written [slow, ..., fast], row-major. float is IEEE single, sums across images and positions are fixed trees: the same
 *     bits for any number of threads and any split of the data into batches.
 *   - n images per call, 1 <= n <= max_batch of the plan. C = outputs (classes), P = parameters.
 */
#ifndef LQF_H
#define LQF_H

#include <stdint.h>

#define LQF_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

#define LQF_ABI_VERSION 4

/* Status of a call. */
#define LQF_OK 0
#define LQF_INVALID 1       /* an argument does not fit: shape, size, null, unknown name */
#define LQF_UNAVAILABLE 2   /* the device or the library behind it is not there; the text says why */
#define LQF_OUT_OF_MEMORY 3 /* the text says how much was asked for */
#define LQF_NUMERIC 4       /* a factorisation failed; the text names layer, pivot and damping */
#define LQF_INTERNAL 5      /* a defect of lqf */

/* Ops of a node. */
#define LQF_CONV2D 0
#define LQF_LINEAR 1
#define LQF_LEAKY_RELU 2
#define LQF_MAX_POOL 3
#define LQF_AVG_POOL 4
#define LQF_GLOBAL_AVG_POOL 5
#define LQF_ADD 6
#define LQF_SUBSAMPLE 7  /* option-A shortcut: every stride-th pixel, zero channels before and after */
#define LQF_BATCH_NORM 8 /* training mode: normalises by the statistics of the batch */

/* How positions of a convolution enter its Kronecker factors (Eschenhagen et al. 2023). */
#define LQF_EXPAND 0
#define LQF_REDUCE 1

/* Of the products in convolutions; sums, vectors, factors and everything else are fp32 or double. */
#define LQF_FP32 0
#define LQF_TF32 1 /* 10 bits of fraction, on tensor cores: "cuda" from compute capability 8.0 on */
#define LQF_BF16 2 /* 7 bits of fraction, likewise */

/* How damping enters the inverse. */
#define LQF_DAMPING_FACTORED 0 /* (Gamma + sqrt(d)/pi I)^-1 (x) (A + pi sqrt(d) I)^-1, Martens & Grosse 2015 */
#define LQF_DAMPING_EXACT 1    /* (Gamma (x) A + d I)^-1 by eigendecomposition */

typedef struct lqf_engine lqf_engine;
typedef struct lqf_vector lqf_vector;
typedef struct lqf_plan lqf_plan;
typedef struct lqf_factors lqf_factors;
typedef struct lqf_matrix lqf_matrix;

/* One step of a network. Nodes stand in execution order; the last node is the output and must have shape [C,1,1]. */
typedef struct lqf_node {
    int32_t op;           /* LQF_CONV2D ... */
    int32_t input0;       /* index of an earlier node, or -1: the image */
    int32_t input1;       /* add only */
    int32_t out_channels; /* conv2d, linear */
    int32_t kernel_h;     /* conv2d, pools */
    int32_t kernel_w;
    int32_t stride;
    int32_t padding;
    int32_t pad_before; /* subsample: zero channels in front of and behind the input's */
    int32_t pad_after;
    int32_t linearised; /* layers with parameters: 1 if they are displaced by delta, 0 if frozen at w0 */
    float
        unit; /* linearised conv2d, linear: delta's entries count in it, w = w0 + unit delta; a power of two, so that nothing is rounded */
    float slope;           /* leaky_relu: factor for z <= 0, >= 0 */
    int64_t weight_offset; /* into the parameters, in floats: weights [out, in, kh, kw]; batch_norm: gamma [channels] */
    int64_t bias_offset;   /* bias [out]; batch_norm: beta [channels] */
    double epsilon;        /* batch_norm: is added to the variance, > 0 */
} lqf_node;

LQF_API int32_t lqf_abi_version(void);

/* Text of the last failure on this thread; "" if there was none. Valid until the thread's next failing call. */
LQF_API const char* lqf_last_error(void);

/* ---- engine ------------------------------------------------------------------------------------------------------------------- */

/* Whether a device can be opened here: LQF_OK, or LQF_UNAVAILABLE with the reason as text. */
LQF_API int32_t lqf_device_check(const char* device);

/* Opens a device: "cuda" (the first NVIDIA GPU), "cpu" (fast kernels of this processor), "reference" (plain loops, double sums; for tests)
 * or "emulator" (the kernels of "cuda", run on the CPU; for tests).
 * threads >= 1 is the most that a call uses, the calling thread included.
 * winograd is the most outputs a side of a tile of Winograd's minimal filtering in 3x3 convolutions of stride 1, and of stride 2 and padding
 * 1, and 7x7 ones of stride 2 over an image: 2 (F(2,3): 2.25 times fewer products at stride 1, rounds no more than the plain sum), 4 (F(4,3)
 * at stride 1 and F(4,4) over an image: 4 times fewer at stride 1, about 4 times the rounding error) or 0 (plain sums). A device may do with less, and sums plainly where that is faster. */
LQF_API int32_t lqf_engine_open(const char* device, int32_t threads, int32_t winograd, lqf_engine** out);
/* The same with all computing queued in a stream of the caller (cudaStream_t as a number; 0: the default stream), who keeps it longer than
 * the engine and all that it made, and queues nothing there while a call of the engine runs (it may be capturing). LQF_INVALID where a device has no streams. */
LQF_API int32_t lqf_engine_open_on(const char* device, int64_t stream, int32_t threads, int32_t winograd,
                                   lqf_engine** out);

/* The stream in which the engine computes; LQF_INVALID where a device has none. */
LQF_API int32_t lqf_engine_stream(lqf_engine* engine, int64_t* stream);

/* Waits until all that the engine was asked for is done. */
LQF_API int32_t lqf_engine_synchronise(lqf_engine* engine);

/* The precision of plans that are compiled from here on; LQF_FP32 until this is called. LQF_UNAVAILABLE if the device has no such. */
LQF_API int32_t lqf_engine_set_precision(lqf_engine* engine, int32_t precision);

LQF_API int32_t lqf_engine_close(lqf_engine* engine);

/* Writes a line that names device, instruction set, threads and BLAS into text (cut to capacity bytes, always terminated). */
LQF_API int32_t lqf_engine_describe(lqf_engine* engine, char* text, int64_t capacity);

/* Bytes that the engine's arenas, vectors, plans, factors and matrices hold now. */
LQF_API int32_t lqf_engine_memory(lqf_engine* engine, int64_t* bytes);

/* ---- vector: float [length] on the device --------------------------------------------------------------------------------------- */

LQF_API int32_t lqf_vector_create(lqf_engine* engine, int64_t length, lqf_vector** out); /* zero-filled */
LQF_API int32_t lqf_vector_destroy(lqf_vector* vector);

/* Device memory of the caller, at least length floats from an address that is a multiple of 16, as a vector: no copy. The caller keeps it
 * longer than the vector. LQF_INVALID unless it is memory of the engine's device, and where a device computes in the host's memory. */
LQF_API int32_t lqf_vector_borrow(lqf_engine* engine, int64_t address, int64_t length, lqf_vector** out);
/* Where its floats are, for others who compute on the device; what they write is seen by verbs that come later in the stream. */
LQF_API int32_t lqf_vector_address(lqf_vector* vector, int64_t* address);

LQF_API int32_t lqf_vector_write(lqf_vector* vector, int64_t offset, const float* source, int64_t count);
LQF_API int32_t lqf_vector_read(lqf_vector* vector, int64_t offset, float* target, int64_t count);
LQF_API int32_t lqf_vector_fill(lqf_vector* vector, float value);
LQF_API int32_t lqf_vector_set(lqf_vector* vector, lqf_vector* source);          /* vector = source */
LQF_API int32_t lqf_vector_scale(lqf_vector* vector, float factor);              /* vector *= factor */
LQF_API int32_t lqf_vector_add(lqf_vector* vector, float factor, lqf_vector* x); /* vector += factor * x */
LQF_API int32_t lqf_vector_dot(lqf_vector* a, lqf_vector* b, double* result);    /* double sums */

/* ---- plan: a network compiled for at most max_batch images ------------------------------------------------------------------------ */

/* nodes [count]; names: count names, each ended by '\n' (used in messages); image [channels, height, width];
 * parameters [P] = w0, copied.
 * J is the derivative by delta, each layer's in its unit: with U = diag(unit) what jvp, vjp, jacobian, predict and factors mean by J is
 * (df/dw) U, and ||delta|| is the norm of the weights' displacement in which a layer of a large unit moves cheaply.
 * A plan with batch_norm is for training at the current weights: all its images go through it layer by layer, an image's result depends
 * on those beside it, and of the verbs there are forward, outputs, statistics and vjp. */
LQF_API int32_t lqf_plan_compile(lqf_engine* engine, const lqf_node* nodes, int32_t count, const char* names,
                                 int32_t channels, int32_t height, int32_t width, lqf_vector* parameters,
                                 int32_t max_batch, lqf_plan** out);
LQF_API int32_t lqf_plan_destroy(lqf_plan* plan);

/* The steps with shapes and bytes, one a line (cut to capacity bytes, always terminated). */
LQF_API int32_t lqf_plan_describe(lqf_plan* plan, char* text, int64_t capacity);

/* Bytes that stay allocated for this plan (activations, packed weights) and bytes of the scratch that all plans of the engine share. */
LQF_API int32_t lqf_plan_memory(lqf_plan* plan, int64_t* own_bytes, int64_t* shared_bytes);

/* Replaces w0 by parameters [P]; invalidates the last forward. */
LQF_API int32_t lqf_plan_set_parameters(lqf_plan* plan, lqf_vector* parameters);

/* Evaluates f(x; w0) at images [n, channels, height, width] and keeps what jvp, vjp, jacobian and factors need: this fixes x. */
LQF_API int32_t lqf_plan_forward(lqf_plan* plan, const float* images, int32_t n);

/* The same for images that are on the device already. */
LQF_API int32_t lqf_plan_forward_vector(lqf_plan* plan, lqf_vector* images, int32_t n);

/* forward, and out [n, C] = J delta, in one walk over the layers: what both read they read once. Same bits as forward, then jvp.
 * out is not delta; the rest of it is left as it is, here and below. */
LQF_API int32_t lqf_plan_forward_jvp(lqf_plan* plan, const float* images, int32_t n, lqf_vector* delta,
                                     lqf_vector* out);

/* The same for images that are on the device already; out is neither. */
LQF_API int32_t lqf_plan_forward_jvp_vector(lqf_plan* plan, lqf_vector* images, int32_t n, lqf_vector* delta,
                                            lqf_vector* out);

/* out[0 .. n*C) = f(x; w0) of the last forward. */
LQF_API int32_t lqf_plan_outputs(lqf_plan* plan, lqf_vector* out);

/* Of each batch_norm, in node order: mean [channels], then variance [channels] of its input over the images of the last forward, sums
 * divided by m and m - 1, m = n * height * width. out [2 * channels of all]. */
LQF_API int32_t lqf_plan_statistics(lqf_plan* plan, lqf_vector* out);

/* out [n, C] = J delta. delta [P]; entries of frozen layers are ignored. out is not delta. */
LQF_API int32_t lqf_plan_jvp(lqf_plan* plan, lqf_vector* delta, lqf_vector* out);

/* gradient [P] += J^T cotangent [n, C], image by image in order. Entries of frozen layers are left as they are. */
LQF_API int32_t lqf_plan_vjp(lqf_plan* plan, lqf_vector* cotangent, lqf_vector* gradient);

/* out [P] = unit * delta, the displacement of the weights; zero for frozen layers. out is not delta. */
LQF_API int32_t lqf_plan_displacement(lqf_plan* plan, lqf_vector* delta, lqf_vector* out);

/* Sets n classes rows of rows [.., length], from row on, to the Jacobian of every image's first so many outputs, at most C, by the
 * parameters [first, first + length), which are those of whole layers; zero for frozen ones. Walks back no further than to the first of
 * them. */
LQF_API int32_t lqf_plan_jacobian(lqf_plan* plan, lqf_vector* rows, int64_t row, int64_t first, int64_t length,
                                  int32_t classes);

/* scores [n, C] = f(x; w0) + J delta for images [n, channels, height, width]; both are host memory. Same as forward + jvp. */
LQF_API int32_t lqf_plan_predict(lqf_plan* plan, lqf_vector* delta, const float* images, int32_t n, float* scores);

/* The same from device to device, where there is nothing to wait for. */
LQF_API int32_t lqf_plan_predict_vector(lqf_plan* plan, lqf_vector* delta, lqf_vector* images, int32_t n,
                                        lqf_vector* scores);

/* ---- factors: Kronecker factors of the Gauss-Newton matrix, one pair for each linearised layer -------------------------------------- */

/* Zero factors for the linearised layers of the plan, in node order. sharing: LQF_EXPAND or LQF_REDUCE. */
LQF_API int32_t lqf_factors_create(lqf_plan* plan, int32_t sharing, lqf_factors** out);
LQF_API int32_t lqf_factors_destroy(lqf_factors* factors);

/* Adds the images of the plan's last forward. probes = 0: exact output factors (C reverse passes); probes > 0: that many Rademacher
 * probes per image, drawn from (seed, number of images added before, position in the batch). */
LQF_API int32_t lqf_factors_accumulate(lqf_factors* factors, lqf_plan* plan, int32_t probes, int64_t seed);

/* Prepares precondition. Anything accumulated or written later needs a new invert. damping > 0. */
LQF_API int32_t lqf_factors_invert(lqf_factors* factors, double damping, int32_t kind);

/* step [P] = (Gamma (x) A + damping)^-1 gradient, layer by layer; frozen entries become 0. */
LQF_API int32_t lqf_factors_precondition(lqf_factors* factors, lqf_vector* gradient, lqf_vector* step);

/* Layers, and of one layer the sides of A ([in + 1], bias last) and Gamma ([out]). */
LQF_API int32_t lqf_factors_layers(lqf_factors* factors, int32_t* layers);
LQF_API int32_t lqf_factors_sides(lqf_factors* factors, int32_t layer, int32_t* input_side, int32_t* output_side);

/* The images added so far, and the mean factors: input [input_side^2], output [output_side^2], either of them null if not wanted.
 * write sets them back (a stored file); when all layers are written, everything is as it was, bit for bit. */
LQF_API int32_t lqf_factors_samples(lqf_factors* factors, int64_t* samples);
LQF_API int32_t lqf_factors_read(lqf_factors* factors, int32_t layer, double* input, double* output);
LQF_API int32_t lqf_factors_write(lqf_factors* factors, int32_t layer, int64_t samples, const double* input,
                                  const double* output);

/* ---- matrix: a symmetric double matrix [side, side], for the Gram (dual) route ------------------------------------------------------ */

LQF_API int32_t lqf_matrix_create(lqf_engine* engine, int64_t side, lqf_matrix** out); /* zero-filled */
LQF_API int32_t lqf_matrix_destroy(lqf_matrix* matrix);

/* matrix[row + i, column + j] = (add: +=) <a_i, b_j> for the rows a_i of a [a_rows, length] and b_j of b [b_rows, length], and the mirror
 * image. Double sums over blocks of products in float, or as exact. */
LQF_API int32_t lqf_matrix_gram(lqf_matrix* matrix, int64_t row, lqf_vector* a, int64_t a_rows, int64_t column,
                                lqf_vector* b, int64_t b_rows, int64_t length, int32_t add);

/* Copies [rows, columns] from or to the corner (row, column). write does not mirror. */
LQF_API int32_t lqf_matrix_read(lqf_matrix* matrix, int64_t row, int64_t column, int64_t rows, int64_t columns,
                                double* target);
LQF_API int32_t lqf_matrix_write(lqf_matrix* matrix, int64_t row, int64_t column, int64_t rows, int64_t columns,
                                 const double* source);

/* matrix = L L^T of matrix + shift I: from here on the handle holds L (lower triangle). LQF_NUMERIC names the pivot. */
LQF_API int32_t lqf_matrix_cholesky(lqf_matrix* matrix, double shift);

/* After cholesky: x [side, columns] = (L L^T)^-1 x, in place. */
LQF_API int32_t lqf_matrix_solve(lqf_matrix* matrix, double* x, int64_t columns);

/* After cholesky: the handle holds the full symmetric inverse (L L^T)^-1. */
LQF_API int32_t lqf_matrix_invert(lqf_matrix* matrix);

/* The handle holds, as rows, orthonormal eigenvectors; values [side] ascending. */
LQF_API int32_t lqf_matrix_eigen(lqf_matrix* matrix, double* values);

#ifdef __cplusplus
}
#endif
#endif
