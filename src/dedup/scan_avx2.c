/* scan_avx2.c - the inner loops of the join for AVX2.
 *
 * Bytes are widened to 16 bits, once for a panel and once for the queries, because the byte
 * product of this instruction set saturates.  One step multiplies four dimensions: a vector
 * holds two sums each of four columns, added at the end.  Two queries by sixteen columns fill
 * the registers.
 *
 * The addition is inline assembly: GCC 12 copies every sum around its intrinsic. */
#include <immintrin.h>

#include "dedup/quantise.h"
#include "dedup/scan.h"

enum { VECTORS = SCAN_PANEL / 4 };

static void widen_panel(const uint8_t *panel, size_t words, int16_t *out)
{
    for (size_t i = 0; i < words * SCAN_PANEL * 4; i += 16) {
        __m128i bytes = _mm_load_si128((const __m128i *)(panel + i));
        _mm256_store_si256((__m256i *)(out + i), _mm256_cvtepu8_epi16(bytes));
    }
}

/* Columns of a panel at or above the limit, as bits. */
static inline uint32_t reached(const __m256i sums[VECTORS], int32_t limit)
{
    const __m256i below = _mm256_set1_epi32(limit);
    uint32_t mask = 0;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v += 2) {
        __m256i both = _mm256_hadd_epi32(sums[v], sums[v + 1]);
        both = _mm256_permute4x64_epi64(both, 0xD8);
        __m256i less = _mm256_cmpgt_epi32(below, both);
        uint32_t bits = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(less));
        mask |= (~bits & 0xFFu) << (v * 4);
    }
    return mask;
}

static inline size_t note(uint32_t mask, uint32_t base, uint32_t *hits, size_t n)
{
    for (; mask; mask &= mask - 1) hits[n++] = base + (uint32_t)__builtin_ctz(mask);
    return n;
}

static inline __m256i add_products(__m256i sum, __m256i x, __m256i y)
{
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(_mm256_madd_epi16(x, y)));
    return sum;
}

static inline __attribute__((always_inline)) size_t
scan_queries(const scan_job *j, const int16_t *panel, size_t p, size_t q, int rows, size_t n)
{
    const size_t words = j->words;
    __m256i sums[2][VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) sums[r][v] = _mm256_setzero_si256();
    for (size_t w = 0; w < words; w++) {
        const __m256i *columns = (const __m256i *)(panel + w * SCAN_PANEL * 4);
        __m256i x[2];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            x[r] = _mm256_castpd_si256(
                _mm256_broadcast_sd((const double *)(j->wide + ((q + r) * words + w) * 4)));
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
            __m256i y = _mm256_load_si256(columns + v);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) sums[r][v] = add_products(sums[r][v], x[r], y);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        uint32_t mask = reached(sums[r], j->limits[q + r]);
        if (mask) n = note(mask, (uint32_t)((q + r) << 16 | p * SCAN_PANEL), j->hits, n);
    }
    return n;
}

static size_t scan(const scan_job *j)
{
    const size_t words = j->words;
    int16_t *wide_panel = j->wide + SCAN_QUERIES * words * 4;
    size_t n = 0;
    for (size_t i = 0; i < j->n_queries * words * 4; i++) j->wide[i] = (int16_t)(int)j->queries[i];
    for (size_t p = 0; p < j->n_panels; p++) {
        widen_panel(j->panels + p * words * SCAN_PANEL * 4, words, wide_panel);
        size_t q = 0;
        for (; q + 2 <= j->n_queries; q += 2) n = scan_queries(j, wide_panel, p, q, 2, n);
        if (q < j->n_queries) n = scan_queries(j, wide_panel, p, q, 1, n);
    }
    return n;
}

static int32_t dot_codes(const int8_t *x, const int8_t *y, size_t dim)
{
    __m256i sum = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        __m256i a = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(x + i)));
        __m256i b = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(y + i)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    }
    if (i < dim) {
        __m256i a = _mm256_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(x + i)));
        __m256i b = _mm256_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(y + i)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    }
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
    return _mm_cvtsi128_si32(four);
}

static float dot_floats(const float *x, const float *y, size_t dim)
{
    __m256 a = _mm256_setzero_ps(), b = a;
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        a = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), a);
        b = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 8), _mm256_loadu_ps(y + i + 8), b);
    }
    if (i < dim) a = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), a);
    a = _mm256_add_ps(a, b);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    four = _mm_add_ss(four, _mm_movehdup_ps(four));
    return _mm_cvtss_f32(four);
}

const scan_kernels scan_avx2 = {scan, dot_codes, dot_floats, quantise, greatest, sum_of_squares};
