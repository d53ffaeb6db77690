/* int16_avx512.c - products of 16-bit integers, 14 rows by 32 columns in registers.
 *
 * Compiled twice: INT16_NAME int16_vnni with vpdpwssd, which multiplies two k and adds, twice what
 * a fused multiply-add of float32 does; int16_avx512 without (vpmaddwd and vpaddd). */
#include <immintrin.h>
#include <string.h>

#include "embed/int16.h"

#ifdef __AVX512VNNI__
enum { ROWS = 14, GROUP = 5 };
#else
enum { ROWS = 12, GROUP = 5 }; /* the products need registers too */
#endif

typedef struct strip {
    const int16_t *x, *w; /* w: the first of one or two panels */
    const float *x_scale, *w_scale, *start;
    float *y;
    size_t k, ldy;
    uintptr_t ahead; /* what to fetch, and how much further at each step */
    size_t step;
} strip;

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

static inline __attribute__((always_inline)) void finish(const strip *s, int r, int panel,
                                                         __m512i sum)
{
    float *y = s->y + (size_t)r * s->ldy + panel * INT16_PANEL;
    const float *from = s->start ? s->start + panel * INT16_PANEL : y;
    __m512 scale = _mm512_mul_ps(_mm512_set1_ps(s->x_scale[r]),
                                 _mm512_loadu_ps(s->w_scale + panel * INT16_PANEL));
    _mm512_storeu_ps(y, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, _mm512_loadu_ps(from)));
}

/* The loops over rows are unrolled before anything else, or GCC keeps the sums in memory.  Three
 * pointers reach all rows of x (at 0 to 4 times k from one of them). */
static inline __attribute__((always_inline)) void run_tile(const strip *s, int rows, int panels)
{
    __m512i lo[ROWS], hi[ROWS];
    const size_t k = s->k, pitch = k * INT16_PANEL;
    const int16_t *w = s->w, *x[] = {s->x, s->x + GROUP * k, s->x + 2 * GROUP * k};
    const int16_t *end = w + pitch;
    __asm__("" : "+r"(x[0]), "+r"(x[1]), "+r"(x[2])); /* it shall not see that they are related */
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) lo[r] = hi[r] = _mm512_setzero_si512();
    uintptr_t ahead = s->ahead;
    for (; w < end; w += 2 * INT16_PANEL, ahead += s->step) {
        __m512i a = load(w), b = a;
        if (panels == 2) b = load(w + pitch);
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            __m512i v = pair(x[r / GROUP] + (size_t)(r % GROUP) * k);
            add_product(&lo[r], v, a);
            if (panels == 2) add_product(&hi[r], v, b);
        }
        _mm_prefetch((const void *)ahead, _MM_HINT_T0);
        x[0] += 2, x[1] += 2, x[2] += 2;
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        finish(s, r, 0, lo[r]);
        if (panels == 2) finish(s, r, 1, hi[r]);
    }
}

#define CASE(rows)                                                                                 \
    case rows:                                                                                     \
        if (panels == 2)                                                                           \
            run_tile(s, rows, 2);                                                                  \
        else                                                                                       \
            run_tile(s, rows, 1);                                                                  \
        break

static void run_rows(const strip *s, size_t rows, size_t panels)
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

/* All rows pass by two panels, and each strip of them fetches its share of the next two.  Rows are
 * shared out evenly, since a strip of few costs as much as one of many. */
static void multiply(const int16_job *j)
{
    const int16_weights *w = j->w;
    const size_t strips = (j->m + ROWS - 1) / ROWS;
    for (size_t c = 0; c < w->n; c += 2 * INT16_PANEL) {
        const size_t panels = w->n - c > INT16_PANEL ? 2 : 1;
        const size_t bytes = panels * w->k * INT16_PANEL * sizeof *w->q;
        uintptr_t ahead = (uintptr_t)(w->q + c * w->k) + bytes;
        for (size_t t = 0, i = 0; t < strips; t++) {
            size_t rows = (j->m - i + strips - t - 1) / (strips - t);
            run_rows(&(strip){.x = j->x + i * w->k,
                              .w = w->q + c * w->k,
                              .x_scale = j->x_scale + i,
                              .w_scale = w->scale + c,
                              .start = j->start ? j->start + c : NULL,
                              .y = j->y + i * j->ldy + c,
                              .k = w->k,
                              .ldy = j->ldy,
                              .ahead = ahead,
                              .step = bytes / strips / (w->k / 2)},
                     rows, panels);
            i += rows;
            ahead += bytes / strips;
        }
    }
}

/* --- rounding ------------------------------------------------------------------------------- */

/* The scale of a row, from its 16 partial sums and its largest elements. */
static float scale_of(__m512 sums, __m512 most)
{
    __m256 high = _mm512_extractf32x8_ps(sums, 1);
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sums), high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    __m128 sum = _mm_add_ss(two, _mm_movehdup_ps(two));
    float top = _mm512_reduce_max_ps(most);
    float scale = _mm_cvtss_f32(_mm_sqrt_ss(sum)) / INT16_AIM, other = top / INT16_MOST;
    scale = other > scale ? other : scale;
    return scale < INT16_LEAST ? 0 : scale;
}

static void round_row(const float *x, size_t n, float scale, int16_t *q)
{
    const __m512 times = _mm512_set1_ps(scale > 0 ? 1 / scale : 0);
    const __m256i lowest = _mm256_set1_epi16(-32767);
    for (size_t i = 0; i < n; i += INT16_PANEL) {
        __m512i r = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), times));
        __m256i narrow = _mm256_max_epi16(_mm512_cvtsepi32_epi16(r), lowest);
        _mm256_storeu_si256((__m256i *)(void *)(q + i), narrow);
    }
}

static float quantize(const float *x, size_t n, int16_t *q)
{
    __m512 sums = _mm512_setzero_ps(), most = sums;
    for (size_t i = 0; i < n; i += INT16_PANEL) {
        __m512 a = _mm512_loadu_ps(x + i);
        sums = _mm512_fmadd_ps(a, a, sums);
        most = _mm512_max_ps(most, _mm512_abs_ps(a));
    }
    float scale = scale_of(sums, most);
    round_row(x, n, scale, q);
    return scale;
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

static float gelu_quantize(float *x, size_t n, int16_t *q)
{
    __m512 sums = _mm512_setzero_ps(), most = sums;
    for (size_t i = 0; i < n; i += INT16_PANEL) {
        __m512 a = gelu(_mm512_loadu_ps(x + i));
        _mm512_storeu_ps(x + i, a);
        sums = _mm512_fmadd_ps(a, a, sums);
        most = _mm512_max_ps(most, _mm512_abs_ps(a));
    }
    float scale = scale_of(sums, most);
    round_row(x, n, scale, q);
    return scale;
}

const int16_kernels INT16_NAME = {multiply, quantize, gelu_quantize};
