/* test_prior.c - deduplications that know what an earlier run said, against those that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dedup/prior.h"
#include "plain_greedy.h"

/* A list of rows that changes: items have a vector and a group for good. */
typedef struct history {
    rows all;       /* [n_items] unit and group of each */
    uint32_t *list; /* [n] items, in order */
    uint32_t *unit, *group;
    uint32_t *place; /* [n_items] of an item in the earlier list; NO_ROW: nowhere */
    size_t n_items, n;
    known_rows old;
    size_t n_old;
    uint64_t spared, known, unknown; /* rows; next to nearest ones that were known, or not */
} history;

static uint32_t pick_absent(const history *h)
{
    for (;;) {
        uint32_t item = random_below((uint32_t)h->n_items);
        bool here = false;
        for (size_t i = 0; i < h->n; i++) here |= h->list[i] == item;
        if (!here) return item;
    }
}

static void insert_at(history *h, size_t at, uint32_t item)
{
    memmove(h->list + at + 1, h->list + at, (h->n - at) * sizeof *h->list);
    h->list[at] = item;
    h->n++;
}

static uint32_t take_from(history *h, size_t at)
{
    uint32_t item = h->list[at];
    memmove(h->list + at, h->list + at + 1, (h->n - at - 1) * sizeof *h->list);
    h->n--;
    return item;
}

/* New rows in front, behind or anywhere, rows that go, rows that move. */
static void change(history *h)
{
    const size_t most = h->n_items * 3 / 4;
    size_t n_changes = 1 + random_below((uint32_t)h->n / 15 + 10);
    uint32_t kind = random_below(5);
    while (n_changes--) {
        const uint32_t anywhere = random_below((uint32_t)h->n + 1);
        if (kind == 3 && h->n > most / 2)
            take_from(h, anywhere % h->n);
        else if (kind == 4 && h->n)
            insert_at(h, 0, take_from(h, anywhere % h->n));
        else if (h->n < most)
            insert_at(h, kind == 0 ? 0 : kind == 1 ? h->n : anywhere, pick_absent(h));
    }
}

static greedy_input list_rows(history *h)
{
    greedy_input in = h->all.in;
    for (size_t i = 0; i < h->n; i++) {
        h->unit[i] = h->all.unit[h->list[i]];
        h->group[i] = h->all.group[h->list[i]];
    }
    in.unit = h->unit;
    if (in.group) in.group = h->group;
    in.n_rows = h->n;
    return in;
}

static known_rows new_known(size_t n)
{
    known_rows k = {calloc(n + 1, sizeof(verdict)), calloc(n + 1, sizeof(verdict))};
    assert_true(k.verdicts && k.seconds);
    return k;
}

static void known_free(known_rows k)
{
    free(k.verdicts);
    free(k.seconds);
}

static known_rows what_is_known(const history *h)
{
    err e = {0};
    uint32_t *old_row = calloc(h->n + 1, sizeof *old_row);
    known_rows prior = new_known(h->n);
    assert_non_null(old_row);
    for (size_t i = 0; i < h->n; i++) old_row[i] = h->place[h->list[i]];
    assert_int_equal(prior_translate(h->old, h->n_old, old_row, h->n, prior, &e), ST_OK);
    free(old_row);
    return prior;
}

/* Of a dropped row: the kept row before it that is next to the nearest. */
static verdict plain_second(const greedy_input *in, const verdict *v, size_t row)
{
    verdict second = {NO_ROW, 0};
    for (uint32_t k = 0; k < row; k++) {
        if (v[k].kept_row != NO_ROW || k == v[row].kept_row) continue;
        if (in->group && in->group[k] != in->group[row]) continue;
        double cosine = cosine_exact(in->vectors.rows + in->unit[k] * in->dim,
                                     in->vectors.rows + in->unit[row] * in->dim, in->dim);
        if (cosine >= in->threshold && (second.kept_row == NO_ROW || cosine > second.score))
            second = (verdict){k, cosine};
    }
    return second;
}

/* What is said of the next to nearest is so; of every seventh row, to be quick. */
static void check_seconds(history *h, const greedy_input *in, known_rows got)
{
    for (size_t i = random_below(7); i < in->n_rows; i += 7) {
        const verdict said = got.seconds[i];
        if (got.verdicts[i].kept_row == NO_ROW) continue;
        h->unknown += said.kept_row == ROW_UNKNOWN;
        if (said.kept_row == ROW_UNKNOWN) continue;
        h->known++;
        verdict want = plain_second(in, got.verdicts, i);
        assert_int_equal(said.kept_row, want.kept_row);
        assert_true(said.kept_row == NO_ROW || said.score == want.score);
    }
}

static void step(history *h, join_plan plan)
{
    greedy_input in = list_rows(h);
    verdict *want = new_verdicts(&in);
    known_rows prior = what_is_known(h), got = new_known(h->n);
    err e = {0};
    pool *p;
    greedy_counts counts;
    run_greedy(&in, plan, 2, best_isa(), want);
    in.prior = prior.verdicts;
    in.prior_second = random_below(8) ? prior.seconds : NULL;
    assert_int_equal(pool_new(1 + (int)random_below(2), &p, &e), ST_OK);
    greedy_options o = {
        .isa = best_isa(), .pool = p, .plan = plan, .counts = &counts, .second = got.seconds};
    assert_int_equal(greedy_run(&in, &o, got.verdicts, &e), ST_OK);
    pool_free(p);
    assert_same(&in, got.verdicts, want);
    check_seconds(h, &in, got);
    h->spared += counts.spared;
    known_free(prior);
    free(want);
    known_free(h->old);
    h->old = got;
    h->n_old = h->n;
    memset(h->place, 0xFF, h->n_items * sizeof *h->place);
    for (size_t i = 0; i < h->n; i++) h->place[h->list[i]] = (uint32_t)i;
}

/* Cosines of quarters: many are equal. */
static void make_ties(rows *r)
{
    const size_t dim = r->in.dim;
    for (size_t v = 0; v < r->in.n_vectors; v++) {
        float *x = r->vectors + v * dim;
        memset(x, 0, dim * sizeof *x);
        for (int left = 4; left;) {
            size_t at = random_below(12);
            if (x[at] == 0) left--;
            x[at] = random_below(2) ? 0.5f : -0.5f;
        }
    }
}

/* Vectors too short to be their own duplicates. */
static void shorten(rows *r)
{
    for (size_t v = 0; v < r->in.n_vectors; v++) {
        float by = 1 - 0.1f * (float)random_below(100) / 100;
        for (size_t i = 0; i < r->in.dim; i++) r->vectors[v * r->in.dim + i] *= by;
    }
}

/* Along a circle, each 20 degrees on from the last, not quite: neighbours are near and lose each
 * other as keepers, and the far side is opposite. */
static void make_chain(rows *r)
{
    const size_t dim = r->in.dim;
    for (size_t v = 0; v < r->in.n_vectors; v++) {
        float *x = r->vectors + v * dim;
        const double angle = (double)v * 0.349;
        for (size_t i = 0; i < dim; i++) x[i] = random_float() * (v % 5 ? 0.02f : 0);
        x[v / 300 % 7] += (float)cos(angle);
        x[7] += (float)sin(angle);
        normalise(x, dim);
    }
}

/* Crowds about centres that are just far enough from each other to be kept side by side, and
 * members between two or three of them. */
static void make_crowds(rows *r)
{
    const size_t dim = r->in.dim;
    for (size_t v = 0; v < r->in.n_vectors; v++) {
        float *x = r->vectors + v * dim;
        for (size_t i = 0; i < dim; i++) x[i] = v % 3 ? 0.03f * random_float() : 0;
        x[0] += 2.38f; /* with one axis each: a cosine of 0.85 */
        x[1 + random_below(6)] += 1;
        if (v % 4 == 1) x[1 + random_below(6)] += 1;
        normalise(x, dim);
    }
}

typedef struct life {
    size_t n_items, n_vectors, dim;
    double spread;
    uint32_t groups;
    double threshold;
    join_plan plan;
    void (*alter)(rows *r); /* may be NULL */
} life;

static void live(life l)
{
    const size_t n_items = l.n_items;
    history h = {.all = make_rows(n_items, l.n_vectors, l.dim, l.spread, l.groups),
                 .list = calloc(n_items, sizeof *h.list),
                 .unit = calloc(n_items, sizeof *h.unit),
                 .group = calloc(n_items, sizeof *h.group),
                 .place = calloc(n_items, sizeof *h.place),
                 .n_items = n_items};
    if (l.alter) l.alter(&h.all);
    assert_true(h.list && h.unit && h.group && h.place);
    h.all.in.threshold = l.threshold;
    while (h.n < n_items / 2) insert_at(&h, h.n, pick_absent(&h));
    h.old = new_known(0);
    memset(h.place, 0xFF, n_items * sizeof *h.place);
    for (int i = 0; i < 25; i++) {
        step(&h, l.plan);
        change(&h);
    }
    if (!l.alter) { /* else the case says little */
        assert_true(h.spared > 25 * h.n / 20);
        if (l.spread > 0.4) assert_true(h.known > 100);
    }
    rows_free(&h.all);
    free(h.list);
    free(h.unit);
    free(h.group);
    free(h.place);
    known_free(h.old);
}

static void test_histories_end_as_one_run(void **state)
{
    (void)state;
    live((life){900, 700, 128, 0.5, 1, 0.85, JOIN_ALL, NULL});
    live((life){2600, 1800, 128, 0.62, 1, 0.8, JOIN_PREFIX_28, NULL}); /* more than a block */
    live((life){1800, 1200, 264, 0.55, 3, 0.85, JOIN_PREFIX_44, NULL});
    live((life){700, 600, 128, 0.3, 1, 0.97, JOIN_ALL, NULL});
    live((life){1200, 1000, 384, 0.9, 1, 0.5, JOIN_PREFIX_60, NULL}); /* angles of 60 degrees */
    live((life){5000, 900, 128, 0.3, 1, 0.9, JOIN_ALL, shorten});
    live((life){1500, 1000, 128, 0.3, 1, 0.7, JOIN_ALL, make_ties});
    live((life){1200, 1200, 128, 0, 1, 0.85, JOIN_ALL, make_chain});
    live((life){2400, 2000, 128, 0, 1, 0.9, JOIN_PREFIX_28, make_chain});
    live((life){1200, 1200, 8, 0, 1, 0.5, JOIN_ALL, make_chain});
    live((life){1500, 1400, 128, 0, 1, 0.85, JOIN_ALL, make_crowds});
    live((life){3000, 2500, 128, 0, 2, 0.849, JOIN_PREFIX_28, make_crowds});
    live((life){5000, 500, 128, 0.45, 1, 0.85, JOIN_ALL, NULL}); /* few texts, again and again */
}

/* Many cosines are 3/4 and 1/2: at the threshold, one double below it, one above. */
static void test_histories_at_the_threshold(void **state)
{
    (void)state;
    static const double at[] = {0.75, 0.5};
    for (size_t i = 0; i < 2; i++) {
        live((life){900, 700, 128, 0.3, 1, at[i], JOIN_PREFIX_28, make_ties});
        live((life){900, 700, 16, 0.3, 1, nextafter(at[i], 0), JOIN_ALL, make_ties});
        live((life){900, 700, 128, 0.3, 1, nextafter(at[i], 1), JOIN_ALL, make_ties});
    }
}

/* So many rows that those that are known go by in larger blocks; new ones come between them, and
 * others are gone. */
static void test_many_rows_that_are_known(void **state)
{
    (void)state;
    enum { N = 40000 };
    rows r = many_units(N, N, 64, 0.6);
    known_rows old = new_known(N), prior = new_known(N), got = new_known(N);
    uint32_t *old_unit = calloc(N, 4), *unit = calloc(N, 4), *old_row = calloc(N, 4);
    uint32_t n_old = 0, n = 0;
    assert_true(old_unit && unit && old_row);
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t v = N - 1 - i, luck = random_below(300); /* centres of crowds last */
        if (luck != 0) unit[n] = v;
        if (luck != 0) old_row[n++] = luck == 1 || i < 50 ? NO_ROW : n_old;
        if (luck != 1 && i >= 50) old_unit[n_old++] = v;
    }
    greedy_input in = r.in;
    in.unit = old_unit;
    in.n_rows = n_old;
    count_work(&in, old.verdicts, old.seconds);
    err e = {0};
    assert_int_equal(prior_translate(old, n_old, old_row, n, prior, &e), ST_OK);
    in.unit = unit;
    in.n_rows = n;
    run_greedy(&in, JOIN_AUTO, 1, best_isa(), old.verdicts);
    in.prior = prior.verdicts;
    in.prior_second = prior.seconds;
    for (int threads = 1; threads <= 3; threads++) {
        run_greedy(&in, JOIN_AUTO, threads, best_isa(), got.verdicts);
        assert_same(&in, got.verdicts, old.verdicts);
    }
    known_free(old);
    known_free(prior);
    known_free(got);
    free(old_unit);
    free(unit);
    free(old_row);
    rows_free(&r);
}

/* A few new rows meet all kept ones; the others meet the few. */
static void test_a_few_new_rows_cost_little(void **state)
{
    (void)state;
    enum { N = 9000, NEW = 40 };
    rows r = many_units(N, N, 128, 0.6);
    for (size_t i = 0; i < N; i++) r.unit[i] = (uint32_t)(N - 1 - i); /* centres of crowds last */
    greedy_input in = r.in;
    in.n_rows = N - NEW;
    in.unit = r.unit + NEW; /* newest first: the new ones come in front */
    known_rows old = new_known(N), prior = new_known(N);
    uint32_t *old_row = calloc(N, sizeof *old_row);
    verdict *out = new_verdicts(&r.in);
    err e = {0};
    assert_non_null(old_row);
    greedy_counts batch = count_work(&in, old.verdicts, old.seconds);
    for (size_t i = 0; i < N; i++) old_row[i] = i < NEW ? NO_ROW : (uint32_t)(i - NEW);
    assert_int_equal(prior_translate(old, N - NEW, old_row, N, prior, &e), ST_OK);
    in = r.in;
    in.prior = prior.verdicts;
    greedy_counts nearest = count_work(&in, out, NULL);
    in.prior_second = prior.seconds;
    greedy_counts c = count_work(&in, out, NULL);
    assert_true(c.whole < nearest.whole);
    assert_true(batch.whole > N / 2 && batch.spared == 0);
    assert_true(c.whole < 10 * NEW);
    assert_true(c.pairs.scanned * 10 < batch.pairs.scanned);
    known_free(old);
    known_free(prior);
    free(old_row);
    free(out);
    rows_free(&r);
}

static void test_what_changes_places_is_new(void **state)
{
    (void)state;
    const verdict old[5] = {{NO_ROW, 1}, {0, 0.9}, {NO_ROW, 1}, {2, 0.95}, {NO_ROW, 1}};
    const uint32_t old_row[6] = {4, NO_ROW, 0, 1, 3, 2};
    const verdict next[5] = {{NO_ROW, 0}, {NO_ROW, 0}, {NO_ROW, 0}, {0, 0.9}, {NO_ROW, 0}};
    verdict out[6], out_next[6];
    err e = {0};
    known_rows was = {(verdict *)(uintptr_t)old, (verdict *)(uintptr_t)next};
    assert_int_equal(prior_translate(was, 5, old_row, 6, (known_rows){out, out_next}, &e), ST_OK);
    assert_int_equal(out[0].kept_row, ROW_UNKNOWN); /* it moved */
    assert_int_equal(out[1].kept_row, ROW_UNKNOWN); /* it is new */
    assert_int_equal(out[2].kept_row, NO_ROW);
    assert_int_equal(out[3].kept_row, 2);
    assert_true(out[3].score == 0.9);
    assert_int_equal(out_next[3].kept_row, NO_ROW);
    /* One of the last two moved; if it is the keeper, the other's verdict says nothing. */
    assert_int_equal(out[4].kept_row, ROW_UNKNOWN);
}

static void test_the_next_takes_the_place_of_a_keeper_that_is_gone(void **state)
{
    (void)state;
    const verdict old[5] = {{NO_ROW, 1}, {NO_ROW, 1}, {1, 0.95}, {1, 0.9}, {0, 0.9}};
    const verdict next[5] = {{NO_ROW, 0}, {NO_ROW, 0}, {0, 0.9}, {NO_ROW, 0}, {1, 0.87}};
    const uint32_t old_row[4] = {0, 2, 3, 4};
    verdict out[4], out_next[4];
    err e = {0};
    known_rows was = {(verdict *)(uintptr_t)old, (verdict *)(uintptr_t)next};
    assert_int_equal(prior_translate(was, 5, old_row, 4, (known_rows){out, out_next}, &e), ST_OK);
    assert_int_equal(out[1].kept_row, 0);
    assert_true(out[1].score == 0.9);
    assert_int_equal(out_next[1].kept_row, ROW_UNKNOWN);
    assert_int_equal(out[2].kept_row, ROW_UNKNOWN); /* it may be kept now, and was not */
    assert_int_equal(out[3].kept_row, 0);
    assert_int_equal(out_next[3].kept_row, ROW_UNKNOWN); /* the next is gone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories_end_as_one_run),
        cmocka_unit_test(test_histories_at_the_threshold),
        cmocka_unit_test(test_many_rows_that_are_known),
        cmocka_unit_test(test_a_few_new_rows_cost_little),
        cmocka_unit_test(test_what_changes_places_is_new),
        cmocka_unit_test(test_the_next_takes_the_place_of_a_keeper_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
