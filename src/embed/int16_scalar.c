/* int16_scalar.c - products of 16-bit integers, written plainly: the oracle of the others. */
#include <math.h>

#include "embed/int16_rows.h"

/* Row i, element k, out of the sums. */
static int32_t x_at(const int16_rows *x, size_t i, size_t k)
{
    const size_t half = x->k / 2, pairs = (x->m + 1) / 2;
    const int16_t *sums = x->q + i % pairs * INT16_SUMS * half + k % half;
    const int32_t x11 = sums[2 * half], x22 = -sums[4 * half];
    if (i < pairs) return k < half ? x11 : x22 - sums[6 * half];
    return k < half ? sums[3 * half] + x11 : x22;
}

static int32_t w_at(const int16_weights *w, size_t k, size_t c)
{
    const size_t half = w->k / 2, size = half * INT16_PANEL, in_half = k % half;
    const int16_t *sums = w->q + c / INT16_GROUP * INT16_SUMS * size +
                          (in_half / 2 * INT16_PANEL + c % INT16_PANEL) * 2 + in_half % 2;
    const int32_t w11 = -sums[size], w22 = -sums[5 * size];
    if (c % INT16_GROUP < INT16_PANEL) return k < half ? w11 : -sums[4 * size] - w11;
    return k < half ? sums[2 * size] - w22 : w22;
}

static void multiply(const int16_job *j)
{
    for (size_t i = 0; i < j->x->m; i++)
        for (size_t c = 0; c < j->w->n; c++) {
            int32_t sum = 0;
            for (size_t k = 0; k < j->w->k; k++) sum += x_at(j->x, i, k) * w_at(j->w, k, c);
            float *y = j->y + i * j->ldy + c;
            *y = fmaf((float)sum, j->x->scale[i] * j->w->scale[c], j->start ? j->start[c] : *y);
        }
}

/* least: what the scale must be for the largest elements. */
static float scale_of(const float *x, size_t n, float least)
{
    float part[INT16_PANEL] = {0};
    for (size_t i = 0; i < n; i++) part[i % INT16_PANEL] = fmaf(x[i], x[i], part[i % INT16_PANEL]);
    for (size_t half = INT16_PANEL / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++) part[i] += part[i + half];
    float scale = sqrtf(part[0]) / INT16_AIM;
    scale = least > scale ? least : scale;
    return scale < INT16_LEAST ? 0 : scale;
}

static void round_row(const float *x, size_t n, float scale, int16_t *q)
{
    float times = scale > 0 ? 1 / scale : 0;
    memset(q, 0, n * sizeof *q);
    for (size_t i = 0; isfinite(scale) && i < n; i++) q[i] = (int16_t)rintf(x[i] * times);
}

static float measure(float *x, size_t n)
{
    float top = 0;
    for (size_t i = 0; i < n; i++) top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    return scale_of(x, n, top / INT16_MOST);
}

static float gelu_measure(float *x, size_t n)
{
    float top = 0, bottom = 0;
    for (size_t i = 0; i < n; i++) {
        float c = x[i] < GELU_LIMIT ? x[i] : GELU_LIMIT;
        c = c > -GELU_LIMIT ? c : -GELU_LIMIT;
        float s = c * c, sum = gelu_poly[8];
        for (int k = 7; k >= 0; k--) sum = fmaf(sum, s, gelu_poly[k]);
        x[i] *= fmaf(c, sum, 0.5f);
        top = x[i] > top ? x[i] : top;
        bottom = x[i] < bottom ? x[i] : bottom;
    }
    top /= INT16_GELU_MOST;
    bottom /= INT16_GELU_LEAST;
    return scale_of(x, n, top > bottom ? top : bottom);
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

const int16_kernels int16_scalar = {&int16_strassen, multiply, quantize, quantize_rows, gelu_rows};
