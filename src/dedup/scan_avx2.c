/* scan_avx2.c - the inner loops of the join for AVX2.
 *
 * The byte product of this instruction set adds two products and saturates at 16 bits.  So bytes
 * are widened to 16 bits, once for a panel and once for the queries; one step multiplies four
 * dimensions: a vector holds two sums each of four columns, added at the end.  Two queries by
 * sixteen columns fill the registers.
 *
 * Narrow codes are multiplied as bytes, two dimensions of sixteen columns at a time.  Of columns
 * without a sign, u = y + 90, two products are at most 2 * 180 * 90 = 32400, and those of the last
 * word at most SCAN_MOST, and so do not saturate.  Sums of them wrap, but 90 times the sum of x is
 * taken from each beforehand, and what is left is the sum of x y, which fits, whatever wrapped on
 * the way.  A query is written out, each two dimensions in all places of a vector, so that
 * nothing but products and sums is done for a column: twelve queries at a time fill the registers.
 * To sift, a hit's query and column lie in a row each, and the sums of eight hits are added across
 * together.
 *
 * Additions are inline assembly: GCC 12 copies every sum around its intrinsic. */
#include <immintrin.h>
#include <string.h>

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

enum {
    NARROW_QUERIES = 12,
    NARROW_PANELS = SCAN_COLUMNS / SCAN_PANEL,
    STEP = 2 * SCAN_PANEL /* bytes of a panel: two dimensions of each column */
};

/* Columns of a panel that reach the limits of two queries, as bits: eight of the first query, eight
 * of the second, and so once more. */
typedef struct narrow_hit {
    uint32_t base, mask; /* of the first query and column, as a hit */
} narrow_hit;

/* Where the bits of a byte are, from the lowest on, a byte each. */
#define BITS_7(m) ((m) >> 7 & 1 ? 7ull : 0)
#define BITS_6(m) ((m) >> 6 & 1 ? BITS_7(m) << 8 | 6 : BITS_7(m))
#define BITS_5(m) ((m) >> 5 & 1 ? BITS_6(m) << 8 | 5 : BITS_6(m))
#define BITS_4(m) ((m) >> 4 & 1 ? BITS_5(m) << 8 | 4 : BITS_5(m))
#define BITS_3(m) ((m) >> 3 & 1 ? BITS_4(m) << 8 | 3 : BITS_4(m))
#define BITS_2(m) ((m) >> 2 & 1 ? BITS_3(m) << 8 | 2 : BITS_3(m))
#define BITS_1(m) ((m) >> 1 & 1 ? BITS_2(m) << 8 | 1 : BITS_2(m))
#define BITS_0(m) ((m)&1 ? BITS_1(m) << 8 : BITS_1(m))
#define FOUR(m) BITS_0(m), BITS_0((m) + 1), BITS_0((m) + 2), BITS_0((m) + 3)
#define SIXTEEN(m) FOUR(m), FOUR((m) + 4), FOUR((m) + 8), FOUR((m) + 12)
#define SIXTY_FOUR(m) SIXTEEN(m), SIXTEEN((m) + 16), SIXTEEN((m) + 32), SIXTEEN((m) + 48)
static const uint64_t bits_of[256] = {SIXTY_FOUR(0), SIXTY_FOUR(64), SIXTY_FOUR(128),
                                      SIXTY_FOUR(192)};

/* The hits that eight bits stand for, without a branch: how many cannot be foretold.  Writes eight
 * numbers, whatever is behind the last one. */
static inline size_t note_byte(uint32_t byte, uint32_t base, uint32_t *hits, size_t n)
{
    const __m256i at = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)&bits_of[byte]));
    _mm256_storeu_si256((__m256i *)(hits + n), _mm256_add_epi32(at, _mm256_set1_epi32((int)base)));
    return n + (size_t)__builtin_popcount(byte);
}

/* Queries as they are multiplied, each number in all places of a vector: of each step, of each
 * query, two dimensions.  And what their sums begin with, and must exceed. */
typedef struct narrow_queries {
    const __m256i *steps; /* [n_steps][rows] */
    size_t n_steps;
    __m256i starts[NARROW_QUERIES], limits[NARROW_QUERIES];
} narrow_queries;

/* -SCAN_NARROW times the sum of a code but for its last word; wraps, as the sums do. */
static int16_t start_of(const int8_t *x, size_t words)
{
    const __m128i ones = _mm_set1_epi8(1);
    __m128i sums = _mm_setzero_si128();
    size_t w = 0;
    for (; w + 4 < words; w += 4, x += 16)
        sums = _mm_add_epi16(sums, _mm_maddubs_epi16(ones, _mm_loadu_si128((const __m128i *)x)));
    for (; w + 1 < words; w++, x += 4) {
        int32_t four;
        __builtin_memcpy(&four, x, 4);
        sums = _mm_add_epi16(sums, _mm_maddubs_epi16(ones, _mm_cvtsi32_si128(four)));
    }
    sums = _mm_madd_epi16(sums, _mm_set1_epi16(1));
    sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0x4E));
    sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0xB1));
    return (int16_t)(-SCAN_NARROW * _mm_cvtsi128_si32(sums));
}

/* What sums exceed that reach a limit: they are from -SCAN_MOST to SCAN_MOST. */
static int16_t below(int32_t limit)
{
    return (int16_t)(limit > SCAN_MOST     ? SCAN_MOST
                     : limit <= -SCAN_MOST ? -SCAN_MOST - 1
                                           : limit - 1);
}

static inline __attribute__((always_inline)) void prepare_narrow(const scan_job *j, size_t q,
                                                                 size_t rows, narrow_queries *to)
{
    __m256i *step = (__m256i *)(void *)j->wide;
    to->steps = step;
    to->n_steps = 2 * j->words;
    for (size_t r = 0; r < rows; r++) {
        const int8_t *x = j->queries + (q + r) * j->words * 4;
        to->starts[r] = _mm256_set1_epi16(start_of(x, j->words));
        to->limits[r] = _mm256_set1_epi16(below(j->limits[q + r]));
        for (size_t s = 0; s < to->n_steps; s++, x += 2) {
            int16_t two;
            __builtin_memcpy(&two, x, 2);
            _mm256_store_si256(&step[s * rows + r], _mm256_set1_epi16(two));
        }
    }
}

static inline __m256i add_byte_products(__m256i sum, __m256i column, __m256i query)
{
    __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(_mm256_maddubs_epi16(column, query)));
    return sum;
}

/* A panel against all of the queries. */
static inline __attribute__((always_inline)) size_t
scan_narrow_panel(const narrow_queries *of, size_t rows, const uint8_t *panel, uint32_t base,
                  narrow_hit *hits, size_t n)
{
    __m256i sums[NARROW_QUERIES];
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++) sums[r] = of->starts[r];
    const __m256i *query = of->steps;
    for (size_t s = 0; s < of->n_steps; s++, query += rows) {
        const __m256i columns = _mm256_load_si256((const __m256i *)(panel + s * STEP));
#pragma GCC unroll 12
        for (size_t r = 0; r < rows; r++) sums[r] = add_byte_products(sums[r], columns, query[r]);
    }
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r += 2) {
        const __m256i a = _mm256_cmpgt_epi16(sums[r], of->limits[r]);
        const __m256i b = r + 1 < rows ? _mm256_cmpgt_epi16(sums[r + 1], of->limits[r + 1])
                                       : _mm256_setzero_si256();
        uint32_t mask = (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(a, b));
        hits[n] = (narrow_hit){base + (uint32_t)(r << 16), mask};
        n += mask != 0; /* no branch: few are, but too many to be foretold */
    }
    return n;
}

/* Some queries, from number q on, against all panels. */
static inline __attribute__((always_inline)) size_t scan_narrow_rows(const scan_job *j, size_t q,
                                                                     size_t rows, size_t n)
{
    narrow_queries of;
    narrow_hit hits[NARROW_QUERIES / 2 * NARROW_PANELS + 1];
    size_t n_hits = 0;
    prepare_narrow(j, q, rows, &of);
    for (size_t p = 0; p < j->n_panels; p++)
        n_hits = scan_narrow_panel(&of, rows, j->panels + p * j->words * SCAN_PANEL * 4,
                                   (uint32_t)(q << 16 | p * SCAN_PANEL), hits, n_hits);
    for (size_t i = 0; i < n_hits; i++) {
        const uint32_t mask = hits[i].mask, base = hits[i].base;
        n = note_byte(mask & 0xFF, base, j->hits, n);
        n = note_byte(mask >> 16 & 0xFF, base + 8, j->hits, n);
        n = note_byte(mask >> 8 & 0xFF, base + (1 << 16), j->hits, n);
        n = note_byte(mask >> 24, base + (1 << 16) + 8, j->hits, n);
    }
    return n;
}

static size_t scan_narrow(const scan_job *j)
{
    size_t n = 0, q = 0;
    for (; q + NARROW_QUERIES <= j->n_queries; q += NARROW_QUERIES)
        n = scan_narrow_rows(j, q, NARROW_QUERIES, n);
    for (; q + 8 <= j->n_queries; q += 8) n = scan_narrow_rows(j, q, 8, n);
    for (; q + 2 <= j->n_queries; q += 2) n = scan_narrow_rows(j, q, 2, n);
    for (; q < j->n_queries; q++) n = scan_narrow_rows(j, q, 1, n);
    return n;
}

/* --- sifting --- */

enum {
    SIFTED = 8,  /* hits at a time */
    FETCHED = 12 /* hits before they are sifted, their columns are on their way */
};

/* Sixteen sums, which wrap. */
static inline __attribute__((always_inline)) __m256i sift_products(const sift_job *j, size_t bytes,
                                                                   uint32_t hit)
{
    const __m256i *x = (const __m256i *)(const void *)(j->queries + (hit >> 16) * bytes);
    const __m256i *y = (const __m256i *)(const void *)(j->columns + (hit & 0xFFFF) * bytes);
    __m256i sum = _mm256_maddubs_epi16(_mm256_load_si256(y), _mm256_load_si256(x));
#pragma GCC unroll 4
    for (size_t i = 1; i < bytes / SCAN_SIFT; i++)
        sum = _mm256_add_epi16(
            sum, _mm256_maddubs_epi16(_mm256_load_si256(y + i), _mm256_load_si256(x + i)));
    return sum;
}

/* Of two hits, four sums each. */
static inline __attribute__((always_inline)) __m256i sift_two(const sift_job *j, size_t bytes,
                                                              const uint32_t *hits)
{
    const __m256i a = sift_products(j, bytes, hits[0]), b = sift_products(j, bytes, hits[1]);
    const __m256i both = _mm256_add_epi16(_mm256_permute2x128_si256(a, b, 0x20),
                                          _mm256_permute2x128_si256(a, b, 0x31));
    return _mm256_madd_epi16(both, _mm256_set1_epi16(1));
}

/* SIFTED hits, of which the first n count; where those stay that reach their limits. */
static inline __attribute__((always_inline)) uint32_t *
sift_some(const sift_job *j, size_t bytes, const uint32_t *hits, size_t n, uint32_t *to)
{
    static const uint8_t place[SIFTED] = {0, 4, 1, 5, 2, 6, 3, 7};
    int32_t sums[SIFTED];
    const __m256i a = _mm256_hadd_epi32(sift_two(j, bytes, hits), sift_two(j, bytes, hits + 2));
    const __m256i b = _mm256_hadd_epi32(sift_two(j, bytes, hits + 4), sift_two(j, bytes, hits + 6));
    _mm256_storeu_si256((__m256i *)sums, _mm256_hadd_epi32(a, b));
#pragma GCC unroll 8
    for (size_t i = 0; i < SIFTED; i++) {
        const uint32_t hit = hits[i];
        const int16_t sum = (int16_t)(sums[place[i]] + j->starts[hit >> 16]);
        *to = hit;
        to += (i < n) & (sum >= j->limits[hit >> 16]);
    }
    return to;
}

static inline void fetch_columns(const sift_job *j, const uint32_t *hits)
{
    for (size_t i = 0; i < SIFTED; i++) {
        const uint8_t *y = j->columns + (hits[i] & 0xFFFF) * j->bytes;
        for (size_t at = 0; at < j->bytes; at += 64) __builtin_prefetch(y + at);
    }
}

static inline __attribute__((always_inline)) size_t sift_all(const sift_job *j, size_t bytes)
{
    uint32_t *to = j->hits, last[SIFTED] = {0};
    size_t from = 0;
    for (; from + SIFTED <= j->n_hits; from += SIFTED) {
        if (from + FETCHED + SIFTED <= j->n_hits) fetch_columns(j, j->hits + from + FETCHED);
        to = sift_some(j, bytes, j->hits + from, SIFTED, to);
    }
    const size_t n = j->n_hits - from;
    memcpy(last, j->hits + from, n * sizeof *last);
    if (n) to = sift_some(j, bytes, last, n, to);
    return (size_t)(to - j->hits);
}

size_t sift_avx2(const sift_job *j)
{
    enum { USUAL = 4 * SCAN_SIFT }; /* known beforehand, the loops are written out */
    return j->bytes == USUAL ? sift_all(j, USUAL) : sift_all(j, j->bytes);
}

/* Codes are from -127 to 127, so two products are at most 2 * 127 * 127 = 32258 in magnitude. */
static int32_t dot_codes(const int8_t *x, const int8_t *y, size_t dim)
{
    const __m256i one = _mm256_set1_epi16(1);
    __m256i sum = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)(x + i));
        const __m256i b = _mm256_loadu_si256((const __m256i *)(y + i));
        const __m256i products = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, one));
    }
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    for (; i < dim; i += 8) {
        const __m128i a = _mm_loadl_epi64((const __m128i *)(x + i));
        const __m128i b = _mm_loadl_epi64((const __m128i *)(y + i));
        const __m128i products = _mm_maddubs_epi16(_mm_abs_epi8(a), _mm_sign_epi8(b, a));
        four = _mm_add_epi32(four, _mm_madd_epi16(products, _mm256_castsi256_si128(one)));
    }
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

const scan_kernels scan_avx2 = {scan,       scan_narrow, sift_avx2, dot_codes,
                                dot_floats, quantise,    greatest,  sum_of_squares};
