/* scan.c - which inner loops an instruction set means. */
#include "dedup/scan.h"

const scan_kernels *scan_kernels_for(isa i)
{
#ifdef TAMIS_X86_64
    if (i >= ISA_AVX512VNNI) return &scan_vnni;
    if (i >= ISA_AVX512) return &scan_avx512;
    if (i >= ISA_AVX2) return &scan_avx2;
#else
    (void)i;
#endif
    return &scan_scalar;
}
