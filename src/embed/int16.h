/* int16.h - matrix products of 16-bit integers: the operations that only `fast` has.
 *
 * An operand row of up to INT16_CHUNK numbers is stored as integers q and one float scale, its
 * numbers being nearly q * scale.  The scale is the least for which the Euclidean length of the
 * q cannot pass INT16_LENGTH and none of them what room is left for (below).  By Cauchy and Schwarz
 * no sum of products of two such rows passes INT16_LENGTH squared, which is below 2^31: int32
 * holds it exactly, so every instruction set gives the same bits.  (A bound by the largest
 * element would leave three bits less for rows with a few large elements, which those of this
 * kind of model are.)
 *
 * Since only the whole sum must fit, what it is made of may be added in any order and pass 2^31 on
 * the way: integers modulo 2^32 are a ring.  So there are ways to the same sums with fewer
 * products, and a layout of the operands for each; both need room in 16 bits for the sum of two
 * elements, so INT16_MOST is half of what 16 bits hold.  One is Winograd's (int16_winograd.c).
 * The other, for all instruction sets, is Strassen's: of x, pairs of rows and both halves of k,
 * and of w, pairs of panels and both halves of k, are 2 by 2 blocks, and seven products of their
 * sums do the work of eight, without an error.  The right blocks of x and the lower ones of w
 * change their sign, so that of x only differences are needed, and rows of which all large
 * elements are positive, gelu's, have the room of 16 bits for them.  Both operands are stored as
 * the seven sums:
 *
 *     x: X11 - X22, X21 - X22, X11,       X21 - X11, -X22,       X11 - X12, X22 - X12
 *     w: W11 - W22, -W11,      W12 + W22, W11 + W12, -W21 - W11, -W22,      -W21 - W22
 *
 * With their products p1 to p7, and s3 = p1 + p2 + p3:
 *
 *     y22 = s3 + p4    y21 = p1 - (p1 + p2) + p5    y12 = s3 - (p1 + p2) + p6
 *     y11 = s3 + y21 - y12 + p7
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
    INT16_GROUP = 2 * INT16_PANEL, /* columns of a pair of panels */
    INT16_SUMS = 7,
    INT16_LENGTH = 46340 /* its square is 2147395600 */
};

/* Rows of x over one chunk of k.  Strassen: row i and row i + (m + 1) / 2 are a pair: X11, X12 and
 * X21, X22; if m is odd, the last one's partner is zeros. */
typedef struct int16_rows {
    int16_t *q;   /* Strassen: [(m + 1) / 2][7][k / 2]; 32-aligned */
    float *scale; /* [m] */
    size_t m, k;  /* k a multiple of 16, at most INT16_CHUNK */
} int16_rows;

/* Columns of weights over one chunk of k.  Strassen: of each group of 32 columns the first panel is
 * W11, W21, the second (zeros, where n ends before it) W12, W22. */
typedef struct int16_weights {
    int16_t *q;   /* Strassen: [groups][7][k / 4][16][2], pairs of k; 64-aligned; best if what is
                   * read next lies right behind it */
    float *scale; /* [n] */
    size_t k, n;  /* k a multiple of 16, at most INT16_CHUNK; n a multiple of 16 */
} int16_weights;

/* y[i][j] = fma((float)(sum of x[i][k] w[k][j]), x.scale[i] * w.scale[j], start[j] or y[i][j]) */
typedef struct int16_job {
    const int16_rows *x;
    const int16_weights *w;
    const float *start; /* [n]; NULL: what y holds */
    float *y;           /* [m, n], rows ldy apart */
    size_t ldy;
} int16_job;

typedef struct int16_kernels int16_kernels;

/* How operands lie in memory: what q of either holds. */
typedef struct int16_layout {
    size_t (*rows_size)(size_t m, size_t k);    /* integers in q of rows */
    size_t (*weights_size)(size_t k, size_t n); /* of weights */

    /* Rounds columns [32 group, 32 group + 32) of a matrix: two panels [k][16]; the second may be
     * NULL, where w ends before it. */
    void (*pack)(const int16_weights *w, size_t group, const float *first, const float *second,
                 const int16_kernels *by);
} int16_layout;

extern const int16_layout int16_strassen;

struct int16_kernels {
    const int16_layout *layout;

    void (*multiply)(const int16_job *j);

    /* n numbers (a multiple of 16, at most INT16_CHUNK) to integers; returns the scale: 0 if
     * all are too small to matter; not finite (and q of no meaning) if one of the numbers or the
     * sum of their squares is not. */
    float (*quantize)(const float *x, size_t n, int16_t *q);

    /* The same for the rows of x, which are ldx apart. */
    void (*quantize_rows)(const float *x, size_t ldx, const int16_rows *to);

    /* The same of gelu(x), by a shorter polynomial than that of exact; x is overwritten. */
    void (*gelu_rows)(float *x, size_t ldx, const int16_rows *to);
};

/* NULL: this instruction set has none that are worth their while. */
const int16_kernels *int16_kernels_for(isa i);

/* What the length of a row of integers is aimed at: rounding adds at most half of sqrt(384) to it,
 * and float32 errs by less than the rest. */
#define INT16_AIM 46300.0f
#define INT16_MOST 16383.0f
#define INT16_GELU_MOST 28672.0f  /* and the other way, */
#define INT16_GELU_LEAST -4095.0f /* both together 32767; gelu is above -0.17 */
#define INT16_LEAST 0x1p-100f     /* a scale below this counts as 0 */

/* gelu(x) = x (1/2 + c P(c^2)), c = x cut off at GELU_LIMIT either way; error below
 * 2e-5 max(1, |x|)
 * (scripts/fit_polynomials.py). */
#define GELU_LIMIT 4.25f
static const float gelu_poly[9] = {0x1.986408p-2f,   -0x1.0f1d42p-4f,  0x1.3e7530p-7f,
                                   -0x1.1ada46p-10f, 0x1.7315ecp-14f,  -0x1.595580p-18f,
                                   0x1.aa50bcp-23f,  -0x1.36149cp-28f, 0x1.8f9fb4p-35f};

extern const int16_kernels int16_scalar;
#ifdef TAMIS_X86_64
extern const int16_kernels int16_avx2, int16_avx512, int16_vnni, int16_winograd;
#endif

#endif
