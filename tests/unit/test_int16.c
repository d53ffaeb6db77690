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
        case 6:
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
    int16_t q[2 * INT16_CHUNK * (N_MAX + INT16_PANEL)];
    float scale[N_MAX];
    int16_t plain[N_MAX][INT16_CHUNK]; /* the integers, each column rounded alone */
} weights_room;

typedef struct rows_room {
    int16_rows x;
    int16_t q[2 * INT16_CHUNK * (M_MAX + 1)];
    float scale[M_MAX];
    float numbers[M_MAX * INT16_CHUNK];
    int16_t plain[M_MAX][INT16_CHUNK];
} rows_room;

static void make_weights(weights_room *r, size_t k, size_t n)
{
    static float panels[N_MAX / INT16_PANEL][INT16_CHUNK * INT16_PANEL];
    float row[INT16_CHUNK];
    r->w = (int16_weights){r->q, r->scale, k, n};
    assert_true(int16_weights_size(k, n) <= sizeof r->q / sizeof *r->q);
    for (size_t c = 0; c < n; c++) {
        fill_row(row, k, draw());
        (void)int16_scalar.quantize(row, k, r->plain[c]);
        for (size_t i = 0; i < k; i++)
            panels[c / INT16_PANEL][i * INT16_PANEL + c % INT16_PANEL] = row[i];
    }
    for (size_t p = 0; p < n / INT16_PANEL; p += 2)
        int16_pack(&r->w, p / 2, panels[p], p + 1 < n / INT16_PANEL ? panels[p + 1] : NULL,
                   &int16_scalar);
}

static void make_rows(rows_room *r, size_t m, size_t k)
{
    r->x = (int16_rows){r->q, r->scale, m, k};
    assert_true(int16_rows_size(m, k) <= sizeof r->q / sizeof *r->q);
    for (size_t i = 0; i < m; i++) {
        fill_row(r->numbers + i * k, k, draw());
        (void)int16_scalar.quantize(r->numbers + i * k, k, r->plain[i]);
    }
    int16_scalar.quantize_rows(r->numbers, k, &r->x);
}

/* The kernels this machine has. */
static size_t others(const int16_kernels *out[3])
{
    size_t n = 0;
#ifdef TAMIS_X86_64
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out[n++] = &int16_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        out[n++] = &int16_avx512;
        if (__builtin_cpu_supports("avx512vnni")) out[n++] = &int16_vnni;
    }
#endif
    return n;
}

/* One row of gelu(x), out of its sums. */
static float gelu_row(const int16_kernels *k, float *x, size_t n, int16_t *q)
{
    int16_t sums[INT16_SUMS * INT16_CHUNK / 2];
    const size_t half = n / 2;
    float scale;
    k->gelu_rows(x, n, &(int16_rows){sums, &scale, 1, n});
    for (size_t i = 0; i < half; i++) {
        q[i] = sums[2 * half + i];
        q[half + i] = (int16_t)(sums[2 * half + i] - sums[5 * half + i]);
    }
    return scale;
}

static void test_rounding(void **unused)
{
    const int16_kernels *table[3];
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
    const int16_kernels *table[4] = {&int16_scalar};
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

/* The same sums for the rows of x, of gelu of them too. */
static void test_rows(void **unused)
{
    const int16_kernels *table[3];
    size_t n_kernels = others(table);
    static rows_room r, other;
    static float copy[M_MAX * INT16_CHUNK];
    (void)unused;
    state = 5;
    for (size_t round = 0; round < 60; round++) {
        size_t m = 1 + round % M_MAX, k = 16 * (1 + draw() % (INT16_CHUNK / 16));
        make_rows(&r, m, k);
        for (size_t gelu = 0; gelu < 2; gelu++) {
            const size_t bytes = int16_rows_size(m, k) * sizeof *r.q;
            memcpy(copy, r.numbers, sizeof copy);
            if (gelu) int16_scalar.gelu_rows(copy, k, &r.x);
            for (size_t t = 0; t < n_kernels; t++) {
                other.x = (int16_rows){other.q, other.scale, m, k};
                memcpy(other.numbers, r.numbers, sizeof copy);
                if (gelu)
                    table[t]->gelu_rows(other.numbers, k, &other.x);
                else
                    table[t]->quantize_rows(other.numbers, k, &other.x);
                assert_memory_equal(other.q, r.q, bytes);
                assert_memory_equal(other.scale, r.scale, m * sizeof *r.scale);
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
    const int16_kernels *table[3];
    size_t n_kernels = others(table);
    static weights_room w;
    static rows_room x;
    static float y[M_MAX * N_MAX], other[M_MAX * N_MAX], before[M_MAX * N_MAX];
    float start[N_MAX];
    (void)unused;
    state = 2;
    for (unsigned round = 0; round < 150; round++) {
        size_t k = round % 3 ? 16 * (1 + draw() % (INT16_CHUNK / 16)) : INT16_CHUNK;
        size_t n = 16 * (1 + draw() % (N_MAX / 16));
        make_weights(&w, k, n);
        make_rows(&x, 1 + round % M_MAX, k);
        for (size_t c = 0; c < n; c++) start[c] = fraction();
        for (size_t i = 0; i < M_MAX * N_MAX; i++) before[i] = fraction();
        memcpy(y, before, sizeof y);
        int16_job j = {&x.x, &w.w, round % 2 ? start : NULL, y, N_MAX};
        int16_scalar.multiply(&j);
        check_products(&w, &x, &j, before);
        for (size_t t = 0; t < n_kernels; t++) {
            memcpy(other, before, sizeof other);
            j.y = other;
            table[t]->multiply(&j);
            assert_memory_equal(other, y, sizeof y);
        }
    }
}

/* The largest sums there can be: a row against itself and its opposite, of few and of many large
 * elements. */
static void test_largest_sums(void **unused)
{
    const int16_kernels *table[4] = {&int16_scalar};
    size_t n_kernels = 1 + others(table + 1);
    static weights_room r;
    static rows_room x;
    static float panel[INT16_CHUNK * INT16_PANEL];
    float y[2 * N_MAX];
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
        int16_pack(&r.w, 0, panel, NULL, &int16_scalar);
        int16_scalar.quantize_rows(x.numbers, INT16_CHUNK, &x.x);
        (void)int16_scalar.quantize(x.numbers, INT16_CHUNK, x.plain[0]);
        for (size_t c = 0; c < 16; c++) r.scale[c] = 1;
        x.scale[0] = x.scale[1] = 1;
        int64_t sum = 0;
        for (size_t i = 0; i < INT16_CHUNK; i++) sum += x.plain[0][i] * x.plain[0][i];
        assert_true(sum <= INT32_MAX);
        if (large >= 8) assert_true(sum > INT32_MAX / 100 * 95); /* the room is used */
        for (size_t t = 0; t < n_kernels; t++) {
            memset(y, 0, sizeof y);
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
        cmocka_unit_test(test_rounding),     cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_gelu),         cmocka_unit_test(test_products),
        cmocka_unit_test(test_largest_sums), cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
