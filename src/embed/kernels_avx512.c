/* kernels_avx512.c - the canonical arithmetic, sixteen outputs to a register (AVX-512F). */
#include <immintrin.h>

#include "embed/kernels.h"

enum { GELU_BLOCK = 384 };

static inline __attribute__((always_inline)) __m512 poly(const float *p, int degree, __m512 x)
{
    __m512 sum = _mm512_set1_ps(p[degree]);
    for (int i = degree - 1; i >= 0; i--) sum = _mm512_fmadd_ps(sum, x, _mm512_set1_ps(p[i]));
    return sum;
}

static inline __m512 exp_nonpositive(__m512 x)
{
    const __m512 rounder = _mm512_set1_ps(EXP_ROUND);
    x = _mm512_max_ps(x, _mm512_set1_ps(EXP_LOWEST));
    __m512 rounded = _mm512_fmadd_ps(x, _mm512_set1_ps(EXP_LOG2E), rounder);
    __m512 n = _mm512_sub_ps(rounded, rounder);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_HIGH), x);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_LOW), r);
    __m512 e = _mm512_fmadd_ps(_mm512_mul_ps(r, r), poly(exp_poly, 4, r), r);
    __m512i shift = _mm512_slli_epi32(_mm512_castps_si512(rounded), 23);
    e = _mm512_add_ps(_mm512_set1_ps(1.0f), e);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(e), shift));
}

static inline __m512 minus(__m512 x)
{
    const __m512i sign = _mm512_set1_epi32(INT32_MIN);
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(x), sign));
}

static inline __m512 with_sign_of(__m512 x, __m512 from)
{
    const __m512i sign = _mm512_set1_epi32(INT32_MIN);
    __m512i bit = _mm512_and_si512(sign, _mm512_castps_si512(from));
    return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(x), bit));
}

/* Three rounds over a block that stays in the first cache, each with chains that are short enough
 * for several to be under way at once: the power of e, e to it, then both forms of erf. */
static void gelu_block(float *x, size_t n)
{
    const __m512 one = _mm512_set1_ps(1.0f), half_sqrt2 = _mm512_set1_ps(HALF_SQRT2);
    float e[GELU_BLOCK];
    for (size_t i = 0; i < n; i += 16) {
        __m512 t = _mm512_abs_ps(_mm512_mul_ps(_mm512_loadu_ps(x + i), half_sqrt2));
        t = _mm512_min_ps(t, _mm512_set1_ps(ERF_FAR_LIMIT));
        _mm512_storeu_ps(e + i, minus(_mm512_mul_ps(t, poly(erf_far, 7, t))));
    }
    for (size_t i = 0; i < n; i += 16)
        _mm512_storeu_ps(e + i, exp_nonpositive(_mm512_loadu_ps(e + i)));
    for (size_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i), u = _mm512_mul_ps(v, half_sqrt2);
        __m512 near = _mm512_fmadd_ps(u, poly(erf_near, 6, _mm512_mul_ps(u, u)), u);
        __m512 far = with_sign_of(_mm512_sub_ps(one, _mm512_loadu_ps(e + i)), u);
        __mmask16 is_near = _mm512_cmp_ps_mask(_mm512_abs_ps(u), one, _CMP_LT_OQ);
        __m512 erf = _mm512_mask_mov_ps(far, is_near, near);
        v = _mm512_mul_ps(_mm512_set1_ps(0.5f), v);
        _mm512_storeu_ps(x + i, _mm512_mul_ps(v, _mm512_add_ps(one, erf)));
    }
}

static void gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += GELU_BLOCK)
        gelu_block(x + i, n - i < GELU_BLOCK ? n - i : GELU_BLOCK);
}

/* The fixed tree over 16 partial sums: 8, 4, 2, 1. */
static inline float tree(__m512 sum)
{
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(sum), 1));
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sum), high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static void normalize(float *x, const float *more, const layer_norm *p)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < p->n; i += KERNEL_LANES) {
        __m512 a = _mm512_loadu_ps(x + i);
        if (more) {
            a = _mm512_add_ps(a, _mm512_loadu_ps(more + i));
            _mm512_storeu_ps(x + i, a);
        }
        sum = _mm512_add_ps(sum, a);
    }
    const __m512 mean = _mm512_set1_ps(tree(sum) / (float)p->n);
    sum = _mm512_setzero_ps();
    for (size_t i = 0; i < p->n; i += KERNEL_LANES) {
        __m512 a = _mm512_sub_ps(_mm512_loadu_ps(x + i), mean);
        sum = _mm512_fmadd_ps(a, a, sum);
    }
    float variance = tree(sum) / (float)p->n + p->eps;
    const __m512 scale = _mm512_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(variance))));
    for (size_t i = 0; i < p->n; i += KERNEL_LANES) {
        __m512 d = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), mean), scale);
        d = _mm512_fmadd_ps(d, _mm512_loadu_ps(p->gamma + i), _mm512_loadu_ps(p->beta + i));
        _mm512_storeu_ps(x + i, d);
    }
}

static inline __mmask16 lanes_below(size_t n)
{
    return (__mmask16)(n < KERNEL_LANES ? (1U << n) - 1 : 0xffffU);
}

/* The largest of x[0..n), in every lane.  The order of the operands is that of kernels_scalar.c,
 * which matters if one of them is not a number. */
static inline __m512 largest(const float *x, size_t n)
{
    __m512 top = _mm512_set1_ps(x[0]);
    for (size_t i = 0; i < n; i += KERNEL_LANES)
        top = _mm512_mask_max_ps(top, lanes_below(n - i), _mm512_loadu_ps(x + i), top);
    return _mm512_set1_ps(_mm512_reduce_max_ps(top));
}

static float softmax(float *x, size_t n)
{
    const __m512 most = largest(x, n);
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        /* zeros add nothing to a sum of positive numbers */
        __m512 e = exp_nonpositive(_mm512_sub_ps(_mm512_loadu_ps(x + i), most));
        e = _mm512_maskz_mov_ps(lanes_below(n - i), e);
        _mm512_storeu_ps(x + i, e);
        sum = _mm512_add_ps(sum, e);
    }
    return 1.0f / tree(sum);
}

static float sum_squares(const float *x, size_t n)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        __m512 a = _mm512_loadu_ps(x + i);
        sum = _mm512_fmadd_ps(a, a, sum);
    }
    return tree(sum);
}

/* Sixteen rows of sixteen: pairs of rows, then fours, then quarters of registers, twice. */
static inline void transpose_sixteen(const float *const row[16], float *to)
{
    __m512 a[16], b[16];
    for (int r = 0; r < 16; r++) a[r] = _mm512_loadu_ps(row[r]);
    for (int r = 0; r < 16; r += 2) {
        b[r] = _mm512_unpacklo_ps(a[r], a[r + 1]);
        b[r + 1] = _mm512_unpackhi_ps(a[r], a[r + 1]);
    }
    for (int r = 0; r < 16; r += 4)
        for (int i = 0; i < 2; i++) {
            a[r + 2 * i] = _mm512_shuffle_ps(b[r + i], b[r + 2 + i], _MM_SHUFFLE(1, 0, 1, 0));
            a[r + 2 * i + 1] = _mm512_shuffle_ps(b[r + i], b[r + 2 + i], _MM_SHUFFLE(3, 2, 3, 2));
        }
    /* a[4 q + i]: columns i, 4 + i, 8 + i, 12 + i of rows 4 q to 4 q + 3 */
    for (int i = 0; i < 4; i++)
        for (int h = 0; h < 2; h++) {
            b[4 * h + i] = _mm512_shuffle_f32x4(a[8 * h + i], a[8 * h + 4 + i], 0x88);
            b[8 + 4 * h + i] = _mm512_shuffle_f32x4(a[8 * h + i], a[8 * h + 4 + i], 0xdd);
        }
    for (int i = 0; i < 4; i++)
        for (int odd = 0; odd < 2; odd++) {
            __m512 low = b[8 * odd + i], high = b[8 * odd + 4 + i];
            float *at = to + (4 * odd + i) * KERNEL_LANES;
            _mm512_storeu_ps(at, _mm512_shuffle_f32x4(low, high, 0x88));
            _mm512_storeu_ps(at + 8 * KERNEL_LANES, _mm512_shuffle_f32x4(low, high, 0xdd));
        }
}

static void transpose(const float *x, size_t ld, size_t rows, size_t n, float *to)
{
    static const float zeros[KERNEL_LANES];
    for (size_t c = 0; c < n; c += KERNEL_LANES) {
        const float *row[KERNEL_LANES];
        for (size_t r = 0; r < KERNEL_LANES; r++) row[r] = r < rows ? x + r * ld + c : zeros;
        transpose_sixteen(row, to + c * KERNEL_LANES);
    }
}

const kernels kernels_avx512 = {gelu, normalize, softmax, sum_squares, transpose};
