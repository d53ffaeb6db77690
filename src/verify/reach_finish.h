/* reach_finish.h - from sums of codes to bounds, and the rest that is the same code in each; for
 * reach.c, reach_avx2.c and reach_vnni.c alone, each of which compiles it for its instruction set:
 * no operation here is fused or reordered. */
#ifndef TAMIS_VERIFY_REACH_FINISH_H
#define TAMIS_VERIFY_REACH_FINISH_H

#include <string.h>

#include "verify/reach.h"

/* Row i, n columns from `first` on. */
static inline __attribute__((always_inline)) void
reach_finish(const reach_job *j, size_t i, size_t first, size_t n, const int32_t *sums)
{
    const reach_columns *c = j->columns;
    const reach_head x = j->heads[i];
    const float *scale = c->scale + first, *error = c->error + first, *length = c->lengths + first;
    float *restrict y = j->y + i * j->ldy + first;
    for (size_t k = 0; k < n; k++)
        y[k] = (float)sums[k] * (x.scale * scale[k]) + (x.length * error[k] + x.error * length[k]);
}

/* [n / 16][words][16][4] */
static inline void reach_put_panel(int8_t *codes, size_t j, const int8_t *code, size_t words)
{
    enum { N = REACH_PANEL, WORD = REACH_WORD };
    int8_t *to = codes + j / N * words * N * WORD + j % N * WORD;
    for (size_t k = 0; k < words; k++) memcpy(to + k * N * WORD, code + k * WORD, WORD);
}

static float reach_highest(const float *x, size_t n)
{
    float top[REACH_COLUMNS];
    memcpy(top, x, sizeof top);
    for (size_t i = REACH_COLUMNS; i < n; i += REACH_COLUMNS)
        for (size_t k = 0; k < REACH_COLUMNS; k++) top[k] = x[i + k] > top[k] ? x[i + k] : top[k];
    for (size_t k = 1; k < REACH_COLUMNS; k++) top[0] = top[k] > top[0] ? top[k] : top[0];
    return top[0];
}

#endif
