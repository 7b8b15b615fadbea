// The only place with inline PTX: one function an instruction, and beside it, for g++, its twin in C++ with the same signature.
//
// Fragments of mma (PTX ISA, "Matrix fragments for mma.m16n8k8 / m16n8k16"), lane = 4 g + t:
//   A [16 rows, k]   a[0]: row g, a[1]: row g + 8, both column t (tf32) or columns 2t, 2t+1 (bf16); a[2], a[3]: the same 4 (tf32) or 8 (bf16)
//                    columns further
//   B [k, 8 columns] b0: row t (tf32) or rows 2t, 2t+1 (bf16), column g; b1: the same 4 or 8 rows further
//   D [16, 8]        d[0], d[1]: row g, columns 2t, 2t+1; d[2], d[3]: row g + 8
#ifndef LQF_GPU_PTX_CUH
#define LQF_GPU_PTX_CUH

#include "gpu.cuh"

namespace lqf::gpu::ptx {

#ifdef __CUDACC__

__device__ __forceinline__ unsigned shared_address(const void* p) { return unsigned(__cvta_generic_to_shared(p)); }

// Copies 16 bytes from global to shared memory without a register, or sets them to zero. Both addresses are aligned to 16; global must be
// readable even when zero is asked for. Before compute capability 8.0 a plain copy.
__device__ __forceinline__ void copy_async16(float* shared, const float* global, bool zero) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(global),
                 "r"(zero ? 0 : 16)
                 : "memory");
#else
    st4(shared, zero ? make_float4(0, 0, 0, 0) : ld4(global));
#endif
}

// Ends a group of copies.
__device__ __forceinline__ void copy_commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

// Waits until at most kGroups of this thread's groups are still under way. A barrier makes what arrived visible to others.
template <int kGroups>
__device__ __forceinline__ void copy_wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;\n" ::"n"(kGroups) : "memory");
#endif
}

// Four 8x8 matrices of 2-byte elements, here 8 rows of four floats: lane l gives the address of row l % 8 of matrix l / 8 and gets the
// float l % 4 of row l / 4 of each.
__device__ __forceinline__ void load_matrix_x4(unsigned (&r)[4], const float* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same, each matrix transposed: lane l gets the 2-byte elements l / 4 of rows 2 (l % 4) and, in the upper half, 2 (l % 4) + 1.
__device__ __forceinline__ void load_matrix_x4_transposed(unsigned (&r)[4], const float* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

#if __CUDA_ARCH__ >= 800 || !defined(__CUDA_ARCH__)

// To the nearest tf32 (10 bits of fraction), ties away from zero.
__device__ __forceinline__ unsigned to_tf32(unsigned x) {
    unsigned r;
    asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(r) : "f"(__uint_as_float(x)));
    return r;
}

// Two floats to the nearest bf16 (7 bits of fraction), ties to even: low in the lower half.
__device__ __forceinline__ unsigned to_bf16x2(unsigned low, unsigned high) {
    unsigned r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(r) : "f"(__uint_as_float(high)), "f"(__uint_as_float(low)));
    return r;
}

// d += a b
__device__ __forceinline__ void mma_tf32_16x8x8(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// d += a b
__device__ __forceinline__ void mma_bf16_16x8x16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#else  // no such instructions before compute capability 8.0; the back end offers only fp32 there

__device__ __forceinline__ unsigned to_tf32(unsigned x) { return x; }
__device__ __forceinline__ unsigned to_bf16x2(unsigned, unsigned) { return 0; }
__device__ __forceinline__ void mma_tf32_16x8x8(float (&)[4], const unsigned (&)[4], unsigned, unsigned) {}
__device__ __forceinline__ void mma_bf16_16x8x16(float (&)[4], const unsigned (&)[4], unsigned, unsigned) {}

#endif

#else  // ---- the twins

using emulator::Site;

inline void copy_async16(float* shared, const float* global, bool zero, Site site = LQF_SITE) {
    emulator::copy_async(shared, global, 16, zero ? 0 : 16, site);
}

inline void copy_commit() { emulator::copy_commit(); }

template <int kGroups>
void copy_wait() {
    emulator::copy_wait(kGroups);
}

namespace twin {

// What every lane read has been told by its own hook_read; here one lane reads for all.
#define LQF_UNWATCHED __attribute__((no_sanitize_thread))

struct LoadMatrix {
    const float* row;
    unsigned* r;
};

LQF_UNWATCHED inline void load_matrix(void* const* lanes, unsigned) {
    for (int lane = 0; lane < 32; lane++)
        for (int matrix = 0; matrix < 4; matrix++) {
            const float* row = static_cast<LoadMatrix*>(lanes[8 * matrix + lane / 4])->row;
            std::memcpy(&static_cast<LoadMatrix*>(lanes[lane])->r[matrix], row + lane % 4, sizeof(float));
        }
}

LQF_UNWATCHED inline void load_matrix_transposed(void* const* lanes, unsigned) {
    for (int lane = 0; lane < 32; lane++)
        for (int matrix = 0; matrix < 4; matrix++) {
            unsigned two = 0;
            for (int half = 0; half < 2; half++) {
                const float* row = static_cast<LoadMatrix*>(lanes[8 * matrix + lane % 4 * 2 + half])->row;
                two |= (__float_as_uint(row[lane / 8]) >> lane / 4 % 2 * 16 & 0xffffu) << 16 * half;
            }
            static_cast<LoadMatrix*>(lanes[lane])->r[matrix] = two;
        }
}

struct Mma {
    float* d;
    const unsigned* a;
    unsigned b0, b1;
};

// D += A B, the products of a step summed in fp32 in order. NOTE: the order of a tensor core is not documented.
template <int kDepth>
void multiply(void* const* lanes, const float (&a)[16][kDepth], const float (&b)[kDepth][8]) {
    float d[16][8] = {};
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < kDepth; k++)
            for (int j = 0; j < 8; j++) d[i][j] += a[i][k] * b[k][j];
    for (int lane = 0; lane < 32; lane++) {
        float* mine = static_cast<Mma*>(lanes[lane])->d;
        const int g = lane / 4, t = lane % 4;
        mine[0] += d[g][2 * t];
        mine[1] += d[g][2 * t + 1];
        mine[2] += d[g + 8][2 * t];
        mine[3] += d[g + 8][2 * t + 1];
    }
}

inline void mma_tf32(void* const* lanes, unsigned) {
    float a[16][8], b[8][8];
    auto tf32 = [](unsigned bits) {
        return __uint_as_float(bits & 0xffffe000u);
    };  // a tensor core ignores the low 13 bits
    for (int lane = 0; lane < 32; lane++) {
        const auto* mine = static_cast<Mma*>(lanes[lane]);
        const int g = lane / 4, t = lane % 4;
        a[g][t] = tf32(mine->a[0]);
        a[g + 8][t] = tf32(mine->a[1]);
        a[g][t + 4] = tf32(mine->a[2]);
        a[g + 8][t + 4] = tf32(mine->a[3]);
        b[t][g] = tf32(mine->b0);
        b[t + 4][g] = tf32(mine->b1);
    }
    multiply(lanes, a, b);
}

inline void mma_bf16(void* const* lanes, unsigned) {
    float a[16][16], b[16][8];
    auto low = [](unsigned bits) { return __uint_as_float(bits << 16); };
    auto high = [](unsigned bits) { return __uint_as_float(bits & 0xffff0000u); };
    for (int lane = 0; lane < 32; lane++) {
        const auto* mine = static_cast<Mma*>(lanes[lane]);
        const int g = lane / 4, t = 2 * (lane % 4);
        for (int part = 0; part < 4; part++) {
            const int row = g + part % 2 * 8, column = t + part / 2 * 8;
            a[row][column] = low(mine->a[part]);
            a[row][column + 1] = high(mine->a[part]);
        }
        b[t][g] = low(mine->b0);
        b[t + 1][g] = high(mine->b0);
        b[t + 8][g] = low(mine->b1);
        b[t + 9][g] = high(mine->b1);
    }
    multiply(lanes, a, b);
}

#undef LQF_UNWATCHED

}  // namespace twin

inline void load_matrices(unsigned (&r)[4], const float* row, emulator::WarpOp load, const char* name, Site site) {
    if (reinterpret_cast<uintptr_t>(row) % 16)
        emulator::fault("%s:%d: %s from a misaligned row", site.file, site.line, name);
    emulator::hook_read(row, 16);
    twin::LoadMatrix lane{row, r};
    emulator::warp(kFullWarp, &lane, load, name, site);
}

inline void load_matrix_x4(unsigned (&r)[4], const float* row, Site site = LQF_SITE) {
    load_matrices(r, row, twin::load_matrix, "ldmatrix.x4", site);
}

inline void load_matrix_x4_transposed(unsigned (&r)[4], const float* row, Site site = LQF_SITE) {
    load_matrices(r, row, twin::load_matrix_transposed, "ldmatrix.x4.trans", site);
}

inline unsigned to_tf32(unsigned x) {
    const bool finite = (x & 0x7f800000u) != 0x7f800000u;
    return (finite ? x + 0x1000u : x) & 0xffffe000u;
}

inline unsigned to_bf16x2(unsigned low, unsigned high) {
    auto round = [](unsigned x) {
        if ((x & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;  // NaN
        return (x + 0x7fffu + (x >> 16 & 1)) >> 16;
    };
    return round(low) | round(high) << 16;
}

inline void mma_tf32_16x8x8(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, Site site = LQF_SITE) {
    twin::Mma mma{d, a, b0, b1};
    emulator::warp(kFullWarp, &mma, twin::mma_tf32, "mma.m16n8k8.tf32", site);
}

inline void mma_bf16_16x8x16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, Site site = LQF_SITE) {
    twin::Mma mma{d, a, b0, b1};
    emulator::warp(kFullWarp, &mma, twin::mma_bf16, "mma.m16n8k16.bf16", site);
}

#endif

}  // namespace lqf::gpu::ptx
#endif
