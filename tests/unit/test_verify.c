/* test_verify.c - the brute-force scan and its bounds against plain double loops, and the strict
 * CSV reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>

#include "base/buf.h"
#include "verify/csv_reader.h"
#include "verify/reach.h"
#include "verify/scan.h"

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

static double random_double(void)
{
    return (double)random_below(1u << 24) / (double)(1u << 23) - 1;
}

/* --- scan ----------------------------------------------------------------------------------- */

typedef struct problem {
    scan_input in;
    float *vectors;
    scan_row *kept, *dropped;
} problem;

/* Unit vectors about a few centres; some are copies, some differ in one last bit. */
static float *make_vectors(size_t n, size_t dim)
{
    float *v = calloc(n * dim, sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++) {
        float *x = v + i * dim;
        size_t of = i ? random_below((uint32_t)i) : 0;
        double spread = i && random_below(3) ? 0.05 * random_below(12) : 2, squares = 0;
        if (i && !random_below(8)) {
            memcpy(x, v + of * dim, dim * sizeof *x);
            if (random_below(2)) x[random_below((uint32_t)dim)] *= 1 + 0x1p-23f;
            continue;
        }
        for (size_t k = 0; k < dim; k++)
            x[k] = (float)((double)v[of * dim + k] + spread * random_double() / sqrt((double)dim));
        if (!random_below(6)) x[random_below((uint32_t)dim)] += 3; /* hides the others in a code */
        if (!random_below(6)) x[random_below((uint32_t)dim)] *= 0x1p-140f; /* subnormal */
        for (size_t k = 0; k < dim; k++) squares += (double)x[k] * (double)x[k];
        for (size_t k = 0; k < dim; k++) x[k] = (float)((double)x[k] / sqrt(squares));
    }
    return v;
}

/* Which rows are kept is left to chance, so that there is something to find. */
static problem make_problem(size_t n, size_t dim, uint32_t n_groups, double threshold)
{
    problem p = {.vectors = make_vectors(n, dim)};
    p.kept = calloc(n, sizeof *p.kept);
    p.dropped = calloc(n, sizeof *p.dropped);
    assert_true(p.kept && p.dropped);
    size_t n_kept = 0, n_dropped = 0, n_placed = n - n / 10;
    for (uint32_t i = 0; i < n; i++) {
        bool placed = i < n_placed;
        scan_row row = {.unit = random_below((uint32_t)n),
                        .answer = i * 7 % 12 % (uint32_t)n,
                        .group = random_below(n_groups),
                        .order = placed ? i : NO_ROW};
        if (placed && random_below(2))
            p.dropped[n_dropped++] = row;
        else
            p.kept[n_kept++] = row;
    }
    p.in = (scan_input){.vectors = p.vectors,
                        .dim = dim,
                        .kept = p.kept,
                        .n_kept = n_kept,
                        .dropped = p.dropped,
                        .n_dropped = n_dropped,
                        .n_groups = n_groups,
                        .threshold = threshold};
    return p;
}

static void problem_release(problem *p)
{
    free(p->vectors);
    free(p->kept);
    free(p->dropped);
}

static double cosine(const scan_input *in, uint32_t a, uint32_t b)
{
    double sum = 0;
    for (size_t k = 0; k < in->dim; k++)
        sum += (double)in->vectors[a * in->dim + k] * (double)in->vectors[b * in->dim + k];
    return sum;
}

static bool too_near(const scan_input *in, uint32_t a, uint32_t b)
{
    const float *x = in->vectors + a * in->dim, *y = in->vectors + b * in->dim;
    return cosine(in, a, b) >= in->threshold || memcmp(x, y, in->dim * sizeof *x) == 0;
}

/* Are the rows, of one group, compared? */
static bool meet(const scan_input *in, const scan_row *a, const scan_row *b)
{
    return !in->by_answer || too_near(in, a->answer, b->answer);
}

static void check_nearest(const scan_input *in, const scan_result *got)
{
    for (size_t i = 0; i < in->n_dropped; i++) {
        const scan_row *row = &in->dropped[i];
        uint32_t nearest = NO_ROW;
        bool covered = false;
        double best = -2;
        for (size_t j = 0; j < in->n_kept && in->kept[j].order < row->order; j++) {
            if (in->kept[j].group != row->group || !meet(in, row, &in->kept[j])) continue;
            double c = cosine(in, row->unit, in->kept[j].unit);
            covered |= too_near(in, row->unit, in->kept[j].unit);
            if (c > best) best = c, nearest = (uint32_t)j;
        }
        assert_int_equal(got->nearest[i].is_covered, covered);
        assert_int_equal(got->nearest[i].kept, covered ? nearest : NO_ROW);
        if (covered) assert_memory_equal(&got->nearest[i].score, &best, sizeof best);
    }
}

static void check_near(const scan_input *in, const scan_result *got)
{
    double best = -2;
    size_t a = 0, b = 0;
    for (size_t j = 0; j < in->n_kept; j++) {
        uint32_t n = 0;
        for (size_t i = 0; i < j; i++) {
            if (in->kept[i].group != in->kept[j].group) continue;
            double c = cosine(in, in->kept[j].unit, in->kept[i].unit);
            n += too_near(in, in->kept[j].unit, in->kept[i].unit) &&
                 meet(in, &in->kept[i], &in->kept[j]);
            if (c > best) best = c, a = i, b = j;
        }
        assert_int_equal(got->n_near[j], n);
    }
    assert_int_equal(got->has_closest, best > -2);
    if (best <= -2) return;
    assert_memory_equal(&got->closest, &best, sizeof best);
    assert_int_equal(got->a, a);
    assert_int_equal(got->b, b);
}

static void check_scan(const problem *p, isa set, int n_threads)
{
    err e = {0};
    pool *threads = NULL;
    scan_result got;
    assert_int_equal(pool_new(n_threads, &threads, &e), ST_OK);
    scan_options o = {.isa = set, .pool = threads};
    if (scan_run(&p->in, &o, &got, &e)) fail_msg("%s", e.msg);
    check_nearest(&p->in, &got);
    check_near(&p->in, &got);
    scan_result_release(&got);
    pool_free(threads);
}

static void test_scan(void **state)
{
    static const double thresholds[] = {0.3, 0.85, 0.99, 0.9999999, 1};
    static const size_t dims[] = {16, 48, 384};
    (void)state;
    isa best;
    err e = {0};
    assert_int_equal(isa_choose(&best, &e), ST_OK);
    for (size_t k = 0; k < 45; k++) {
        size_t n = k % 5 ? 1 + random_below(400) : 60;
        problem p = make_problem(n, dims[k % 3], k % 4 ? 1 : 3, thresholds[k % 5]);
        check_scan(&p, (isa)(k % (best + 1)), 1 + (int)(k % 3));
        p.in.by_answer = true;
        check_scan(&p, (isa)((k + 1) % (best + 1)), 1 + (int)(k % 3));
        problem_release(&p);
    }
    for (uint32_t n_groups = 1; n_groups <= 2; n_groups++) { /* more than a chunk of kept rows */
        problem many = make_problem(5000, 16, n_groups, 0.5);
        check_scan(&many, best, 3);
        many.in.by_answer = true;
        check_scan(&many, best, 3);
        problem_release(&many);
    }
}

/* The threshold is the cosine of a pair, or the double next to it on either side. */
static void test_scan_at_the_line(void **state)
{
    static const size_t dims[] = {1, 3, 37, 100, 383, 385};
    (void)state;
    isa best;
    err e = {0};
    assert_int_equal(isa_choose(&best, &e), ST_OK);
    for (size_t k = 0; k < 72; k++) {
        problem p = make_problem(40 + random_below(100), dims[k % 6], 1, 0);
        const uint32_t n = (uint32_t)p.in.n_kept;
        const scan_row *a = &p.kept[random_below(n)];
        const scan_row *b =
            k % 2 ? &p.kept[random_below(n)] : &p.dropped[random_below((uint32_t)p.in.n_dropped)];
        const double line = cosine(&p.in, a->unit, b->unit);
        p.in.threshold = k % 3 == 0 ? line : nextafter(line, k % 3 == 1 ? 2 : -2);
        for (isa i = ISA_SCALAR; i <= best; i++) check_scan(&p, i, 1 + (int)(k % 3));
        problem_release(&p);
    }
}

/* --- bounds --------------------------------------------------------------------------------- */

enum { ROWS = 27, COLUMNS = 96 }; /* whole tiles of every kernel and what is left of them */

/* All kinds that a code finds hard. */
static void make_hard(float *x, size_t dim, size_t kind)
{
    for (size_t k = 0; k < dim; k++) x[k] = (float)random_double();
    float *one = &x[random_below((uint32_t)dim)];
    for (size_t k = 0; k < dim; k++) {
        if (kind == 1) x[k] *= 0x1p-12f;      /* beside one huge component */
        if (kind == 2) x[k] *= 0x1p-140f;     /* subnormal, no code */
        if (kind == 3) x[k] = 1;              /* all codes the largest, */
        if (kind == 4) x[k] = -1;             /* or the least, */
        if (kind == 5) x[k] = k % 2 ? 1 : -1; /* or both */
        if (kind == 6) x[k] = 0;
        if (kind == 7) x[k] *= 0x1p50f;
        if (kind == 8) x[k] = ((float)random_below(253) - 126) / 126; /* halves of steps */
        if (kind == 9) x[k] *= random_below(2) ? 1 : 0x1p-49f;
    }
    if (kind == 1) *one = 1;
    if (kind == 9) *one = -0.0f;
}

typedef struct product {
    size_t dim, words;
    float *x, *y;      /* [ROWS, dim], [COLUMNS, dim] */
    float *got, *want; /* [ROWS, COLUMNS] */
    reach_head heads[ROWS];
} product;

static void run_product(product *p, const reach_kernel *k, int most, float *out)
{
    const size_t size = REACH_WORD * p->words;
    int32_t sums[COLUMNS];
    float scale[COLUMNS], error[COLUMNS], lengths[COLUMNS];
    int8_t *code = calloc(1, size), *rows = calloc(ROWS, size);
    reach_columns c = {calloc(COLUMNS, size), sums, scale, error, lengths};
    assert_true(code && rows && c.codes);
    for (size_t i = 0; i < ROWS; i++) {
        p->heads[i] = reach_code(p->x + i * p->dim, p->dim, most, code);
        k->put_row(rows + i * size, code, p->words);
    }
    for (size_t j = 0; j < COLUMNS; j++) {
        reach_head head = reach_code(p->y + j * p->dim, p->dim, most, code);
        reach_put_column(k, &c, j, p->words, code, head);
    }
    k->multiply(&(reach_job){.rows = rows,
                             .heads = p->heads,
                             .m = ROWS,
                             .words = p->words,
                             .columns = &c,
                             .y = out,
                             .ldy = COLUMNS,
                             .n = COLUMNS});
    free(code);
    free(rows);
    free(c.codes);
}

/* No cosine is above its bound, and none far below it. */
static void check_bounds(const product *p, int most)
{
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < COLUMNS; j++) {
            const float *x = p->x + i * p->dim, *y = p->y + j * p->dim;
            double sum = 0, xx = 0, yy = 0, x_most = 0, y_most = 0;
            for (size_t k = 0; k < p->dim; k++) {
                sum += (double)x[k] * (double)y[k];
                xx += (double)x[k] * (double)x[k];
                yy += (double)y[k] * (double)y[k];
                x_most = fmax(x_most, fabs((double)x[k]));
                y_most = fmax(y_most, fabs((double)y[k]));
            }
            /* twice what half a step in each component makes of the other's length */
            const double root = sqrt((double)p->dim) / most;
            const double far = 0x1p-17 * (sqrt(xx) + 1) * (sqrt(yy) + 1) +
                               2 * root * (x_most * sqrt(yy) + y_most * sqrt(xx));
            const double got = (double)p->want[i * COLUMNS + j];
            assert_true(got >= sum);
            assert_true(got <= sum + far * (1 + root));
        }
}

static void test_bounds(void **state)
{
    static const size_t dims[] = {1, 4, 7, 8, 16, 37, 383, 384, 1024, 4096};
    (void)state;
    isa best;
    err e = {0};
    assert_int_equal(isa_choose(&best, &e), ST_OK);
    for (size_t d = 0; d < 10; d++) {
        product p = {.dim = dims[d], .words = reach_words(dims[d])};
        p.x = calloc(ROWS * p.dim, sizeof *p.x);
        p.y = calloc(COLUMNS * p.dim, sizeof *p.y);
        p.got = calloc((size_t)ROWS * COLUMNS, sizeof *p.got);
        p.want = calloc((size_t)ROWS * COLUMNS, sizeof *p.want);
        assert_true(p.x && p.y && p.got && p.want);
        for (size_t i = 0; i < ROWS; i++) make_hard(p.x + i * p.dim, p.dim, i % 10);
        for (size_t j = 0; j < COLUMNS; j++) make_hard(p.y + j * p.dim, p.dim, j % 11);
        for (isa i = ISA_SCALAR; i <= best; i++) {
            const reach_kernel *k = reach_for(i);
            run_product(&p, &reach_scalar, k->most, p.want);
            check_bounds(&p, k->most);
            run_product(&p, k, k->most, p.got);
            for (size_t q = 0; q < (size_t)ROWS * COLUMNS; q++)
                assert_memory_equal(&p.got[q], &p.want[q], sizeof *p.got);
            float top = p.got[0];
            for (size_t q = 1; q < COLUMNS; q++) top = p.got[q] > top ? p.got[q] : top;
            const float found = k->highest(p.got, COLUMNS);
            assert_true(found >= top && found <= top);
        }
        free(p.x);
        free(p.y);
        free(p.got);
        free(p.want);
    }
}

/* --- CSV ------------------------------------------------------------------------------------ */

/* Reads a text; fields as "a|b|c;", a broken record as "!;". */
static void check_csv(str text, const char *want)
{
    csv_reader r = {.text = text, .line = 1};
    csv_record record;
    buf b = {0};
    for (;;) {
        csv_result got = csv_next(&r, &record);
        if (got == CSV_END) break;
        if (got == CSV_BROKEN) assert_non_null(record.fault);
        if (got == CSV_BROKEN) buf_char(&b, '!');
        for (size_t i = 0; got == CSV_RECORD && i < record.n; i++) {
            if (i) buf_char(&b, '|');
            buf_str(&b, record.fields[i]);
        }
        buf_char(&b, ';');
    }
    assert_string_equal(buf_cstr(&b), want);
    buf_release(&b);
    csv_reader_release(&r);
}

static void test_csv(void **state)
{
    (void)state;
    check_csv(STR(""), "");
    check_csv(STR("a,b,c\r\n"), "a|b|c;");
    check_csv(STR("a,,\r\n,\r\n"), "a||;|;");
    check_csv(STR("\"a,b\",\"c\r\nd\"\r\ne\r\n"), "a,b|c\r\nd;e;");
    check_csv(STR("\"say \"\"a\"\"\",\"\"\"\"\r\n"), "say \"a\"|\";");
    check_csv(STR("\"\n\",\"\r\"\r\n"), "\n|\r;");
    check_csv(STR("\"a\",b\r\nc\r\n"), "!;c;");      /* quotes without need */
    check_csv(STR("\"\",b\r\nc\r\n"), "!;c;");       /* ... around nothing */
    check_csv(STR("a\"b\r\nc\r\n"), "!;c;");         /* a quote in the middle */
    check_csv(STR("\"a,\"b\r\nc\r\n"), "!;c;");      /* more behind the quote */
    check_csv(STR("a\nb\r\nc\r\n"), "!;c;");         /* LF alone */
    check_csv(STR("a\rb\r\nc\r\n"), "!;c;");         /* CR alone */
    check_csv(STR("a\r\nb"), "a;!;");                /* no end of line */
    check_csv(STR("a\r\n\"b,c"), "a;!;");            /* no end of the quotes */
    check_csv(STR("a\r\n\"b,c\r\nd\r\n"), "a;!;d;"); /* goes on behind it */
    check_csv(STR("a\r\n\"b,c\""), "a;!;");
    buf many = {0};
    for (int i = 0; i <= CSV_FIELDS_MAX; i++) buf_char(&many, ',');
    buf_z(&many, "\r\nx\r\n");
    check_csv(buf_view(&many), "!;x;");
    buf_release(&many);
}

static void test_csv_lines(void **state)
{
    (void)state;
    csv_reader r = {.text = STR("a\r\n\"b\r\n\n\"\r\nc\r\n"), .line = 1};
    csv_record record;
    assert_int_equal(csv_next(&r, &record), CSV_RECORD);
    assert_int_equal(record.line, 1);
    assert_int_equal(csv_next(&r, &record), CSV_RECORD);
    assert_int_equal(record.line, 2);
    assert_int_equal(csv_next(&r, &record), CSV_RECORD);
    assert_int_equal(record.line, 5);
    csv_reader_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),      cmocka_unit_test(test_scan_at_the_line),
        cmocka_unit_test(test_bounds),    cmocka_unit_test(test_csv),
        cmocka_unit_test(test_csv_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
