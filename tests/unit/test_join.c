/* test_join.c - the join: kernels against plain loops, bounds against every pair, every plan
 * against the plain rule, and uncertain vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dedup/unite.h"
#include "plain_greedy.h"

/* --- kernels -------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int8_t random_code(bool extreme)
{
    if (extreme) return random_below(2) ? 127 : -128;
    return (int8_t)((int)random_below(256) - 128);
}

static void check_scan(size_t words, size_t n_queries, size_t n_panels, bool extreme)
{
    const size_t columns = n_panels * SCAN_PANEL;
    int8_t *queries = malloc(n_queries * words * 4);
    int32_t *limits = calloc(n_queries, sizeof *limits);
    uint8_t *panels = aligned_alloc(64, columns * words * 4);
    int16_t *wide = aligned_alloc(64, (SCAN_QUERIES + SCAN_PANEL) * words * 4 * sizeof *wide);
    const size_t room = (n_queries * columns + SCAN_SPARE) * 4;
    uint32_t *want = malloc(room), *got = malloc(room);
    assert_true(queries && limits && panels && wide && want && got);
    for (size_t i = 0; i < n_queries * words * 4; i++) queries[i] = random_code(extreme);
    for (size_t i = 0; i < columns * words * 4; i++)
        panels[i] = extreme ? (uint8_t)(255 * random_below(2)) : (uint8_t)random_below(256);
    for (size_t q = 0; q < n_queries; q++)
        limits[q] = q % 5 == 4 ? INT32_MIN : (int32_t)random_below(20000) - 10000;
    scan_job j = {queries, limits, n_queries, panels, n_panels, words, wide, want};
    size_t n = scan_scalar.scan(&j);
    qsort(want, n, sizeof *want, by_number);
    for (int set = ISA_SCALAR; set <= (int)best_isa(); set++) {
        j.hits = got;
        assert_int_equal(scan_kernels_for((isa)set)->scan(&j), n);
        qsort(got, n, sizeof *got, by_number);
        assert_memory_equal(got, want, n * sizeof *got);
    }
    free(queries);
    free(limits);
    free(panels);
    free(wide);
    free(want);
    free(got);
}

/* As long as a narrow code with its last word, a and b, may be (a query and a column are of one
 * length): full of small numbers, or all in a few of them, of either half of the words or of
 * both. */
static void narrow_code(int8_t *code, size_t n, uint32_t *a, uint32_t *b)
{
    const uint32_t half = random_below(3);
    const int most = random_below(2) ? SCAN_NARROW : 1 + (int)random_below(SCAN_NARROW);
    int left = SCAN_MOST;
    memset(code, 0, n);
    *a = random_below(3) ? random_below(182) : 0;
    left -= (int)(*a * *a);
    *b = random_below(128);
    while ((int)(*b * *b) > left) --*b;
    left -= (int)(*b * *b);
    for (size_t i = random_below(2) ? 0 : random_below((uint32_t)n + 1); i < n; i++) {
        int c = random_below(3) ? most : (int)random_below((uint32_t)most + 1);
        while (c * c > left) c--;
        if (i / 2 % 2 == half) continue;
        left -= c * c;
        code[i] = (int8_t)(random_below(4) ? c : -c);
    }
}

/* scan_narrow against scan on the same job. */
static void check_narrow_scan(const scan_kernels *k, size_t words, size_t n_queries,
                              size_t n_panels)
{
    const size_t columns = n_panels * SCAN_PANEL, n = (words - 1) * 4;
    int8_t queries[SCAN_QUERIES * 25 * 4], code[24 * 4];
    int32_t limits[SCAN_QUERIES], with_added[SCAN_QUERIES];
    uint8_t *panels = aligned_alloc(64, columns * words * 4);
    uint8_t *by_two = aligned_alloc(64, columns * words * 4);
    int16_t *wide = aligned_alloc(64, (SCAN_QUERIES + SCAN_PANEL) * words * 4 * sizeof *wide);
    const size_t room = (n_queries * columns + SCAN_SPARE) * 4;
    uint32_t *want = malloc(room), *got = malloc(room), a, b;
    assert_true(panels && by_two && wide && want && got && words <= 25);
    for (size_t q = 0; q < n_queries; q++) {
        int8_t *x = queries + q * words * 4;
        int32_t sum = 0;
        narrow_code(x, n, &a, &b);
        for (size_t i = 0; i < n; i++) sum += x[i];
        for (size_t i = 0; i < 3; i++) x[n + i] = (int8_t)((a + i) / 3);
        x[n + 3] = (int8_t)b;
        limits[q] = (int32_t)random_below(70000) - 35000;
        if (q % 5 == 4) limits[q] = random_below(2) ? SCAN_MOST : -SCAN_MOST;
        if (q % 5 == 3) limits[q] = random_below(2) ? INT32_MIN / 2 : INT32_MAX / 2;
        with_added[q] = limits[q] + SCAN_NARROW * sum;
    }
    for (size_t c = 0; c < columns; c++) {
        uint8_t column[25 * 4];
        narrow_code(code, n, &a, &b);
        if (random_below(3)) { /* the nearest and the farthest that there can be */
            const int8_t *x = queries + random_below((uint32_t)n_queries) * words * 4;
            memcpy(code, x, n);
            a = (uint32_t)(x[n] + x[n + 1] + x[n + 2]);
            b = (uint32_t)x[n + 3];
        }
        const int sign = random_below(2) ? 1 : -1;
        for (size_t i = 0; i < n; i++) column[i] = (uint8_t)(sign * code[i] + SCAN_NARROW);
        column[n] = column[n + 1] = column[n + 2] = (uint8_t)a;
        column[n + 3] = (uint8_t)b;
        const size_t panel = c / SCAN_PANEL * words * SCAN_PANEL * 4, at = c % SCAN_PANEL;
        for (size_t i = 0; i < words * 4; i++) {
            panels[panel + i / 4 * SCAN_PANEL * 4 + at * 4 + i % 4] = column[i];
            by_two[panel + i / 2 * SCAN_PANEL * 2 + at * 2 + i % 2] = column[i];
        }
    }
    scan_job j = {queries, with_added, n_queries, panels, n_panels, words, wide, want};
    size_t hits = scan_scalar.scan(&j);
    qsort(want, hits, sizeof *want, by_number);
    j.limits = limits;
    j.panels = by_two;
    j.hits = got;
    assert_int_equal(k->scan_narrow(&j), hits);
    qsort(got, hits, sizeof *got, by_number);
    assert_memory_equal(got, want, hits * sizeof *got);
    free(panels);
    free(by_two);
    free(wide);
    free(want);
    free(got);
}

static void test_narrow_scans_agree(void **state)
{
    (void)state;
    for (int set = ISA_SCALAR; set <= (int)best_isa(); set++) {
        const scan_kernels *k = scan_kernels_for((isa)set);
        for (size_t i = 0; k->scan_narrow && i < 200; i++)
            check_narrow_scan(k, 1 + random_below(25), 1 + random_below(20), 1 + random_below(5));
        if (k->scan_narrow) check_narrow_scan(k, 24, SCAN_QUERIES, SCAN_COLUMNS / SCAN_PANEL);
    }
}

enum { SIFT_BYTES = 128 }; /* of a code that is sifted by, at most */

typedef struct sift_ground {
    int8_t *queries;
    uint8_t *columns;
    int32_t starts[SCAN_QUERIES], limits[SCAN_QUERIES];
    size_t n, bytes; /* n: before the last word */
} sift_ground;

static void make_sift_queries(sift_ground *g)
{
    uint32_t a, b;
    for (size_t q = 0; q < SCAN_QUERIES; q++) {
        int8_t *x = g->queries + q * g->bytes;
        narrow_code(x, g->n, &a, &b);
        for (size_t i = 0; i < g->n; i++) g->starts[q] -= SCAN_NARROW * x[i];
        for (size_t i = 0; i < 3; i++) x[g->n + i] = (int8_t)((a + i) / 3);
        x[g->n + 3] = (int8_t)b;
        g->limits[q] = (int32_t)random_below(70000) - 35000;
        if (q % 5 == 4) g->limits[q] = random_below(2) ? SCAN_MOST : -SCAN_MOST;
        if (q % 5 == 3) g->limits[q] = random_below(2) ? INT32_MIN : INT32_MAX;
    }
}

static void make_sift_columns(sift_ground *g)
{
    uint32_t a, b;
    for (size_t c = 0; c < SCAN_COLUMNS; c++) {
        int8_t code[SIFT_BYTES];
        const int sign = random_below(2) ? 1 : -1;
        narrow_code(code, g->n, &a, &b);
        if (random_below(3)) { /* the nearest and the farthest that there can be */
            const int8_t *x = g->queries + random_below(SCAN_QUERIES) * g->bytes;
            memcpy(code, x, g->n);
            a = (uint32_t)(x[g->n] + x[g->n + 1] + x[g->n + 2]);
            b = (uint32_t)x[g->n + 3];
        }
        uint8_t *y = g->columns + c * g->bytes;
        for (size_t i = 0; i < g->n; i++) y[i] = (uint8_t)(sign * code[i] + SCAN_NARROW);
        y[g->n] = y[g->n + 1] = y[g->n + 2] = (uint8_t)a;
        y[g->n + 3] = (uint8_t)b;
    }
}

static int32_t sift_sum(const sift_ground *g, uint32_t hit)
{
    const int8_t *x = g->queries + (hit >> 16) * g->bytes;
    const uint8_t *y = g->columns + (hit & 0xFFFF) * g->bytes;
    int32_t sum = 0;
    for (size_t i = 0; i < g->n + 4; i++) sum += x[i] * (y[i] - (i < g->n ? SCAN_NARROW : 0));
    return sum;
}

/* sift against sums written out, on random hits. */
static void check_sift(const scan_kernels *k, size_t words, size_t n_hits)
{
    sift_ground g = {.n = (words - 1) * 4,
                     .bytes = (words * 4 + SCAN_SIFT - 1) / SCAN_SIFT * SCAN_SIFT};
    uint32_t *hits = malloc((n_hits + SCAN_SPARE) * sizeof *hits);
    uint32_t *want = malloc((n_hits + SCAN_SPARE) * sizeof *want);
    size_t n_want = 0;
    g.queries = aligned_alloc(64, SCAN_QUERIES * SIFT_BYTES);
    g.columns = aligned_alloc(64, SCAN_COLUMNS * SIFT_BYTES);
    assert_true(g.queries && g.columns && hits && want && g.bytes <= SIFT_BYTES);
    memset(g.queries, 0, SCAN_QUERIES * SIFT_BYTES);
    memset(g.columns, 0, SCAN_COLUMNS * SIFT_BYTES);
    make_sift_queries(&g);
    make_sift_columns(&g);
    for (size_t i = 0; i < n_hits; i++) {
        hits[i] = random_below(SCAN_QUERIES) << 16 | random_below(SCAN_COLUMNS);
        if (i % 3 == 0) g.limits[hits[i] >> 16] = sift_sum(&g, hits[i]) + (int32_t)(i % 2);
    }
    for (size_t i = 0; i < n_hits; i++)
        if (sift_sum(&g, hits[i]) >= g.limits[hits[i] >> 16]) want[n_want++] = hits[i];
    sift_job j = {g.queries, g.starts, g.limits, g.columns, g.bytes, hits, n_hits};
    assert_int_equal(k->sift(&j), n_want);
    assert_memory_equal(hits, want, n_want * sizeof *want);
    free(g.queries);
    free(g.columns);
    free(hits);
    free(want);
}

static void test_sifts_agree(void **state)
{
    (void)state;
    for (int set = ISA_SCALAR; set <= (int)best_isa(); set++)
        for (size_t i = 0; i < 60; i++)
            check_sift(scan_kernels_for((isa)set), i % 2 ? 32 : 2 + random_below(24),
                       i < 20 ? i : random_below(3000));
}

static void test_scans_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < 60; i++)
        check_scan(1 + random_below(20), 1 + random_below(20), 1 + random_below(5), i % 4 == 0);
    check_scan(97, 9, 3, false);
    check_scan(1025, 3, 2, true);
    check_scan(16, SCAN_QUERIES, SCAN_COLUMNS / SCAN_PANEL, false);
}

static void test_products_agree(void **state)
{
    (void)state;
    for (size_t dim = 8; dim <= 4096; dim += dim < 200 ? 8 : 1304) {
        int8_t x[4096], y[4096];
        float *a = random_floats(dim), *b = random_floats(dim);
        for (size_t i = 0; i < dim; i++) {
            const int8_t a_code = random_code(dim % 3 == 0), b_code = random_code(dim % 3 == 0);
            x[i] = a_code < -127 ? -127 : a_code;
            y[i] = b_code < -127 ? -127 : b_code;
        }
        for (int set = ISA_SCALAR; set <= (int)best_isa(); set++) {
            const scan_kernels *k = scan_kernels_for((isa)set);
            assert_int_equal(k->dot_codes(x, y, dim), scan_scalar.dot_codes(x, y, dim));
            double lengths = sqrt(cosine_exact(a, a, dim) * cosine_exact(b, b, dim));
            double off = (double)k->dot_floats(a, b, dim) - cosine_exact(a, b, dim);
            assert_true(fabs(off) <= (double)dim * 0x1p-24 * 1.001 * lengths);
        }
        for (int set = ISA_SCALAR; set <= (int)best_isa(); set++) {
            const scan_kernels *k = scan_kernels_for((isa)set);
            const size_t n = dim - dim / 8 % 3; /* prefixes are no multiples of anything */
            const float scale = dim % 3 ? 1.0f / 127 : 1.0f / 40; /* the latter clips */
            memset(y, 0, sizeof y);
            quantised want = scan_scalar.quantise(a, n, scale, x),
                      got = k->quantise(a, n, scale, y);
            assert_memory_equal(x, y, n);
            assert_true(got.error == want.error && got.norm == want.norm);
            assert_true(k->greatest(a, n) == scan_scalar.greatest(a, n));
            assert_true(k->sum_of_squares(a, n) == scan_scalar.sum_of_squares(a, n));
            double squares = 0;
            for (size_t i = 0; i < n; i++) {
                double off = (double)a[i] - (double)scale * x[i];
                squares += off * off;
                assert_true(fabs(off) <= (double)scale * 0.5001 || abs(x[i]) == 127);
            }
            assert_true(fabs(sqrt(squares) - got.error) <= 1e-4 * got.error);
        }
        free(a);
        free(b);
    }
}

/* --- bounds --------------------------------------------------------------------------------- */

typedef struct seen_pairs {
    bool found[512];
} seen_pairs;

static void note(void *ctx, size_t query, uint32_t member)
{
    seen_pairs *s = ctx;
    assert_int_equal(query, 0);
    s->found[member] = true;
}

/* With the exact cosine of a pair as the limit, that pair must be found, whatever the vectors. */
static void check_bounds(float *vectors, size_t n, size_t dim, join_plan plan, isa set)
{
    err e = {0};
    pool *p;
    join *j;
    join_set all = {0};
    join_scratch s;
    vector_facts facts;
    assert_int_equal(pool_new(2, &p, &e), ST_OK);
    join_input in = {.vectors.rows = vectors,
                     .n = n,
                     .dim = dim,
                     .threshold = 0.85,
                     .plan = plan,
                     .isa = set,
                     .pool = p};
    assert_int_equal(unite_vectors(&(unite_input){in.vectors, n, dim, set, p}, &facts, &e), ST_OK);
    in.squares = facts.squares;
    in.longest = facts.longest;
    in.largest = facts.largest;
    assert_int_equal(join_new(&in, &j, &e), ST_OK);
    assert_int_equal(join_plan_of(j), plan);
    assert_int_equal(join_scratch_init(j, &s, &e), ST_OK);
    for (uint32_t i = 0; i < n; i++) assert_int_equal(join_set_add(j, &all, i, &e), ST_OK);
    for (uint32_t x = 0; x < n; x++)
        for (uint32_t y = x % 3; y < n; y += 3) {
            const uint32_t seen = 0;
            seen_pairs found = {0};
            double limit = cosine_exact(vectors + x * dim, vectors + y * dim, dim);
            join_look l = {&all, &x, &seen, (uint32_t)n, &limit, 1, note, &found};
            join_search(j, &l, &s);
            assert_true(found.found[y]);
        }
    join_scratch_release(&s);
    join_set_release(&all);
    join_free(j);
    vector_facts_release(&facts);
    pool_free(p);
}

/* Vectors that are hard on codes: axes, single long components, tiny ones, zeros, opposite, equal
 * but for one bit, far from the directions that a sample shows. */
static float *hard_vectors(size_t n, size_t dim)
{
    float *v = random_floats(n * dim);
    for (size_t i = 0; i < n; i++) {
        float *x = v + i * dim;
        switch (i % 9) {
        case 0:
            memset(x, 0, dim * sizeof *x);
            x[random_below((uint32_t)dim)] = i % 16 ? 1 : -1;
            break;
        case 1:
            x[random_below((uint32_t)dim)] = 40;
            break;
        case 2:
            for (size_t k = 0; k < dim; k++) x[k] *= k < dim / 8 ? 1 : 1e-4f;
            break;
        case 3:
            if (i % 16 == 3) memset(x, 0, dim * sizeof *x);
            break;
        case 4:
            for (size_t k = 0; k < dim; k++) x[k] = -v[(i - 1) * dim + k];
            break;
        case 5:
            memcpy(x, v + (i - 3) * dim, dim * sizeof *x);
            x[0] = nextafterf(x[0], 2);
            break;
        case 6:
            for (size_t k = 0; k < dim; k++) x[k] *= 1e-6f; /* below unit length */
            continue;
        case 7: /* the error of its code points the way of the code */
            for (size_t k = 0; k < dim; k++) x[k] = (k % 3 ? 1 : -1) * (float)(1 + i % 7) / 200;
            continue;
        default:
            for (size_t k = 0; k < dim; k++) x[k] = k < dim / 2 ? 0 : x[k];
        }
        if (cosine_exact(x, x, dim) > 0) normalise(x, dim);
    }
    return v;
}

static void test_no_pair_is_missed(void **state)
{
    (void)state;
    static const size_t dims[] = {384, 376, 1024};
    for (size_t i = 0; i < 3; i++) {
        const size_t n = i == 2 ? 96 : 160;
        float *hard = hard_vectors(n, dims[i]);
        rows easy = make_rows(1, n, dims[i], 0.5, 1);
        for (join_plan p = JOIN_PREFIX_28; p <= JOIN_ALL; p++) {
            check_bounds(hard, n, dims[i], p, best_isa());
            check_bounds(easy.vectors, n, dims[i], p, i ? best_isa() : ISA_SCALAR);
        }
        free(hard);
        rows_free(&easy);
    }
}

/* --- the rule, by every plan ---------------------------------------------------------------- */

/* Every plan, instruction set and one to seven threads. */
static void check_every_way(const greedy_input *in)
{
    verdict *want = new_verdicts(in), *got = new_verdicts(in);
    int n_threads = 0;
    plain(in, want);
    for (join_plan plan = JOIN_AUTO; plan < JOIN_PLANS; plan++)
        for (int set = ISA_SCALAR; set <= (int)best_isa(); set++) {
            run_greedy(in, plan, n_threads % 7 + 1, (isa)set, got);
            assert_same(in, got, want);
            n_threads++;
        }
    free(want);
    free(got);
}

static void test_every_plan_keeps_the_rule(void **state)
{
    (void)state;
    static const double spreads[] = {0.3, 0.55, 0.6, 0.05};
    for (size_t i = 0; i < 4; i++) {
        rows r =
            make_rows(700 + 500 * i, 600 + 300 * i, i % 2 ? 264 : 128, spreads[i], i == 1 ? 3 : 1);
        if (i == 2) r.in.threshold = 0.6;
        check_every_way(&r.in);
        rows_free(&r);
    }
}

static void test_hard_vectors_keep_the_rule(void **state)
{
    (void)state;
    static const double thresholds[] = {0.85, 1.0, 0.01, 0.5};
    for (size_t i = 0; i < 4; i++) {
        uint32_t unit[600];
        float *v = hard_vectors(400, 256);
        for (size_t k = 0; k < 600; k++) unit[k] = random_below(400);
        greedy_input in = {.vectors.rows = v,
                           .n_vectors = 400,
                           .dim = 256,
                           .unit = unit,
                           .n_rows = 600,
                           .threshold = thresholds[i]};
        check_every_way(&in);
        free(v);
    }
}

/* Pairs exactly at the threshold, one double above, one below; every pair is one of these. */
static void test_pairs_at_the_threshold(void **state)
{
    (void)state;
    rows r = make_rows(300, 280, 256, 0.5, 1);
    for (size_t i = 0; i < 300; i++) r.unit[i] = (uint32_t)(i % 280);
    for (size_t trial = 0; trial < 12; trial++) {
        const float *x = r.vectors + random_below(280) * 256,
                    *y = r.vectors + random_below(280) * 256;
        double cosine = cosine_exact(x, y, 256);
        if (cosine <= 0.1) continue;
        r.in.threshold = fmin(trial % 3 == 0   ? cosine
                              : trial % 3 == 1 ? nextafter(cosine, 2)
                                               : nextafter(cosine, 0),
                              1);
        verdict *want = new_verdicts(&r.in), *got = new_verdicts(&r.in);
        plain(&r.in, want);
        for (join_plan plan = JOIN_PREFIX_28; plan < JOIN_PLANS; plan++) {
            run_greedy(&r.in, plan, 2, best_isa(), got);
            assert_same(&r.in, got, want);
        }
        free(want);
        free(got);
    }
    rows_free(&r);
}

/* Rows that are near none but the one before them. */
static void test_pairs_side_by_side(void **state)
{
    (void)state;
    enum { N = 900, DIM = 128 };
    rows r = make_rows(N, N, DIM, 9, 1);
    for (size_t v = 0; v < N; v++) {
        float *x = r.vectors + v * DIM;
        r.unit[v] = (uint32_t)v;
        for (size_t i = 0; i < DIM; i++) x[i] = random_float();
        for (size_t i = 0; v % 2 && i < DIM; i++)
            x[i] = x[i] * 0.02f + r.vectors[(v - 1) * DIM + i];
        normalise(x, DIM);
    }
    check_every_way(&r.in);
    rows_free(&r);
}

/* The scale of the codes is guessed from some of the vectors; others, in pairs, are as far from
 * their directions as can be, and do not fit. */
static void test_a_few_that_are_unlike_the_sample(void **state)
{
    (void)state;
    enum { N = 9000, DIM = 128, CENTRES = 40, PLANE = 20 };
    rows r = make_rows(N, N, DIM, 9, 1);
    for (size_t v = 0; v < N; v++) {
        float *x = r.vectors + v * DIM;
        const bool unlike = v > N / 2 && v % 256 / 2 == 64; /* every second strip is tried */
        r.unit[v] = (uint32_t)v;
        for (size_t i = 0; i < DIM; i++) {
            float centre = v < CENTRES ? x[i] : r.vectors[v % CENTRES * DIM + i];
            x[i] = i < PLANE && !unlike ? centre + (v < CENTRES ? 0 : 0.01f * x[i]) : 0;
        }
        if (unlike) x[PLANE + v / 256] = 1;
        if (unlike) x[0] = 0.3f * (float)(v % 2);
        normalise(x, DIM);
    }
    check_every_way(&r.in);
    rows_free(&r);
}

/* --- work, not time ------------------------------------------------------------------------- */

/* A crowd whose members are all within the threshold of each other: one is kept, and nobody
 * compares members with members. */
static void test_a_crowd_costs_little(void **state)
{
    (void)state;
    enum { N = 12000, DIM = 64 };
    rows r = many_units(N, N, DIM, 0);
    for (size_t v = 1; v < N; v++) {
        float *x = r.vectors + v * DIM;
        for (size_t i = 0; i < DIM; i++) x[i] = r.vectors[i] + 0.02f * random_float();
        normalise(x, DIM);
    }
    verdict *out = new_verdicts(&r.in);
    greedy_counts c = count_work(&r.in, out, NULL);
    for (size_t i = 1; i < N; i++) assert_int_equal(out[i].kept_row, 0);
    assert_true(c.pairs.scanned < 2048u * 2048u + N); /* one block of crowd */
    assert_true(c.exact <= N + 1);
    free(out);
    rows_free(&r);
}

/* Rows that say the same never look twice. */
static void test_repeats_cost_nothing(void **state)
{
    (void)state;
    enum { N = 50000 };
    rows r = many_units(N, 200, 128, 0.4);
    verdict *out = new_verdicts(&r.in), *want = new_verdicts(&r.in);
    greedy_counts c = count_work(&r.in, out, NULL);
    plain(&(greedy_input){.vectors.rows = r.vectors,
                          .n_vectors = 200,
                          .dim = 128,
                          .unit = r.unit,
                          .n_rows = 1000,
                          .threshold = 0.85},
          want);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(out[i].kept_row == NO_ROW, i < 200 && want[i].kept_row == NO_ROW);
    assert_true(c.pairs.scanned <= 4 * 200 * 200);
    free(out);
    free(want);
    rows_free(&r);
}

/* Many small groups meet their own rows alone. */
static void test_small_groups_do_not_meet(void **state)
{
    (void)state;
    enum { N = 20000 };
    rows r = many_units(N, N, 64, 0.5);
    for (size_t i = 0; i < N; i++) r.group[i] = (uint32_t)(i * 7 % 4000);
    r.in.group = r.group;
    verdict *out = new_verdicts(&r.in);
    greedy_counts c = count_work(&r.in, out, NULL);
    assert_int_equal(c.pairs.scanned, 0);
    for (size_t i = 0; i < N; i++)
        assert_true(out[i].kept_row == NO_ROW || r.group[out[i].kept_row] == r.group[i]);
    free(out);
    rows_free(&r);
}

/* --- vectors that are only near the true ones ----------------------------------------------- */

/* Moves a vector by at most `margin`. */
static void disturb(float *x, size_t dim, float margin)
{
    float *d = random_floats(dim);
    double norm = sqrt(cosine_exact(d, d, dim));
    for (size_t i = 0; i < dim; i++)
        x[i] +=
            (float)((double)d[i] / norm * (double)margin * 0.99 * (double)random_below(100) / 100);
    free(d);
}

/* Which vectors must be doubtful (bit 0) or may be (bit 1), as it is worded; got: the verdicts. */
static void plain_doubts(const greedy_input *in, const verdict *got, unsigned char *out)
{
    enum { AT_LEAST = 16 }; /* neighbours of an uncertain row, all of them doubtful */
    memset(out, 0, in->n_vectors);
    for (size_t i = 0; i < in->n_rows; i++) {
        uint32_t near[4096], n = 0;
        bool sure = false;
        for (size_t k = 0; k < i; k++) {
            if (got[k].kept_row != NO_ROW || (in->group && in->group[i] != in->group[k])) continue;
            const uint32_t x = in->unit[i], y = in->unit[k];
            double both = (double)in->margin[x] + (double)in->margin[y];
            double over = cosine_exact(in->vectors.rows + x * in->dim,
                                       in->vectors.rows + y * in->dim, in->dim) -
                          in->threshold;
            sure |= x == y || (over >= 0 && over >= both);
            if (both > 0 && fabs(over) < both) near[n++] = y;
        }
        if (sure || !n) continue;
        out[in->unit[i]] |= 3;
        for (uint32_t k = 0; k < n; k++) out[near[k]] |= n <= AT_LEAST ? 3 : 2;
    }
    for (size_t v = 0; v < in->n_vectors; v++)
        if (in->margin[v] == 0) out[v] = 0;
}

static void assert_doubts(const greedy_input *in, const verdict *got)
{
    unsigned char *want = calloc(in->n_vectors + 1, 1);
    assert_non_null(want);
    plain_doubts(in, got, want);
    for (size_t v = 0; v < in->n_vectors; v++)
        assert_true(in->doubtful[v] ? want[v] & 2 : !(want[v] & 1));
    free(want);
}

/* With nobody doubtful the kept rows are those of the true vectors; making the doubtful exact
 * comes to that. */
static void check_margins(const rows *r, float margin, join_plan plan)
{
    const size_t n = r->in.n_vectors, dim = r->in.dim, bytes = n * dim * sizeof(float);
    float *near = malloc(bytes + 1), *margins = calloc(n + 1, sizeof *margins);
    unsigned char *doubtful = calloc(n + 1, 1);
    verdict *want = new_verdicts(&r->in), *got = new_verdicts(&r->in);
    assert_true(near && margins && doubtful);
    memcpy(near, r->vectors, bytes);
    for (size_t v = 0; v < n; v++) {
        margins[v] = random_below(5) ? margin * (float)(1 + random_below(3)) : 0;
        disturb(near + v * dim, dim, margins[v] / 1.1f);
    }
    greedy_input in = r->in;
    in.vectors.rows = near;
    in.margin = margins;
    in.doubtful = doubtful;
    plain(&r->in, want);
    size_t n_made = 0, n_doubtful = 1;
    while (n_doubtful) {
        run_greedy(&in, plan, 3, best_isa(), got);
        assert_doubts(&in, got);
        n_doubtful = 0;
        for (size_t v = 0; v < n; v++) {
            if (!doubtful[v]) continue;
            n_doubtful++;
            assert_true(margins[v] > 0); /* so this ends */
            margins[v] = 0;
            memcpy(near + v * dim, r->vectors + v * dim, dim * sizeof *near);
        }
        n_made += n_doubtful;
    }
    assert_true(n_made < n); /* else it says little */
    for (size_t i = 0; i < in.n_rows; i++) {
        assert_int_equal(got[i].kept_row == NO_ROW, want[i].kept_row == NO_ROW);
        if (got[i].kept_row == NO_ROW) continue;
        assert_true(got[i].kept_row < i && got[got[i].kept_row].kept_row == NO_ROW);
    }
    free(near);
    free(margins);
    free(doubtful);
    free(want);
    free(got);
}

static void test_doubtful_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < 10; i++) {
        rows r = make_rows(60 + 150 * i, 50 + 100 * i, 128, i % 2 ? 0.5 : 0.3, i % 3 ? 1 : 3);
        check_margins(&r, i % 2 ? 0.002f : 0.0002f, (join_plan)(i % JOIN_PLANS));
        rows_free(&r);
    }
}

/* A row near the line of one kept row is certain if another surely removes it. */
static void test_certain_although_near(void **state)
{
    (void)state;
    float vectors[3][8] = {{1}, {0.8f, 0.6f}, {0.99f, 0.1410674f}};
    float margin[3] = {0.001f, 0.001f, 0.001f};
    unsigned char doubtful[3];
    uint32_t unit[3] = {0, 1, 2};
    verdict out[3];
    greedy_input in = {.vectors.rows = vectors[0],
                       .n_vectors = 3,
                       .dim = 8,
                       .unit = unit,
                       .n_rows = 3,
                       .threshold = cosine_exact(vectors[1], vectors[2], 8),
                       .margin = margin,
                       .doubtful = doubtful};
    run_greedy(&in, JOIN_AUTO, 1, ISA_SCALAR, out);
    assert_int_equal(doubtful[0] + doubtful[1] + doubtful[2], 0);
    assert_int_equal(out[2].kept_row != NO_ROW, true);
    unit[0] = 1; /* without that other one, it is doubtful, and so is its neighbour */
    run_greedy(&in, JOIN_AUTO, 1, ISA_SCALAR, out);
    assert_int_equal(doubtful[0], 0);
    assert_int_equal(doubtful[1] + doubtful[2], 2);
    margin[2] = 0; /* what is exact is not doubtful */
    run_greedy(&in, JOIN_AUTO, 1, ISA_SCALAR, out);
    assert_int_equal(doubtful[1], 1);
    assert_int_equal(doubtful[2], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scans_agree),
        cmocka_unit_test(test_narrow_scans_agree),
        cmocka_unit_test(test_sifts_agree),
        cmocka_unit_test(test_products_agree),
        cmocka_unit_test(test_no_pair_is_missed),
        cmocka_unit_test(test_every_plan_keeps_the_rule),
        cmocka_unit_test(test_hard_vectors_keep_the_rule),
        cmocka_unit_test(test_pairs_at_the_threshold),
        cmocka_unit_test(test_pairs_side_by_side),
        cmocka_unit_test(test_a_few_that_are_unlike_the_sample),
        cmocka_unit_test(test_a_crowd_costs_little),
        cmocka_unit_test(test_repeats_cost_nothing),
        cmocka_unit_test(test_small_groups_do_not_meet),
        cmocka_unit_test(test_doubtful_vectors),
        cmocka_unit_test(test_certain_although_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
