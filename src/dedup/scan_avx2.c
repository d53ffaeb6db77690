/* scan_avx2.c - the inner loops of the join for AVX2.
 *
 * The byte product of this instruction set adds two products and saturates at 16 bits.  So bytes
 * are widened to 16 bits, once for a panel and once for the queries; one step multiplies four
 * dimensions: a vector holds two sums each of four columns, added at the end.  Two queries by
 * sixteen columns fill the registers.
 *
 * Narrow codes are multiplied as bytes.  Of columns without a sign, u = y + 90, two products are
 * at most 2 * 180 * 90 = 32400 and so do not saturate.  Sums of them wrap, but 90 times the sum of
 * x is taken from each beforehand, and what is left is the sum of x y over half of the
 * dimensions, by Cauchy and Schwarz at most 181^2 = 32761: it fits, whatever wrapped on the way.
 * The last word, with its larger numbers, is added in 32 bits.
 *
 * Additions are inline assembly: GCC 12 copies every sum around its intrinsic. */
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

/* --- narrow codes --- */

enum { NARROW_QUERIES = 6 };

/* Of a query, each in all places of a vector: what its sums begin with, and its last word. */
typedef struct narrow_query {
    int32_t start, last;
} narrow_query;

/* Two numbers of 16 bits in one of 32. */
static inline int32_t two(int32_t low, int32_t high)
{
    return (int32_t)((uint32_t)low & 0xFFFF) | (int32_t)((uint32_t)high << 16);
}

static narrow_query prepare_narrow(const int8_t *x, size_t words)
{
    const __m128i ones = _mm_set1_epi8(1);
    __m128i sums = _mm_setzero_si128(); /* of the two halves of words: even and odd places */
    size_t w = 0;
    for (; w + 4 < words; w += 4, x += 16)
        sums = _mm_add_epi16(sums, _mm_maddubs_epi16(ones, _mm_loadu_si128((const __m128i *)x)));
    for (; w + 1 < words; w++, x += 4) {
        int32_t four;
        __builtin_memcpy(&four, x, 4);
        sums = _mm_add_epi16(sums, _mm_maddubs_epi16(ones, _mm_cvtsi32_si128(four)));
    }
    sums = _mm_add_epi16(sums, _mm_shuffle_epi32(sums, 0x4E));
    sums = _mm_add_epi16(sums, _mm_shuffle_epi32(sums, 0xB1));
    sums = _mm_mullo_epi16(sums, _mm_set1_epi16(-SCAN_NARROW)); /* wraps, as the sums do */
    return (narrow_query){.start = _mm_cvtsi128_si32(sums), .last = two(x[0] + x[1] + x[2], x[3])};
}

/* Of each four bytes, the first and the last, as numbers of 16 bits. */
static inline __m256i first_and_last(__m256i words)
{
    return _mm256_or_si256(
        _mm256_and_si256(words, _mm256_set1_epi32(0xFF)),
        _mm256_and_si256(_mm256_srli_epi32(words, 8), _mm256_set1_epi32(0xFF0000)));
}

static inline __m256i add_byte_products(__m256i sum, __m256i column, __m256i query)
{
    __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(_mm256_maddubs_epi16(column, query)));
    return sum;
}

static inline __attribute__((always_inline)) size_t scan_narrow_queries(const scan_job *j,
                                                                        const narrow_query *queries,
                                                                        size_t p, size_t q,
                                                                        int rows, size_t n)
{
    const size_t words = j->words;
    const __m256i *columns = (const __m256i *)(j->panels + p * words * SCAN_PANEL * 4);
    const int8_t *x = j->queries + q * words * 4;
    __m256i sums[NARROW_QUERIES][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        sums[r][0] = sums[r][1] = _mm256_set1_epi32(queries[q + (size_t)r].start);
    for (size_t w = 0; w + 1 < words; w++) {
        const __m256i y[2] = {_mm256_load_si256(columns + 2 * w),
                              _mm256_load_si256(columns + 2 * w + 1)};
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            int32_t four;
            __builtin_memcpy(&four, x + ((size_t)r * words + w) * 4, 4);
            const __m256i query = _mm256_set1_epi32(four);
            sums[r][0] = add_byte_products(sums[r][0], y[0], query);
            sums[r][1] = add_byte_products(sums[r][1], y[1], query);
        }
    }
    const __m256i one = _mm256_set1_epi16(1);
    const __m256i last[2] = {first_and_last(_mm256_load_si256(columns + 2 * words - 2)),
                             first_and_last(_mm256_load_si256(columns + 2 * words - 1))};
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        const narrow_query *of = &queries[q + (size_t)r];
        const __m256i limit = _mm256_set1_epi32(j->limits[q + (size_t)r]),
                      word = _mm256_set1_epi32(of->last);
        uint32_t mask = 0;
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(sums[r][v], one),
                                           _mm256_madd_epi16(last[v], word));
            __m256i less = _mm256_cmpgt_epi32(limit, sum);
            mask |= (~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(less)) & 0xFFu) << (8 * v);
        }
        if (mask) n = note(mask, (uint32_t)((q + (size_t)r) << 16 | p * SCAN_PANEL), j->hits, n);
    }
    return n;
}

static size_t scan_narrow(const scan_job *j)
{
    narrow_query queries[SCAN_QUERIES];
    size_t n = 0;
    for (size_t q = 0; q < j->n_queries; q++)
        queries[q] = prepare_narrow(j->queries + q * j->words * 4, j->words);
    for (size_t p = 0; p < j->n_panels; p++) {
        size_t q = 0;
        for (; q + NARROW_QUERIES <= j->n_queries; q += NARROW_QUERIES)
            n = scan_narrow_queries(j, queries, p, q, NARROW_QUERIES, n);
        for (; q + 2 <= j->n_queries; q += 2) n = scan_narrow_queries(j, queries, p, q, 2, n);
        if (q < j->n_queries) n = scan_narrow_queries(j, queries, p, q, 1, n);
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

const scan_kernels scan_avx2 = {scan,     scan_narrow, dot_codes,     dot_floats,
                                quantise, greatest,    sum_of_squares};
