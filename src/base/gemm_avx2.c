/* gemm_avx2.c - the matrix product, 6 rows by 16 columns in registers (AVX2 and FMA).
 *
 * 12 accumulators: two loads and six broadcasts for twelve fused multiply-adds.  k is taken in
 * blocks, so that a panel (K_BLOCK x 16 floats, 24 KiB) stays in the first cache while all rows
 * pass by; between two blocks the chains rest in y, which changes no bit. */
#include <immintrin.h>

#include "base/gemm.h"

enum { ROWS = 6, K_BLOCK = 384 };

/* One tile: `rows` (a constant where it is called) rows by 16 columns, over k. */
typedef struct tile {
    const float *x, *w; /* w: the panel, [k][16] */
    float *y;
    size_t ldx, ldy, k;
    const float *start; /* where the chains begin; NULL: at y itself */
} tile;

static inline __attribute__((always_inline)) void run_tile(const tile *t, int rows)
{
    __m256 lo[ROWS], hi[ROWS];
    for (int r = 0; r < rows; r++) {
        const float *from = t->start ? t->start : t->y + (size_t)r * t->ldy;
        lo[r] = _mm256_loadu_ps(from);
        hi[r] = _mm256_loadu_ps(from + 8);
    }
    const float *w = t->w, *x = t->x;
    for (size_t k = 0; k < t->k; k++, w += GEMM_PANEL) {
        __m256 a = _mm256_loadu_ps(w), b = _mm256_loadu_ps(w + 8);
        for (int r = 0; r < rows; r++) {
            __m256 v = _mm256_broadcast_ss(x + (size_t)r * t->ldx + k);
            lo[r] = _mm256_fmadd_ps(v, a, lo[r]);
            hi[r] = _mm256_fmadd_ps(v, b, hi[r]);
        }
    }
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_ps(t->y + (size_t)r * t->ldy, lo[r]);
        _mm256_storeu_ps(t->y + (size_t)r * t->ldy + 8, hi[r]);
    }
}

static void run_rows(tile t, size_t m)
{
    for (; m >= ROWS; m -= ROWS, t.x += ROWS * t.ldx, t.y += ROWS * t.ldy) run_tile(&t, ROWS);
    switch (m) {
    case 5:
        run_tile(&t, 5);
        break;
    case 4:
        run_tile(&t, 4);
        break;
    case 3:
        run_tile(&t, 3);
        break;
    case 2:
        run_tile(&t, 2);
        break;
    case 1:
        run_tile(&t, 1);
        break;
    default:
        break;
    }
}

void gemm_avx2(const gemm_job *j)
{
    static const float zeros[GEMM_PANEL];
    for (size_t k0 = 0; k0 < j->k; k0 += K_BLOCK) {
        size_t k = j->k - k0 < K_BLOCK ? j->k - k0 : K_BLOCK;
        for (size_t p = 0; p < j->n / GEMM_PANEL; p++) {
            const float *start = j->start ? j->start + p * GEMM_PANEL : zeros;
            run_rows((tile){.x = j->x + k0,
                            .w = j->w + (p * j->k + k0) * GEMM_PANEL,
                            .y = j->y + p * GEMM_PANEL,
                            .ldx = j->ldx,
                            .ldy = j->ldy,
                            .k = k,
                            .start = k0 ? NULL : start},
                     j->m);
        }
    }
}
