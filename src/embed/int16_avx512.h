/* int16_avx512.h - products of pairs and rounding of rows, for int16_avx512.c and int16_winograd.c
 * alone. */
#ifndef TAMIS_EMBED_INT16_AVX512_H
#define TAMIS_EMBED_INT16_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "embed/int16.h"

static inline __m512i pair(const int16_t *p)
{
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32(both);
}

static inline __m512i load(const int16_t *p)
{
    return _mm512_loadu_si512((const void *)p);
}

static inline __attribute__((always_inline)) void add_product(__m512i *sum, __m512i a, __m512i b)
{
#ifdef __AVX512VNNI__
    /* by hand: GCC 12 copies the sum for each of its own intrinsic */
    __asm__("vpdpwssd %2, %1, %0" : "+v"(*sum) : "v"(a), "v"(b));
#else
    *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(a, b));
#endif
}

/* The scale of a row, from its 16 partial sums and what it must be for its largest elements. */
static inline float scale_of(__m512 sums, float least)
{
    __m256 high = _mm512_extractf32x8_ps(sums, 1);
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sums), high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    __m128 sum = _mm_add_ss(two, _mm_movehdup_ps(two));
    float scale = _mm_cvtss_f32(_mm_sqrt_ss(sum)) / INT16_AIM;
    scale = least > scale ? least : scale;
    return scale < INT16_LEAST ? 0 : scale;
}

static inline void round_row(const float *x, size_t n, float scale, int16_t *q)
{
    const __m512 times = _mm512_set1_ps(scale > 0 ? 1 / scale : 0);
    const __m256i lowest = _mm256_set1_epi16(-32767);
    for (size_t i = 0; i < n; i += INT16_PANEL) {
        __m512i r = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), times));
        __m256i narrow = _mm256_max_epi16(_mm512_cvtsepi32_epi16(r), lowest);
        _mm256_storeu_si256((__m256i *)(void *)(q + i), narrow);
    }
}

static inline float measure(float *x, size_t n)
{
    __m512 sums = _mm512_setzero_ps(), most = sums;
    for (size_t i = 0; i < n; i += INT16_PANEL) {
        __m512 a = _mm512_loadu_ps(x + i);
        sums = _mm512_fmadd_ps(a, a, sums);
        most = _mm512_max_ps(most, _mm512_abs_ps(a));
    }
    return scale_of(sums, _mm512_reduce_max_ps(most) / INT16_MOST);
}

static inline __m512 gelu(__m512 x)
{
    __m512 c = _mm512_min_ps(x, _mm512_set1_ps(GELU_LIMIT));
    c = _mm512_max_ps(c, _mm512_set1_ps(-GELU_LIMIT));
    __m512 s = _mm512_mul_ps(c, c), sum = _mm512_set1_ps(gelu_poly[8]);
#pragma GCC unroll 8
    for (int k = 7; k >= 0; k--) sum = _mm512_fmadd_ps(sum, s, _mm512_set1_ps(gelu_poly[k]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(c, sum, _mm512_set1_ps(0.5f)));
}

static inline float gelu_measure(float *x, size_t n)
{
    __m512 sums = _mm512_setzero_ps(), most = sums, least = sums;
    for (size_t i = 0; i < n; i += INT16_PANEL) {
        __m512 a = gelu(_mm512_loadu_ps(x + i));
        _mm512_storeu_ps(x + i, a);
        sums = _mm512_fmadd_ps(a, a, sums);
        most = _mm512_max_ps(most, a);
        least = _mm512_min_ps(least, a);
    }
    float top = _mm512_reduce_max_ps(most) / INT16_GELU_MOST;
    float bottom = _mm512_reduce_min_ps(least) / INT16_GELU_LEAST;
    return scale_of(sums, top > bottom ? top : bottom);
}

static inline float quantize(const float *x, size_t n, int16_t *q)
{
    float scale = measure((float *)(uintptr_t)x, n);
    round_row(x, n, scale, q);
    return scale;
}

#endif
