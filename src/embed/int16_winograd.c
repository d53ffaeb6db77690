/* int16_winograd.c - products of 16-bit integers by sums of pairs (AVX-512 VNNI), 12 rows by 32
 * columns in registers.
 *
 * S. Winograd, "A New Algorithm for Inner Product" (1968): of two rows x and y
 *
 *     x1 y1 + x2 y2 = (x1 + y2) (x2 + y1) - x1 x2 - y1 y2
 *
 * so that with the last two terms summed up once for each row and column, half of the products
 * become additions.  vpdpwssd does two of them; four of k are
 *
 *     vpdpwssd((x1, x3) + (y2, y4), (x2, x4) + (y1, y3))
 *
 * one multiplication and two vpaddw instead of two multiplications.  That pays where additions go
 * to units of their own: a Zen 5 multiplies in two and adds in four (measured; a Zen 4 by its
 * description).  All is exact: the sums of two fit 16 bits, and what is summed up may pass 2^31 on
 * the way (int16.h).
 *
 * gelu's rows reach from -4095 to 28672: CENTRE is taken off them, and its share of the product,
 * CENTRE times the sum of a column, is added again. */
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "base/tile_shapes.h"
#include "embed/int16_avx512.h"

enum { ROWS = 12, GROUP = 4, STEP = 4, CENTRE = 12288 };
enum { FIXES = 4 * INT16_PANEL }; /* behind a panel, in int16: two int32 for each column */

/* The other way, -4095 - CENTRE - 16383 is -32766. */
_Static_assert((int)INT16_GELU_MOST - CENTRE + (int)INT16_MOST <= INT16_MAX, "sums fit");

/* q of rows: [m][k / 4][4], elements 0, 2, 1, 3 of four; then int32 [m] sums of x1 x2 and one more,
 * what was taken off all elements. */
static size_t rows_size(size_t m, size_t k)
{
    return m * k + 2 * (m + 1);
}

/* q of weights: for each panel [k / 4][2][16][2], elements 0 and 2, then 1 and 3; int32 [16] sums
 * of y1 y2, and int32 [16] sums of y. */
static size_t panel_size(size_t k)
{
    return k * INT16_PANEL + FIXES;
}

static size_t weights_size(size_t k, size_t n)
{
    return (n + INT16_GROUP - 1) / INT16_GROUP * 2 * panel_size(k);
}

static int32_t *row_fixes(const int16_rows *x)
{
    return (int32_t *)(void *)(x->q + x->m * x->k);
}

static void pack_panel(const int16_weights *w, size_t number, const float *panel,
                       const int16_kernels *by)
{
    float column[INT16_CHUNK];
    int16_t y[INT16_CHUNK], *to = w->q + number * panel_size(w->k);
    uint32_t products[INT16_PANEL] = {0}; /* modulo 2^32, as all sums are */
    int32_t sums[INT16_PANEL] = {0};
    for (size_t c = 0; c < INT16_PANEL; c++) {
        for (size_t i = 0; i < w->k; i++) column[i] = panel[i * INT16_PANEL + c];
        w->scale[number * INT16_PANEL + c] = by->quantize(column, w->k, y);
        for (size_t i = 0; i < w->k; i += STEP) {
            int16_t *odd = to + i * INT16_PANEL + 2 * c, *even = odd + 2 * INT16_PANEL;
            odd[0] = y[i];
            odd[1] = y[i + 2];
            even[0] = y[i + 1];
            even[1] = y[i + 3];
            products[c] += (uint32_t)(y[i] * y[i + 1]) + (uint32_t)(y[i + 2] * y[i + 3]);
            sums[c] += y[i] + y[i + 1] + y[i + 2] + y[i + 3];
        }
    }
    memcpy(to + w->k * INT16_PANEL, products, sizeof products);
    memcpy(to + w->k * INT16_PANEL + FIXES / 2, sums, sizeof sums);
}

static void pack(const int16_weights *w, size_t group, const float *first, const float *second,
                 const int16_kernels *by)
{
    pack_panel(w, 2 * group, first, by);
    if (second) pack_panel(w, 2 * group + 1, second, by);
}

/* --- the product ---------------------------------------------------------------------------- */

/* Some rows and one or two panels. */
typedef struct strip {
    const int16_t *x, *w;
    const float *x_scale, *w_scale, *start; /* start: NULL: what y holds */
    const int32_t *x_fixes;
    int32_t centre;
    float *y;
    size_t k, ldy;
    uintptr_t ahead; /* what to fetch, and how much further at each step */
    size_t step;
} strip;

typedef struct tile_sums {
    __m512i at[2][ROWS];
} tile_sums;

/* Before a loop over rows: unrolled before all else, or the sums lie in memory. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif
#define EACH_ROW UNROLL for (int r = 0; r < rows; r++)

/* Three pointers reach all rows, as in gemm_avx512.c. */
static inline __attribute__((always_inline)) void add_products(const strip *s, tile_sums *sum,
                                                               int rows, int panels)
{
    const size_t k = s->k, step = s->step, pitch = panel_size(k);
    const int16_t *w = s->w, *end = w + k * INT16_PANEL, *x[] = {s->x, s->x, s->x};
    uintptr_t ahead = s->ahead;
    if (rows > GROUP) x[1] += GROUP * k;
    if (rows > 2 * GROUP) x[2] += 2 * GROUP * k;
    __asm__("" : "+r"(x[0]), "+r"(x[1]), "+r"(x[2])); /* it shall not see that they are related */
    EACH_ROW sum->at[0][r] = sum->at[1][r] = _mm512_setzero_si512();
    for (; w < end; w += STEP * INT16_PANEL, ahead += step) {
        const __m512i odd = load(w), even = load(w + 2 * INT16_PANEL);
        __m512i odd2 = odd, even2 = even;
        if (panels == 2) odd2 = load(w + pitch), even2 = load(w + pitch + 2 * INT16_PANEL);
        EACH_ROW
        {
            const int16_t *from = x[r / GROUP] + (size_t)(r % GROUP) * k;
            const __m512i a = pair(from), b = pair(from + 2);
            add_product(&sum->at[0][r], _mm512_add_epi16(a, even), _mm512_add_epi16(b, odd));
            if (panels == 2)
                add_product(&sum->at[1][r], _mm512_add_epi16(a, even2), _mm512_add_epi16(b, odd2));
        }
        _mm_prefetch((const void *)ahead, _MM_HINT_T0);
        x[0] += STEP, x[1] += STEP, x[2] += STEP;
    }
}

/* What a panel's columns add to each sum. */
static inline __m512i column_fixes(const strip *s, size_t panel)
{
    const int16_t *at = s->w + panel * panel_size(s->k) + s->k * INT16_PANEL;
    __m512i shares = _mm512_mullo_epi32(_mm512_set1_epi32(s->centre), load(at + FIXES / 2));
    return _mm512_sub_epi32(shares, load(at));
}

static inline __attribute__((always_inline)) void run_tile(const strip *s, int rows, int panels)
{
    tile_sums sum;
    add_products(s, &sum, rows, panels);
    const size_t ldy = s->ldy, from_pitch = s->start ? 0 : ldy;
    const float *x_scale = s->x_scale, *from = s->start ? s->start : s->y;
    const int32_t *x_fixes = s->x_fixes;
    float *y = s->y;
    __m512i fixes[2];
    __m512 scale[2];
    for (int p = 0; p < panels; p++) {
        fixes[p] = column_fixes(s, (size_t)p);
        scale[p] = _mm512_loadu_ps(s->w_scale + p * INT16_PANEL);
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++, y += ldy, from += from_pitch) {
        const __m512i fix = _mm512_set1_epi32(x_fixes[r]);
        const __m512 x = _mm512_set1_ps(x_scale[r]);
        __m512 v[2];
        for (int p = 0; p < panels; p++) {
            __m512i exact = _mm512_sub_epi32(_mm512_add_epi32(sum.at[p][r], fixes[p]), fix);
            v[p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), _mm512_mul_ps(x, scale[p]),
                                   _mm512_loadu_ps(from + p * INT16_PANEL));
        }
        for (int p = 0; p < panels; p++) _mm512_storeu_ps(y + p * INT16_PANEL, v[p]);
    }
}

TILE_SHAPES(strip)

/* All rows pass by two panels, in strips as even as can be, and each fetches its share of the next
 * two. */
static void multiply(const int16_job *j)
{
    const int16_rows *x = j->x;
    const int16_weights *w = j->w;
    const size_t strips = (x->m + ROWS - 1) / ROWS, size = panel_size(w->k);
    const int32_t *fixes = row_fixes(x);
    for (size_t c = 0; c < w->n; c += INT16_GROUP) {
        const size_t panels = w->n - c > INT16_PANEL ? 2 : 1, bytes = panels * size * sizeof *w->q;
        const int16_t *panel = w->q + c / INT16_PANEL * size;
        uintptr_t ahead = (uintptr_t)panel + bytes;
        for (size_t t = 0, i = 0, rows; t < strips; t++, i += rows, ahead += bytes / strips) {
            rows = (x->m - i) / (strips - t);
            tiles[rows - 1][panels - 1](&(strip){.x = x->q + i * x->k,
                                                 .w = panel,
                                                 .x_scale = x->scale + i,
                                                 .w_scale = w->scale + c,
                                                 .start = j->start ? j->start + c : NULL,
                                                 .x_fixes = fixes + i,
                                                 .centre = fixes[x->m],
                                                 .y = j->y + i * j->ldy + c,
                                                 .k = w->k,
                                                 .ldy = j->ldy,
                                                 .ahead = ahead,
                                                 .step = bytes / strips / (w->k / STEP)});
        }
    }
}

/* --- rounding ------------------------------------------------------------------------------- */

/* Modulo 2^32: GCC's _mm512_reduce_add_epi32 adds plain ints, which must not overflow. */
static int32_t add_up(__m512i sums)
{
    uint32_t each[INT16_PANEL], sum = 0;
    _mm512_storeu_si512((void *)each, sums);
    for (size_t i = 0; i < INT16_PANEL; i++) sum += each[i];
    return (int32_t)sum;
}

/* A row to integers, less `centre`, in the order of rows_size(); returns its sum of x1 x2. */
static int32_t round_four(const float *x, size_t k, float scale, int centre, int16_t *q)
{
    /* _mm512_packs_epi32(a, b) has four of a and four of b in turn */
    static const int16_t order[2 * INT16_PANEL] = {0,  2,  1,  3,  8,  10, 9,  11, 16, 18, 17,
                                                   19, 24, 26, 25, 27, 4,  6,  5,  7,  12, 14,
                                                   13, 15, 20, 22, 21, 23, 28, 30, 29, 31};
    const __m512 times = _mm512_set1_ps(scale > 0 ? 1 / scale : 0);
    const __m512i places = load(order), lowest = _mm512_set1_epi16(-32767);
    const __m512i taken = _mm512_set1_epi16((int16_t)centre);
    __m512i products = _mm512_setzero_si512();
    for (size_t i = 0; i < k; i += 2 * INT16_PANEL) {
        const bool both = i + INT16_PANEL < k;
        const __mmask32 there = both ? 0xffffffffU : 0xffffU;
        const __m512 last = both ? _mm512_loadu_ps(x + i + INT16_PANEL) : _mm512_setzero_ps();
        __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), times));
        __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(last, times));
        a = _mm512_max_epi16(_mm512_packs_epi32(a, b), lowest);
        a = _mm512_maskz_sub_epi16(there, _mm512_permutexvar_epi16(places, a), taken);
        add_product(&products, a, _mm512_srli_epi64(a, 32));
        if (both)
            _mm512_storeu_si512((void *)(q + i), a);
        else
            _mm256_storeu_si256((__m256i *)(void *)(q + i), _mm512_castsi512_si256(a));
    }
    return add_up(products);
}

/* Two at a time: the second is measured before the first is rounded, as in int16_rows.h. */
static inline __attribute__((always_inline)) void round_rows(float *x, size_t ldx,
                                                             const int16_rows *to, int centre,
                                                             float (*take)(float *x, size_t n))
{
    int32_t *fixes = row_fixes(to);
    for (size_t i = 0; i < to->m; i += 2) {
        const size_t end = i + 2 < to->m ? i + 2 : to->m;
        for (size_t r = i; r < end; r++) to->scale[r] = take(x + r * ldx, to->k);
        for (size_t r = i; r < end; r++)
            fixes[r] = round_four(x + r * ldx, to->k, to->scale[r], centre, to->q + r * to->k);
    }
    fixes[to->m] = centre;
}

static void quantize_rows(const float *x, size_t ldx, const int16_rows *to)
{
    round_rows((float *)(uintptr_t)x, ldx, to, 0, measure);
}

static void gelu_rows(float *x, size_t ldx, const int16_rows *to)
{
    round_rows(x, ldx, to, CENTRE, gelu_measure);
}

static const int16_layout layout = {rows_size, weights_size, pack};

const int16_kernels int16_winograd = {&layout, multiply, quantize, quantize_rows, gelu_rows};
