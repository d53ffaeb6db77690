/* quantise.h - floats to codes of one byte; each instruction set's file compiles it for itself.
 * Sums lie in LANES side by side, so that every one of them gives the same bits. */
#ifndef TAMIS_DEDUP_QUANTISE_H
#define TAMIS_DEDUP_QUANTISE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "dedup/scan.h"

enum { LANES = 16 };

/* x[0, n), n at most LANES, into these lanes. */
static inline void quantise_step(const float *x, size_t n, float scale, float inverse, int8_t *code,
                                 float errors[LANES], float squares[LANES])
{
    const float whole = 12582912.0f; /* adding and taking away 1.5 * 2^23 rounds to the nearest */
    for (size_t l = 0; l < n; l++) {
        float at = (x[l] * inverse + whole) - whole;
        at = at < 127 ? at : 127;
        at = at > -127 ? at : -127;
        float off = x[l] - scale * at;
        errors[l] += off * off;
        squares[l] += at * at; /* whole numbers below 2^24: exact */
        code[l] = (int8_t)at;
    }
}

#ifdef __AVX2__

/* The same for eight lanes; the codes as 32-bit numbers.  Of the loop, GCC 12 makes several times
 * as many instructions. */
static inline __m256i quantise_eight(const float *x, __m256 scale, __m256 inverse, __m256 *errors,
                                     __m256 *squares)
{
    const __m256 whole = _mm256_set1_ps(12582912.0f);
    __m256 v = _mm256_loadu_ps(x);
    __m256 at = _mm256_sub_ps(_mm256_add_ps(_mm256_mul_ps(v, inverse), whole), whole);
    at = _mm256_min_ps(at, _mm256_set1_ps(127));
    at = _mm256_max_ps(at, _mm256_set1_ps(-127));
    __m256 off = _mm256_sub_ps(v, _mm256_mul_ps(scale, at));
    *errors = _mm256_add_ps(*errors, _mm256_mul_ps(off, off));
    *squares = _mm256_add_ps(*squares, _mm256_mul_ps(at, at));
    return _mm256_cvttps_epi32(at);
}

static inline size_t quantise_whole_steps(const float *x, size_t n, float scale, float inverse,
                                          int8_t *code, float errors[LANES], float squares[LANES])
{
    const __m256 s = _mm256_set1_ps(scale), r = _mm256_set1_ps(inverse);
    __m256 e0 = _mm256_setzero_ps(), e1 = e0, q0 = e0, q1 = e0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256i a = quantise_eight(x + i, s, r, &e0, &q0);
        __m256i b = quantise_eight(x + i + 8, s, r, &e1, &q1);
        __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
        _mm_storeu_si128((__m128i *)(code + i), _mm_packs_epi16(_mm256_castsi256_si128(both),
                                                                _mm256_extracti128_si256(both, 1)));
    }
    _mm256_storeu_ps(errors, e0);
    _mm256_storeu_ps(errors + 8, e1);
    _mm256_storeu_ps(squares, q0);
    _mm256_storeu_ps(squares + 8, q1);
    return i;
}

static inline size_t greatest_of_whole_steps(const float *x, size_t n, float most[LANES])
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 a = _mm256_setzero_ps(), b = a;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) { /* of what is not a number, the other is taken */
        a = _mm256_max_ps(_mm256_andnot_ps(sign, _mm256_loadu_ps(x + i)), a);
        b = _mm256_max_ps(_mm256_andnot_ps(sign, _mm256_loadu_ps(x + i + 8)), b);
    }
    _mm256_storeu_ps(most, a);
    _mm256_storeu_ps(most + 8, b);
    return i;
}

#else

static inline size_t quantise_whole_steps(const float *x, size_t n, float scale, float inverse,
                                          int8_t *code, float errors[LANES], float squares[LANES])
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        quantise_step(x + i, LANES, scale, inverse, code + i, errors, squares);
    return i;
}

static inline size_t greatest_of_whole_steps(const float *x, size_t n, float most[LANES])
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            most[l] = fabsf(x[i + l]) > most[l] ? fabsf(x[i + l]) : most[l];
    return i;
}

#endif

static inline quantised quantise(const float *x, size_t n, float scale, int8_t *code)
{
    const float inverse = 1 / scale;
    float errors[LANES] = {0}, squares[LANES] = {0};
    quantised q = {0};
    size_t i = quantise_whole_steps(x, n, scale, inverse, code, errors, squares);
    quantise_step(x + i, n - i, scale, inverse, code + i, errors, squares);
    for (size_t l = 0; l < LANES; l++) {
        q.error += (double)errors[l];
        q.norm += (double)squares[l];
    }
    q.error = sqrt(q.error);
    q.norm = sqrt(q.norm) * (double)scale;
    return q;
}

/* The greatest magnitude. */
static inline float greatest(const float *x, size_t n)
{
    float most[LANES] = {0};
    size_t i = greatest_of_whole_steps(x, n, most);
    for (size_t l = 0; l < n - i; l++)
        most[l] = fabsf(x[i + l]) > most[l] ? fabsf(x[i + l]) : most[l];
    for (size_t l = 1; l < LANES; l++) most[0] = most[l] > most[0] ? most[l] : most[0];
    return most[0];
}

/* The sum of squares, in double. */
static inline double sum_of_squares(const float *x, size_t n)
{
    double sums[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) sums[l] += (double)x[i + l] * (double)x[i + l];
    for (size_t l = 0; l < n - i; l++) sums[l] += (double)x[i + l] * (double)x[i + l];
    for (size_t l = 0; l < LANES; l++) sum += sums[l];
    return sum;
}

#endif
