// Multiply-adds in float on registers: the most that a core can do.
#ifndef LQF_BENCH_FMA_LOOP_H
#define LQF_BENCH_FMA_LOOP_H

namespace lqf::bench {

// Twelve independent accumulators hide the latency of an FMA (4 cycles, 2 a cycle); AVX-512 registers beyond 15 are not needed. They start as
// zeros: a denormal that somebody left behind would slow them down a hundredfold.
#define LQF_ZERO(w, i) "vxorps %%ymm" #i ",%%ymm" #i ",%%ymm" #i "\n"
#define LQF_FMA(w, i) "vfmadd231ps %%" w "14,%%" w "15,%%" w #i "\n"
#define LQF_TWELVE(OP, w) \
    OP(w, 0) OP(w, 1) OP(w, 2) OP(w, 3) OP(w, 4) OP(w, 5) OP(w, 6) OP(w, 7) OP(w, 8) OP(w, 9) OP(w, 10) OP(w, 11)
#define LQF_FMA_LOOP(w)                                                                                           \
    asm volatile(LQF_TWELVE(LQF_ZERO, w) LQF_ZERO(w, 14)                                                          \
                     LQF_ZERO(w, 15) "1:\n" LQF_TWELVE(LQF_FMA, w) "dec %0\n jnz 1b\n vzeroupper\n"               \
                 : "+r"(loops)                                                                                    \
                 :                                                                                                \
                 : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
                   "xmm11", "xmm14", "xmm15")

inline void fma_avx512(long loops) { LQF_FMA_LOOP("zmm"); }
inline void fma_avx2(long loops) { LQF_FMA_LOOP("ymm"); }

inline bool has_avx512() { return __builtin_cpu_supports("avx512f"); }

// Runs loops; fma_flop() operations each.
inline void fma_loop(long loops) { (has_avx512() ? fma_avx512 : fma_avx2)(loops); }
inline double fma_flop() { return 12 * 2 * (has_avx512() ? 16 : 8); }

}  // namespace lqf::bench
#endif
