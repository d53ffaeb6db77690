/* reach_avx2.c - bounds for 4 rows by 16 columns in registers (AVX2).
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds two products to 16 bits.  With codes of
 * at most 63, and 64 added to those of rows, four products are 4 * 127 * 63 = 32004 at most: two
 * such sums are added before they are widened.  64 times the sum of its codes is taken off for each
 * column. */
#include <immintrin.h>
#include <string.h>

#include "verify/reach_finish.h"

enum { ROWS = 4, MOST = 63, MORE = 64, HALF = REACH_PANEL * REACH_WORD / 2 };

static void put_row(int8_t *row, const int8_t *code, size_t words)
{
    for (size_t k = 0; k < words * REACH_WORD; k++) row[k] = (int8_t)(code[k] + MORE);
}

static inline __m256i four(const int8_t *p)
{
    int32_t all;
    memcpy(&all, p, sizeof all);
    return _mm256_set1_epi32(all);
}

static inline __m256i load(const void *p)
{
    return _mm256_loadu_si256(p);
}

/* Two words of a row by those of eight columns. */
static inline __m256i product(__m256i x0, __m256i x1, const int8_t *y)
{
    const __m256i a = _mm256_maddubs_epi16(x0, load(y));
    const __m256i b = _mm256_maddubs_epi16(x1, load(y + 2 * HALF));
    return _mm256_madd_epi16(_mm256_add_epi16(a, b), _mm256_set1_epi16(1));
}

static inline __m256i start(const int32_t *sums)
{
    return _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(load(sums), 6));
}

static inline __attribute__((always_inline)) void run_tile(const reach_job *j, size_t row,
                                                           size_t column, int rows)
{
    const size_t size = j->words * REACH_WORD;
    const int8_t *x = j->rows + row * size, *y = j->columns->codes + column * size;
    const int8_t *end = y + REACH_PANEL * size;
    const int32_t *of = j->columns->sums + column;
    __m256i sum[2][ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) sum[0][r] = start(of), sum[1][r] = start(of + REACH_PANEL / 2);
    for (; y < end; y += 4 * HALF, x += 2 * REACH_WORD)
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            const __m256i x0 = four(x + (size_t)r * size);
            const __m256i x1 = four(x + (size_t)r * size + REACH_WORD);
            sum[0][r] = _mm256_add_epi32(sum[0][r], product(x0, x1, y));
            sum[1][r] = _mm256_add_epi32(sum[1][r], product(x0, x1, y + HALF));
        }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        int32_t sums[REACH_PANEL];
        _mm256_storeu_si256((__m256i *)(void *)sums, sum[0][r]);
        _mm256_storeu_si256((__m256i *)(void *)(sums + REACH_PANEL / 2), sum[1][r]);
        reach_finish(j, row + (size_t)r, column, REACH_PANEL, sums);
    }
}

static void multiply(const reach_job *j)
{
    for (size_t c = 0; c < j->n; c += REACH_PANEL) {
        size_t i = 0;
        for (; i + ROWS <= j->m; i += ROWS) run_tile(j, i, c, ROWS);
        for (; i < j->m; i++) run_tile(j, i, c, 1);
    }
}

const reach_kernel reach_avx2 = {MOST, put_row, reach_put_panel, multiply, reach_highest};
