/* scan_avx512.c - the inner loops of the join for AVX-512, twice.
 *
 * With -DSCAN_VNNI a byte product takes one instruction for four dimensions of sixteen columns;
 * without it bytes are widened to 16 bits as in scan_avx2.c.  Eight queries by two panels (or
 * one panel) hold their sums in registers.
 *
 * The products are inline assembly: GCC 12 copies every sum around its intrinsic. */
#include <immintrin.h>

#include "dedup/quantise.h"
#include "dedup/scan.h"

enum { QUERIES = 8 };

/* Sums in arrays stay in registers only where every loop over them is unrolled. */

static inline size_t note(uint32_t mask, uint32_t base, uint32_t *hits, size_t n)
{
    for (; mask; mask &= mask - 1) hits[n++] = base + (uint32_t)__builtin_ctz(mask);
    return n;
}

#ifdef SCAN_VNNI

/* sum += column * query: bytes without and with a sign. */
static inline __m512i multiply(__m512i sum, __m512i column, __m512i query)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(column), "v"(query));
    return sum;
}

static inline __attribute__((always_inline)) size_t scan_tile(const scan_job *j, size_t p, size_t q,
                                                              int rows, int panels, size_t n)
{
    const size_t words = j->words;
    const uint8_t *y = j->panels + p * words * 64;
    const int8_t *x = j->queries + q * words * 4;
    __m512i sums[QUERIES][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int c = 0; c < panels; c++) sums[r][c] = _mm512_setzero_si512();
    for (size_t w = 0; w < words; w++) {
        __m512i columns[2];
#pragma GCC unroll 8
        for (int c = 0; c < panels; c++)
            columns[c] = _mm512_load_si512(y + ((size_t)c * words + w) * 64);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            int32_t four;
            __builtin_memcpy(&four, x + ((size_t)r * words + w) * 4, 4);
            __m512i query = _mm512_set1_epi32(four);
#pragma GCC unroll 8
            for (int c = 0; c < panels; c++) sums[r][c] = multiply(sums[r][c], columns[c], query);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        __m512i limit = _mm512_set1_epi32(j->limits[q + (size_t)r]);
        uint32_t mask = 0;
#pragma GCC unroll 8
        for (int c = 0; c < panels; c++)
            mask |= (uint32_t)_mm512_cmpge_epi32_mask(sums[r][c], limit) << (16 * c);
        if (mask) n = note(mask, (uint32_t)((q + (size_t)r) << 16 | p * SCAN_PANEL), j->hits, n);
    }
    return n;
}

static inline __attribute__((always_inline)) size_t scan_panels(const scan_job *j, size_t p,
                                                                int panels, size_t n)
{
    size_t q = 0;
    for (; q + QUERIES <= j->n_queries; q += QUERIES) n = scan_tile(j, p, q, QUERIES, panels, n);
    for (; q < j->n_queries; q++) n = scan_tile(j, p, q, 1, panels, n);
    return n;
}

static size_t scan(const scan_job *j)
{
    size_t n = 0, p = 0;
    for (; p + 2 <= j->n_panels; p += 2) n = scan_panels(j, p, 2, n);
    if (p < j->n_panels) n = scan_panels(j, p, 1, n);
    return n;
}

static int32_t dot_codes(const int8_t *x, const int8_t *y, size_t dim)
{
    const __m512i offset = _mm512_set1_epi8((char)0x80);
    __m512i sum = _mm512_setzero_si512(), extra = sum;
    size_t i = 0;
    for (; i < dim; i += 64) {
        __mmask64 m = dim - i >= 64 ? ~0ull : (1ull << (dim - i)) - 1;
        __m512i a = _mm512_maskz_loadu_epi8(m, x + i), b = _mm512_maskz_loadu_epi8(m, y + i);
        sum = multiply(sum, _mm512_xor_si512(a, offset), b); /* (a + 128) b */
        extra = multiply(extra, offset, b);                  /* 128 b */
    }
    return _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, extra));
}

#else

static void widen(const uint8_t *bytes, size_t n, int16_t *out)
{
    for (size_t i = 0; i < n; i += 32) {
        __m256i b = _mm256_loadu_si256((const __m256i *)(bytes + i));
        _mm512_storeu_si512(out + i, _mm512_cvtepu8_epi16(b));
    }
}

static inline __m512i add_products(__m512i sum, __m512i x, __m512i y)
{
    __asm__("vpaddd %1, %0, %0" : "+v"(sum) : "v"(_mm512_madd_epi16(x, y)));
    return sum;
}

/* Two sums each of eight columns, twice -> sixteen columns. */
static inline __m512i add_pairs(__m512i low, __m512i high)
{
    const __m512i even =
        _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_add_epi32(_mm512_permutex2var_epi32(low, even, high),
                            _mm512_permutex2var_epi32(low, odd, high));
}

static inline __attribute__((always_inline)) size_t
scan_tile(const scan_job *j, const int16_t *panel, size_t p, size_t q, int rows, size_t n)
{
    const size_t words = j->words;
    __m512i sums[QUERIES][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm512_setzero_si512();
    for (size_t w = 0; w < words; w++) {
        __m512i low = _mm512_load_si512(panel + w * 64);
        __m512i high = _mm512_load_si512(panel + w * 64 + 32);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            int64_t four;
            __builtin_memcpy(&four, j->wide + ((q + (size_t)r) * words + w) * 4, 8);
            __m512i x = _mm512_set1_epi64(four);
            sums[r][0] = add_products(sums[r][0], x, low);
            sums[r][1] = add_products(sums[r][1], x, high);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        __m512i limit = _mm512_set1_epi32(j->limits[q + (size_t)r]);
        uint32_t mask = _mm512_cmpge_epi32_mask(add_pairs(sums[r][0], sums[r][1]), limit);
        if (mask) n = note(mask, (uint32_t)((q + (size_t)r) << 16 | p * SCAN_PANEL), j->hits, n);
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
        widen(j->panels + p * words * 64, words * 64, wide_panel);
        size_t q = 0;
        for (; q + QUERIES <= j->n_queries; q += QUERIES)
            n = scan_tile(j, wide_panel, p, q, QUERIES, n);
        for (; q < j->n_queries; q++) n = scan_tile(j, wide_panel, p, q, 1, n);
    }
    return n;
}

static int32_t dot_codes(const int8_t *x, const int8_t *y, size_t dim)
{
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < dim; i += 32) {
        __mmask32 m = dim - i >= 32 ? ~0u : (1u << (dim - i)) - 1;
        __m512i a = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(m, x + i));
        __m512i b = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(m, y + i));
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
    }
    return _mm512_reduce_add_epi32(sum);
}

#endif

static float dot_floats(const float *x, const float *y, size_t dim)
{
    __m512 a = _mm512_setzero_ps(), b = a;
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        a = _mm512_fmadd_ps(_mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i), a);
        b = _mm512_fmadd_ps(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(y + i + 16), b);
    }
    for (; i < dim; i += 16) {
        __mmask16 m = dim - i >= 16 ? 0xFFFF : 0xFF;
        a = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, x + i), _mm512_maskz_loadu_ps(m, y + i), a);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(a, b));
}

#ifdef SCAN_VNNI
const scan_kernels scan_vnni = {scan,       NULL,     sift_avx2, dot_codes,
                                dot_floats, quantise, greatest,  sum_of_squares};
#else
const scan_kernels scan_avx512 = {scan,       NULL,     sift_avx2, dot_codes,
                                  dot_floats, quantise, greatest,  sum_of_squares};
#endif
