/* gemm.h - matrix product in float32, the same bits on every instruction set.
 *
 * For speed: m of 12 or more (the largest tile of rows), x and y together well within the second
 * cache, w and its panels on cache lines (64 bytes), k up to 384 or w in the order in which it is
 * read.  None of it is asked for. */
#ifndef TAMIS_BASE_GEMM_H
#define TAMIS_BASE_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/isa.h"

/* Columns of a panel of the packed right matrix. */
enum { GEMM_PANEL = 16 };

/* y[i][j] = start[j], then fma(x[i][k], w[k][j], .) for k ascending: one chain of fused
 * multiply-adds for each output, whatever is computed beside it. */
typedef struct gemm_job {
    const float *x; /* [m, k], rows ldx apart */
    size_t ldx, m, k;
    const float *w;     /* [n / 16][k][16]: panels of 16 columns */
    const float *start; /* [n]; NULL: zeros */
    bool onto;          /* the chains go on from what y holds, not from start */
    float *y;           /* [m, n], rows ldy apart; apart from x, w and start */
    size_t ldy, n;      /* n a multiple of 16 */
    const float *next;  /* the panels that will be read after this, a hint; NULL: none */
} gemm_job;

typedef void (*gemm_fn)(const gemm_job *j);

/* The one for an instruction set that this machine has. */
gemm_fn gemm_for(isa i);

/* The plain loops (twice: gemm_scalar_fma needs a machine where fmaf() is an instruction) and
 * the others, for tests. */
void gemm_scalar(const gemm_job *j);
void gemm_scalar_fma(const gemm_job *j);
void gemm_avx2(const gemm_job *j);
void gemm_avx512(const gemm_job *j);

#endif
