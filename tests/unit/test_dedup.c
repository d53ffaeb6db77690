/* test_dedup.c - greedy deduplication against the plain double loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>

#include "plain_greedy.h"

/* --- greedy --------------------------------------------------------------------------------- */

static void check(const greedy_input *in, int n_threads, isa set, size_t *n_kept)
{
    verdict *want = calloc(in->n_rows + 1, sizeof *want),
            *got = calloc(in->n_rows + 1, sizeof *got);
    pool *p;
    err e = {0};
    assert_true(want && got);
    assert_int_equal(pool_new(n_threads, &p, &e), ST_OK);
    greedy_options o = {.isa = set, .pool = p};
    assert_int_equal(greedy_run(in, &o, got, &e), ST_OK);
    plain(in, want);
    *n_kept = 0;
    for (size_t i = 0; i < in->n_rows; i++) {
        assert_int_equal(got[i].kept_row, want[i].kept_row);
        assert_true(got[i].score == want[i].score);
        *n_kept += got[i].kept_row == NO_ROW;
    }
    pool_free(p);
    free(want);
    free(got);
}

static void check_all(rows *r)
{
    size_t kept;
    for (int set = ISA_SCALAR; set <= (int)isa_best(); set++)
        for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
            check(&r->in, n_threads, (isa)set, &kept);
            assert_true(kept > 0 && kept < r->in.n_rows); /* else the case says little */
        }
    rows_free(r);
}

static void test_the_plain_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        static const double spreads[] = {0.05, 0.3, 0.6, 1.0};
        rows r =
            make_rows(50 + 60 * i, 30 + 40 * i, 8 + 8 * (i % 5), spreads[i % 4], i % 3 ? 1 : 3);
        check_all(&r);
    }
}

/* More kept rows than a piece of packed memory holds, more rows than a block. */
static void test_many_rows(void **state)
{
    (void)state;
    rows r = make_rows(3500, 3000, 32, 0.55, 1);
    size_t kept;
    check(&r.in, 2, isa_best(), &kept);
    assert_true(kept > 1100 && kept < 3000);
    rows_free(&r);
}

/* Texts that come again and again. */
static void test_few_vectors_many_rows(void **state)
{
    (void)state;
    rows r = make_rows(2500, 40, 16, 0.4, 2);
    check_all(&r);
}

static void test_thresholds(void **state)
{
    (void)state;
    static const double thresholds[] = {1.0, 0.9999999, 0.5, 0.01};
    for (size_t i = 0; i < 4; i++) {
        rows r = make_rows(300, 200, 24, 0.01, 1);
        r.in.threshold = thresholds[i];
        check_all(&r);
    }
}

/* Rows that meet only where their answers are near: few vectors with many answers, and the other
 * way round, below, at and beyond what a cosine with itself can be. */
static void test_answers(void **state)
{
    (void)state;
    static const double thresholds[] = {0.85, 0.5, 0.95, 1.0, 0.9999999};
    static const size_t sizes[][2] = {{300, 9}, {40, 40}, {6, 300}};
    for (size_t i = 0; i < 15; i++) {
        rows r = make_rows(400 + 100 * (i % 4), sizes[i % 3][0], 16 + 8 * (i % 3),
                           i < 9 ? 0.4 : 0.02, i % 4 ? 1 : 3);
        r.in.threshold = thresholds[i / 3];
        give_answers(&r, sizes[i % 3][1], i < 9 ? 0.4 : 0.02);
        check_all(&r);
    }
    rows r = make_rows(3500, 1500, 32, 0.4, 1);
    size_t kept;
    give_answers(&r, 700, 0.4);
    check(&r.in, 2, isa_best(), &kept);
    rows_free(&r);
}

/* A cosine exactly at the threshold is a duplicate; one double below is not. */
static void test_at_the_threshold(void **state)
{
    (void)state;
    float vectors[2][8] = {{0.6f, 0.8f}, {0.8f, 0.6f}};
    uint32_t unit[2] = {0, 1};
    verdict out[2];
    err e = {0};
    pool *p;
    double cosine = cosine_exact(vectors[0], vectors[1], 8);
    greedy_input in = {
        .vectors.rows = vectors[0], .n_vectors = 2, .dim = 8, .unit = unit, .n_rows = 2};
    assert_int_equal(pool_new(1, &p, &e), ST_OK);
    greedy_options o = {.isa = ISA_SCALAR, .pool = p};
    in.threshold = cosine;
    assert_int_equal(greedy_run(&in, &o, out, &e), ST_OK);
    assert_int_equal(out[1].kept_row, 0);
    assert_true(out[1].score == cosine);
    in.threshold = nextafter(cosine, 1);
    assert_int_equal(greedy_run(&in, &o, out, &e), ST_OK);
    assert_int_equal(out[1].kept_row, NO_ROW);
    pool_free(p);
}

/* Of equally near kept rows the earliest is named. */
static void test_ties_go_to_the_earliest(void **state)
{
    (void)state;
    float vectors[3][8] = {{1}, {0, 1}, {0.8f, 0.8f}};
    uint32_t unit[3] = {0, 1, 2};
    verdict out[3];
    err e = {0};
    pool *p;
    greedy_input in = {.vectors.rows = vectors[0],
                       .n_vectors = 3,
                       .dim = 8,
                       .unit = unit,
                       .n_rows = 3,
                       .threshold = 0.7};
    assert_int_equal(pool_new(1, &p, &e), ST_OK);
    assert_int_equal(greedy_run(&in, &(greedy_options){.isa = ISA_SCALAR, .pool = p}, out, &e),
                     ST_OK);
    assert_int_equal(out[1].kept_row, NO_ROW);
    assert_int_equal(out[2].kept_row, 0);
    pool_free(p);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    float vectors[2][8] = {{1}, {0, NAN}};
    uint32_t unit[2] = {0, 1};
    verdict out[2];
    err e = {0};
    pool *p;
    stop_flag stop = 1;
    greedy_input in = {.vectors.rows = vectors[0],
                       .n_vectors = 2,
                       .dim = 8,
                       .unit = unit,
                       .n_rows = 2,
                       .threshold = 0.85};
    assert_int_equal(pool_new(1, &p, &e), ST_OK);
    greedy_options o = {.isa = ISA_SCALAR, .pool = p};
    assert_int_equal(greedy_run(&in, &o, out, &e), ST_FAILED);
    assert_non_null(strstr(e.msg, "vector 2"));
    vectors[1][1] = 3e20f;
    assert_int_equal(greedy_run(&in, &o, out, &e), ST_FAILED);
    assert_non_null(strstr(e.msg, "unit length"));
    vectors[1][1] = 1;
    o.stop = &stop;
    assert_int_equal(greedy_run(&in, &o, out, &e), ST_INCOMPLETE);
    in.n_rows = in.n_vectors = 0;
    assert_int_equal(greedy_run(&in, &o, out, &e), ST_OK);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_plain_rule),
        cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_few_vectors_many_rows),
        cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_at_the_threshold),
        cmocka_unit_test(test_ties_go_to_the_earliest),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
