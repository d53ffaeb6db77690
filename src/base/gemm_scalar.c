/* gemm_scalar.c - the matrix product written plainly: the oracle of the others.
 *
 * Compiled twice: for any machine, and (GEMM_NAME gemm_scalar_fma) for those where fmaf() is an
 * instruction.  The compiler may work on several outputs at once, but not reorder the operations
 * of one: no -ffast-math, -ffp-contract=off. */
#include "base/gemm.h"

#include <math.h>
#include <string.h>

#ifndef GEMM_NAME
#define GEMM_NAME gemm_scalar
#endif

void GEMM_NAME(const gemm_job *j)
{
    for (size_t p = 0; p < j->n / GEMM_PANEL; p++) {
        const float *panel = j->w + p * j->k * GEMM_PANEL;
        for (size_t i = 0; i < j->m; i++) {
            float acc[GEMM_PANEL] = {0}, *y = j->y + i * j->ldy + p * GEMM_PANEL;
            const float *from = j->onto ? y : j->start ? j->start + p * GEMM_PANEL : acc;
            memmove(acc, from, sizeof acc);
            for (size_t k = 0; k < j->k; k++)
                for (size_t c = 0; c < GEMM_PANEL; c++)
                    acc[c] = fmaf(j->x[i * j->ldx + k], panel[k * GEMM_PANEL + c], acc[c]);
            memcpy(y, acc, sizeof acc);
        }
    }
}
