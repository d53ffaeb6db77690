/* kernels_avx2.c - the canonical arithmetic, eight outputs to a register (AVX2 and FMA). */
#include <immintrin.h>

#include "embed/kernels.h"

enum { GELU_BLOCK = 384 };

static inline __m256 poly(const float *p, int degree, __m256 x)
{
    __m256 sum = _mm256_set1_ps(p[degree]);
    for (int i = degree - 1; i >= 0; i--) sum = _mm256_fmadd_ps(sum, x, _mm256_set1_ps(p[i]));
    return sum;
}

static inline __m256 exp_nonpositive(__m256 x)
{
    const __m256 rounder = _mm256_set1_ps(EXP_ROUND);
    x = _mm256_max_ps(x, _mm256_set1_ps(EXP_LOWEST));
    __m256 rounded = _mm256_fmadd_ps(x, _mm256_set1_ps(EXP_LOG2E), rounder);
    __m256 n = _mm256_sub_ps(rounded, rounder);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_HIGH), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_LOW), r);
    __m256 e = _mm256_fmadd_ps(_mm256_mul_ps(r, r), poly(exp_poly, 4, r), r);
    __m256i shift = _mm256_slli_epi32(_mm256_castps_si256(rounded), 23);
    e = _mm256_add_ps(_mm256_set1_ps(1.0f), e);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(e), shift));
}

/* Three rounds over a block that stays in the first cache, each with chains that are short enough
 * for several to be under way at once: the power of e, e to it, then both forms of erf. */
static void gelu_block(float *x, size_t n)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
    const __m256 half_sqrt2 = _mm256_set1_ps(HALF_SQRT2);
    float e[GELU_BLOCK];
    for (size_t i = 0; i < n; i += 8) {
        __m256 t = _mm256_andnot_ps(sign, _mm256_mul_ps(_mm256_loadu_ps(x + i), half_sqrt2));
        t = _mm256_min_ps(t, _mm256_set1_ps(ERF_FAR_LIMIT));
        _mm256_storeu_ps(e + i, _mm256_xor_ps(sign, _mm256_mul_ps(t, poly(erf_far, 7, t))));
    }
    for (size_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(e + i, exp_nonpositive(_mm256_loadu_ps(e + i)));
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i), u = _mm256_mul_ps(v, half_sqrt2);
        __m256 near = _mm256_fmadd_ps(u, poly(erf_near, 6, _mm256_mul_ps(u, u)), u);
        __m256 far = _mm256_sub_ps(one, _mm256_loadu_ps(e + i));
        far = _mm256_or_ps(far, _mm256_and_ps(sign, u));
        __m256 is_near = _mm256_cmp_ps(_mm256_andnot_ps(sign, u), one, _CMP_LT_OQ);
        __m256 erf = _mm256_blendv_ps(far, near, is_near);
        v = _mm256_mul_ps(_mm256_set1_ps(0.5f), v);
        _mm256_storeu_ps(x + i, _mm256_mul_ps(v, _mm256_add_ps(one, erf)));
    }
}

static void gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += GELU_BLOCK)
        gelu_block(x + i, n - i < GELU_BLOCK ? n - i : GELU_BLOCK);
}

/* The fixed tree over 16 partial sums: 8, 4, 2, 1. */
static inline float tree(__m256 low, __m256 high)
{
    __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static void normalize(float *x, const float *more, const layer_norm *p)
{
    __m256 low = _mm256_setzero_ps(), high = low;
    for (size_t i = 0; i < p->n; i += KERNEL_LANES) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        if (more) {
            a = _mm256_add_ps(a, _mm256_loadu_ps(more + i));
            b = _mm256_add_ps(b, _mm256_loadu_ps(more + i + 8));
            _mm256_storeu_ps(x + i, a);
            _mm256_storeu_ps(x + i + 8, b);
        }
        low = _mm256_add_ps(low, a);
        high = _mm256_add_ps(high, b);
    }
    __m256 mean = _mm256_set1_ps(tree(low, high) / (float)p->n);
    low = high = _mm256_setzero_ps();
    for (size_t i = 0; i < p->n; i += KERNEL_LANES) {
        __m256 a = _mm256_sub_ps(_mm256_loadu_ps(x + i), mean);
        __m256 b = _mm256_sub_ps(_mm256_loadu_ps(x + i + 8), mean);
        low = _mm256_fmadd_ps(a, a, low);
        high = _mm256_fmadd_ps(b, b, high);
    }
    float variance = tree(low, high) / (float)p->n + p->eps;
    __m256 scale = _mm256_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(variance))));
    for (size_t i = 0; i < p->n; i += 8) {
        __m256 d = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), mean), scale);
        d = _mm256_fmadd_ps(d, _mm256_loadu_ps(p->gamma + i), _mm256_loadu_ps(p->beta + i));
        _mm256_storeu_ps(x + i, d);
    }
}

/* All ones in the lanes below n. */
static inline __m256 lanes_below(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    int limit = n < 8 ? (int)n : 8;
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(limit), lane));
}

/* The largest of x[0..n), in every lane.  The order of the operands is that of kernels_scalar.c,
 * which matters if one of them is not a number. */
static inline __m256 largest(const float *x, size_t n)
{
    __m256 top = _mm256_set1_ps(x[0]);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) top = _mm256_max_ps(_mm256_loadu_ps(x + i), top);
    if (i < n) { /* the room behind n can be read, up to a multiple of 16 */
        __m256 last = _mm256_max_ps(_mm256_loadu_ps(x + i), top);
        top = _mm256_blendv_ps(top, last, lanes_below(n - i));
    }
    top = _mm256_max_ps(top, _mm256_permute2f128_ps(top, top, 1));
    top = _mm256_max_ps(top, _mm256_permute_ps(top, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm256_max_ps(top, _mm256_permute_ps(top, _MM_SHUFFLE(2, 3, 0, 1)));
}

static float softmax(float *x, size_t n)
{
    __m256 low = _mm256_setzero_ps(), high = low;
    const __m256 most = largest(x, n);
    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        size_t left = n - i;
        __m256 a = exp_nonpositive(_mm256_sub_ps(_mm256_loadu_ps(x + i), most));
        __m256 b = exp_nonpositive(_mm256_sub_ps(_mm256_loadu_ps(x + i + 8), most));
        if (left < KERNEL_LANES) { /* zeros add nothing to a sum of positive numbers */
            a = _mm256_and_ps(a, lanes_below(left));
            b = _mm256_and_ps(b, lanes_below(left < 8 ? 0 : left - 8));
        }
        _mm256_storeu_ps(x + i, a);
        _mm256_storeu_ps(x + i + 8, b);
        low = _mm256_add_ps(low, a);
        high = _mm256_add_ps(high, b);
    }
    return 1.0f / tree(low, high);
}

static float sum_squares(const float *x, size_t n)
{
    __m256 low = _mm256_setzero_ps(), high = low;
    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        low = _mm256_fmadd_ps(a, a, low);
        high = _mm256_fmadd_ps(b, b, high);
    }
    return tree(low, high);
}

/* Eight rows of eight: pairs of rows, then fours, then the halves. */
static inline void transpose_eight(const float *const row[8], float *to)
{
    __m256 a[8], b[8];
    for (int r = 0; r < 8; r++) a[r] = _mm256_loadu_ps(row[r]);
    for (int r = 0; r < 8; r += 2) {
        b[r] = _mm256_unpacklo_ps(a[r], a[r + 1]);
        b[r + 1] = _mm256_unpackhi_ps(a[r], a[r + 1]);
    }
    for (int r = 0; r < 8; r += 4)
        for (int i = 0; i < 2; i++) {
            a[r + 2 * i] = _mm256_shuffle_ps(b[r + i], b[r + 2 + i], _MM_SHUFFLE(1, 0, 1, 0));
            a[r + 2 * i + 1] = _mm256_shuffle_ps(b[r + i], b[r + 2 + i], _MM_SHUFFLE(3, 2, 3, 2));
        }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * KERNEL_LANES, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * KERNEL_LANES, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}

static void transpose(const float *x, size_t ld, size_t rows, size_t n, float *to)
{
    static const float zeros[8];
    for (size_t half = 0; half < KERNEL_LANES; half += 8)
        for (size_t c = 0; c < n; c += 8) {
            const float *row[8];
            for (size_t r = 0; r < 8; r++)
                row[r] = half + r < rows ? x + (half + r) * ld + c : zeros;
            transpose_eight(row, to + c * KERNEL_LANES + half);
        }
}

const kernels kernels_avx2 = {gelu, normalize, softmax, sum_squares, transpose};
