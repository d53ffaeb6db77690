/* int16_avx2.c - products of 16-bit integers, 6 rows by 16 columns in registers (AVX2, FMA).
 *
 * While the rows pass by a panel of weights, each strip of them fetches its share of the next one.
 *
 * A step multiplies two k at once (vpmaddwd) for 8 columns; the sums need a second instruction,
 * so it is worth 1.5 to 2 of the fused multiply-adds of float32, as the machine has ports for
 * them. */
#include <immintrin.h>

#include "embed/int16.h"

enum { ROWS = 6 };

typedef struct strip {
    const int16_t *x, *w; /* w: one panel */
    const float *x_scale, *w_scale, *start;
    float *y;
    size_t k, ldy;
    uintptr_t ahead; /* what to fetch, and how much further at each step */
    size_t step;
} strip;

/* Adds the products of two k of a row with 16 columns.  By hand: left to itself, GCC does all
 * products first, for which there are not enough registers. */
static inline __attribute__((always_inline)) void
add_products(__m256i *lo, __m256i *hi, const int16_t *x, __m256i a, __m256i b)
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

static inline __attribute__((always_inline)) void run_tile(const strip *s, int rows)
{
    __m256i lo[ROWS], hi[ROWS];
    const size_t k = s->k;
    const int16_t *w = s->w, *x = s->x;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) lo[r] = hi[r] = _mm256_setzero_si256();
    uintptr_t ahead = s->ahead;
    for (size_t i = 0; i < k; i += 2, w += 2 * INT16_PANEL, x += 2, ahead += s->step) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)w);
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(w + INT16_PANEL));
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) add_products(&lo[r], &hi[r], x + (size_t)r * k, a, b);
        _mm_prefetch((const void *)ahead, _MM_HINT_T0);
    }
    const __m256 wa = _mm256_loadu_ps(s->w_scale), wb = _mm256_loadu_ps(s->w_scale + 8);
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        float *y = s->y + (size_t)r * s->ldy;
        const float *from = s->start ? s->start : y;
        const __m256 scale = _mm256_set1_ps(s->x_scale[r]);
        __m256 a = _mm256_fmadd_ps(_mm256_cvtepi32_ps(lo[r]), _mm256_mul_ps(scale, wa),
                                   _mm256_loadu_ps(from));
        __m256 b = _mm256_fmadd_ps(_mm256_cvtepi32_ps(hi[r]), _mm256_mul_ps(scale, wb),
                                   _mm256_loadu_ps(from + 8));
        _mm256_storeu_ps(y, a);
        _mm256_storeu_ps(y + 8, b);
    }
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
    const int16_weights *w = j->w;
    const size_t strips = (j->m + ROWS - 1) / ROWS, bytes = w->k * INT16_PANEL * sizeof *w->q;
    for (size_t c = 0; c < w->n; c += INT16_PANEL) {
        uintptr_t ahead = (uintptr_t)(w->q + c * w->k) + bytes;
        for (size_t i = 0; i < j->m; i += ROWS, ahead += bytes / strips)
            run_rows(&(strip){.x = j->x + i * w->k,
                              .w = w->q + c * w->k,
                              .x_scale = j->x_scale + i,
                              .w_scale = w->scale + c,
                              .start = j->start ? j->start + c : NULL,
                              .y = j->y + i * j->ldy + c,
                              .k = w->k,
                              .ldy = j->ldy,
                              .ahead = ahead,
                              .step = 2 * INT16_PANEL * sizeof *w->q / strips},
                     j->m - i < ROWS ? j->m - i : ROWS);
    }
}

/* --- rounding ------------------------------------------------------------------------------- */

static inline __m256 absolute(__m256 x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

/* The scale of a row, from its 16 partial sums and its largest elements. */
static float scale_of(__m256 low, __m256 high, __m256 most)
{
    __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    __m128 sum = _mm_add_ss(two, _mm_movehdup_ps(two));
    four = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    float top = _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
    float scale = _mm_cvtss_f32(_mm_sqrt_ss(sum)) / INT16_AIM, other = top / INT16_MOST;
    scale = other > scale ? other : scale;
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

static float quantize(const float *x, size_t n, int16_t *q)
{
    __m256 low = _mm256_setzero_ps(), high = low, most = low;
    for (size_t i = 0; i < n; i += 16) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        low = _mm256_fmadd_ps(a, a, low);
        high = _mm256_fmadd_ps(b, b, high);
        most = _mm256_max_ps(most, _mm256_max_ps(absolute(a), absolute(b)));
    }
    float scale = scale_of(low, high, most);
    round_row(x, n, scale, q);
    return scale;
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

static float gelu_quantize(float *x, size_t n, int16_t *q)
{
    __m256 low = _mm256_setzero_ps(), high = low, most = low;
    for (size_t i = 0; i < n; i += 16) {
        __m256 a = gelu(_mm256_loadu_ps(x + i)), b = gelu(_mm256_loadu_ps(x + i + 8));
        _mm256_storeu_ps(x + i, a);
        _mm256_storeu_ps(x + i + 8, b);
        low = _mm256_fmadd_ps(a, a, low);
        high = _mm256_fmadd_ps(b, b, high);
        most = _mm256_max_ps(most, _mm256_max_ps(absolute(a), absolute(b)));
    }
    float scale = scale_of(low, high, most);
    round_row(x, n, scale, q);
    return scale;
}

const int16_kernels int16_avx2 = {multiply, quantize, gelu_quantize};
