/* greedy.c - keep the first of every group of near-duplicates.
 *
 * A row is dropped when an earlier kept row of its group has cosine >= threshold.  Rows arrive in
 * final order (pipeline.c sorts), so the result is the lexicographically first maximal
 * independent set of the similarity graph: independent of threads, blocks and how the pairs
 * were found.
 *
 * What decides is cosine_exact, in double precision.  Which pairs it is computed for is decided by
 * bounds that miss none: integer codes first (join.c), then a float32 product.  Rows with the
 * same vector, group and answer are one entry, which remembers which kept rows it has met and the
 * nearest of them: a repeated text costs no second search.  Groups are decided one by
 * one, small ones without any code.
 *
 * Memory: for each vector its codes (dim + 90 bytes, or twice dim when only the plain plan
 * pays), 100 bytes for each row, scratch of fixed size for each thread.  The vectors themselves may
 * lie in a file (vectors.h): what the codes leave undecided is read from there. */
#include "dedup/greedy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/intern.h"
#include "dedup/decide.h"

enum {
    SMALL = 128,      /* entries of a small group */
    LONGEST = 1000000 /* far from overflow, in any sum of squares */
};

typedef unsigned long long ull;

double cosine_exact(const float *x, const float *y, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

double vectors_cosine(const greedy_input *in, uint32_t a, uint32_t b)
{
    float x[VECTORS_DIM], y[VECTORS_DIM];
    return cosine_exact(vectors_row(&in->vectors, in->dim, a, x),
                        vectors_row(&in->vectors, in->dim, b, y), in->dim);
}

double answers_cosine(const greedy_input *in, uint32_t a, uint32_t b)
{
    float room[2][VECTORS_DIM];
    const float *x = vectors_row(&in->answers, in->dim, a, room[0]);
    const float *y = vectors_row(&in->answers, in->dim, b, room[1]);
    if (a == b || memcmp(x, y, in->dim * sizeof *x) == 0) return HUGE_VAL;
    return cosine_exact(x, y, in->dim);
}

static void run_release(run *r)
{
    join_free(r->join);
    vector_facts_release(&r->facts);
    free(r->rows);
    free(r->of);
    free(r->entries);
    free(r->kept);
    free(r->kept_entry);
    free(r->number);
}

static int by_group(const void *a, const void *b, void *ctx)
{
    const uint32_t *x = a, *y = b, *group = ctx;
    if (group[*x] != group[*y]) return group[*x] < group[*y] ? -1 : 1;
    return (*x > *y) - (*x < *y);
}

static status allocate(run *r, err *e)
{
    const greedy_input *in = r->in;
    r->rows = calloc(in->n_rows + 1, sizeof *r->rows);
    r->of = calloc(in->n_rows + 1, sizeof *r->of);
    r->entries = calloc(in->n_rows + 1, sizeof *r->entries);
    r->kept = calloc(in->n_rows + 1, sizeof *r->kept);
    r->kept_entry = calloc(in->n_rows + 1, sizeof *r->kept_entry);
    if (in->prior) r->number = calloc(in->n_rows + 1, sizeof *r->number);
    if (!r->rows || !r->of || !r->entries || !r->kept || !r->kept_entry ||
        (in->prior && !r->number))
        return err_nomem(e, "deduplicating");
    for (size_t i = 0; i < in->n_rows; i++) r->rows[i] = (uint32_t)i;
    if (in->group)
        qsort_r(r->rows, in->n_rows, sizeof *r->rows, by_group, (void *)(uintptr_t)in->group);
    return ST_OK;
}

/* Below the threshold if the vector is too short to be its own duplicate. */
static double floor_of(const run *r, uint32_t vector)
{
    const greedy_input *in = r->in;
    if (in->margin || r->facts.squares[vector] * (1 - 1e-9) > in->threshold) return in->threshold;
    return fmin(in->threshold, vectors_cosine(in, vector, vector));
}

/* Vectors with the same bits are one, if they are exact. */
static uint32_t vector_of(const run *r, uint32_t row)
{
    const uint32_t unit = r->in->unit[row];
    return r->in->margin ? unit : r->facts.first[unit];
}

/* *out: [n_rows] a number for each pair of vector and answer that occurs, to be freed; NULL where
 * answers do not matter. */
static status number_pairs(const run *r, uint32_t **out, err *e)
{
    const greedy_input *in = r->in;
    const size_t n = in->answer ? in->n_rows : 0;
    intern seen = {0};
    uint64_t *keys = calloc(n + 1, sizeof *keys);
    *out = in->answer ? calloc(n + 1, sizeof **out) : NULL;
    bool ok = keys && (*out || !in->answer);
    for (size_t i = 0; ok && i < n; i++) {
        keys[i] = (uint64_t)vector_of(r, (uint32_t)i) << 32 | in->answer[i];
        (*out)[i] = intern_add(&seen, (str){(const char *)&keys[i], sizeof keys[i]});
        ok = (*out)[i] != INTERN_NONE;
    }
    intern_release(&seen);
    free(keys);
    return ok ? ST_OK : err_nomem(e, "deduplicating");
}

/* Vector, group and answer of a row make its entry. */
static status make_entries(run *r, err *e)
{
    const greedy_input *in = r->in;
    const size_t n_kinds = in->answer ? in->n_rows : in->n_vectors;
    uint32_t *entry_of = calloc(n_kinds + 1, sizeof *entry_of), *pair = NULL, first = 0;
    status st = entry_of ? number_pairs(r, &pair, e) : err_nomem(e, "deduplicating");
    if (st) goto done;
    memset(entry_of, 0xFF, n_kinds * sizeof *entry_of);
    for (size_t i = 0; i < in->n_rows; i++) {
        const uint32_t row = r->rows[i], vector = vector_of(r, row);
        const uint32_t kind = pair ? pair[row] : vector;
        if (i && in->group && in->group[row] != in->group[r->rows[i - 1]]) first = r->n_entries;
        if (entry_of[kind] == NO_NUMBER || entry_of[kind] < first) {
            entry_of[kind] = r->n_entries;
            r->entries[r->n_entries++] = (entry){.best = -HUGE_VAL,
                                                 .second = -HUGE_VAL,
                                                 .hidden = {-HUGE_VAL, 0},
                                                 .best_kept = NO_NUMBER,
                                                 .second_kept = NO_NUMBER,
                                                 .vector = vector,
                                                 .answer = pair ? in->answer[row] : 0,
                                                 .floor = floor_of(r, vector),
                                                 .slot = NO_NUMBER};
        } else {
            r->entries[entry_of[kind]].is_repeated = true;
        }
        r->of[row] = entry_of[kind];
    }
done:
    free(entry_of);
    free(pair);
    return st;
}

/* The rows of the group that begins at place `from`; *small: few entries. */
static group_rows next_group(const run *r, size_t from, bool *small)
{
    const greedy_input *in = r->in;
    const uint32_t first = r->of[r->rows[from]];
    uint32_t last = first;
    size_t to = from;
    for (; to < in->n_rows; to++) {
        const uint32_t row = r->rows[to];
        if (in->group && in->group[row] != in->group[r->rows[from]]) break;
        last = r->of[row] > last ? r->of[row] : last;
    }
    *small = last - first < SMALL;
    return (group_rows){from, to};
}

static status start_join(run *r, err *e)
{
    const greedy_input *in = r->in;
    if (r->join) return ST_OK;
    status st = join_new(&(join_input){.vectors = in->vectors,
                                       .n = in->n_vectors,
                                       .dim = in->dim,
                                       .squares = r->facts.squares,
                                       .longest = r->facts.longest,
                                       .largest = r->facts.largest,
                                       .threshold = in->threshold,
                                       .plan = r->o->plan,
                                       .isa = r->o->isa,
                                       .pool = r->o->pool},
                         &r->join, e);
    if (st == ST_OK)
        log_say(r->o->log, LOG_DEBUG, "deduplicating %zu rows by codes of the %s (%s)", in->n_rows,
                join_plan_name(join_plan_of(r->join)), isa_name(r->o->isa));
    return st;
}

typedef struct small_groups {
    run *r;
    group_rows *groups; /* [n] */
    size_t n, rows;
} small_groups;

static void decide_one(void *ctx, size_t item, int worker)
{
    small_groups *s = ctx;
    uint64_t exact = 0;
    (void)worker;
    if (s->r->o->stop && *s->r->o->stop) return;
    decide_small_group(s->r, s->groups[item], &exact);
    __atomic_fetch_add(&s->r->counts.exact, exact, __ATOMIC_RELAXED);
}

/* Large groups on all threads as they come, then the small ones side by side. */
static status decide_groups(run *r, small_groups *s, err *e)
{
    const size_t n = r->in->n_rows;
    size_t done = 0;
    status st = ST_OK;
    for (size_t from = 0; st == ST_OK && from < n;) {
        bool small;
        group_rows g = next_group(r, from, &small);
        from = g.to;
        if (small) {
            s->groups[s->n++] = g;
            continue;
        }
        st = start_join(r, e);
        if (st == ST_OK) st = decide_group(r, g, done, e);
        done += g.to - g.from;
    }
    if (st == ST_OK) pool_run(r->o->pool, s->n, decide_one, s);
    if (st == ST_OK && s->n && r->o->stop && *r->o->stop)
        st = err_set(e, ST_INCOMPLETE, "interrupted while deduplicating; run again");
    return st;
}

static status prepare(run *r, err *e)
{
    const greedy_input *in = r->in;
    status st = unite_vectors(
        &(unite_input){in->vectors, in->n_vectors, in->dim, r->o->isa, r->o->pool}, &r->facts, e);
    if (st) return st;
    if (r->facts.longest > LONGEST)
        return err_set(e, ST_FAILED, "vectors are to be of unit length: one has a length of %g",
                       r->facts.longest);
    r->bound = dot_floats_error(in->dim, r->facts.longest);
    for (size_t i = 0; in->margin && i < in->n_vectors; i++) {
        r->most_margin = fmax(r->most_margin, (double)in->margin[i]);
        in->doubtful[i] = 0;
    }
    r->most_margin += 2e-9 * r->facts.longest * r->facts.longest; /* see note_margin */
    st = allocate(r, e);
    return st ? st : make_entries(r, e);
}

/* What was decided by vectors that could not be read is worth nothing. */
static status check_reads(const greedy_input *in, err *e)
{
    status st = vectors_check(&in->vectors, e);
    return st == ST_OK && in->answer ? vectors_check(&in->answers, e) : st;
}

status greedy_run(const greedy_input *in, const greedy_options *o, verdict *out, err *e)
{
    run r = {.in = in, .o = o, .out = out, .k = scan_kernels_for(o->isa)};
    small_groups s = {.r = &r};
    if (in->n_rows >= ROW_UNKNOWN || in->n_vectors >= ROW_UNKNOWN)
        return err_set(e, ST_FAILED, "more than %u rows", ROW_UNKNOWN - 1);
    status st = prepare(&r, e);
    if (st == ST_OK) {
        s.groups = calloc((in->group ? in->n_rows : 1) + 1, sizeof *s.groups);
        if (!s.groups) st = err_nomem(e, "deduplicating");
    }
    if (st == ST_OK) st = decide_groups(&r, &s, e);
    if (st == ST_OK) st = check_reads(in, e);
    if (st == ST_OK) log_progress_end(o->log, "deduplicating", in->n_rows);
    if (st == ST_OK && r.join)
        log_say(
            o->log, LOG_DEBUG,
            "deduplicating: %llu rows met all kept ones before them, %llu only those added "
            "since; pairs: %llu by first codes, %llu sifted, %llu by second codes, %llu exactly",
            (ull)r.counts.whole, (ull)r.counts.spared, (ull)r.counts.pairs.scanned,
            (ull)r.counts.pairs.sifted, (ull)r.counts.pairs.coded, (ull)r.counts.exact);
    if (o->counts) *o->counts = r.counts;
    free(s.groups);
    run_release(&r);
    return st;
}
