/* reach.h - how large a cosine can be at most: bounds from codes of eight bits, many at a time.
 *
 * A vector is x = x' + e, x' = scale * code; so
 *
 *   x.y  =  x'.y' + x'.f + e.(y' + f)  <=  x'.y' + |x'| |f| + |e| (|y'| + |f|)        (y = y' + f)
 *
 * by Cauchy and Schwarz.  Codes are small integers, their products and sums exact.  What
 * the few float32 operations around them can lose is part of what is kept for |e| (reach.c), and so
 * is what a cosine in double precision can gain by its roundings.
 *
 * For verify alone, and nothing of it is the dedup stage's.  For the same codes all instruction
 * sets give the same bits; reach_scalar is the oracle. */
#ifndef TAMIS_VERIFY_REACH_H
#define TAMIS_VERIFY_REACH_H

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

enum {
    REACH_WORD = 4,    /* codes go by in fours, zeros behind the last, an even number of times */
    REACH_PANEL = 16,  /* columns side by side */
    REACH_COLUMNS = 32 /* of a product a multiple of this */
};

/* Of a vector x: x' is nearly x. */
typedef struct reach_head {
    float scale;  /* x' = scale * code */
    float length; /* |x'|, rounded up */
    float error;  /* |x - x'|, rounded up, and more */
} reach_head;

static inline size_t reach_words(size_t dim)
{
    return (dim + 2 * REACH_WORD - 1) / (2 * REACH_WORD) * 2;
}

/* x: [dim] finite, of a length of at most 2^60; code: [4 * reach_words(dim)] from -most to most */
reach_head reach_code(const float *x, size_t dim, int most, int8_t *code);

/* The right side of a product. */
typedef struct reach_columns {
    int8_t *codes;  /* [n, 4 * words] in the kernel's own order */
    int32_t *sums;  /* [n] of the codes of a column */
    float *scale;   /* [n] */
    float *error;   /* [n] */
    float *lengths; /* [n] |y'| + |f| */
} reach_columns;

/* y[i][j]: not below the double sum of products of vectors i and j, in whatever order. */
typedef struct reach_job {
    const int8_t *rows;      /* [m, 4 * words] by put_row */
    const reach_head *heads; /* [m] */
    size_t m, words;
    const reach_columns *columns;
    float *y; /* [m, n], rows ldy apart */
    size_t ldy, n;
} reach_job;

typedef struct reach_kernel {
    int most; /* no code may be larger: the bounds are the tighter the larger it is */
    void (*put_row)(int8_t *row, const int8_t *code, size_t words);
    void (*put_column)(int8_t *codes, size_t j, const int8_t *code, size_t words);
    void (*multiply)(const reach_job *j);
    float (*highest)(const float *x, size_t n); /* n a multiple of REACH_COLUMNS */
} reach_kernel;

/* One vector becomes column j.  (For columns that stand for nothing: codes and head all zeros.) */
void reach_put_column(const reach_kernel *k, const reach_columns *c, size_t j, size_t words,
                      const int8_t *code, reach_head head);

/* The one for an instruction set that this machine has. */
const reach_kernel *reach_for(isa i);

extern const reach_kernel reach_scalar;
#ifdef TAMIS_X86_64
extern const reach_kernel reach_avx2, reach_vnni;
#endif

#endif
