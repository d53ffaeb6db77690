/* int16_avx512.c - products of 16-bit integers, 14 rows by 32 columns in registers.
 *
 * Compiled twice: INT16_NAME int16_vnni with vpdpwssd, which multiplies two k and adds, twice what
 * a fused multiply-add of float32 does; int16_avx512 without (vpmaddwd and vpaddd). */
#include <immintrin.h>

#include "embed/int16_avx512.h"
#include "embed/int16_rows.h"

#ifdef __AVX512VNNI__
enum { ROWS = 14, GROUP = 5 };
#else
enum { ROWS = 12, GROUP = 5 }; /* the products need registers too */
#endif

/* Pairs of rows and one or two groups of columns. */
typedef struct strip {
    const int16_t *x, *w;
    const float *x_scale, *w_scale, *start; /* x_scale: of the upper rows */
    float *y;                               /* the upper rows */
    size_t k, ldy;
    size_t pairs;    /* from an upper row to its partner */
    size_t lower;    /* rows that have one */
    size_t columns;  /* up to the end of w */
    uintptr_t ahead; /* what to fetch, and how much further at each step */
    size_t step;
} strip;

typedef struct tile_sums {
    __m512i at[2][ROWS];
} tile_sums;

/* y += sum, scaled: of the upper (0) or lower (1) rows, of the first (0) or second (1) panels.
 * What it needs of s comes first, or each store to y would make it load that again. */
static inline __attribute__((always_inline)) void finish(const strip *s, const tile_sums *sum,
                                                         int rows, int groups, int low, int right)
{
    const size_t n = low ? s->lower : (size_t)rows, first = low ? s->pairs : 0, ldy = s->ldy;
    const size_t column = (size_t)right * INT16_PANEL;
    const float *x_scale = s->x_scale + first, *from = s->start;
    float *y = s->y + first * ldy + column;
    const int panels = s->columns <= column ? 0 : s->columns <= column + INT16_GROUP ? 1 : groups;
    const size_t from_pitch = from ? 0 : ldy;
    from = from ? from + column : y;
    if (!panels) return;
    const __m512 a = _mm512_loadu_ps(s->w_scale + column);
    const __m512 b = panels == 2 ? _mm512_loadu_ps(s->w_scale + column + INT16_GROUP) : a;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++, y += ldy, from += from_pitch) {
        if ((size_t)r >= n) break;
        const __m512 x = _mm512_set1_ps(x_scale[r]);
        __m512 v = _mm512_cvtepi32_ps(sum->at[0][r]);
        _mm512_storeu_ps(y, _mm512_fmadd_ps(v, _mm512_mul_ps(x, a), _mm512_loadu_ps(from)));
        if (panels < 2) continue;
        v = _mm512_cvtepi32_ps(sum->at[groups - 1][r]);
        v = _mm512_fmadd_ps(v, _mm512_mul_ps(x, b), _mm512_loadu_ps(from + INT16_GROUP));
        _mm512_storeu_ps(y + INT16_GROUP, v);
    }
}

/* sum += product number `which` of int16.h.  The loops over rows are unrolled before anything
 * else, or GCC keeps the sums in memory.  Three pointers reach all rows of x (at 0 to 4 times
 * the pitch from one of them). */
static inline __attribute__((always_inline)) void
add_products(const strip *s, int which, uintptr_t *ahead, tile_sums *sum, int rows, int groups)
{
    const size_t half = s->k / 2, pitch = INT16_SUMS * half;
    const int16_t *w = s->w + (size_t)which * half * INT16_PANEL, *end = w + half * INT16_PANEL;
    const int16_t *x0 = s->x + (size_t)which * half;
    const int16_t *x[] = {x0, x0 + GROUP * pitch, x0 + 2 * GROUP * pitch};
    __asm__("" : "+r"(x[0]), "+r"(x[1]), "+r"(x[2])); /* it shall not see that they are related */
    for (; w < end; w += 2 * INT16_PANEL, *ahead += s->step) {
        __m512i a = load(w), b = a;
        if (groups == 2) b = load(w + pitch * INT16_PANEL);
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            __m512i v = pair(x[r / GROUP] + (size_t)(r % GROUP) * pitch);
            add_product(&sum->at[0][r], v, a);
            if (groups == 2) add_product(&sum->at[1][r], v, b);
        }
        _mm_prefetch((const void *)*ahead, _MM_HINT_T0);
        x[0] += 2, x[1] += 2, x[2] += 2;
    }
}

#define EACH                                                                                       \
    _Pragma("GCC unroll 2") for (int g = 0; g < groups; g++)                                       \
        _Pragma("GCC unroll 14") for (int r = 0; r < rows; r++)

/* To memory for good: or GCC tries to have the copy in registers, too, and loses both. */
static inline __attribute__((always_inline)) void keep(tile_sums *to, const tile_sums *from,
                                                       int rows, int groups)
{
    EACH _mm512_store_si512((void *)&to->at[g][r], from->at[g][r]);
    __asm__ volatile("" : : "r"(to) : "memory");
}

/* The seven products, in the order of int16.h: p1, s2 = p1 + p2, s3 and y21 rest in memory. */
static inline __attribute__((always_inline)) void run_tile(const strip *s, int rows, int groups)
{
    tile_sums sum, p1, s2, s3, y21, y12;
    uintptr_t ahead = s->ahead;
    EACH sum.at[g][r] = _mm512_setzero_si512();
    add_products(s, 0, &ahead, &sum, rows, groups);
    keep(&p1, &sum, rows, groups);
    add_products(s, 1, &ahead, &sum, rows, groups);
    keep(&s2, &sum, rows, groups);
    add_products(s, 2, &ahead, &sum, rows, groups);
    keep(&s3, &sum, rows, groups);
    add_products(s, 3, &ahead, &sum, rows, groups);
    finish(s, &sum, rows, groups, 1, 1);
    EACH sum.at[g][r] = _mm512_sub_epi32(p1.at[g][r], s2.at[g][r]);
    add_products(s, 4, &ahead, &sum, rows, groups);
    keep(&y21, &sum, rows, groups);
    finish(s, &sum, rows, groups, 1, 0);
    EACH sum.at[g][r] = _mm512_sub_epi32(s3.at[g][r], s2.at[g][r]);
    add_products(s, 5, &ahead, &sum, rows, groups);
    keep(&y12, &sum, rows, groups);
    finish(s, &sum, rows, groups, 0, 1);
    EACH sum.at[g][r] = _mm512_sub_epi32(_mm512_add_epi32(s3.at[g][r], y21.at[g][r]), y12.at[g][r]);
    add_products(s, 6, &ahead, &sum, rows, groups);
    finish(s, &sum, rows, groups, 0, 0);
}

#define CASE(rows)                                                                                 \
    case rows:                                                                                     \
        if (groups == 2)                                                                           \
            run_tile(s, rows, 2);                                                                  \
        else                                                                                       \
            run_tile(s, rows, 1);                                                                  \
        break

static void run_rows(const strip *s, size_t rows, size_t groups)
{
    switch (rows) {
#ifdef __AVX512VNNI__
        CASE(14);
        CASE(13);
#endif
        CASE(12);
        CASE(11);
        CASE(10);
        CASE(9);
        CASE(8);
        CASE(7);
        CASE(6);
        CASE(5);
        CASE(4);
        CASE(3);
        CASE(2);
        CASE(1);
    default:
        break;
    }
}

/* All rows pass by two groups of columns, and each strip of them fetches its share of the next two.
 * Rows are shared out evenly, since a strip of few costs as much as one of many. */
static void multiply(const int16_job *j)
{
    const int16_rows *x = j->x;
    const int16_weights *w = j->w;
    const size_t half = w->k / 2, pairs = (x->m + 1) / 2, strips = (pairs + ROWS - 1) / ROWS;
    const size_t size = INT16_SUMS * half * INT16_PANEL; /* of a group */
    for (size_t c = 0; c < w->n; c += 2 * INT16_GROUP) {
        const size_t groups = w->n - c > INT16_GROUP ? 2 : 1;
        const size_t bytes = groups * size * sizeof *w->q;
        uintptr_t ahead = (uintptr_t)(w->q + c / INT16_GROUP * size) + bytes;
        for (size_t t = 0, i = 0; t < strips; t++) {
            size_t rows = (pairs - i + strips - t - 1) / (strips - t);
            size_t with_partner = x->m - pairs - i;
            run_rows(&(strip){.x = x->q + i * INT16_SUMS * half,
                              .w = w->q + c / INT16_GROUP * size,
                              .x_scale = x->scale + i,
                              .w_scale = w->scale + c,
                              .start = j->start ? j->start + c : NULL,
                              .y = j->y + i * j->ldy + c,
                              .k = w->k,
                              .ldy = j->ldy,
                              .pairs = pairs,
                              .lower = with_partner < rows ? with_partner : rows,
                              .columns = w->n - c,
                              .ahead = ahead,
                              .step = bytes / strips / (INT16_SUMS * (half / 2))},
                     rows, groups);
            i += rows;
            ahead += bytes / strips;
        }
    }
}

static void quantize_rows(const float *x, size_t ldx, const int16_rows *to)
{
    int16_round_rows((float *)(uintptr_t)x, ldx, to, measure, round_row);
}

static void gelu_rows(float *x, size_t ldx, const int16_rows *to)
{
    int16_round_rows(x, ldx, to, gelu_measure, round_row);
}

const int16_kernels INT16_NAME = {&int16_strassen, multiply, quantize, quantize_rows, gelu_rows};
