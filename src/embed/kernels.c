/* kernels.c - which table of kernels an instruction set means. */
#include "embed/kernels.h"

const kernels *kernels_for(isa i)
{
#ifdef TAMIS_X86_64
    if (i >= ISA_AVX512) return &kernels_avx512;
    if (i == ISA_AVX2) return &kernels_avx2;
    /* The same plain loops; only fmaf() is an instruction there and not a call. */
    if (__builtin_cpu_supports("fma") && __builtin_cpu_supports("avx")) return &kernels_scalar_fma;
#else
    (void)i;
#endif
    return &kernels_scalar;
}
