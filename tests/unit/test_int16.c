/* test_int16.c - integer products: every kernel gives the bits of the plain loops, the plain loops
 * give the sums of 64-bit integers, and no sum can pass 31 bits. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "embed/int16.h"

enum { N_MAX = 112, M_MAX = 61 };

static uint64_t state;

static uint32_t draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

/* -1 to 1. */
static float fraction(void)
{
    return (float)draw() * 0x1p-30f - 1.0f;
}

/* Rows as activations are (a few large elements), and awkward ones. */
static void fill_row(float *x, size_t n, unsigned kind)
{
    for (size_t i = 0; i < n; i++) {
        float v = fraction();
        switch (kind % 8) {
        case 1: /* one that outweighs all others */
            v = i == 3 ? 1e6f : v;
            break;
        case 2: /* all the same, and the largest of which squares are finite */
            v = draw() % 2 ? 0x1p59f : -0x1p59f;
            break;
        case 3:
            v = 0;
            break;
        case 4: /* nothing but too small */
            v *= 0x1p-120f;
            break;
        case 5: /* halves: rounding to even shows */
            v = (float)((int)(draw() % 65) - 32) * 0.5f;
            break;
        case 6: /* another that outweighs all others, beside that of 1 */
            v = i == 2 ? -1e6f : v;
            break;
        case 7:
            v = draw() % 16 ? v * 0.01f : v * 20.0f;
            break;
        default:
            break;
        }
        x[i] = v;
    }
}

typedef struct weights_room {
    int16_weights w;
    _Alignas(64) int16_t q[2 * INT16_CHUNK * (N_MAX + INT16_PANEL)];
    float scale[N_MAX];
    int16_t plain[N_MAX][INT16_CHUNK]; /* the integers, each column rounded alone */
    float panels[N_MAX / INT16_PANEL][INT16_CHUNK * INT16_PANEL];
} weights_room;

typedef struct rows_room {
    int16_rows x;
    _Alignas(64) int16_t q[2 * INT16_CHUNK * (M_MAX + 1)];
    float scale[M_MAX];
    float numbers[M_MAX * INT16_CHUNK];
    int16_t plain[M_MAX][INT16_CHUNK];
} rows_room;

/* The weights as a kernel wants them. */
static void lay_out_weights(weights_room *r, const int16_kernels *by)
{
    const size_t n_panels = r->w.n / INT16_PANEL;
    assert_true(by->layout->weights_size(r->w.k, r->w.n) <= sizeof r->q / sizeof *r->q);
    for (size_t p = 0; p < n_panels; p += 2)
        by->layout->pack(&r->w, p / 2, r->panels[p], p + 1 < n_panels ? r->panels[p + 1] : NULL,
                         by);
}

static void make_weights(weights_room *r, size_t k, size_t n)
{
    float row[INT16_CHUNK];
    r->w = (int16_weights){r->q, r->scale, k, n};
    for (size_t c = 0; c < n; c++) {
        fill_row(row, k, draw());
        (void)int16_scalar.quantize(row, k, r->plain[c]);
        for (size_t i = 0; i < k; i++)
            r->panels[c / INT16_PANEL][i * INT16_PANEL + c % INT16_PANEL] = row[i];
    }
}

/* Row i out of what a layout makes of it. */
static void plain_row(const int16_kernels *by, const int16_rows *x, size_t i, int16_t *q)
{
    const size_t half = x->k / 2, pairs = (x->m + 1) / 2;
    if (by->layout == &int16_strassen) {
        const int16_t *sums = x->q + i % pairs * INT16_SUMS * half;
        for (size_t k = 0; k < half; k++) {
            const int16_t x11 = sums[2 * half + k], x22 = (int16_t)-sums[4 * half + k];
            q[k] = (int16_t)(i < pairs ? x11 : sums[3 * half + k] + x11);
            q[half + k] = (int16_t)(i < pairs ? x22 - sums[6 * half + k] : x22);
        }
    } else { /* Winograd: elements 0, 2, 1, 3 of four, less what is told behind all */
        int32_t centre;
        memcpy(&centre, x->q + x->m * x->k + 2 * x->m, sizeof centre);
        for (size_t k = 0; k < x->k; k++)
            q[k] = (int16_t)(x->q[i * x->k + k / 4 * 4 +
                                  (k % 4 == 1   ? 2
                                   : k % 4 == 2 ? 1
                                                : k % 4)] +
                             centre);
    }
}

/* The rows, or gelu of them, as a kernel wants them. */
static void lay_out_rows(rows_room *r, bool gelu, const int16_kernels *by)
{
    static float copy[M_MAX * INT16_CHUNK];
    assert_true(by->layout->rows_size(r->x.m, r->x.k) <= sizeof r->q / sizeof *r->q);
    memcpy(copy, r->numbers, sizeof copy);
    if (gelu)
        by->gelu_rows(copy, r->x.k, &r->x);
    else
        by->quantize_rows(copy, r->x.k, &r->x);
}

static void make_rows(rows_room *r, size_t m, size_t k, bool gelu)
{
    r->x = (int16_rows){r->q, r->scale, m, k};
    for (size_t i = 0; i < m; i++) fill_row(r->numbers + i * k, k, draw());
    lay_out_rows(r, gelu, &int16_scalar);
    for (size_t i = 0; i < m; i++) plain_row(&int16_scalar, &r->x, i, r->plain[i]);
}

/* The kernels this machine has. */
static size_t others(const int16_kernels *out[4])
{
    size_t n = 0;
#ifdef TAMIS_X86_64
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out[n++] = &int16_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        out[n++] = &int16_avx512;
        if (__builtin_cpu_supports("avx512vnni")) {
            out[n++] = &int16_vnni;
            out[n++] = &int16_winograd;
        }
    }
#endif
    return n;
}

/* One row of gelu(x). */
static float gelu_row(const int16_kernels *k, float *x, size_t n, int16_t *q)
{
    _Alignas(64) int16_t room[INT16_SUMS * INT16_CHUNK / 2];
    float scale;
    const int16_rows rows = {room, &scale, 1, n};
    k->gelu_rows(x, n, &rows);
    plain_row(k, &rows, 0, q);
    return scale;
}

static void test_rounding(void **unused)
{
    const int16_kernels *table[4];
    size_t n_kernels = others(table);
    (void)unused;
    state = 1;
    for (unsigned round = 0; round < 4000; round++) {
        float x[INT16_CHUNK], mine[INT16_CHUNK], theirs[INT16_CHUNK];
        int16_t q[INT16_CHUNK], other[INT16_CHUNK];
        size_t n = 16 * (1 + draw() % (INT16_CHUNK / 16));
        fill_row(x, n, round);
        memcpy(mine, x, sizeof x);
        bool gelu = round / 8 % 2;
        float scale =
            gelu ? gelu_row(&int16_scalar, mine, n, q) : int16_scalar.quantize(mine, n, q);
        int64_t squares = 0;
        for (size_t i = 0; i < n; i++) {
            squares += q[i] * q[i];
            /* the difference of any two fits */
            assert_in_range(q[i] + 32768, 32768 - (gelu ? 4095 : 16383),
                            32768 + (gelu ? 28672 : 16383));
            assert_true(fabsf((float)q[i] * scale - mine[i]) <= 0.51f * scale || scale == 0);
        }
        assert_true(squares <= (int64_t)INT16_LENGTH * INT16_LENGTH);
        for (size_t k = 0; k < n_kernels; k++) {
            memcpy(theirs, x, sizeof x);
            float s =
                gelu ? gelu_row(table[k], theirs, n, other) : table[k]->quantize(theirs, n, other);
            assert_memory_equal(&s, &scale, sizeof s);
            assert_memory_equal(other, q, n * sizeof *q);
        }
    }
}

static void test_not_finite(void **unused)
{
    const int16_kernels *table[5] = {&int16_scalar};
    size_t n_kernels = 1 + others(table + 1);
    static const float bad[] = {NAN, INFINITY, -INFINITY, FLT_MAX};
    (void)unused;
    for (size_t k = 0; k < n_kernels; k++)
        for (size_t i = 0; i < 4 * 32; i++) {
            float x[32] = {1, -2};
            int16_t q[32];
            x[i / 4] = bad[i % 4];
            assert_false(isfinite(table[k]->quantize(x, 32, q)));
        }
}

/* Weights that are no numbers are packed without harm (a sanitizer would tell), and show. */
static void test_weights_not_finite(void **unused)
{
    const int16_kernels *table[5] = {&int16_scalar};
    size_t n_kernels = 1 + others(table + 1);
    static weights_room r;
    (void)unused;
    for (size_t k = 0; k < n_kernels; k++) {
        r.w = (int16_weights){r.q, r.scale, INT16_CHUNK, INT16_PANEL};
        for (size_t i = 0; i < INT16_CHUNK * INT16_PANEL; i++)
            r.panels[0][i] = i % INT16_PANEL % 2 ? -INFINITY : i / INT16_PANEL % 3 ? FLT_MAX : NAN;
        lay_out_weights(&r, table[k]);
        for (size_t c = 0; c < INT16_PANEL; c++) assert_false(isfinite(r.scale[c]));
    }
}

static void test_gelu(void **unused)
{
    (void)unused;
    for (float from = -12; from < 12; from += 16 / 1024.0f) {
        float x[16], y[16];
        int16_t q[16];
        for (int i = 0; i < 16; i++) y[i] = x[i] = from + (float)i / 1024.0f;
        (void)gelu_row(&int16_scalar, y, 16, q);
        for (int i = 0; i < 16; i++) {
            double v = (double)x[i], want = v / 2 * (1 + erf(v / sqrt(2)));
            assert_true(fabs((double)y[i] - want) < 2e-5 * fmax(1, fabs(v)));
        }
    }
}

/* The same integers for the rows of x, of gelu of them too. */
static void test_rows(void **unused)
{
    const int16_kernels *table[4];
    size_t n_kernels = others(table);
    static rows_room r;
    static float scale[M_MAX];
    int16_t plain[INT16_CHUNK];
    (void)unused;
    state = 5;
    for (size_t round = 0; round < 120; round++) {
        size_t m = 1 + round % M_MAX, k = 16 * (1 + draw() % (INT16_CHUNK / 16));
        make_rows(&r, m, k, round % 2);
        memcpy(scale, r.scale, sizeof scale);
        for (size_t t = 0; t < n_kernels; t++) {
            lay_out_rows(&r, round % 2, table[t]);
            assert_memory_equal(scale, r.scale, m * sizeof *r.scale);
            for (size_t i = 0; i < m; i++) {
                plain_row(table[t], &r.x, i, plain);
                assert_memory_equal(plain, r.plain[i], k * sizeof *plain);
            }
        }
    }
}

static void check_products(const weights_room *w, const rows_room *x, const int16_job *j,
                           const float *before)
{
    for (size_t i = 0; i < x->x.m; i++)
        for (size_t c = 0; c < w->w.n; c++) {
            int64_t sum = 0;
            for (size_t a = 0; a < w->w.k; a++) sum += x->plain[i][a] * w->plain[c][a];
            float from = j->start ? j->start[c] : before[i * N_MAX + c];
            float want = fmaf((float)sum, x->scale[i] * w->scale[c], from);
            assert_memory_equal(&j->y[i * N_MAX + c], &want, sizeof want);
        }
}

static void test_products(void **unused)
{
    const int16_kernels *table[4];
    size_t n_kernels = others(table);
    static weights_room w;
    static rows_room x;
    static float y[M_MAX * N_MAX], other[M_MAX * N_MAX], before[M_MAX * N_MAX];
    float start[N_MAX];
    (void)unused;
    state = 2;
    for (unsigned round = 0; round < 300; round++) {
        const bool gelu = round / 2 % 2;
        size_t k = round % 3 ? 16 * (1 + draw() % (INT16_CHUNK / 16)) : INT16_CHUNK;
        size_t n = 16 * (1 + draw() % (N_MAX / 16));
        make_weights(&w, k, n);
        lay_out_weights(&w, &int16_scalar);
        make_rows(&x, 1 + round % M_MAX, k, gelu);
        for (size_t c = 0; c < n; c++) start[c] = fraction();
        for (size_t i = 0; i < M_MAX * N_MAX; i++) before[i] = fraction();
        memcpy(y, before, sizeof y);
        int16_job j = {&x.x, &w.w, round % 2 ? start : NULL, y, N_MAX};
        int16_scalar.multiply(&j);
        check_products(&w, &x, &j, before);
        for (size_t t = 0; t < n_kernels; t++) {
            memcpy(other, before, sizeof other);
            j.y = other;
            lay_out_weights(&w, table[t]);
            lay_out_rows(&x, gelu, table[t]);
            table[t]->multiply(&j);
            assert_memory_equal(other, y, sizeof y);
        }
    }
}

/* The largest sums there can be: a row against itself and its opposite, of few and of many large
 * elements. */
static void test_largest_sums(void **unused)
{
    const int16_kernels *table[5] = {&int16_scalar};
    size_t n_kernels = 1 + others(table + 1);
    static weights_room r;
    static rows_room x;
    float *panel = r.panels[0], y[2 * N_MAX];
    (void)unused;
    for (size_t large = 1; large <= INT16_CHUNK; large++) {
        r.w = (int16_weights){r.q, r.scale, INT16_CHUNK, 16};
        x.x = (int16_rows){x.q, x.scale, 2, INT16_CHUNK};
        for (size_t i = 0; i < INT16_CHUNK; i++) {
            x.numbers[i] = i < large ? 1.0f : 0.0f;
            x.numbers[INT16_CHUNK + i] = -x.numbers[i];
            for (size_t c = 0; c < 16; c++)
                panel[i * 16 + c] = c % 2 ? x.numbers[i] : -x.numbers[i];
        }
        (void)int16_scalar.quantize(x.numbers, INT16_CHUNK, x.plain[0]);
        int64_t sum = 0;
        for (size_t i = 0; i < INT16_CHUNK; i++) sum += x.plain[0][i] * x.plain[0][i];
        assert_true(sum <= INT32_MAX);
        if (large >= 8) assert_true(sum > INT32_MAX / 100 * 95); /* the room is used */
        for (size_t t = 0; t < n_kernels; t++) {
            memset(y, 0, sizeof y);
            lay_out_weights(&r, table[t]);
            lay_out_rows(&x, false, table[t]);
            for (size_t c = 0; c < 16; c++) r.scale[c] = 1;
            x.scale[0] = x.scale[1] = 1;
            table[t]->multiply(&(int16_job){&x.x, &r.w, NULL, y, N_MAX});
            for (size_t c = 0; c < 16; c++) {
                assert_true(y[c] == (c % 2 ? (float)sum : -(float)sum));
                assert_true(y[N_MAX + c] == (c % 2 ? -(float)sum : (float)sum));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_largest_sums),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_weights_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
