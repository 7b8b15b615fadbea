// A 64 x 64 tile of a matrix product by one block: the inner loop of the Kronecker factors, preconditioning, Gram and Cholesky.
//
// float: 64 threads of 8 x 8 sums each; double: 128 threads of 8 x 4. Per step of 16 in depth both operands go through shared memory, stored
// by depth so that a thread reads its rows and columns as whole 16-byte words: 4 such reads for 64 FFMA, 6 for 32 DFMA. The next step's
// values wait in registers meanwhile, and the two buffers need one barrier a step.
#ifndef LQF_GPU_PRODUCT_TILE_CUH
#define LQF_GPU_PRODUCT_TILE_CUH

#include "gpu.cuh"

namespace lqf::gpu {

constexpr int kTile = 64;   // rows and columns
constexpr int kDepth = 16;  // of a step

template <typename T>
class ProductTile {
public:
    static constexpr int kWord = 16 / int(sizeof(T));  // values of a 16-byte access
    static constexpr int kRowThreads = 8, kColumnThreads = sizeof(T) == 4 ? 8 : 16;
    static constexpr int kThreads = kRowThreads * kColumnThreads;
    static constexpr int kRows = kTile / kRowThreads, kColumns = kTile / kColumnThreads;  // of a thread

    using Buffer =
        T[kDepth][kTile + kWord];  // NOTE: rows are 16 bytes longer: neighbouring depths start in other banks
    struct Shared {
        Buffer a[2], b[2];
    };

    // sum += A B over steps of kDepth. A and B bring load(step, registers) and store(registers, buffer), as Operand below.
    template <typename Index, typename A, typename B>
    __device__ void accumulate(Shared& s, Index steps, const A& a, const B& b) {
        typename A::Registers a_next;
        typename B::Registers b_next;
        __syncthreads();  // of an accumulate before
        if (steps > 0) {
            a.load(0, a_next);
            b.load(0, b_next);
        }
        for (Index step = 0; step < steps; step++) {
            const int buffer = int(step & 1);
            a.store(a_next, s.a[buffer]);
            b.store(b_next, s.b[buffer]);
            __syncthreads();
            if (step + 1 < steps) {
                a.load(step + 1, a_next);
                b.load(step + 1, b_next);
            }
            multiply(s.a[buffer], s.b[buffer]);
        }
    }

    // each(row, column, sum) for the thread's part of the tile
    template <typename Each>
    __device__ void for_each(const Each& each) const {
#pragma unroll
        for (int i = 0; i < kRows; i++)
#pragma unroll
            for (int j = 0; j < kColumns; j++) each(row(i), column(j), sum[i][j]);
    }

    // Words of neighbouring threads are neighbours; a thread's next word is a stripe further. Lanes 2k and 2k + 1 share the rows, lanes k and
    // k + 2 the columns: see conv2d_tile.cuh.
    __device__ static int row(int i) {
        const int thread = int(threadIdx.x), among = thread / 2 % 2 + thread / (2 * kColumnThreads) * 2;
        return i / kWord * (kRowThreads * kWord) + among * kWord + i % kWord;
    }
    __device__ static int column(int j) {
        const int thread = int(threadIdx.x), among = thread % 2 + thread / 4 % (kColumnThreads / 2) * 2;
        return j / kWord * (kColumnThreads * kWord) + among * kWord + j % kWord;
    }

    T sum[kRows][kColumns] = {};

private:
    __device__ void multiply(const Buffer& a, const Buffer& b) {
#pragma unroll
        for (int k = 0; k < kDepth; k++) {
            T u[kRows], v[kColumns];
#pragma unroll
            for (int i = 0; i < kRows; i += kWord) load_word(&a[k][row(i)], u + i);
#pragma unroll
            for (int j = 0; j < kColumns; j += kWord) load_word(&b[k][column(j)], v + j);
#pragma unroll
            for (int i = 0; i < kRows; i++)
#pragma unroll
                for (int j = 0; j < kColumns; j++) sum[i][j] += u[i] * v[j];
        }
    }
    __device__ static void load_word(const float* from, float* to) {
        const float4 word = ld4(from);
        to[0] = word.x, to[1] = word.y, to[2] = word.z, to[3] = word.w;
    }
    __device__ static void load_word(const double* from, double* to) {
        const double2 word = ld2(from);
        to[0] = word.x, to[1] = word.y;
    }
};

// An operand in memory: entry (i, k), i in the tile and k in depth, is first[i * stride + k] if kAlongDepth, else first[k * stride + i]; zero
// where i >= count or k >= depth. Neighbouring threads read what is neighbouring in memory. Rows start anywhere (sides and gradients are odd),
// hence one value a read. NOTE: one pointer and one stride a thread; an index computed for every value costs more registers than there are,
// and so may strides and depths of 64 bits: Index is their type.
template <typename T, bool kAlongDepth, typename Index = int64_t>
class Operand {
public:
    static constexpr int kThreads = ProductTile<T>::kThreads, kItems = kTile * kDepth / kThreads;
    struct Registers {
        T value[kItems];
    };

    __device__ Operand(const T* first, Index stride, Index count, Index depth)
        : Operand(first + int64_t(tile_index()) * (kAlongDepth ? stride : 1), stride, count, depth, Own{}) {}

    // For kAlongDepth = false, a thread reads one i only, and may bring its own place of entry (i, 0) and its own stride.
    struct Own {};
    __device__ Operand(const T* own, Index stride, Index count, Index depth, Own)
        : from_(own + int64_t(depth_index()) * (kAlongDepth ? 1 : stride)),
          stride_(stride),
          items_(items_within(count)),
          depth_(depth) {}
    __device__ static int tile_index() { return kAlongDepth ? int(threadIdx.x) / kDepth : int(threadIdx.x) % kTile; }

    __device__ void load(Index step, Registers& r) const {
        const Index k = step * kDepth;
        const T* from = from_ + int64_t(k) * (kAlongDepth ? 1 : stride_);
        const Index left = depth_ - k - depth_index();  // depths from the thread's first on
        const int deep = left <= 0 ? 0 : kAlongDepth ? kItems : int(min(left, Index(kDepth)) + kStep - 1) / kStep;
        const int items = min(items_, deep);
#pragma unroll
        for (int item = 0; item < kItems; item++) r.value[item] = item < items ? from[item * kStep * stride_] : T(0);
    }
    __device__ void store(const Registers& r, typename ProductTile<T>::Buffer& buffer) const {
#pragma unroll
        for (int item = 0; item < kItems; item++)
            buffer[depth_index() + (kAlongDepth ? 0 : item * kStep)][tile_index() + (kAlongDepth ? item * kStep : 0)] =
                r.value[item];
    }

private:
    static constexpr int kStep =
        kThreads / (kAlongDepth ? kDepth : kTile);  // from a thread's item to its next: in i, or in k
    __device__ static int depth_index() { return kAlongDepth ? int(threadIdx.x) % kDepth : int(threadIdx.x) / kTile; }
    // Of a thread's items, those whose i is in the operand: the first ones.
    __device__ static int items_within(Index count) {
        const int left = int(min(count, Index(kTile))) - tile_index();
        if (!kAlongDepth) return left > 0 ? kItems : 0;
        return left > 0 ? (left + kStep - 1) / kStep : 0;
    }

    const T* from_;
    Index stride_;
    int items_;
    Index depth_;
};

// Row and column, column <= row, of entry number index of a lower triangle that is counted row by row.
struct TrianglePlace {
    int row, column;
};
__host__ __device__ inline TrianglePlace triangle_place(int64_t index) {
    int64_t row = int64_t((sqrt(8.0 * double(index) + 1) - 1) / 2);
    while (row * (row + 1) / 2 > index) row--;  // whatever the root rounded to
    while ((row + 1) * (row + 2) / 2 <= index) row++;
    return {int(row), int(index - row * (row + 1) / 2)};
}
__host__ __device__ constexpr int64_t triangle_size(int64_t rows) { return rows * (rows + 1) / 2; }

}  // namespace lqf::gpu
#endif
