/* scan.c - every pair, by brute force.
 *
 * A group at a time: its kept rows in order, its queries (each kept row against those before it,
 * each dropped vector against those before its last occurrence).  Kept rows go by in chunks, packed
 * once; queries in strips, shared out over the threads.  A strip and a chunk give the highest
 * cosine that each pair can have (reach.h).  What that leaves is estimated by a float32 sum,
 *
 *   |fl(x.y) - x.y| <= g |x| |y|,  g = dim u / (1 - dim u),  u = 2^-24
 *
 * for a sum of dim products in any order (Higham, Accuracy and Stability of Numerical Algorithms,
 * 3.1; `margin` is twice that with the longest vector there is, which covers the double sums as
 * well), and what could matter still, computed in double precision.  One bound of each strip and
 * chunk is held against the plain loops.
 *
 * A dropped vector that occurs several times is one query: its occurrences are answered in order,
 * each when the first kept row behind it would change the answer.  Memory is linear: a query for
 * each row, a code for each vector, a chunk, and a strip for each thread. */
#include "verify/scan.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "verify/reach.h"

enum {
    CHUNK = 1024, /* kept rows that are packed together; a multiple of REACH_COLUMNS */
    STRIP = 48,   /* queries of one product */
    BLOCK = 512,  /* vectors that one thread codes at a time */
    LANES = 16    /* sums of an estimate */
};

typedef struct query {
    uint32_t unit, answer;
    uint32_t limit; /* it looks at the first `limit` kept rows of its group */
    uint32_t kept;  /* the kept row that it is; NO_ROW: dropped rows */
    uint32_t next;  /* dropped: its first occurrence that has no answer yet, ... */
    uint32_t end;   /* ... and behind its last, in scan.by_vector */
    double best;    /* dropped: the highest cosine so far */
    uint32_t nearest;
    bool is_covered;
} query;

typedef struct occurrence {
    uint32_t dropped; /* number in scan_input.dropped */
    uint32_t limit;   /* kept rows of its group before it */
} occurrence;

typedef struct worker {
    int8_t *strip;           /* [STRIP, code_size] */
    reach_head heads[STRIP]; /* of its rows */
    float *reach;            /* [STRIP, CHUNK] */
    double closest;
    uint32_t a, b;
    uint64_t n_exact;
} worker;

typedef struct scan {
    const scan_input *in;
    const scan_options *o;
    scan_result *out;
    const reach_kernel *kernel;
    double margin;
    size_t n_units, words, code_size;
    int8_t *codes;       /* [n_units, code_size] */
    reach_head *heads;   /* [n_units] */
    uint32_t *kept_of;   /* [n_kept] kept rows by group, in order */
    size_t *first_of;    /* [n_groups + 1] where a group begins there */
    uint32_t *by_vector; /* [n_dropped] dropped rows by group, vector, order */
    occurrence *answers; /* [n_dropped] in that order */
    query *queries;      /* [n_queries] of the group at hand, by limit */
    size_t n_queries;
    const uint32_t *kept; /* [n_kept] the kept rows of the group at hand */
    size_t n_kept;
    size_t chunk_from, chunk_n, query_from;
    reach_columns columns; /* [CHUNK] */
    worker *workers;
    int n_workers;
    atomic_bool is_wrong; /* a product was off by more than its bound */
    uint64_t pairs_done, pairs_total;
} scan;

/* --- exact ---------------------------------------------------------------------------------- */

static const float *vector_of(const scan_input *in, uint32_t unit)
{
    return in->vectors + (size_t)unit * in->dim;
}

double scan_cosine(const scan_input *in, uint32_t unit_a, uint32_t unit_b)
{
    const float *x = vector_of(in, unit_a), *y = vector_of(in, unit_b);
    double sum = 0;
    for (size_t i = 0; i < in->dim; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

static bool same_bits(const scan_input *in, uint32_t a, uint32_t b)
{
    return a == b || memcmp(vector_of(in, a), vector_of(in, b), in->dim * sizeof(float)) == 0;
}

bool scan_too_near(const scan_input *in, uint32_t unit_a, uint32_t unit_b, double cosine)
{
    return cosine >= in->threshold || same_bits(in, unit_a, unit_b);
}

bool scan_meets(const scan_input *in, const scan_row *a, const scan_row *b)
{
    if (a->group != b->group) return false;
    return !in->by_answer ||
           scan_too_near(in, a->answer, b->answer, scan_cosine(in, a->answer, b->answer));
}

static const scan_row *row_at(const scan_input *in, size_t i)
{
    return i < in->n_kept ? &in->kept[i] : &in->dropped[i - in->n_kept];
}

/* The margin, and the highest cosine that could be below the threshold and still decide: that of a
 * vector with itself, when it rounds to less. */
static void find_margin(scan *s)
{
    const scan_input *in = s->in;
    double longest = 0, n = (double)in->dim * 0x1p-24;
    for (size_t i = 0; i < in->n_kept + in->n_dropped; i++) {
        const uint32_t unit = row_at(in, i)->unit;
        double square = scan_cosine(in, unit, unit);
        if (square > longest) longest = square;
    }
    s->margin = 2 * n / (1 - n) * longest;
}

/* --- setting up ----------------------------------------------------------------------------- */

static void scan_release(scan *s)
{
    free(s->kept_of);
    free(s->first_of);
    free(s->by_vector);
    free(s->answers);
    free(s->queries);
    free(s->codes);
    free(s->heads);
    free(s->columns.codes);
    free(s->columns.sums);
    free(s->columns.scale);
    free(s->columns.error);
    free(s->columns.lengths);
    for (int w = 0; s->workers && w < s->n_workers; w++) {
        free(s->workers[w].strip);
        free(s->workers[w].reach);
    }
    free(s->workers);
}

void scan_result_release(scan_result *r)
{
    free(r->nearest);
    free(r->n_near);
    *r = (scan_result){0};
}

static void *new_lines(size_t n, size_t size)
{
    void *p = NULL;
    return posix_memalign(&p, 64, n * size + 64) ? NULL : p;
}

static bool allocate_columns(scan *s)
{
    reach_columns *c = &s->columns;
    c->codes = new_lines(CHUNK, s->code_size);
    c->sums = new_lines(CHUNK, sizeof *c->sums);
    c->scale = new_lines(CHUNK, sizeof *c->scale);
    c->error = new_lines(CHUNK, sizeof *c->error);
    c->lengths = new_lines(CHUNK, sizeof *c->lengths);
    return c->codes && c->sums && c->scale && c->error && c->lengths;
}

static bool allocate_workers(scan *s)
{
    s->n_workers = pool_size(s->o->pool);
    s->workers = calloc((size_t)s->n_workers, sizeof *s->workers);
    bool ok = s->workers != NULL;
    for (int w = 0; ok && w < s->n_workers; w++) {
        s->workers[w].closest = -2; /* below any cosine */
        s->workers[w].strip = new_lines(STRIP, s->code_size);
        s->workers[w].reach = new_lines(STRIP, CHUNK * sizeof(float));
        ok = s->workers[w].strip && s->workers[w].reach;
    }
    return ok;
}

static status allocate(scan *s, err *e)
{
    const scan_input *in = s->in;
    s->kept_of = calloc(in->n_kept + 1, sizeof *s->kept_of);
    s->first_of = calloc(in->n_groups + 2, sizeof *s->first_of);
    s->by_vector = calloc(in->n_dropped + 1, sizeof *s->by_vector);
    s->answers = calloc(in->n_dropped + 1, sizeof *s->answers);
    s->queries = calloc(in->n_kept + in->n_dropped + 1, sizeof *s->queries);
    s->codes = new_lines(s->n_units, s->code_size);
    s->heads = calloc(s->n_units + 1, sizeof *s->heads);
    s->out->nearest = calloc(in->n_dropped + 1, sizeof *s->out->nearest);
    s->out->n_near = calloc(in->n_kept + 1, sizeof *s->out->n_near);
    bool ok = s->kept_of && s->first_of && s->by_vector && s->answers && s->queries && s->codes &&
              s->heads && s->out->nearest && s->out->n_near;
    return ok && allocate_columns(s) && allocate_workers(s) ? ST_OK : err_nomem(e, "verifying");
}

static void measure(scan *s)
{
    const scan_input *in = s->in;
    for (size_t i = 0; i < in->n_kept + in->n_dropped; i++)
        if (row_at(in, i)->unit >= s->n_units) s->n_units = (size_t)row_at(in, i)->unit + 1;
    s->words = reach_words(in->dim);
    s->code_size = s->words * REACH_WORD;
}

static void code_block(void *ctx, size_t item, int number)
{
    scan *s = ctx;
    (void)number;
    for (size_t i = item * BLOCK; i < s->n_units && i < (item + 1) * BLOCK; i++)
        s->heads[i] = reach_code(vector_of(s->in, (uint32_t)i), s->in->dim, s->kernel->most,
                                 s->codes + i * s->code_size);
}

/* Kept rows by group (counting sort, so in order), dropped rows by group, vectors and order. */
static int by_vector_cmp(const void *pa, const void *pb, void *ctx)
{
    const scan_row *rows = ctx, *a = &rows[*(const uint32_t *)pa],
                   *b = &rows[*(const uint32_t *)pb];
    if (a->group != b->group) return a->group < b->group ? -1 : 1;
    if (a->unit != b->unit) return a->unit < b->unit ? -1 : 1;
    if (a->answer != b->answer) return a->answer < b->answer ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

static void sort_rows(scan *s)
{
    const scan_input *in = s->in;
    for (size_t i = 0; i < in->n_kept; i++) s->first_of[in->kept[i].group + 2]++;
    for (size_t g = 2; g < in->n_groups + 2; g++) s->first_of[g] += s->first_of[g - 1];
    for (size_t i = 0; i < in->n_kept; i++)
        s->kept_of[s->first_of[in->kept[i].group + 1]++] = (uint32_t)i;
    for (size_t i = 0; i < in->n_dropped; i++) s->by_vector[i] = (uint32_t)i;
    qsort_r(s->by_vector, in->n_dropped, sizeof *s->by_vector, by_vector_cmp, (void *)in->dropped);
}

/* How many of the group's kept rows come before a place in the order. */
static uint32_t kept_before(const scan *s, uint32_t order)
{
    size_t lo = 0, hi = s->n_kept;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->in->kept[s->kept[mid]].order < order)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (uint32_t)lo;
}

static int by_limit(const void *pa, const void *pb)
{
    const query *a = pa, *b = pb;
    if (a->limit != b->limit) return a->limit < b->limit ? -1 : 1;
    if (a->kept != b->kept) return a->kept < b->kept ? -1 : 1;
    return (a->next > b->next) - (a->next < b->next);
}

/* The queries of group g; *at: its first dropped row in by_vector, moved behind its last. */
static void make_queries(scan *s, uint32_t g, size_t *at)
{
    const scan_input *in = s->in;
    s->kept = s->kept_of + s->first_of[g];
    s->n_kept = s->first_of[g + 1] - s->first_of[g];
    s->n_queries = 0;
    for (size_t i = 0; i < s->n_kept; i++)
        s->queries[s->n_queries++] = (query){.unit = in->kept[s->kept[i]].unit,
                                             .answer = in->kept[s->kept[i]].answer,
                                             .limit = (uint32_t)i,
                                             .kept = s->kept[i]};
    for (; *at < in->n_dropped; ++*at) {
        const scan_row *row = &in->dropped[s->by_vector[*at]];
        if (row->group != g) break;
        query *q = &s->queries[s->n_queries ? s->n_queries - 1 : 0];
        bool again =
            s->n_queries && q->kept == NO_ROW && q->unit == row->unit && q->answer == row->answer;
        if (!again) {
            q = &s->queries[s->n_queries++];
            *q = (query){.unit = row->unit,
                         .answer = row->answer,
                         .kept = NO_ROW,
                         .next = (uint32_t)*at,
                         .best = -2};
            q->nearest = NO_ROW;
        }
        q->end = (uint32_t)*at + 1;
        q->limit = kept_before(s, row->order);
        s->answers[*at] = (occurrence){s->by_vector[*at], q->limit};
    }
    qsort(s->queries, s->n_queries, sizeof *s->queries, by_limit);
    for (size_t i = 0; i < s->n_queries; i++) s->pairs_total += s->queries[i].limit;
}

/* --- looking at a product ------------------------------------------------------------------- */

/* The cosine of a query and a kept row, but for half of the margin. */
static float estimate(const scan *s, const query *q, uint32_t j)
{
    const float *x = vector_of(s->in, q->unit);
    const float *y = vector_of(s->in, s->in->kept[s->kept[j]].unit);
    const size_t dim = s->in->dim;
    float sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= dim; i += LANES)
        for (size_t k = 0; k < LANES; k++) sums[k] += x[i + k] * y[i + k];
    for (; i < dim; i++) sums[0] += x[i] * y[i];
    for (size_t k = 1; k < LANES; k++) sums[0] += sums[k];
    return sums[0];
}

/* Gives the occurrences that see no more than the first `seen` kept rows their answer. */
static void answer(scan *s, query *q, uint32_t seen)
{
    for (; q->next < q->end && s->answers[q->next].limit <= seen; q->next++)
        s->out->nearest[s->answers[q->next].dropped] =
            (scan_nearest){q->best, q->is_covered ? q->nearest : NO_ROW, q->is_covered};
}

/* Whether a query and a kept row of its group, that come near, meet. */
static bool meets(const scan *s, const query *q, uint32_t kept)
{
    const scan_row mine = {.unit = q->unit, .answer = q->answer, .group = s->in->kept[kept].group};
    return scan_meets(s->in, &mine, &s->in->kept[kept]);
}

static void weigh_dropped(scan *s, worker *w, query *q, uint32_t j)
{
    uint32_t kept = s->kept[j], unit = s->in->kept[kept].unit;
    double cosine = scan_cosine(s->in, q->unit, unit);
    bool covers = scan_too_near(s->in, q->unit, unit, cosine);
    w->n_exact++;
    if (!(cosine > q->best) && (q->is_covered || !covers)) return;
    if (!meets(s, q, kept)) return;
    answer(s, q, j);
    q->is_covered |= covers;
    if (cosine > q->best) {
        q->best = cosine;
        q->nearest = kept;
    }
}

static void weigh_kept(scan *s, worker *w, const query *q, uint32_t j)
{
    uint32_t a = s->kept[j], unit = s->in->kept[a].unit;
    double cosine = scan_cosine(s->in, q->unit, unit);
    w->n_exact++;
    if (scan_too_near(s->in, q->unit, unit, cosine) && meets(s, q, a)) s->out->n_near[q->kept]++;
    bool first = q->kept < w->b || (q->kept == w->b && a < w->a);
    if (cosine > w->closest || (cosine == w->closest && first)) {
        w->closest = cosine;
        w->a = a;
        w->b = q->kept;
    }
}

/* From here on, an estimate or what a cosine can reach, a pair has to be computed. */
static double needed(const scan *s, const worker *w, const query *q)
{
    /* A vector's cosine with itself may round to below the threshold, and decides all the same. */
    double line = s->in->threshold < 1 - s->margin ? s->in->threshold : 1 - s->margin;
    double best = q->kept == NO_ROW ? q->best : w->closest;
    if (q->kept == NO_ROW) return (best > line ? best : line) - s->margin;
    return (best < line ? best : line) - s->margin;
}

static void look(scan *s, worker *w, query *q, const float *reach)
{
    size_t n = q->limit - s->chunk_from < s->chunk_n ? q->limit - s->chunk_from : s->chunk_n;
    size_t padded = (n + REACH_COLUMNS - 1) / REACH_COLUMNS * REACH_COLUMNS;
    if ((double)s->kernel->highest(reach, padded) < needed(s, w, q)) return;
    for (size_t i = 0; i < n; i++) {
        if ((double)reach[i] < needed(s, w, q)) continue;
        uint32_t j = (uint32_t)(s->chunk_from + i);
        if ((double)estimate(s, q, j) < needed(s, w, q)) continue;
        if (q->kept == NO_ROW)
            weigh_dropped(s, w, q, j);
        else
            weigh_kept(s, w, q, j);
    }
}

/* Row `i` of the strip at one place: the bits of the plain loops, and no cosine above it. */
static void check_bound(scan *s, const worker *w, const query *q, size_t i, size_t item)
{
    size_t j = (item * 31 + s->chunk_from / CHUNK * 7) % s->chunk_n;
    float got = w->reach[i * CHUNK + j];
    uint32_t unit = s->in->kept[s->kept[s->chunk_from + j]].unit;
    const int8_t *x = s->codes + q->unit * s->code_size, *y = s->codes + unit * s->code_size;
    const reach_head a = s->heads[q->unit], b = s->heads[unit];
    int32_t sum = 0;
    for (size_t k = 0; k < s->code_size; k++) sum += x[k] * y[k];
    float want =
        (float)sum * (a.scale * b.scale) + (a.length * b.error + a.error * s->columns.lengths[j]);
    bool same = got <= want && got >= want;
    if (!same || !(scan_cosine(s->in, q->unit, unit) <= (double)got)) s->is_wrong = true;
}

static void run_strip(void *ctx, size_t item, int number)
{
    scan *s = ctx;
    worker *w = &s->workers[number];
    const size_t from = s->query_from + item * STRIP;
    size_t n = s->n_queries - from < STRIP ? s->n_queries - from : STRIP;
    for (size_t i = 0; i < n; i++) {
        size_t unit = s->queries[from + i].unit;
        w->heads[i] = s->heads[unit];
        s->kernel->put_row(w->strip + i * s->code_size, s->codes + unit * s->code_size, s->words);
    }
    s->kernel->multiply(
        &(reach_job){.rows = w->strip,
                     .heads = w->heads,
                     .m = n,
                     .words = s->words,
                     .columns = &s->columns,
                     .y = w->reach,
                     .ldy = CHUNK,
                     .n = (s->chunk_n + REACH_COLUMNS - 1) / REACH_COLUMNS * REACH_COLUMNS});
    size_t probe = (item + s->chunk_from / CHUNK) % n;
    check_bound(s, w, &s->queries[from + probe], probe, item);
    for (size_t i = 0; i < n; i++) look(s, w, &s->queries[from + i], w->reach + i * CHUNK);
}

/* --- going through all ---------------------------------------------------------------------- */

static void pack_chunk(scan *s)
{
    const reach_columns *c = &s->columns;
    memset(c->codes, 0, CHUNK * s->code_size);
    memset(c->sums, 0, CHUNK * sizeof *c->sums);
    memset(c->scale, 0, CHUNK * sizeof *c->scale);
    memset(c->error, 0, CHUNK * sizeof *c->error);
    memset(c->lengths, 0, CHUNK * sizeof *c->lengths);
    for (size_t j = 0; j < s->chunk_n; j++) {
        size_t unit = s->in->kept[s->kept[s->chunk_from + j]].unit;
        reach_put_column(s->kernel, c, j, s->words, s->codes + unit * s->code_size, s->heads[unit]);
    }
}

static status run_group(scan *s, err *e)
{
    for (s->chunk_from = 0; s->chunk_from < s->n_kept; s->chunk_from += CHUNK) {
        size_t left = s->n_kept - s->chunk_from;
        s->chunk_n = left < CHUNK ? left : CHUNK;
        s->query_from = 0;
        while (s->query_from < s->n_queries && s->queries[s->query_from].limit <= s->chunk_from)
            s->query_from++;
        if (s->query_from == s->n_queries) break;
        if (s->o->stop && *s->o->stop) return err_set(e, ST_INCOMPLETE, "interrupted");
        pack_chunk(s);
        pool_run(s->o->pool, (s->n_queries - s->query_from + STRIP - 1) / STRIP, run_strip, s);
        if (s->is_wrong)
            return err_set(e, ST_FAILED,
                           "a bound of the cosine of two vectors is wrong: this machine "
                           "computes wrongly with %s; try TAMIS_ISA=scalar",
                           isa_name(s->o->isa));
        for (size_t i = s->query_from; i < s->n_queries; i++) {
            size_t sees = s->queries[i].limit - s->chunk_from;
            s->pairs_done += sees < s->chunk_n ? sees : s->chunk_n;
        }
        log_progress(s->o->log, "comparing", s->pairs_done, s->pairs_total);
    }
    for (size_t i = 0; i < s->n_queries; i++)
        if (s->queries[i].kept == NO_ROW) answer(s, &s->queries[i], UINT32_MAX);
    return ST_OK;
}

static void gather_closest(scan *s)
{
    scan_result *r = s->out;
    r->closest = -2;
    for (int i = 0; i < s->n_workers; i++) {
        const worker *w = &s->workers[i];
        r->n_exact += w->n_exact;
        if (w->closest < r->closest || w->closest <= -2) continue;
        bool first = !r->has_closest || w->b < r->b || (w->b == r->b && w->a < r->a);
        if (w->closest == r->closest && !first) continue;
        r->closest = w->closest;
        r->a = w->a;
        r->b = w->b;
        r->has_closest = true;
    }
    r->n_pairs = s->pairs_done;
}

status scan_run(const scan_input *in, const scan_options *o, scan_result *out, err *e)
{
    scan s = {.in = in, .o = o, .out = out, .kernel = reach_for(o->isa)};
    size_t at = 0;
    *out = (scan_result){0};
    measure(&s);
    status st = allocate(&s, e);
    if (st == ST_OK) {
        find_margin(&s);
        pool_run(o->pool, (s.n_units + BLOCK - 1) / BLOCK, code_block, &s);
        sort_rows(&s);
    }
    for (uint32_t g = 0; st == ST_OK && g < in->n_groups; g++) {
        make_queries(&s, g, &at);
        st = run_group(&s, e);
    }
    if (st == ST_OK) {
        gather_closest(&s);
        log_progress_end(o->log, "comparing", s.pairs_done);
    }
    scan_release(&s);
    return st;
}
