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

enum { N_MAX = 96, M_MAX = 45 };

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
    int16_t q[INT16_CHUNK * N_MAX];
    float scale[N_MAX];
} weights_room;

static void make_weights(weights_room *r, size_t k, size_t n)
{
    float row[INT16_CHUNK];
    r->w = (int16_weights){r->q, r->scale, k, n};
    for (size_t c = 0; c < n; c++) {
        fill_row(row, k, draw());
        int16_pack(&r->w, c, row, 1, &int16_scalar);
    }
}

static int16_t weight_at(const int16_weights *w, size_t k, size_t c)
{
    size_t panel = c / INT16_PANEL * w->k * INT16_PANEL;
    return w->q[panel + (k / 2 * INT16_PANEL + c % INT16_PANEL) * 2 + k % 2];
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
            gelu ? int16_scalar.gelu_quantize(mine, n, q) : int16_scalar.quantize(mine, n, q);
        int64_t squares = 0;
        for (size_t i = 0; i < n; i++) {
            squares += q[i] * q[i];
            assert_true(q[i] != INT16_MIN);
            assert_true(fabsf((float)q[i] * scale - mine[i]) <= 0.51f * scale || scale == 0);
        }
        assert_true(squares <= (int64_t)INT16_LENGTH * INT16_LENGTH);
        for (size_t k = 0; k < n_kernels; k++) {
            memcpy(theirs, x, sizeof x);
            float s = gelu ? table[k]->gelu_quantize(theirs, n, other)
                           : table[k]->quantize(theirs, n, other);
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
        int16_scalar.gelu_quantize(y, 16, q);
        for (int i = 0; i < 16; i++) {
            double v = (double)x[i], want = v / 2 * (1 + erf(v / sqrt(2)));
            assert_true(fabs((double)y[i] - want) < 2e-5 * fmax(1, fabs(v)));
        }
    }
}

static void test_products(void **unused)
{
    const int16_kernels *table[3];
    size_t n_kernels = others(table);
    static weights_room r;
    static int16_t x[M_MAX * INT16_CHUNK];
    static float y[M_MAX * N_MAX], other[M_MAX * N_MAX], before[M_MAX * N_MAX];
    float x_scale[M_MAX], start[N_MAX], row[INT16_CHUNK];
    (void)unused;
    state = 2;
    for (unsigned round = 0; round < 150; round++) {
        size_t k = 2 * (1 + draw() % (INT16_CHUNK / 2)), n = 16 * (1 + draw() % (N_MAX / 16));
        size_t m = 1 + round % M_MAX;
        k = round % 3 ? (k + 15) / 16 * 16 : INT16_CHUNK;
        make_weights(&r, k, n);
        for (size_t i = 0; i < m; i++) {
            fill_row(row, k, draw());
            x_scale[i] = int16_scalar.quantize(row, k, x + i * k);
        }
        for (size_t c = 0; c < n; c++) start[c] = fraction();
        for (size_t i = 0; i < M_MAX * N_MAX; i++) before[i] = fraction();
        memcpy(y, before, sizeof y);
        int16_job j = {x, x_scale, m, &r.w, round % 2 ? start : NULL, y, N_MAX};
        int16_scalar.multiply(&j);
        for (size_t i = 0; i < m; i++)
            for (size_t c = 0; c < n; c++) {
                int64_t sum = 0;
                for (size_t a = 0; a < k; a++) sum += x[i * k + a] * weight_at(&r.w, a, c);
                float from = j.start ? start[c] : before[i * N_MAX + c];
                float want = fmaf((float)sum, x_scale[i] * r.scale[c], from);
                assert_memory_equal(&y[i * N_MAX + c], &want, sizeof want);
            }
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
    float row[INT16_CHUNK], other[INT16_CHUNK], y[2 * N_MAX], x_scale[2] = {1, 1};
    int16_t x[2 * INT16_CHUNK];
    (void)unused;
    for (size_t large = 1; large <= INT16_CHUNK; large++) {
        r.w = (int16_weights){r.q, r.scale, INT16_CHUNK, 16};
        for (size_t i = 0; i < INT16_CHUNK; i++) row[i] = i < large ? 1.0f : 0.0f;
        for (size_t i = 0; i < INT16_CHUNK; i++) other[i] = -row[i];
        int16_scalar.quantize(row, INT16_CHUNK, x);
        int16_scalar.quantize(other, INT16_CHUNK, x + INT16_CHUNK);
        for (size_t c = 0; c < 16; c++) int16_pack(&r.w, c, c % 2 ? row : other, 1, &int16_scalar);
        for (size_t c = 0; c < 16; c++) r.scale[c] = 1;
        int64_t sum = 0;
        for (size_t i = 0; i < INT16_CHUNK; i++) sum += x[i] * x[i];
        assert_true(sum <= INT32_MAX);
        if (large >= 2) assert_true(sum > INT32_MAX / 100 * 95); /* the room is used */
        for (size_t t = 0; t < n_kernels; t++) {
            memset(y, 0, sizeof y);
            table[t]->multiply(&(int16_job){x, x_scale, 2, &r.w, NULL, y, N_MAX});
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
        cmocka_unit_test(test_largest_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
