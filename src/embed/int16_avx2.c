/* int16_avx2.c - products of 16-bit integers, 6 rows by 16 columns in registers (AVX2, FMA).
 *
 * While the rows pass by a panel of weights, each strip of them fetches its share of the next one.
 *
 * A step multiplies two k at once (vpmaddwd) for 8 columns; the sums need a second instruction,
 * so it is worth 1.5 to 2 of the fused multiply-adds of float32, as the machine has ports for
 * them. */
#include <immintrin.h>

#include "embed/int16_rows.h"

enum { ROWS = 6 };

/* Pairs of rows and a group of columns. */
typedef struct strip {
    const int16_t *x, *w;
    const float *x_scale, *w_scale, *start; /* x_scale: of the upper rows */
    float *y;                               /* the upper rows */
    size_t k, ldy;
    size_t pairs;    /* from an upper row to its partner */
    size_t lower;    /* rows that have one */
    size_t panels;   /* 1: w ends behind the first */
    uintptr_t ahead; /* what to fetch, and how much further at each step */
    size_t step;
} strip;

typedef struct tile_sums {
    __m256i lo[ROWS], hi[ROWS];
} tile_sums;

/* Adds the products of two k of a row with 16 columns.  By hand: left to itself, GCC does all
 * products first, for which there are not enough registers. */
static inline __attribute__((always_inline)) void
add_product(__m256i *lo, __m256i *hi, const int16_t *x, __m256i a, __m256i b)
{
    __m256i t, u;
    __asm__("vpbroadcastd %4, %2\n\t"
            "vpmaddwd %5, %2, %3\n\t"
            "vpmaddwd %6, %2, %2\n\t"
            "vpaddd %3, %0, %0\n\t"
            "vpaddd %2, %1, %1"
            : "+x"(*lo), "+x"(*hi), "=&x"(t), "=&x"(u)
            : "m"(*(const int16_t(*)[2])x), "x"(a), "x"(b));
}

/* y += sum, scaled: of the upper (0) or lower (1) rows, of the first (0) or second (1) panel. */
static inline __attribute__((always_inline)) void finish(const strip *s, const tile_sums *sum,
                                                         int rows, int low, int right)
{
    if (right && s->panels < 2) return;
    const size_t n = low ? s->lower : (size_t)rows, column = right ? INT16_PANEL : 0;
    const __m256 wa = _mm256_loadu_ps(s->w_scale + column);
    const __m256 wb = _mm256_loadu_ps(s->w_scale + column + 8);
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        if ((size_t)r >= n) break;
        const size_t row = (size_t)r + (low ? s->pairs : 0);
        float *y = s->y + row * s->ldy + column;
        const float *from = s->start ? s->start + column : y;
        const __m256 scale = _mm256_set1_ps(s->x_scale[row]);
        __m256 a = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum->lo[r]), _mm256_mul_ps(scale, wa),
                                   _mm256_loadu_ps(from));
        __m256 b = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum->hi[r]), _mm256_mul_ps(scale, wb),
                                   _mm256_loadu_ps(from + 8));
        _mm256_storeu_ps(y, a);
        _mm256_storeu_ps(y + 8, b);
    }
}

/* sum += product number `which` of int16.h. */
static inline __attribute__((always_inline)) void
add_products(const strip *s, int which, uintptr_t *ahead, tile_sums *sum, int rows)
{
    const size_t half = s->k / 2, pitch = INT16_SUMS * half;
    const int16_t *w = s->w + (size_t)which * half * INT16_PANEL, *end = w + half * INT16_PANEL;
    const int16_t *x = s->x + (size_t)which * half;
    for (; w < end; w += 2 * INT16_PANEL, x += 2, *ahead += s->step) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)w);
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(w + INT16_PANEL));
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
            add_product(&sum->lo[r], &sum->hi[r], x + (size_t)r * pitch, a, b);
        _mm_prefetch((const void *)*ahead, _MM_HINT_T0);
    }
}

#define EACH _Pragma("GCC unroll 6") for (int r = 0; r < rows; r++)

static inline __attribute__((always_inline)) void keep(tile_sums *to, const tile_sums *from,
                                                       int rows)
{
    EACH to->lo[r] = from->lo[r], to->hi[r] = from->hi[r];
}

/* sum = a - b */
static inline __attribute__((always_inline)) void subtract(tile_sums *sum, const tile_sums *a,
                                                           const tile_sums *b, int rows)
{
    EACH sum->lo[r] = _mm256_sub_epi32(a->lo[r], b->lo[r]);
    EACH sum->hi[r] = _mm256_sub_epi32(a->hi[r], b->hi[r]);
}

/* The seven products, in the order of int16.h: p1, s2 = p1 + p2, s3 and y21 rest in memory. */
static inline __attribute__((always_inline)) void run_tile(const strip *s, int rows)
{
    tile_sums sum, p1, s2, s3, y21;
    uintptr_t ahead = s->ahead;
    EACH sum.lo[r] = sum.hi[r] = _mm256_setzero_si256();
    add_products(s, 0, &ahead, &sum, rows);
    keep(&p1, &sum, rows);
    add_products(s, 1, &ahead, &sum, rows);
    keep(&s2, &sum, rows);
    add_products(s, 2, &ahead, &sum, rows);
    keep(&s3, &sum, rows);
    add_products(s, 3, &ahead, &sum, rows);
    finish(s, &sum, rows, 1, 1);
    subtract(&sum, &p1, &s2, rows);
    add_products(s, 4, &ahead, &sum, rows);
    keep(&y21, &sum, rows);
    finish(s, &sum, rows, 1, 0);
    subtract(&sum, &s3, &s2, rows);
    add_products(s, 5, &ahead, &sum, rows);
    finish(s, &sum, rows, 0, 1);
    subtract(&sum, &s3, &sum, rows);
    EACH sum.lo[r] = _mm256_add_epi32(sum.lo[r], y21.lo[r]);
    EACH sum.hi[r] = _mm256_add_epi32(sum.hi[r], y21.hi[r]);
    add_products(s, 6, &ahead, &sum, rows);
    finish(s, &sum, rows, 0, 0);
}

static void run_rows(const strip *s, size_t rows)
{
    switch (rows) {
    case 6:
        run_tile(s, 6);
        break;
    case 5:
        run_tile(s, 5);
        break;
    case 4:
        run_tile(s, 4);
        break;
    case 3:
        run_tile(s, 3);
        break;
    case 2:
        run_tile(s, 2);
        break;
    case 1:
        run_tile(s, 1);
        break;
    default:
        break;
    }
}

static void multiply(const int16_job *j)
{
    const int16_rows *x = j->x;
    const int16_weights *w = j->w;
    const size_t half = w->k / 2, pairs = (x->m + 1) / 2, strips = (pairs + ROWS - 1) / ROWS;
    const size_t size = INT16_SUMS * half * INT16_PANEL, bytes = size * sizeof *w->q;
    for (size_t c = 0; c < w->n; c += INT16_GROUP) {
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
                              .panels = w->n - c > INT16_PANEL ? 2 : 1,
                              .ahead = ahead,
                              .step = bytes / strips / (INT16_SUMS * (half / 2))},
                     rows);
            i += rows;
            ahead += bytes / strips;
        }
    }
}

/* --- rounding ------------------------------------------------------------------------------- */

static inline __m256 absolute(__m256 x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

/* The largest of eight. */
static float largest(__m256 eight)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/* The scale of a row, from its 16 partial sums and what it must be for its largest elements. */
static float scale_of(__m256 low, __m256 high, float least)
{
    __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    __m128 sum = _mm_add_ss(two, _mm_movehdup_ps(two));
    float scale = _mm_cvtss_f32(_mm_sqrt_ss(sum)) / INT16_AIM;
    scale = least > scale ? least : scale;
    return scale < INT16_LEAST ? 0 : scale;
}

static void round_row(const float *x, size_t n, float scale, int16_t *q)
{
    const __m256 times = _mm256_set1_ps(scale > 0 ? 1 / scale : 0);
    const __m256i lowest = _mm256_set1_epi16(-32767);
    for (size_t i = 0; i < n; i += 16) {
        __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), times));
        __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + 8), times));
        __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
        _mm256_storeu_si256((__m256i *)(void *)(q + i), _mm256_max_epi16(both, lowest));
    }
}

static float measure(float *x, size_t n)
{
    __m256 low = _mm256_setzero_ps(), high = low, most = low;
    for (size_t i = 0; i < n; i += 16) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        low = _mm256_fmadd_ps(a, a, low);
        high = _mm256_fmadd_ps(b, b, high);
        most = _mm256_max_ps(most, _mm256_max_ps(absolute(a), absolute(b)));
    }
    return scale_of(low, high, largest(most) / INT16_MOST);
}

static inline __m256 gelu(__m256 x)
{
    __m256 c = _mm256_min_ps(x, _mm256_set1_ps(GELU_LIMIT));
    c = _mm256_max_ps(c, _mm256_set1_ps(-GELU_LIMIT));
    __m256 s = _mm256_mul_ps(c, c), sum = _mm256_set1_ps(gelu_poly[8]);
#pragma GCC unroll 8
    for (int k = 7; k >= 0; k--) sum = _mm256_fmadd_ps(sum, s, _mm256_set1_ps(gelu_poly[k]));
    return _mm256_mul_ps(x, _mm256_fmadd_ps(c, sum, _mm256_set1_ps(0.5f)));
}

static float gelu_measure(float *x, size_t n)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 low = _mm256_setzero_ps(), high = low, most = low, least = low; /* least: negated */
    for (size_t i = 0; i < n; i += 16) {
        __m256 a = gelu(_mm256_loadu_ps(x + i)), b = gelu(_mm256_loadu_ps(x + i + 8));
        _mm256_storeu_ps(x + i, a);
        _mm256_storeu_ps(x + i + 8, b);
        low = _mm256_fmadd_ps(a, a, low);
        high = _mm256_fmadd_ps(b, b, high);
        most = _mm256_max_ps(most, _mm256_max_ps(a, b));
        least = _mm256_max_ps(least, _mm256_xor_ps(_mm256_min_ps(a, b), sign));
    }
    float top = largest(most) / INT16_GELU_MOST, bottom = -largest(least) / INT16_GELU_LEAST;
    return scale_of(low, high, top > bottom ? top : bottom);
}

static float quantize(const float *x, size_t n, int16_t *q)
{
    float scale = measure((float *)(uintptr_t)x, n);
    round_row(x, n, scale, q);
    return scale;
}

static void quantize_rows(const float *x, size_t ldx, const int16_rows *to)
{
    int16_round_rows((float *)(uintptr_t)x, ldx, to, measure, round_row);
}

static void gelu_rows(float *x, size_t ldx, const int16_rows *to)
{
    int16_round_rows(x, ldx, to, gelu_measure, round_row);
}

const int16_kernels int16_avx2 = {&int16_strassen, multiply, quantize, quantize_rows, gelu_rows};
