/* gemm.c - which matrix product an instruction set means. */
#include "base/gemm.h"

gemm_fn gemm_for(isa i)
{
#ifdef TAMIS_X86_64
    if (i >= ISA_AVX512) return gemm_avx512;
    if (i == ISA_AVX2) return gemm_avx2;
    if (__builtin_cpu_supports("fma") && __builtin_cpu_supports("avx")) return gemm_scalar_fma;
#else
    (void)i;
#endif
    return gemm_scalar;
}
