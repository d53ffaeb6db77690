/* int16_rows.h - pairs of rounded rows to the seven sums of int16.h: for int16_scalar.c,
 * int16_avx2.c and int16_avx512.c alone, each of which compiles the loops for its instruction
 * set. */
#ifndef TAMIS_EMBED_INT16_ROWS_H
#define TAMIS_EMBED_INT16_ROWS_H

#include <stdbool.h>
#include <string.h>

#include "embed/int16.h"

/* Before a loop whose stores touch nothing that it loads: to be done many at a time. */
#ifdef __clang__
#define INT16_APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define INT16_APART _Pragma("GCC ivdep")
#endif

typedef struct int16_pair {
    int16_t upper[INT16_CHUNK], lower[INT16_CHUNK];
} int16_pair;

static inline void int16_add_up(const int16_pair *p, size_t k, int16_t *restrict to)
{
    const size_t half = k / 2;
    const int16_t *x11 = p->upper, *x12 = x11 + half, *x21 = p->lower, *x22 = x21 + half;
    INT16_APART
    for (size_t i = 0; i < half; i++) {
        to[i] = (int16_t)(x11[i] - x22[i]);
        to[half + i] = (int16_t)(x21[i] - x22[i]);
        to[2 * half + i] = x11[i];
        to[3 * half + i] = (int16_t)(x21[i] - x11[i]);
        to[4 * half + i] = (int16_t)-x22[i];
        to[5 * half + i] = (int16_t)(x11[i] - x12[i]);
        to[6 * half + i] = (int16_t)(x22[i] - x12[i]);
    }
}

/* `take` says the scale of a row (and may change it), `round` makes it integers by that.  A
 * scale is a long chain of operations: the other row of the pair is measured before one is
 * rounded. */
static inline __attribute__((always_inline)) void
int16_round_rows(float *x, size_t ldx, const int16_rows *to, float (*take)(float *x, size_t n),
                 void (*round)(const float *x, size_t n, float scale, int16_t *q))
{
    const size_t pairs = (to->m + 1) / 2;
    int16_pair p;
    for (size_t i = 0; i < pairs; i++) {
        float *upper = x + i * ldx, *lower = upper + pairs * ldx;
        const bool both = i + pairs < to->m;
        to->scale[i] = take(upper, to->k);
        if (both) to->scale[i + pairs] = take(lower, to->k);
        round(upper, to->k, to->scale[i], p.upper);
        if (both)
            round(lower, to->k, to->scale[i + pairs], p.lower);
        else
            memset(p.lower, 0, sizeof p.lower);
        int16_add_up(&p, to->k, to->q + i * INT16_SUMS * (to->k / 2));
    }
}

#endif
