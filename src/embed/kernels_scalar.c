/* kernels_scalar.c - the canonical arithmetic, written plainly.
 *
 * Compiled twice: for any machine, and (KERNELS_NAME kernels_scalar_fma) for those where fmaf()
 * is an instruction.  The compiler may work on several outputs at once, but not reorder the
 * operations of one: no -ffast-math, -ffp-contract=off. */
#include <math.h>
#include <string.h>

#include "embed/kernels.h"

#ifndef KERNELS_NAME
#define KERNELS_NAME kernels_scalar
#endif

/* p[0] + x p[1] + x^2 p[2] ... */
static float poly(const float *p, int degree, float x)
{
    float sum = p[degree];
    for (int i = degree - 1; i >= 0; i--) sum = fmaf(sum, x, p[i]);
    return sum;
}

static float exp_nonpositive(float x)
{
    x = x > EXP_LOWEST ? x : EXP_LOWEST;
    float rounded = fmaf(x, EXP_LOG2E, EXP_ROUND);
    float n = rounded - EXP_ROUND;
    float r = fmaf(n, -EXP_LN2_LOW, fmaf(n, -EXP_LN2_HIGH, x));
    float e = 1.0f + fmaf(r * r, poly(exp_poly, 4, r), r);
    uint32_t bits, shift;
    memcpy(&bits, &e, sizeof bits);
    memcpy(&shift, &rounded, sizeof shift);
    bits += shift << 23; /* the low bits of `rounded` are those of n */
    memcpy(&e, &bits, sizeof e);
    return e;
}

static float erf_any(float x)
{
    float t = fabsf(x), s = x * x;
    if (t < 1.0f) return fmaf(x, poly(erf_near, 6, s), x);
    t = t < ERF_FAR_LIMIT ? t : ERF_FAR_LIMIT;
    return copysignf(1.0f - exp_nonpositive(-(t * poly(erf_far, 7, t))), x);
}

static void gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = (0.5f * x[i]) * (1.0f + erf_any(x[i] * HALF_SQRT2));
}

/* The fixed tree over 16 partial sums. */
static float tree(float part[KERNEL_LANES])
{
    for (size_t half = KERNEL_LANES / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++) part[i] += part[i + half];
    return part[0];
}

static void normalize(float *x, const float *more, const layer_norm *p)
{
    float part[KERNEL_LANES] = {0};
    if (more)
        for (size_t i = 0; i < p->n; i++) x[i] += more[i];
    for (size_t i = 0; i < p->n; i++) part[i % KERNEL_LANES] += x[i];
    float mean = tree(part) / (float)p->n;
    memset(part, 0, sizeof part);
    for (size_t i = 0; i < p->n; i++) {
        float d = x[i] - mean;
        part[i % KERNEL_LANES] = fmaf(d, d, part[i % KERNEL_LANES]);
    }
    float scale = 1.0f / sqrtf(tree(part) / (float)p->n + p->eps);
    for (size_t i = 0; i < p->n; i++) x[i] = fmaf((x[i] - mean) * scale, p->gamma[i], p->beta[i]);
}

static float softmax(float *x, size_t n)
{
    float part[KERNEL_LANES] = {0}, top = x[0];
    for (size_t i = 1; i < n; i++) top = x[i] > top ? x[i] : top;
    for (size_t i = 0; i < n; i++) {
        x[i] = exp_nonpositive(x[i] - top);
        part[i % KERNEL_LANES] += x[i];
    }
    for (size_t i = n; i % KERNEL_LANES; i++) x[i] = 0.0f;
    return 1.0f / tree(part);
}

static float sum_squares(const float *x, size_t n)
{
    float part[KERNEL_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        part[i % KERNEL_LANES] = fmaf(x[i], x[i], part[i % KERNEL_LANES]);
    return tree(part);
}

static void transpose(const float *x, size_t ld, size_t rows, size_t n, float *to)
{
    for (size_t c = 0; c < n; c++)
        for (size_t r = 0; r < KERNEL_LANES; r++)
            to[c * KERNEL_LANES + r] = r < rows ? x[r * ld + c] : 0.0f;
}

const kernels KERNELS_NAME = {gelu, normalize, softmax, sum_squares, transpose};
