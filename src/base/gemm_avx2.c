/* gemm_avx2.c - the matrix product, 6 rows by 16 columns in registers (AVX2 and FMA).
 *
 * 12 accumulators: two loads and six broadcasts for twelve fused multiply-adds.  A panel (384 x 16
 * floats, 24 KiB) stays in the first cache. */
#include <immintrin.h>

#include "base/gemm_strip.h"

enum { ROWS = 6 };

static inline __attribute__((always_inline)) void run_tile(const gemm_strip *s, int rows)
{
    __m256 lo[ROWS], hi[ROWS];
    GEMM_UNROLL
    for (int r = 0; r < rows; r++) {
        const float *from = s->start ? s->start : s->y + (size_t)r * s->ldy;
        lo[r] = _mm256_loadu_ps(from);
        hi[r] = _mm256_loadu_ps(from + 8);
    }
    const float *w = s->w, *x = s->x;
    uintptr_t ahead = s->ahead;
    for (size_t k = 0; k < s->k; k++, w += GEMM_PANEL, x++, ahead += s->step) {
        __m256 a = _mm256_loadu_ps(w), b = _mm256_loadu_ps(w + 8);
        GEMM_UNROLL
        for (int r = 0; r < rows; r++) {
            __m256 v = _mm256_broadcast_ss(x + (size_t)r * s->ldx);
            lo[r] = _mm256_fmadd_ps(v, a, lo[r]);
            hi[r] = _mm256_fmadd_ps(v, b, hi[r]);
        }
        _mm_prefetch((const void *)ahead, _MM_HINT_T0);
    }
    GEMM_UNROLL
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_ps(s->y + (size_t)r * s->ldy, lo[r]);
        _mm256_storeu_ps(s->y + (size_t)r * s->ldy + 8, hi[r]);
    }
}

static void run_rows(const gemm_strip *s, size_t rows, size_t panels)
{
    (void)panels; /* 1 */
    switch (rows) {
    case 6:
        run_tile(s, 6);
        break;
    case 5:
        run_tile(s, 5);
        break;
    case 4:
        run_tile(s, 4);
        break;
    case 3:
        run_tile(s, 3);
        break;
    case 2:
        run_tile(s, 2);
        break;
    case 1:
        run_tile(s, 1);
        break;
    default:
        break;
    }
}

void gemm_avx2(const gemm_job *j)
{
    gemm_run_strips(j, ROWS, 1, run_rows);
}
