/* plain_greedy.h - rows to deduplicate, and the rule as it is worded. */
#ifndef PLAIN_GREEDY_H
#define PLAIN_GREEDY_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dedup/greedy.h"

static uint64_t random_state = 1;

static inline uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

static inline float random_float(void)
{
    return (float)random_below(1u << 24) / (float)(1u << 23) - 1.0f;
}

static inline float *random_floats(size_t n)
{
    float *p = malloc((n + 1) * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = random_float();
    return p;
}

typedef struct rows {
    float *vectors, *answers;
    uint32_t *unit, *group, *answer;
    greedy_input in;
} rows;

static inline void rows_free(rows *r)
{
    free(r->vectors);
    free(r->unit);
    free(r->group);
    free(r->answers);
    free(r->answer);
}

static inline void normalise(float *x, size_t dim)
{
    double norm = sqrt(cosine_exact(x, x, dim));
    for (size_t i = 0; i < dim; i++) x[i] = (float)((double)x[i] / norm);
}

/* Unit vectors around a few centres, spread times a random direction away from them, so that
 * cosines lie on both sides of the threshold; some have the same bits under different numbers. */
static inline rows make_rows(size_t n_rows, size_t n_vectors, size_t dim, double spread,
                             uint32_t groups)
{
    rows r = {.vectors = random_floats(n_vectors * dim),
              .unit = calloc(n_rows + 1, 4),
              .group = calloc(n_rows + 1, 4)};
    assert_true(r.unit && r.group);
    for (size_t v = 0; v < n_vectors; v++) {
        float *x = r.vectors + v * dim;
        const float *centre = r.vectors + (v ? random_below((uint32_t)v) : 0) * dim;
        normalise(x, dim);
        if (v > 9 && random_below(10) < 8)
            for (size_t i = 0; i < dim; i++) x[i] = centre[i] + (float)spread * x[i];
        normalise(x, dim);
        if (v > 9 && random_below(20) == 0) memcpy(x, centre, dim * sizeof *x);
    }
    for (size_t i = 0; i < n_rows; i++) {
        r.unit[i] = random_below((uint32_t)n_vectors);
        r.group[i] = random_below(groups);
    }
    r.in = (greedy_input){.vectors.rows = r.vectors,
                          .n_vectors = n_vectors,
                          .dim = dim,
                          .unit = r.unit,
                          .group = groups > 1 ? r.group : NULL,
                          .n_rows = n_rows,
                          .threshold = 0.85};
    return r;
}

/* Gives each row one of n answers, some of which are near to each other, some the same. */
static inline void give_answers(rows *r, size_t n, double spread)
{
    rows other = make_rows(r->in.n_rows, n, r->in.dim, spread, 1);
    r->answers = other.vectors;
    r->answer = other.unit;
    free(other.group);
    r->in.answers.rows = r->answers;
    r->in.answer = r->answer;
}

/* Do rows i and k meet? */
static inline bool plain_meets(const greedy_input *in, size_t i, size_t k)
{
    if (in->group && in->group[i] != in->group[k]) return false;
    if (!in->answer) return true;
    const float *x = in->answers.rows + in->answer[i] * in->dim;
    const float *y = in->answers.rows + in->answer[k] * in->dim;
    return cosine_exact(x, y, in->dim) >= in->threshold || memcmp(x, y, in->dim * sizeof *x) == 0;
}

/* The rule as it is worded. */
static inline void plain(const greedy_input *in, verdict *out)
{
    for (size_t i = 0; i < in->n_rows; i++) {
        const float *x = in->vectors.rows + in->unit[i] * in->dim;
        bool dropped = false;
        out[i] = (verdict){NO_ROW, -HUGE_VAL};
        for (size_t k = 0; k < i; k++) {
            const float *y = in->vectors.rows + in->unit[k] * in->dim;
            if (out[k].kept_row != NO_ROW || !plain_meets(in, i, k)) continue;
            double cosine = cosine_exact(x, y, in->dim);
            if (cosine >= in->threshold || memcmp(x, y, in->dim * sizeof *x) == 0) dropped = true;
            if (cosine > out[i].score) out[i] = (verdict){(uint32_t)k, cosine};
        }
        if (!dropped) out[i] = (verdict){NO_ROW, 1.0};
    }
}

/* The best instruction set of this machine. */
static inline isa best_isa(void)
{
    isa set;
    err e = {0};
    assert_int_equal(isa_choose(&set, &e), ST_OK);
    return set;
}

static inline void run_greedy(const greedy_input *in, join_plan plan, int n_threads, isa set,
                              verdict *out)
{
    err e = {0};
    pool *p;
    assert_int_equal(pool_new(n_threads, &p, &e), ST_OK);
    greedy_options o = {.isa = set, .pool = p, .plan = plan};
    assert_int_equal(greedy_run(in, &o, out, &e), ST_OK);
    pool_free(p);
}

static inline verdict *new_verdicts(const greedy_input *in)
{
    verdict *v = calloc(in->n_rows + 1, sizeof *v);
    assert_non_null(v);
    return v;
}

static inline void assert_same(const greedy_input *in, const verdict *got, const verdict *want)
{
    for (size_t i = 0; i < in->n_rows; i++) {
        assert_int_equal(got[i].kept_row, want[i].kept_row);
        assert_true(got[i].score == want[i].score);
    }
}

static inline greedy_counts count_work(const greedy_input *in, verdict *out, verdict *second)
{
    err e = {0};
    pool *p;
    greedy_counts counts;
    assert_int_equal(pool_new(2, &p, &e), ST_OK);
    greedy_options o = {.isa = best_isa(), .pool = p, .counts = &counts, .second = second};
    assert_int_equal(greedy_run(in, &o, out, &e), ST_OK);
    pool_free(p);
    return counts;
}

static inline rows many_units(size_t n, size_t n_vectors, size_t dim, double spread)
{
    rows r = make_rows(n, n_vectors, dim, spread, 1);
    for (size_t i = 0; i < n; i++) r.unit[i] = (uint32_t)(i % n_vectors);
    return r;
}

#endif
