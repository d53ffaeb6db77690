/* gemm_strip.h - how the vector products cut their work: for gemm_avx2.c and gemm_avx512.c alone.
 *
 * k is taken in blocks, so that the panels of w that are in use stay near while all rows pass by;
 * between two blocks the chains rest in y, which changes no bit.  Within a block a strip is one or
 * more panels and all rows, in tiles of rows as even as can be: no short tile at the end, where
 * the multiply-adds would wait for each other.
 *
 * w comes from far, once for each call, and no hardware prefetcher looks across a page: so each
 * step of k also asks for a few bytes of the strip after this one.  A burst of such requests
 * between two tiles would fill the queue of misses and stop the tile. */
#ifndef TAMIS_BASE_GEMM_STRIP_H
#define TAMIS_BASE_GEMM_STRIP_H

#include <stdint.h>

#include "base/gemm.h"

enum { GEMM_K_BLOCK = 384 };

/* Before a loop over the rows of a tile: unrolled before all else, or the sums lie in memory. */
#ifdef __clang__
#define GEMM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GEMM_UNROLL _Pragma("GCC unroll 16")
#endif

typedef struct gemm_strip {
    const float *x, *w; /* w: the first panel, [k][16] */
    float *y;
    size_t ldx, ldy, k;
    size_t pitch;       /* from one panel to the next, in floats */
    const float *start; /* where the chains begin; NULL: at y itself */
    uintptr_t ahead;    /* the step of k number i prefetches what lies at ahead + i step */
    size_t step;        /* bytes; 0: all is asked for */
} gemm_strip;

/* A tile: the first `rows` rows of the strip and `panels` panels. */
typedef void (*gemm_tile_fn)(const gemm_strip *s, size_t rows, size_t panels);

static inline __attribute__((always_inline)) void
gemm_run_strip(gemm_strip s, size_t m, size_t max_rows, size_t panels, gemm_tile_fn run)
{
    const size_t bytes = s.k * GEMM_PANEL * sizeof(float);
    const uintptr_t end = s.ahead + bytes;
    size_t left = (m + max_rows - 1) / max_rows;
    s.step = s.ahead ? (bytes / s.k + left - 1) / left : 0;
    for (; left; left--) {
        size_t rows = m / left;
        run(&s, rows, panels);
        s.x += rows * s.ldx;
        s.y += rows * s.ldy;
        s.ahead += s.k * s.step;
        if (s.ahead >= end) s.step = 0;
        m -= rows;
    }
}

/* The whole product.  max_rows, max_panels: of the largest tile. */
static inline __attribute__((always_inline)) void
gemm_run_strips(const gemm_job *j, size_t max_rows, size_t max_panels, gemm_tile_fn run)
{
    static const float zeros[2 * GEMM_PANEL];
    const size_t n_panels = j->n / GEMM_PANEL, pitch = j->k * GEMM_PANEL;
    for (size_t k0 = 0, k; j->m && k0 < j->k; k0 += k) {
        k = j->k - k0 < GEMM_K_BLOCK ? j->k - k0 : GEMM_K_BLOCK;
        for (size_t p = 0, panels; p < n_panels; p += panels) {
            panels = n_panels - p < max_panels ? n_panels - p : max_panels;
            const float *start = j->start ? j->start + p * GEMM_PANEL : zeros;
            const float *w = j->w + k0 * GEMM_PANEL + p * pitch;
            const float *next = p + panels < n_panels ? w + panels * pitch
                                : k0 + k < j->k       ? j->w + (k0 + k) * GEMM_PANEL
                                                      : j->next;
            gemm_strip s = {.x = j->x + k0,
                            .w = w,
                            .y = j->y + p * GEMM_PANEL,
                            .ldx = j->ldx,
                            .ldy = j->ldy,
                            .k = k,
                            .pitch = pitch,
                            .start = k0 || j->onto ? NULL : start,
                            .ahead = (uintptr_t)next};
            gemm_run_strip(s, j->m, max_rows, panels, run);
        }
    }
}

#endif
