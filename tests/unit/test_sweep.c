/* test_sweep.c - all thresholds at once against one after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dedup/forced.h"
#include "dedup/sweep.h"
#include "plain_greedy.h"

static sweep sweep_forced(const rows *r, size_t n_forced, isa set, int n_threads)
{
    sweep s;
    err e = {0};
    pool *p;
    assert_int_equal(pool_new(n_threads, &p, &e), ST_OK);
    assert_int_equal(sweep_run(&r->in, n_forced, &(greedy_options){.isa = set, .pool = p}, &s, &e),
                     ST_OK);
    pool_free(p);
    return s;
}

static sweep sweep_of(const rows *r, isa set, int n_threads)
{
    return sweep_forced(r, 0, set, n_threads);
}

static verdict *forced_by(const rows *r, size_t n_forced, double threshold, isa set)
{
    greedy_input in = r->in;
    err e = {0};
    pool *p;
    verdict *v = calloc(in.n_rows + 1, sizeof *v);
    in.threshold = threshold;
    assert_non_null(v);
    assert_int_equal(pool_new(1, &p, &e), ST_OK);
    assert_int_equal(forced_run(&in, n_forced, &(greedy_options){.isa = set, .pool = p}, v, &e),
                     ST_OK);
    pool_free(p);
    return v;
}

static verdict *forced_at(const rows *r, size_t n_forced, double threshold)
{
    return forced_by(r, n_forced, threshold, ISA_SCALAR);
}

static verdict *greedy_at(const rows *r, double threshold)
{
    return forced_at(r, 0, threshold);
}

static void check_kept(const rows *r, size_t n_forced, const sweep *s)
{
    for (size_t i = 0; i < SWEEP_STEPS; i++) {
        verdict *v = forced_at(r, n_forced, sweep_threshold(i));
        uint64_t kept = 0;
        for (size_t k = 0; k < r->in.n_rows; k++) kept += v[k].kept_row == NO_ROW;
        assert_int_equal(s->kept[i], kept);
        free(v);
    }
}

static double cosine_of(const rows *r, uint32_t a, uint32_t b)
{
    const float *v = r->in.vectors.rows;
    const size_t dim = r->in.dim;
    return cosine_exact(v + r->in.unit[a] * dim, v + r->in.unit[b] * dim, dim);
}

/* Is the row the first of its vector and group? */
static bool is_first(const rows *r, uint32_t row)
{
    const size_t bytes = r->in.dim * sizeof(float);
    for (uint32_t k = 0; k < row; k++)
        if (r->group[k] == r->group[row] &&
            memcmp(r->vectors + r->in.unit[k] * r->in.dim, r->vectors + r->in.unit[row] * r->in.dim,
                   bytes) == 0)
            return false;
    return true;
}

/* The plain form of `nearest`, `apart`, `above` and `below`. */
static void check_nearest(const rows *r, const sweep *s)
{
    verdict *v = greedy_at(r, r->in.threshold);
    uint64_t nearest[SWEEP_STEPS] = {0}, apart = 0;
    double lowest_above = 2, highest_below = -2;
    for (uint32_t i = 0; i < r->in.n_rows; i++) {
        double best = -2;
        if (!is_first(r, i)) continue;
        for (uint32_t k = 0; k < i; k++) {
            if (v[k].kept_row != NO_ROW || r->group[k] != r->group[i]) continue;
            double cosine = cosine_of(r, i, k);
            best = cosine > best ? cosine : best;
        }
        size_t step = 0;
        for (size_t k = 0; k < SWEEP_STEPS; k++)
            if (best >= sweep_threshold(k)) step = k + 1;
        if (step)
            nearest[step - 1]++;
        else
            apart++;
        if (best < sweep_shown_from(r->in.threshold)) continue;
        if (v[i].kept_row == NO_ROW)
            highest_below = best > highest_below ? best : highest_below;
        else
            lowest_above = best < lowest_above ? best : lowest_above;
    }
    assert_memory_equal(nearest, s->nearest, sizeof nearest);
    assert_int_equal(apart, s->apart);
    if (s->n_above) assert_true(s->above[0].score == lowest_above);
    assert_int_equal(s->n_above > 0, lowest_above < 2);
    if (s->n_below) assert_true(s->below[0].score == highest_below);
    assert_int_equal(s->n_below > 0, highest_below > -2);
    for (size_t i = 0; i < s->n_above; i++) {
        const sweep_pair *p = &s->above[i];
        assert_true(p->score == cosine_of(r, p->row, p->earlier) && p->earlier < p->row);
        assert_true(v[p->row].kept_row != NO_ROW && v[p->earlier].kept_row == NO_ROW);
        assert_true(!i || s->above[i - 1].score <= p->score);
    }
    for (size_t i = 0; i < s->n_below; i++) {
        const sweep_pair *p = &s->below[i];
        assert_true(p->score == cosine_of(r, p->row, p->earlier) && p->earlier < p->row);
        assert_true(v[p->row].kept_row == NO_ROW && v[p->earlier].kept_row == NO_ROW);
        assert_true(!i || s->below[i - 1].score >= p->score);
    }
    free(v);
}

static void check_same(const sweep *a, const sweep *b)
{
    assert_memory_equal(a->kept, b->kept, sizeof a->kept);
    assert_memory_equal(a->nearest, b->nearest, sizeof a->nearest);
    assert_int_equal(a->n_above, b->n_above);
    assert_int_equal(a->n_below, b->n_below);
    for (size_t i = 0; i < a->n_above; i++)
        assert_true(a->above[i].row == b->above[i].row &&
                    a->above[i].earlier == b->above[i].earlier);
    for (size_t i = 0; i < a->n_below; i++)
        assert_true(a->below[i].row == b->below[i].row &&
                    a->below[i].earlier == b->below[i].earlier);
}

static void test_each_threshold(void **state)
{
    (void)state;
    static const double spreads[] = {0.02, 0.09, 0.13, 0.2};
    for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++) {
        rows r = make_rows(1500, 1100, 64, spreads[i], i % 2 ? 3 : 1);
        r.in.threshold = i == 2 ? 0.655 : 0.85;
        sweep s = sweep_of(&r, ISA_SCALAR, 1);
        check_kept(&r, 0, &s);
        check_nearest(&r, &s);
        rows_free(&r);
    }
}

/* Rows that stay whatever is near to them, repeats of one vector among them. */
static void test_forced(void **state)
{
    (void)state;
    for (int groups = 1; groups <= 3; groups += 2) {
        rows r = make_rows(1500, 900, 64, 0.09, groups);
        r.in.threshold = 0.85;
        for (size_t n_forced = 1; n_forced <= 1500; n_forced = n_forced * 5 + 1) {
            sweep s = sweep_forced(&r, n_forced, best_isa(), 3);
            check_kept(&r, n_forced, &s);
            for (size_t i = 0; i < s.n_above; i++) assert_true(s.above[i].row >= n_forced);
            for (size_t i = 0; i < s.n_below; i++)
                assert_true(s.below[i].row >= n_forced && s.below[i].score < 0.85);
        }
        rows_free(&r);
    }
}

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        rows r = make_rows(1200, i % 2 ? 60 : 700, 64, 0.09, i < 2 ? 1 : 3);
        give_answers(&r, i % 2 ? 300 : 40, 0.09);
        r.in.threshold = i ? 0.85 : 1;
        size_t n_forced = i * 30;
        sweep s = sweep_forced(&r, n_forced, ISA_SCALAR, 3);
        check_kept(&r, n_forced, &s);
        verdict *v = forced_at(&r, n_forced, r.in.threshold);
        for (size_t k = 0; k < s.n_above; k++) assert_true(v[s.above[k].row].kept_row != NO_ROW);
        for (size_t k = 0; k < s.n_below; k++) assert_true(v[s.below[k].row].kept_row == NO_ROW);
        free(v);
        rows_free(&r);
    }
}

static void test_threads_and_instructions(void **state)
{
    (void)state;
    rows r = make_rows(1500, 1400, 64, 0.11, 2);
    r.in.threshold = 0.9;
    sweep s = sweep_of(&r, ISA_SCALAR, 1);
    assert_true(s.n_above && s.n_below);
    for (int set = ISA_SCALAR; set <= (int)best_isa(); set++)
        for (int threads = 1; threads <= 7; threads += 3) {
            sweep other = sweep_of(&r, (isa)set, threads);
            check_same(&s, &other);
        }
    rows_free(&r);
}

/* The pairs nearest the line are those of the threshold, also where no step is as low. */
static void test_a_low_threshold(void **state)
{
    (void)state;
    rows r = make_rows(1500, 1400, 64, 0.3, 2);
    r.in.threshold = 0.5;
    sweep s = sweep_of(&r, ISA_SCALAR, 3);
    assert_true(s.n_above == SWEEP_PAIRS && s.above[0].score < sweep_threshold(0));
    assert_true(s.n_below && s.below[0].score >= sweep_shown_from(r.in.threshold));
    check_kept(&r, 0, &s);
    check_nearest(&r, &s);
    rows_free(&r);
}

static void test_nothing(void **state)
{
    (void)state;
    rows r = make_rows(0, 1, 16, 0.3, 1);
    sweep s = sweep_of(&r, ISA_SCALAR, 2);
    assert_int_equal(s.kept[0] + s.apart + s.n_above + s.n_below, 0);
    rows_free(&r);
}

/* More entries than are looked for at a time, and more in one of the groups. */
static void test_many(void **state)
{
    (void)state;
    static const size_t steps[] = {0, 10, 15, 27};
    for (uint32_t groups = 1; groups <= 2; groups++) {
        rows r = make_rows(9000 * groups, 8800 * groups, 32, 0.12, groups);
        sweep s = sweep_of(&r, best_isa(), 3);
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            verdict *v = forced_by(&r, 0, sweep_threshold(steps[i]), best_isa());
            uint64_t kept = 0;
            for (size_t k = 0; k < r.in.n_rows; k++) kept += v[k].kept_row == NO_ROW;
            assert_int_equal(s.kept[steps[i]], kept);
            assert_true(kept > 500 && kept < 8700 * groups);
            free(v);
        }
        rows_free(&r);
    }
}

/* What was found by then is no answer. */
static void test_stopped(void **state)
{
    (void)state;
    rows r = make_rows(1500, 1400, 64, 0.11, 1);
    const stop_flag stop = 1;
    sweep s;
    err e = {0};
    pool *p;
    assert_int_equal(pool_new(2, &p, &e), ST_OK);
    assert_int_equal(
        sweep_run(&r.in, 0, &(greedy_options){.isa = ISA_SCALAR, .pool = p, .stop = &stop}, &s, &e),
        ST_INCOMPLETE);
    pool_free(p);
    rows_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_threshold), cmocka_unit_test(test_threads_and_instructions),
        cmocka_unit_test(test_nothing),        cmocka_unit_test(test_forced),
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_many),
        cmocka_unit_test(test_stopped),        cmocka_unit_test(test_a_low_threshold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
