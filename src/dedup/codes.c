/* codes.c - makes the codes.  What the numbers promise, and why, stands in join.c.
 *
 * All first codes share one scale, so that an integer product alone says how near two vectors
 * can be.  It must fit the greatest turned component and the longest rest, which are known only
 * when every vector has been turned.  So it is guessed from some; if a vector does not fit, all
 * are encoded again. */
#include "dedup/codes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/gemm.h"
#include "base/large.h"

enum {
    STRIP = 128,
    TRIED = 64 /* strips that are turned to guess the scale */
};

/* What the greatest numbers of all may be, beside those of the strips tried. */
#define MARGIN 1.2
#define PREFIX_MARGIN 1.02
#define REST_MARGIN 1.05

typedef struct strip_most {         /* of one strip of vectors */
    double component, prefix, rest; /* of turned vectors: also their length, and what is left out */
    double norm;                    /* of codes, scaled */
} strip_most;

typedef struct coding {
    codes *c;
    gemm_fn gemm;
    const scan_kernels *k;
    float *panels;    /* the turn, packed */
    size_t columns;   /* its rows, filled up to whole panels */
    float *scratch;   /* for each worker [STRIP, columns] */
    float *room;      /* for each worker [STRIP, dim]; NULL: all vectors are in memory */
    strip_most *most; /* for each strip */
    double off;       /* rounding of a turned vector of length 1: its error's length */
    double share;     /* how the product of two rests is split: see encode_first */
    double factor;    /* the same for an error and a norm */
    double half;      /* rounding of a first code, in steps: its greatest length */
    strip_most fits;  /* what the scale is good for */
    size_t step;      /* between the strips that are turned */
} coding;

void codes_release(codes *c)
{
    free(c->first);
    free(c->rest);
    free(c->error);
    free(c->start);
    free(c->second);
    free(c->heads);
    *c = (codes){0};
}

static float up(double x)
{
    return (float)(x * (1 + 1e-6));
}

/* Length of what the turn leaves out of a vector, rounded up; prefix: of what it keeps. */
static double rest_of(const coding *g, size_t vector, double prefix)
{
    const codes_input *in = g->c->in;
    if (!in->turn) return 0;
    double squares = in->squares[vector];
    double low = prefix - g->off * sqrt(squares);
    double rest = (1 + in->turn_error) * squares - (low > 0 ? low * low : 0);
    return sqrt(rest > 0 ? rest : 0) + 1e-9 * in->longest;
}

static const float *read_strip(const coding *g, size_t from, size_t n, int worker)
{
    const codes_input *in = g->c->in;
    float *room = g->room ? g->room + (size_t)worker * STRIP * in->dim : NULL;
    return vectors_read(&in->vectors, in->dim, from, n, room);
}

/* A strip of vectors, and their first components, turned: [m] rows, ld apart. */
typedef struct strip_rows {
    const float *x, *turned;
    size_t from, m, ld;
} strip_rows;

static strip_rows turn_strip(const coding *g, size_t strip, int worker)
{
    const codes_input *in = g->c->in;
    strip_rows s = {.from = strip * STRIP, .ld = in->turn ? g->columns : in->dim};
    s.m = in->n - s.from < STRIP ? in->n - s.from : STRIP;
    s.turned = s.x = read_strip(g, s.from, s.m, worker);
    if (!in->turn) return s;
    float *y = g->scratch + (size_t)worker * STRIP * g->columns;
    g->gemm(&(gemm_job){.x = s.x,
                        .ldx = in->dim,
                        .m = s.m,
                        .k = in->dim,
                        .w = g->panels,
                        .y = y,
                        .ldy = g->columns,
                        .n = g->columns});
    s.turned = y;
    return s;
}

static strip_most measure(const coding *g, size_t vector, const float *turned)
{
    const double component = (double)g->k->greatest(turned, g->c->in->length);
    const double prefix = sqrt(g->k->sum_of_squares(turned, g->c->in->length));
    return (strip_most){
        .component = component, .prefix = prefix, .rest = rest_of(g, vector, prefix)};
}

static void raise_to(strip_most *most, strip_most by)
{
    most->component = fmax(most->component, by.component);
    most->prefix = fmax(most->prefix, by.prefix);
    most->rest = fmax(most->rest, by.rest);
    most->norm = fmax(most->norm, by.norm);
}

static bool does_fit(const coding *g, strip_most most)
{
    return most.component <= g->fits.component && most.prefix <= g->fits.prefix &&
           most.rest <= g->fits.rest;
}

static void measure_strip(void *ctx, size_t item, int worker)
{
    coding *g = ctx;
    const strip_rows s = turn_strip(g, item * g->step, worker);
    strip_most most = {0};
    for (size_t i = 0; i < s.m; i++) raise_to(&most, measure(g, s.from + i, s.turned + i * s.ld));
    g->most[item] = most;
}

/* What quantise() says of an error, rounded up: sums of up to 256 float32 in a row, and the
 * rounding of the differences themselves. */
static double error_up(const codes *c, double error)
{
    return error * (1 + 1e-4) + 1e-6 * c->in->longest;
}

/* The length of the code, scaled. */
static double encode_first(const coding *g, size_t vector, const float *turned, double rest)
{
    codes *c = g->c;
    const codes_input *in = c->in;
    const size_t k = in->length;
    int8_t *code = c->first + vector * 4 * c->words;
    quantised q = g->k->quantise(turned, k, (float)c->scale, code);
    double norm = q.norm * (1 + 1e-9);
    double error = error_up(c, q.error) + g->off * sqrt(in->squares[vector]);
    double left = sqrt(error * error + rest * rest) / c->scale * (1 + 1e-9); /* in steps */
    int as_query = (int)ceil(left / g->share), as_column = (int)ceil(left * g->share);
    for (int i = 0; i < 3; i++) code[k + (size_t)i] = (int8_t)((as_query + i) / 3);
    code[k + 3] = (int8_t)ceil(norm / c->scale / g->factor);
    if (c->start) {
        int32_t sum = 0;
        for (size_t i = 0; i < k; i++) sum += code[i];
        c->start[vector] = -SCAN_NARROW * sum;
    }
    c->rest[vector][0] = (uint8_t)as_column;
    c->rest[vector][1] = (uint8_t)ceil(error / c->scale * (1 + 1e-9) * g->factor);
    c->error[vector] = up(error);
    return norm;
}

static void encode_second(const coding *g, size_t vector, const float *x)
{
    codes *c = g->c;
    const size_t dim = c->in->dim;
    const float most = g->k->greatest(x, dim), scale = most > 1e-20f ? most / 127 : 1;
    quantised q = g->k->quantise(x, dim, scale, c->second + vector * dim);
    c->heads[vector] =
        (code_head){.scale = scale, .error = up(error_up(c, q.error)), .norm = up(q.norm)};
}

static void encode_strip(void *ctx, size_t item, int worker)
{
    coding *g = ctx;
    const strip_rows s = turn_strip(g, item, worker);
    strip_most most = {0};
    for (size_t i = 0; i < s.m; i++) {
        const float *turned = s.turned + i * s.ld;
        strip_most of = measure(g, s.from + i, turned);
        if (does_fit(g, of)) { /* or all will be encoded again */
            of.norm = encode_first(g, s.from + i, turned, of.rest);
            if (g->c->second) encode_second(g, s.from + i, s.x + i * g->c->in->dim);
        }
        raise_to(&most, of);
    }
    g->most[item] = most;
}

static status allocate(coding *g, size_t strips, err *e)
{
    codes *c = g->c;
    const codes_input *in = c->in;
    c->first = alloc_large(in->n, 4 * c->words);
    c->rest = calloc(in->n + 1, sizeof *c->rest);
    c->error = calloc(in->n + 1, sizeof *c->error);
    g->most = calloc(strips + 1, sizeof *g->most);
    bool ok = c->first && c->rest && c->error && g->most;
    if (in->sift) {
        c->start = calloc(in->n + 1, sizeof *c->start);
        ok = ok && c->start;
    }
    if (in->turn && !in->sift) {
        c->second = alloc_large(in->n, in->dim);
        c->heads = calloc(in->n + 1, sizeof *c->heads);
        ok = ok && c->second && c->heads;
    }
    if (in->turn) {
        g->panels = alloc_large(g->columns * in->dim, sizeof *g->panels);
        g->scratch = alloc_large((size_t)pool_size(in->pool) * STRIP * g->columns, sizeof(float));
        ok = ok && g->panels && g->scratch;
    }
    if (in->vectors.file) {
        g->room = alloc_large((size_t)pool_size(in->pool) * STRIP * in->dim, sizeof *g->room);
        ok = ok && g->room;
    }
    return ok ? ST_OK : err_nomem(e, "deduplicating");
}

static void pack_turn(coding *g)
{
    const codes_input *in = g->c->in;
    memset(g->panels, 0, g->columns * in->dim * sizeof *g->panels);
    for (size_t r = 0; r < in->length; r++)
        for (size_t i = 0; i < in->dim; i++)
            g->panels[(r / GEMM_PANEL * in->dim + i) * GEMM_PANEL + r % GEMM_PANEL] =
                in->turn[r * in->dim + i];
}

/* Length of what a first code leaves out, in steps, at most, and of its rounding alone. */
static double most_left(const coding *g, double *rounding)
{
    const codes *c = g->c;
    *rounding = g->half + g->off * c->in->longest / c->scale;
    return sqrt(pow(g->fits.rest / c->scale, 2) + *rounding * *rounding) * (1 + 1e-6);
}

/* Do the sums of narrow codes fit?  A sum is c.c' + A B + X Y, of codes and of the two numbers of a
 * query, and of a column, in the last word (A in three parts).  By Cauchy and Schwarz the first two
 * terms are not above the greatest |c|^2 + A^2, with A, B at most left + 1.  Where p and r are
 * what the turn keeps and leaves, in steps, and |c| <= p + half, left^2 <= r^2 + rounding^2:
 *
 *     |c|^2 + A^2  <=  p^2 + r^2 + 2 p half + half^2 + rounding^2 + 2 left + 1,
 *
 * and p^2 + r^2 is at most the squared length, but for roundings. */
static bool sums_fit(const coding *g)
{
    const codes_input *in = g->c->in;
    const double step = g->c->scale;
    double rounding, left = most_left(g, &rounding);
    const double length = in->longest / step, p = g->fits.prefix / step;
    const double both = length * length * (1 + in->turn_error + 4 * g->off + 1e-6);
    const double kept = (p < length * 1.01 ? p : length * 1.01) + g->half;
    const double x = kept * (1 + 1e-6) / g->factor + 1, y = rounding * 1.001 * g->factor + 1;
    return both + 2 * kept * g->half + rounding * rounding + 2 * left + 1 + x * y <= SCAN_MOST;
}

/* The scale: no component up to that of `fits` clipped, every number of the last word fits its
 * byte, and the sums of narrow codes fit theirs. */
static void choose_scale(coding *g, strip_most fits)
{
    codes *c = g->c;
    const codes_input *in = c->in;
    g->half = sqrt((double)in->length) / 2 * (1 + 1e-6) + 1e-3;
    g->fits = fits;
    g->factor = 250 / (g->half + 1);
    c->scale = fmax(fits.component / (c->narrow ? SCAN_NARROW : 127) * (1 + 1e-6), fits.rest / 280);
    c->scale = fmax(c->scale, in->longest * 1.05 / (120 * g->factor));
    while (c->narrow && !sums_fit(g)) c->scale *= 1.002;
    c->scale = (double)up(c->scale); /* a float32, as quantise() takes it */
    double rounding, left = most_left(g, &rounding);
    g->share = left <= 254 ? 1 : 254 / left;
}

static strip_most most_of(const coding *g, size_t strips)
{
    strip_most all = {0};
    for (size_t s = 0; s < strips; s++) raise_to(&all, g->most[s]);
    return all;
}

/* The greatest numbers, or what they may be. */
static strip_most guess_most(coding *g, size_t strips)
{
    const codes_input *in = g->c->in;
    if (!in->turn) return (strip_most){.component = in->largest, .prefix = HUGE_VAL};
    g->step = (strips + TRIED - 1) / TRIED;
    const size_t tried = (strips + g->step - 1) / g->step;
    pool_run(in->pool, tried, measure_strip, g);
    strip_most most = most_of(g, tried);
    if (tried == strips) return most;
    most.component *= MARGIN;
    most.prefix *= PREFIX_MARGIN;
    most.rest *= REST_MARGIN;
    return most;
}

static void encode_all(coding *g, size_t strips)
{
    pool *p = g->c->in->pool;
    choose_scale(g, guess_most(g, strips));
    pool_run(p, strips, encode_strip, g);
    strip_most most = most_of(g, strips);
    if (!does_fit(g, most)) {
        choose_scale(g, most);
        pool_run(p, strips, encode_strip, g);
        most = most_of(g, strips);
    }
    g->c->reach = most.norm;
}

status codes_make(const codes_input *in, codes *out, err *e)
{
    const size_t strips = (in->n + STRIP - 1) / STRIP;
    const double gamma = (double)in->dim * 0x1p-24 / (1 - (double)in->dim * 0x1p-24);
    *out = (codes){.in = in, .words = in->length / 4 + 1};
    out->narrow = in->turn && (in->sift || scan_kernels_for(in->isa)->scan_narrow);
    coding g = {.c = out,
                .gemm = gemm_for(in->isa),
                .k = scan_kernels_for(in->isa),
                .columns = (in->length + GEMM_PANEL - 1) / GEMM_PANEL * GEMM_PANEL};
    status st = allocate(&g, strips, e);
    if (st) goto done;
    if (in->turn) {
        g.off = sqrt((double)in->length) * gamma * (1 + in->turn_error);
        pack_turn(&g);
    }
    encode_all(&g, strips);
    out->fuzz = (in->turn_error + 1e-9) * in->longest * in->longest;
done:
    free(g.panels);
    free(g.scratch);
    free(g.room);
    free(g.most);
    return st;
}
