/* int16_scalar.c - products of 16-bit integers, written plainly: the oracle of the others. */
#include <math.h>
#include <string.h>

#include "embed/int16.h"

static void multiply(const int16_job *j)
{
    const size_t k_pairs = j->w->k / 2;
    for (size_t i = 0; i < j->m; i++) {
        const int16_t *x = j->x + i * j->w->k;
        for (size_t c = 0; c < j->w->n; c++) {
            const int16_t *w = j->w->q + c / INT16_PANEL * k_pairs * INT16_PANEL * 2;
            int32_t sum = 0;
            for (size_t k = 0; k < j->w->k; k++)
                sum += x[k] * w[(k / 2 * INT16_PANEL + c % INT16_PANEL) * 2 + k % 2];
            float *y = j->y + i * j->ldy + c;
            *y = fmaf((float)sum, j->x_scale[i] * j->w->scale[c], j->start ? j->start[c] : *y);
        }
    }
}

static float quantize(const float *x, size_t n, int16_t *q)
{
    float part[INT16_PANEL] = {0}, top = 0;
    memset(q, 0, n * sizeof *q);
    for (size_t i = 0; i < n; i++) {
        part[i % INT16_PANEL] = fmaf(x[i], x[i], part[i % INT16_PANEL]);
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    }
    for (size_t half = INT16_PANEL / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++) part[i] += part[i + half];
    float scale = sqrtf(part[0]) / INT16_AIM, other = top / INT16_MOST;
    scale = other > scale ? other : scale;
    if (scale < INT16_LEAST) scale = 0;
    float times = scale > 0 ? 1 / scale : 0;
    for (size_t i = 0; isfinite(scale) && i < n; i++) {
        float r = rintf(x[i] * times);
        r = r < INT16_MOST ? r : INT16_MOST;
        q[i] = r > -INT16_MOST ? (int16_t)r : (int16_t)-INT16_MOST;
    }
    return scale;
}

static float gelu_quantize(float *x, size_t n, int16_t *q)
{
    for (size_t i = 0; i < n; i++) {
        float c = x[i] < GELU_LIMIT ? x[i] : GELU_LIMIT;
        c = c > -GELU_LIMIT ? c : -GELU_LIMIT;
        float s = c * c, sum = gelu_poly[8];
        for (int k = 7; k >= 0; k--) sum = fmaf(sum, s, gelu_poly[k]);
        x[i] *= fmaf(c, sum, 0.5f);
    }
    return quantize(x, n, q);
}

const int16_kernels int16_scalar = {multiply, quantize, gelu_quantize};
