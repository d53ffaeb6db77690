/* test_far.c - vectors in a file: what is decided by them is what is decided by the same in memory,
 * whatever part of them is there, and a file that fails is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <dirent.h>
#include <unistd.h>

#include "dedup/budget.h"
#include "dedup/components.h"
#include "dedup/forced.h"
#include "dedup/prior.h"
#include "dedup/sweep.h"
#include "plain_greedy.h"

static char dir[] = "/tmp/tamis-far-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static size_t count_files(void)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) n += f->d_name[0] != '.' || strlen(f->d_name) > 2;
    closedir(d);
    return n;
}

static vector_list move_away(const float *from, size_t n, size_t dim, size_t n_here)
{
    err e = {0};
    vector_list v;
    assert_int_equal(vectors_new(n, dim, n_here, dir, &v, &e), ST_OK);
    assert_int_equal(vectors_put(&v, dim, 0, n, from, &e), ST_OK);
    assert_int_equal(count_files(), 0); /* it has no name */
    return v;
}

/* --- rows ----------------------------------------------------------------------------------- */

static void test_rows_come_back(void **state)
{
    enum { N = 50, DIM = 24 };
    float *want = random_floats(N * DIM), room[N * DIM];
    err e = {0};
    (void)state;
    for (size_t here = 0; here <= N; here += 10) {
        vector_list v = move_away(want, N, DIM, here);
        for (size_t step = 0; step < 2; step++) {
            for (size_t at = 0; at < N; at++) {
                const size_t n = N - at < 13 ? N - at : 13;
                const float *got = vectors_read(&v, DIM, at, n, room);
                assert_memory_equal(got, want + at * DIM, n * DIM * sizeof *got);
                assert_memory_equal(vectors_row(&v, DIM, at, room), want + at * DIM, DIM * 4);
                assert_true(vectors_equal(&v, DIM, at, at));
                assert_int_equal(vectors_equal(&v, DIM, at, 7), at == 7);
            }
            assert_int_equal(vectors_bring(&v, DIM, here + 5 < N ? here + 5 : N, &e), ST_OK);
        }
        for (size_t i = 0; i < 9 * DIM; i++) want[(size_t)8 * DIM + i] = random_float();
        assert_int_equal(vectors_put(&v, DIM, 8, 9, want + (size_t)8 * DIM, &e), ST_OK);
        assert_memory_equal(vectors_read(&v, DIM, 0, N, room), want, N * DIM * 4);
        assert_int_equal(vectors_check(&v, &e), ST_OK);
        vectors_release(&v);
    }
    free(want);
}

/* --- decisions ------------------------------------------------------------------------------ */

typedef struct outcome {
    verdict *kept, *second, *again, *forced;
    unsigned char *doubtful;
    uint32_t *parent;
    sweep sweep;
} outcome;

static outcome outcome_new(const greedy_input *in)
{
    const size_t n = in->n_rows + 1;
    outcome o = {.kept = calloc(n, sizeof *o.kept),
                 .second = calloc(n, sizeof *o.second),
                 .again = calloc(n, sizeof *o.again),
                 .forced = calloc(n, sizeof *o.forced),
                 .doubtful = calloc(in->n_vectors + 1, 1),
                 .parent = calloc(n, sizeof *o.parent)};
    assert_true(o.kept && o.second && o.again && o.forced && o.doubtful && o.parent);
    return o;
}

static void outcome_free(outcome *o)
{
    free(o->kept);
    free(o->second);
    free(o->again);
    free(o->forced);
    free(o->doubtful);
    free(o->parent);
}

enum { FORCED = 40 };

/* Everything that the vectors decide. */
static outcome decide(const greedy_input *of, join_plan plan, int threads, isa set)
{
    err e = {0};
    greedy_input in = *of;
    outcome out = outcome_new(&in);
    float *margin = calloc(in.n_vectors + 1, sizeof *margin);
    assert_non_null(margin);
    for (size_t i = 0; i < in.n_vectors; i += 2) margin[i] = 0.004f;
    greedy_options o = {.isa = set, .plan = plan, .second = out.second};
    assert_int_equal(pool_new(threads, &o.pool, &e), ST_OK);
    assert_int_equal(greedy_run(&in, &o, out.kept, &e), ST_OK);
    o.second = NULL;
    assert_int_equal(forced_run(&in, FORCED, &o, out.forced, &e), ST_OK);
    assert_int_equal(sweep_run(&in, FORCED, &o, &out.sweep, &e), ST_OK);
    in.prior = out.kept;
    in.prior_second = out.second;
    assert_int_equal(greedy_run(&in, &o, out.again, &e), ST_OK);
    assert_memory_equal(out.again, out.kept, in.n_rows * sizeof *out.kept);
    in.prior = in.prior_second = NULL;
    forest_init(out.parent, in.n_rows);
    assert_int_equal(components_unite(&in, &o, out.parent, &e), ST_OK);
    if (!in.answer) {
        in.margin = margin;
        in.doubtful = out.doubtful;
        assert_int_equal(greedy_run(&in, &o, out.again, &e), ST_OK);
    }
    pool_free(o.pool);
    free(margin);
    return out;
}

static void check_same(const greedy_input *in, const outcome *a, const outcome *b)
{
    const size_t n = in->n_rows;
    assert_memory_equal(a->kept, b->kept, n * sizeof *a->kept);
    assert_memory_equal(a->second, b->second, n * sizeof *a->second);
    assert_memory_equal(a->forced, b->forced, n * sizeof *a->forced);
    assert_memory_equal(a->again, b->again, n * sizeof *a->again);
    assert_memory_equal(a->doubtful, b->doubtful, in->n_vectors);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(forest_root(a->parent, i), forest_root(b->parent, i));
    assert_memory_equal(&a->sweep, &b->sweep, sizeof a->sweep);
}

/* As decided by plain loops, on one thread, in memory; then with ever more of them in a file. */
static void check_far(rows *r, size_t n_answers, join_plan plan)
{
    const size_t n = r->in.n_vectors, dim = r->in.dim, heres[] = {0, 1, n / 3, n};
    outcome want = decide(&r->in, plan, 1, ISA_SCALAR);
    for (size_t k = 0; k < sizeof heres / sizeof *heres; k++)
        for (int set = k ? (int)best_isa() : ISA_SCALAR; set <= (int)best_isa(); set++) {
            greedy_input in = r->in;
            in.vectors = move_away(r->vectors, n, dim, heres[k]);
            if (n_answers) in.answers = move_away(r->answers, n_answers, dim, heres[k] ? 3 : 0);
            outcome got = decide(&in, plan, 1 + (int)k, (isa)set);
            check_same(&r->in, &want, &got);
            outcome_free(&got);
            vectors_release(&in.vectors);
            if (n_answers) vectors_release(&in.answers);
        }
    outcome_free(&want);
}

static void test_decisions_are_the_same(void **state)
{
    (void)state;
    for (join_plan plan = JOIN_PREFIX_28; plan <= JOIN_ALL; plan++) {
        rows r = make_rows(900, 600, 256, 0.6, 1);
        check_far(&r, 0, plan);
        rows_free(&r);
    }
}

static void test_groups_large_and_small(void **state)
{
    (void)state;
    for (uint32_t groups = 3; groups < 60; groups += 50) {
        rows r = make_rows(900, 500, 128, 0.6, groups);
        check_far(&r, 0, JOIN_PREFIX_28);
        rows_free(&r);
    }
}

static void test_answers_lie_there_too(void **state)
{
    (void)state;
    rows r = make_rows(900, 300, 128, 0.5, 1);
    give_answers(&r, 60, 0.6);
    check_far(&r, 60, JOIN_AUTO);
    rows_free(&r);
}

/* As many as make the join look for a plan. */
static void test_many(void **state)
{
    (void)state;
    rows r = make_rows(7000, 6500, 112, 0.6, 1);
    assert_true(join_has_prefix(r.in.n_vectors, r.in.dim));
    outcome want = decide(&r.in, JOIN_AUTO, 2, best_isa());
    r.in.vectors = move_away(r.vectors, r.in.n_vectors, r.in.dim, 2000);
    outcome got = decide(&r.in, JOIN_AUTO, 2, best_isa());
    check_same(&r.in, &want, &got);
    vectors_release(&r.in.vectors);
    outcome_free(&want);
    outcome_free(&got);
    rows_free(&r);
}

/* --- faults --------------------------------------------------------------------------------- */

static void test_what_cannot_be_read_is_told(void **state)
{
    err e = {0};
    float room[16];
    rows r = make_rows(300, 200, 16, 0.6, 1);
    verdict out[300];
    sweep s;
    uint32_t parent[300];
    greedy_options o = {.isa = best_isa()};
    (void)state;
    assert_int_equal(pool_new(2, &o.pool, &e), ST_OK);
    forest_init(parent, 300);
    for (int which = 0; which < 2; which++) {
        vector_list half, *of = which ? &r.in.answers : &r.in.vectors, whole;
        if (which) give_answers(&r, 50, 0.6);
        whole = *of;
        assert_int_equal(vectors_new(0, 16, 0, dir, &half, &e), ST_OK);
        assert_int_equal(vectors_put(&half, 16, 0, 10, whole.rows, &e), ST_OK);
        assert_int_equal(vectors_check(&half, &e), ST_OK);
        *of = half;
        assert_int_equal(greedy_run(&r.in, &o, out, &e), ST_FAILED);
        assert_non_null(strstr(e.msg, dir));
        assert_int_equal(forced_run(&r.in, 10, &o, out, &e), ST_FAILED);
        assert_int_equal(sweep_run(&r.in, 10, &o, &s, &e), ST_FAILED);
        if (!which) assert_int_equal(components_unite(&r.in, &o, parent, &e), ST_FAILED);
        assert_true(vectors_row(&half, 16, 10, room)[3] == 0);
        vectors_release(&half);
        *of = whole;
    }
    pool_free(o.pool);
    rows_free(&r);
}

static void test_a_place_that_is_not_there(void **state)
{
    err e = {0};
    vector_list v;
    (void)state;
    assert_int_equal(vectors_new(5, 8, 5, "/nowhere", &v, &e), ST_OK); /* no need of it */
    vectors_release(&v);
    assert_int_equal(vectors_new(5, 8, 2, "/nowhere", &v, &e), ST_FAILED);
    assert_non_null(strstr(e.msg, "/nowhere"));
    vectors_release(&v);
}

/* --- the budget ----------------------------------------------------------------------------- */

static void test_budget(void **state)
{
    const budget b = {1000000, 1000000, 384, 2};
    const uint64_t least = budget_least(&b), most = budget_most(&b);
    err e = {0};
    (void)state;
    assert_int_equal(most - least, 1000000ull * 384 * 4);
    assert_true(least < 1ull << 30 && most < 5ull << 29); /* 1 GiB, 2.5 GiB */
    assert_true(budget_here(&b, 0) == VECTORS_ALL);
    assert_int_equal(budget_here(&b, least), 0);
    assert_int_equal(budget_here(&b, least + 10 * 384 * 4), 10);
    assert_int_equal(budget_here(&b, most), 1000000);
    assert_int_equal(budget_here(&b, UINT64_MAX), 1000000);
    assert_int_equal(budget_refuse(&b, "1M", "x.db", &e), ST_USAGE);
    assert_non_null(strstr(e.msg, "dedup.memory = 1M"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_back),
        cmocka_unit_test(test_decisions_are_the_same),
        cmocka_unit_test(test_groups_large_and_small),
        cmocka_unit_test(test_answers_lie_there_too),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_what_cannot_be_read_is_told),
        cmocka_unit_test(test_a_place_that_is_not_there),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
