/* test_screen.c - verdicts by fast vectors are those of exact ones, whatever the fast ones are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>

#include "screen.h"

#include "tiny_model.h"

enum { N = 700, ROWS = 1000 };

typedef struct world {
    char dir[sizeof TINY_MODEL_TEMPLATE];
    model *m;
    pool *p;
    embedder *em;
    char words[N][64];
    str texts[N];
    float exact[N * TINY_HIDDEN];
    float vectors[N * TINY_HIDDEN];
    unsigned char is_fast[N];
    uint32_t unit[ROWS], group[ROWS];
    verdict want[ROWS], got[ROWS];
    size_t made_exact;
    screen_input in;
    screen_options o;
} world;

static uint32_t state;

static uint32_t draw(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

static status count_exact(void *ctx, const size_t *which, size_t n, err *e)
{
    world *w = ctx;
    (void)e;
    for (size_t i = 0; i < n; i++) {
        const size_t at = which[i] * TINY_HIDDEN;
        assert_int_equal(w->is_fast[which[i]], 0);
        assert_memory_equal(w->vectors + at, w->exact + at, TINY_HIDDEN * sizeof(float));
    }
    w->made_exact += n;
    return ST_OK;
}

/* The oracle: exact vectors, no margin. */
static void decide_exactly(world *w)
{
    err e = {0};
    greedy_input g = {.vectors.rows = w->exact,
                      .n_vectors = N,
                      .dim = TINY_HIDDEN,
                      .unit = w->unit,
                      .group = w->in.group,
                      .n_rows = ROWS,
                      .threshold = w->in.threshold};
    greedy_options o = {.isa = w->o.isa, .pool = w->p};
    assert_int_equal(greedy_run(&g, &o, w->want, &e), ST_OK);
}

static world *make_world(void)
{
    static const char *const some[] = {"he", "hello", "world", "!", "strasse", "i", "ab", "abba"};
    world *w = calloc(1, sizeof *w);
    err e = {0};
    assert_non_null(w);
    memcpy(w->dir, TINY_MODEL_TEMPLATE, sizeof w->dir);
    tiny_model_write(w->dir);
    w->o = screen_defaults();
    assert_int_equal(isa_choose(&w->o.isa, &e), ST_OK);
    assert_int_equal(model_open(w->dir, &w->m, &e), ST_OK);
    assert_int_equal(pool_new(2, &w->p, &e), ST_OK);
    assert_int_equal(embedder_new(w->m, w->o.isa, w->p, &w->em, &e), ST_OK);
    w->o.pool = w->p;
    w->o.sample = 40;
    state = 1;
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < 3 + i % 5; k++) {
            strcat(w->words[i], some[draw(sizeof some / sizeof *some)]);
            strcat(w->words[i], " ");
        }
        w->texts[i] = str_from(w->words[i]);
    }
    for (size_t i = 0; i < ROWS; i++) {
        w->unit[i] = draw(N);
        w->group[i] = draw(3);
    }
    assert_int_equal(embed_texts(w->em, w->texts, N, w->exact, &(embed_options){0}, &e), ST_OK);
    return w;
}

/* Anew: all vectors fast (where this machine has that; else off by as much), each off by up to
 * `noise` more in each component. */
static void make_fast(world *w, float noise, double threshold, bool groups)
{
    err e = {0};
    memcpy(w->vectors, w->exact, sizeof w->exact);
    if (embedder_has_fast(w->em)) {
        embed_options o = {.fast = true};
        assert_int_equal(embed_texts(w->em, w->texts, N, w->vectors, &o, &e), ST_OK);
        assert_memory_not_equal(w->vectors, w->exact, sizeof w->exact);
    }
    state = 5;
    for (size_t i = 0; i < (size_t)N * TINY_HIDDEN; i++)
        w->vectors[i] += noise * ((float)draw(2001) / 1000.0f - 1.0f);
    memset(w->is_fast, 1, sizeof w->is_fast);
    w->made_exact = 0;
    w->in = (screen_input){.em = w->em,
                           .texts = w->texts,
                           .vectors.rows = w->vectors,
                           .is_fast = w->is_fast,
                           .n = N,
                           .dim = TINY_HIDDEN,
                           .unit = w->unit,
                           .group = groups ? w->group : NULL,
                           .n_rows = ROWS,
                           .threshold = threshold,
                           .made_exact = count_exact,
                           .ctx = w};
    decide_exactly(w);
}

static screen_result screen(world *w)
{
    screen_result r;
    err e = {0};
    size_t exact = 0;
    assert_int_equal(screen_run(&w->in, &w->o, w->got, &r, &e), ST_OK);
    for (size_t i = 0; i < N; i++) exact += !w->is_fast[i];
    assert_int_equal(r.again, exact);
    assert_int_equal(w->made_exact, exact);
    assert_int_equal(r.exact, exact == N);
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(w->got[i].kept_row == NO_ROW, w->want[i].kept_row == NO_ROW);
        if (r.exact) {
            assert_int_equal(w->got[i].kept_row, w->want[i].kept_row);
            assert_true(w->got[i].score == w->want[i].score);
        } else if (w->got[i].kept_row == NO_ROW) {
            assert_true(w->got[i].score == 1.0);
        } else { /* a kept row before it, of its group, near enough */
            const uint32_t kept = w->got[i].kept_row;
            assert_true(kept < i && w->want[kept].kept_row == NO_ROW);
            assert_true(!w->in.group || w->group[kept] == w->group[i]);
            assert_true(w->got[i].score == SCORE_UNKNOWN);
        }
    }
    return r;
}

static int setup(void **ctx)
{
    *ctx = make_world();
    return 0;
}

static int teardown(void **ctx)
{
    world *w = *ctx;
    embedder_free(w->em);
    pool_free(w->p);
    model_free(w->m);
    tiny_model_remove(w->dir);
    free(w);
    return 0;
}

static void test_the_rows_are_those_of_exact(void **ctx)
{
    world *w = *ctx;
    for (int groups = 0; groups < 2; groups++)
        for (int i = 0; i <= 9; i++) {
            make_fast(w, 1e-6f, 0.75 + 0.025 * i, groups);
            screen_result r = screen(w);
            assert_false(r.exact);
            assert_true(r.again < N / 2);
            assert_true(r.margin == w->o.margin);
        }
}

static void test_a_margin_too_narrow_is_widened(void **ctx)
{
    world *w = *ctx;
    for (int i = 0; i <= 9; i++) {
        make_fast(w, 2e-4f, 0.75 + 0.025 * i, false);
        w->o.margin = 1e-6f;
        screen_result r = screen(w);
        assert_true(r.margin > 1e-4f);
        assert_true(r.worst <= r.margin / 2);
    }
    w->o.margin = screen_defaults().margin;
}

static void test_vectors_far_off_are_not_used(void **ctx)
{
    world *w = *ctx;
    make_fast(w, 0.05f, 0.9, false);
    assert_true(screen(w).exact);
    make_fast(w, 1e-6f, 0.9, true);
    w->o.margin = w->o.limit = 1e-9f;
    assert_true(screen(w).exact);
    w->o.margin = screen_defaults().margin;
    w->o.limit = screen_defaults().limit;
}

static void test_much_in_doubt(void **ctx)
{
    world *w = *ctx;
    w->o.margin = w->o.limit = 0.2f;
    make_fast(w, 1e-6f, 0.9, false);
    screen_result r = screen(w);
    assert_true(r.again > N / 4);
    assert_true(r.passes > 1);
    w->o.passes = 1; /* no patience */
    make_fast(w, 1e-6f, 0.9, false);
    assert_true(screen(w).exact);
    w->o.passes = screen_defaults().passes;
    w->o.margin = screen_defaults().margin;
    w->o.limit = screen_defaults().limit;
}

/* Some are exact already: they are neither embedded nor doubted again. */
static void test_what_is_exact_stays(void **ctx)
{
    world *w = *ctx;
    make_fast(w, 1e-6f, 0.85, false);
    for (size_t i = 0; i < N; i += 2) {
        w->is_fast[i] = 0;
        memcpy(w->vectors + i * TINY_HIDDEN, w->exact + i * TINY_HIDDEN,
               TINY_HIDDEN * sizeof(float));
    }
    screen_result r;
    err e = {0};
    assert_int_equal(screen_run(&w->in, &w->o, w->got, &r, &e), ST_OK);
    assert_int_equal(w->made_exact, r.again);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(w->got[i].kept_row == NO_ROW, w->want[i].kept_row == NO_ROW);
}

static void test_it_can_be_stopped(void **ctx)
{
    world *w = *ctx;
    screen_result r;
    err e = {0};
    stop_flag stop = 1;
    make_fast(w, 1e-6f, 0.85, false);
    w->o.stop = &stop;
    assert_int_equal(screen_run(&w->in, &w->o, w->got, &r, &e), ST_INCOMPLETE);
    w->o.stop = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rows_are_those_of_exact),
        cmocka_unit_test(test_a_margin_too_narrow_is_widened),
        cmocka_unit_test(test_vectors_far_off_are_not_used),
        cmocka_unit_test(test_much_in_doubt),
        cmocka_unit_test(test_what_is_exact_stays),
        cmocka_unit_test(test_it_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
