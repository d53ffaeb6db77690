/* test_gemm.c - the matrix product of every instruction set against one chain for each output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/gemm.h"

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

static float plain(void)
{
    return (float)random_below(1u << 24) / (float)(1u << 23) - 1.0f;
}

/* Now and then what arithmetic treats apart: zeros of both signs, numbers too small to be normal or
 * so large that a sum overflows, and what comes of that. */
static float awkward(void)
{
    static const float rare[] = {0.0f,   -0.0f, 1e-45f, -3e-42f, 1e-38f,   3e38f,
                                 -3e38f, 1e19f, -1e19f, 1e-20f,  INFINITY, NAN};
    return random_below(6) ? plain() : rare[random_below(sizeof rare / sizeof *rare)];
}

static float *floats(size_t n, float (*one)(void))
{
    float *p = malloc((n + 1) * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = one();
    return p;
}

typedef struct shape {
    size_t m, k, n;
} shape;

typedef enum { FROM_ZERO, FROM_START, ONTO } beginning;

/* One output as gemm.h says; not a number is one value, whatever its bits. */
static void assert_chain(const gemm_job *j, size_t row, size_t col, float first, float got)
{
    float acc = first;
    for (size_t k = 0; k < j->k; k++)
        acc = fmaf(j->x[row * j->ldx + k], j->w[(col / 16 * j->k + k) * 16 + col % 16], acc);
    if (isnan(acc)) assert_true(isnan(got));
    if (!isnan(acc)) assert_memory_equal(&acc, &got, sizeof acc);
}

static void check(gemm_fn gemm, shape s, beginning b, float (*one)(void))
{
    const size_t ldx = s.k + s.m % 3, ldy = s.n + s.m % 5; /* rows with room between them, too */
    float *x = floats(s.m * ldx, one), *w = floats(s.k * s.n, one), *start = floats(s.n, one);
    float *before = floats(s.m * ldy, one), *y = malloc((s.m * ldy + 1) * sizeof *y);
    assert_non_null(y);
    memcpy(y, before, s.m * ldy * sizeof *y);
    gemm_job j = {.x = x, .ldx = ldx, .m = s.m, .k = s.k, .w = w, .y = y, .ldy = ldy, .n = s.n};
    j.start = b == FROM_START ? start : NULL;
    j.onto = b == ONTO;
    j.next = s.m % 2 ? w : NULL;
    gemm(&j);
    for (size_t r = 0; r < s.m; r++) {
        const float *was = before + r * ldy;
        for (size_t c = 0; c < s.n; c++)
            assert_chain(&j, r, c,
                         b == ONTO         ? was[c]
                         : b == FROM_START ? start[c]
                                           : 0.0f,
                         y[r * ldy + c]);
        assert_memory_equal(y + r * ldy + s.n, was + s.n, (ldy - s.n) * sizeof *y);
    }
    free(x);
    free(w);
    free(start);
    free(before);
    free(y);
}

static void check_all(gemm_fn gemm, float (*one)(void))
{
    for (size_t m = 1; m <= 40; m++) /* all remainders of rows, panels alone and in pairs */
        check(gemm, (shape){m, 1 + random_below(80), 16 * (1 + m % 5)}, m % 3, one);
    check(gemm, (shape){13, 384, 48}, FROM_START, one);
    check(gemm, (shape){3, 385, 32}, FROM_START, one); /* more than a block of k */
    check(gemm, (shape){25, 1000, 80}, ONTO, one);
    check(gemm, (shape){8, 1536, 16}, FROM_ZERO, one);
    check(gemm, (shape){0, 16, 16}, FROM_ZERO, one);
}

static void test_each_output_is_one_chain(void **state)
{
    (void)state;
    check_all(gemm_scalar, plain);
    check_all(gemm_scalar, awkward);
    for (isa i = ISA_SCALAR; i <= isa_best(); i++) {
        check_all(gemm_for(i), plain);
        check_all(gemm_for(i), awkward);
    }
}

/* If one instruction set stood for another, the test above would not see what it should. */
static void test_each_set_has_its_own(void **state)
{
    (void)state;
    if (isa_best() >= ISA_AVX2) assert_true(gemm_for(ISA_AVX2) != gemm_for(ISA_SCALAR));
    if (isa_best() >= ISA_AVX512) assert_true(gemm_for(ISA_AVX512) != gemm_for(ISA_AVX2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_output_is_one_chain),
        cmocka_unit_test(test_each_set_has_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
