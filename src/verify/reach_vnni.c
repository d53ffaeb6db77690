/* reach_vnni.c - bounds for 12 rows by 32 columns in registers (AVX-512 VNNI).
 *
 * vpdpbusd multiplies unsigned by signed bytes.  So 128 is added to the codes of rows, and 128
 * times the sum of its codes taken off for each column. */
#include <immintrin.h>
#include <string.h>

#include "verify/reach_finish.h"

enum { ROWS = 12, GROUP = 4 };

static void put_row(int8_t *row, const int8_t *code, size_t words)
{
    for (size_t k = 0; k < words * REACH_WORD; k++) row[k] = (int8_t)(code[k] ^ -128);
}

static inline __m512i four(const int8_t *p)
{
    int32_t all;
    memcpy(&all, p, sizeof all);
    return _mm512_set1_epi32(all);
}

static inline __m512i load(const void *p)
{
    return _mm512_loadu_si512(p);
}

static inline __attribute__((always_inline)) void add_product(__m512i *sum, __m512i x, __m512i y)
{
    /* by hand: GCC 12 copies the sum for each of its own intrinsic */
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(x), "v"(y));
}

/* Three pointers reach all rows (at 0 to 3 times the size from one of them). */
static inline __attribute__((always_inline)) void run_tile(const reach_job *j, size_t row,
                                                           size_t column, int rows)
{
    const size_t size = j->words * REACH_WORD;
    const int8_t *first = j->rows + row * size;
    const int8_t *x[] = {first, first + GROUP * size, first + 2 * GROUP * size};
    const int8_t *y = j->columns->codes + column * size, *end = y + REACH_PANEL * size;
    const int32_t *of = j->columns->sums + column;
    const __m512i lo = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(load(of), 7));
    const __m512i hi =
        _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(load(of + REACH_PANEL), 7));
    __m512i sum[2][ROWS];
    __asm__("" : "+r"(x[0]), "+r"(x[1]), "+r"(x[2])); /* it shall not see that they are related */
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) sum[0][r] = lo, sum[1][r] = hi;
    for (; y < end; y += REACH_PANEL * REACH_WORD) {
        const __m512i a = load(y), b = load(y + REACH_PANEL * size);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            const __m512i v = four(x[r / GROUP] + (size_t)(r % GROUP) * size);
            add_product(&sum[0][r], v, a);
            add_product(&sum[1][r], v, b);
        }
        x[0] += REACH_WORD, x[1] += REACH_WORD, x[2] += REACH_WORD;
    }
    int32_t sums[REACH_COLUMNS];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        _mm512_storeu_si512(sums, sum[0][r]);
        _mm512_storeu_si512(sums + REACH_PANEL, sum[1][r]);
        reach_finish(j, row + (size_t)r, column, REACH_COLUMNS, sums);
    }
}

static void multiply(const reach_job *j)
{
    for (size_t c = 0; c < j->n; c += REACH_COLUMNS) {
        size_t i = 0;
        for (; i + ROWS <= j->m; i += ROWS) run_tile(j, i, c, ROWS);
        for (; i + GROUP <= j->m; i += GROUP) run_tile(j, i, c, GROUP);
        for (; i < j->m; i++) run_tile(j, i, c, 1);
    }
}

const reach_kernel reach_vnni = {127, put_row, reach_put_panel, multiply, reach_highest};
