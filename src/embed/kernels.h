/* kernels.h - the few operations that an encoder is made of, once for each instruction set.
 *
 * All sets give the same bits: each output is one fixed sequence of IEEE float32 operations (the
 * canonical arithmetic), and only how many outputs are worked on at a time differs.
 * kernels_scalar.c is that sequence written plainly, and the oracle of the others. */
#ifndef TAMIS_EMBED_KERNELS_H
#define TAMIS_EMBED_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/gemm.h"

/* Partial sums of a row, grain of all row lengths; the products are base/gemm.h's. */
enum { KERNEL_LANES = GEMM_PANEL };

typedef struct layer_norm {
    const float *gamma, *beta; /* [n] */
    size_t n;                  /* a multiple of 16 */
    float eps;
} layer_norm;

typedef struct kernels {
    /* x = x / 2 (1 + erf(x / sqrt 2)), each of n (a multiple of 16). */
    void (*gelu)(float *x, size_t n);

    /* x = (t - mean t) / sqrt(var t + eps) gamma + beta, where t = x + more (NULL: x). */
    void (*normalize)(float *x, const float *more, const layer_norm *p);

    /* x[j] = exp(x[j] - max x) for j < n, 0 up to the next multiple of 16, which must be there;
     * returns 1 / the sum.  n >= 1. */
    float (*softmax)(float *x, size_t n);

    /* The sum of x[j]^2; n a multiple of 16. */
    float (*sum_squares)(const float *x, size_t n);

    /* Rows become columns of a panel: to[c][r] = x[r][c], where rows are ld apart, and 0 for r from
     * `rows` (at most 16) to 16.  to: [n][16], n a multiple of 16. */
    void (*transpose)(const float *x, size_t ld, size_t rows, size_t n, float *to);
} kernels;

/* The table of an instruction set that this machine has. */
const kernels *kernels_for(isa i);

/* --- the polynomials (scripts/fit_polynomials.py) -----------------------------------------------
 * exp(x), x <= 0: x is cut off at -86; n = x log2(e) rounded to even, r = x - n ln 2 (in two
 * parts), 2^n (1 + (r + r^2 P(r))).  Relative error below 1.3e-7.
 * erf(x): |x| < 1: x + x P(x^2); else 1 - exp(-t Q(t)), t = |x| cut off at 4, with the sign of
 * x.  Error below 1.3e-7. */
#define EXP_LOWEST -86.0f
#define EXP_LOG2E 0x1.715476p+0f
#define EXP_LN2_HIGH 0x1.62e4p-1f /* 15 bits: its product with n is exact */
#define EXP_LN2_LOW 0x1.7f7d1cp-20f
#define EXP_ROUND 0x1.8p+23f /* added and taken away again, it rounds to a whole number */

static const float exp_poly[5] = {0x1.0p-1f, 0x1.5554dep-3f, 0x1.5554e2p-5f, 0x1.120ac6p-7f,
                                  0x1.6d557ap-10f};
static const float erf_near[7] = {0x1.06eba8p-3f, -0x1.812740p-2f,  0x1.ce2d50p-4f, -0x1.b7fe90p-6f,
                                  0x1.542e0cp-8f, -0x1.a50acap-11f, 0x1.4c3330p-14f};
static const float erf_far[8] = {0x1.20ebe8p+0f,   0x1.455472p-1f, 0x1.b0d26ap-4f,
                                 -0x1.7a568cp-6f,  0x1.a1168ep-9f, -0x1.2304dap-13f,
                                 -0x1.dd144ep-16f, 0x1.dd78e2p-19f};
#define ERF_FAR_LIMIT 4.0f
#define HALF_SQRT2 0x1.6a09e6p-1f

extern const kernels kernels_scalar, kernels_scalar_fma, kernels_avx2, kernels_avx512;

#endif
