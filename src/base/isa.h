/* isa.h - which instruction set the kernels of this process use.
 *
 * Kernels give the same bits on each, so the choice is about speed alone. */
#ifndef TAMIS_BASE_ISA_H
#define TAMIS_BASE_ISA_H

#include "base/err.h"

typedef enum { ISA_SCALAR, ISA_AVX2, ISA_AVX512, ISA_AVX512VNNI } isa;

/* The best set this machine has: AVX2 means AVX2 and FMA, AVX-512 means F, BW, VL and DQ,
 * with the operating system's consent. */
isa isa_best(void);

/* That, or the lower one that TAMIS_ISA=scalar|avx2|avx512|avx512vnni asks for.
 * ST_USAGE: the variable names none, or one the machine lacks. */
status isa_choose(isa *out, err *e) MUST_USE;

const char *isa_name(isa i);

#endif
