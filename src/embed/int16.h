/* int16.h - matrix products of 16-bit integers: the operations that only `fast` has.
 *
 * An operand row of up to INT16_CHUNK numbers is stored as integers q and one float scale, its
 * numbers being nearly q * scale.  The scale is the least for which the Euclidean length of the
 * q cannot pass INT16_LENGTH and none of them 32767.  By Cauchy and Schwarz no sum of products
 * of two such rows, nor any part of it in any order, passes INT16_LENGTH squared, which is
 * below 2^31: sums in int32 are exact, so every instruction set gives the same bits.  (A bound
 * by the largest element would leave three bits less for rows with a few large elements,
 * which those of this kind of model are.)
 *
 * Longer rows are cut into chunks with a scale each.  What is not integer here is one fixed
 * sequence of IEEE float32 operations; int16_scalar.c says it plainly and is the oracle. */
#ifndef TAMIS_EMBED_INT16_H
#define TAMIS_EMBED_INT16_H

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

enum {
    INT16_CHUNK = 384,
    INT16_PANEL = 16,
    INT16_LENGTH = 46340 /* its square is 2147395600 */
};

/* Columns of weights over one chunk of k. */
typedef struct int16_weights {
    int16_t *q;   /* [n / 16][k / 2][16][2]: pairs of k; 64-aligned; best if what is read next
                   * lies right behind it */
    float *scale; /* [n] */
    size_t k, n;  /* k even, at most INT16_CHUNK; n a multiple of 16 */
} int16_weights;

/* y[i][j] = fma((float)(sum of x[i][k] w[k][j]), x_scale[i] * w_scale[j], start[j] or y[i][j]) */
typedef struct int16_job {
    const int16_t *x;     /* [m, k], rows k apart */
    const float *x_scale; /* [m] */
    size_t m;
    const int16_weights *w;
    const float *start; /* [n]; NULL: what y holds */
    float *y;           /* [m, n], rows ldy apart */
    size_t ldy;
} int16_job;

typedef struct int16_kernels {
    void (*multiply)(const int16_job *j);

    /* n numbers (a multiple of 16, at most INT16_CHUNK) to integers; returns the scale: 0 if
     * all are too small to matter; not finite (and q of no meaning) if one of the numbers or the
     * sum of their squares is not. */
    float (*quantize)(const float *x, size_t n, int16_t *q);

    /* The same of gelu(x), by a shorter polynomial than that of exact; x is overwritten. */
    float (*gelu_quantize)(float *x, size_t n, int16_t *q);
} int16_kernels;

/* NULL: this instruction set has none that are worth their while. */
const int16_kernels *int16_kernels_for(isa i);

/* Rounds column `column` of a matrix; `weight` are its k numbers, `stride` apart. */
void int16_pack(int16_weights *w, size_t column, const float *weight, size_t stride,
                const int16_kernels *by);

/* What the length of a row of integers is aimed at: rounding adds at most half of sqrt(384) to it,
 * and float32 errs by less than the rest. */
#define INT16_AIM 46300.0f
#define INT16_MOST 32767.0f
#define INT16_LEAST 0x1p-100f /* a scale below this counts as 0 */

/* gelu(x) = x (1/2 + c P(c^2)), c = x cut off at GELU_LIMIT either way; error below
 * 2e-5 max(1, |x|)
 * (scripts/fit_polynomials.py). */
#define GELU_LIMIT 4.25f
static const float gelu_poly[9] = {0x1.986408p-2f,   -0x1.0f1d42p-4f,  0x1.3e7530p-7f,
                                   -0x1.1ada46p-10f, 0x1.7315ecp-14f,  -0x1.595580p-18f,
                                   0x1.aa50bcp-23f,  -0x1.36149cp-28f, 0x1.8f9fb4p-35f};

extern const int16_kernels int16_scalar;
#ifdef TAMIS_X86_64
extern const int16_kernels int16_avx2, int16_avx512, int16_vnni;
#endif

#endif
