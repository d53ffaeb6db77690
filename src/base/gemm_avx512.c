/* gemm_avx512.c - the matrix product, 12 rows by 32 columns in registers (AVX-512F).
 *
 * 24 accumulators: two loads and twelve broadcasts for 24 fused multiply-adds, so that the
 * loads are far from being what limits.  Two panels pass side by side, an odd last one alone. */
#include <immintrin.h>

#include "base/gemm_strip.h"
#include "base/tile_shapes.h"

enum { ROWS = 12, PANELS = 2, GROUP = 4 };

/* Three pointers reach all rows of x (at 0, 1, 2 and 3 times ldx from one of them); with one for
 * each, half of them would lie in memory. */
static inline __attribute__((always_inline)) void run_tile(const gemm_strip *s, int rows,
                                                           int panels)
{
    __m512 lo[ROWS], hi[ROWS];
    GEMM_UNROLL
    for (int r = 0; r < rows; r++) {
        const float *from = s->start ? s->start : s->y + (size_t)r * s->ldy;
        lo[r] = _mm512_loadu_ps(from);
        if (panels == 2) hi[r] = _mm512_loadu_ps(from + GEMM_PANEL);
    }
    const size_t ldx = s->ldx, pitch = s->pitch, step = s->step;
    const float *w = s->w, *x[] = {s->x, s->x, s->x};
    if (rows > GROUP) x[1] += GROUP * ldx;
    if (rows > 2 * GROUP) x[2] += 2 * GROUP * ldx;
    uintptr_t ahead = s->ahead;
    __asm__("" : "+r"(x[0]), "+r"(x[1]), "+r"(x[2])); /* it shall not see that they are related */
    for (size_t k = 0; k < s->k; k++, w += GEMM_PANEL, ahead += step) {
        __m512 a = _mm512_loadu_ps(w), b = a;
        if (panels == 2) b = _mm512_loadu_ps(w + pitch);
        GEMM_UNROLL
        for (int r = 0; r < rows; r++) {
            __m512 v = _mm512_set1_ps(x[r / GROUP][(size_t)(r % GROUP) * ldx]);
            lo[r] = _mm512_fmadd_ps(v, a, lo[r]);
            if (panels == 2) hi[r] = _mm512_fmadd_ps(v, b, hi[r]);
        }
        _mm_prefetch((const void *)ahead, _MM_HINT_T0);
        if (panels == 2) _mm_prefetch((const void *)(ahead + pitch * sizeof *w), _MM_HINT_T0);
        x[0]++, x[1]++, x[2]++;
    }
    GEMM_UNROLL
    for (int r = 0; r < rows; r++) {
        _mm512_storeu_ps(s->y + (size_t)r * s->ldy, lo[r]);
        if (panels == 2) _mm512_storeu_ps(s->y + (size_t)r * s->ldy + GEMM_PANEL, hi[r]);
    }
}

TILE_SHAPES(gemm_strip)

static void run_rows(const gemm_strip *s, size_t rows, size_t panels)
{
    tiles[rows - 1][panels - 1](s);
}

void gemm_avx512(const gemm_job *j)
{
    gemm_run_strips(j, ROWS, PANELS, run_rows);
}
