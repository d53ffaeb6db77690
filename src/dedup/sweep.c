/* sweep.c - many thresholds at once.
 *
 * At one threshold the greedy rule asks of a row whether an earlier kept one is near enough.  Here
 * each row has a bit for each threshold, set while the row is kept there.  A pair with cosine c
 * takes from the later row every bit of a threshold up to c that the earlier row still has.  The
 * earlier rows are final when a row is decided, so one pass in order gives what greedy_run gives
 * at each threshold, and no list of pairs is needed.
 *
 * With answers a pair counts by the lower of its two cosines: that is what reaches a threshold when
 * both do.  The question's alone is what the search for pairs goes by.
 *
 * Rows with the same vector, group and answer are one entry: all but the first fall at any threshold, or,
 * being forced, stay at any.  An entry that begins with a forced row loses no bit.
 * Groups never meet and are gone through one after the other.  Entries go by in blocks: in
 * parallel against the entries before the block, then in order against those of the block, whose
 * pairs are few and were noted meanwhile.  What a pair can still change of an entry (a bit, its
 * nearest kept one) gives the limit below which pairs are passed over;
 * it rises as bits fall, so that a crowd of rewordings costs no more than it has to. */
#include "dedup/sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/intern.h"
#include "dedup/join.h"
#include "dedup/unite.h"

enum {
    HERE = SWEEP_STEPS, /* the bit of the input's own threshold */
    N_BITS,
    BLOCK = 4 * SCAN_QUERIES /* entries */
};

typedef struct entry {
    uint32_t vector, group, answer;
    uint32_t row;     /* its first */
    uint32_t bits;    /* thresholds at which it is kept, so far */
    uint32_t nearest; /* number, in its group, of the nearest one kept HERE */
    double best;      /* its cosine; -1: none so far */
} entry;

/* A pair within a block. */
typedef struct noted {
    uint32_t query, member;
    double cosine;
} noted;

typedef struct worker {
    join_scratch scratch;
    noted *noted; /* [n_noted of cap] */
    size_t n_noted, cap;
    bool failed; /* no memory */
} worker;

typedef struct run {
    const greedy_input *in;
    const greedy_options *o;
    sweep *out;
    join *join;
    vector_facts facts;
    double thresholds[N_BITS], lowest;
    entry *entries; /* [n] by group, then row */
    size_t n;
    size_t n_forced, n_again; /* rows; those of them that are not the first of their entry */
    entry *group;             /* the first of the group that is gone through */
    join_set set;             /* its entries so far, the block's among them */
    uint32_t block, block_end;
    worker *workers;
} run;

/* --- entries -------------------------------------------------------------------------------- */

static int by_group(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static status make_entries(run *r, err *e)
{
    const greedy_input *in = r->in;
    intern seen = {0};
    struct entry_key {
        uint32_t vector, group, answer;
    } *keys = calloc(in->n_rows + 1, sizeof *keys);
    r->entries = calloc(in->n_rows + 1, sizeof *r->entries);
    status st = keys && r->entries ? ST_OK : err_nomem(e, "tuning");
    for (size_t i = 0; st == ST_OK && i < in->n_rows; i++) {
        keys[i] = (struct entry_key){r->facts.first[in->unit[i]], in->group ? in->group[i] : 0,
                                     in->answers ? in->answer[i] : 0};
        uint32_t k = intern_add(&seen, (str){(const char *)&keys[i], sizeof keys[i]});
        if (k == INTERN_NONE)
            st = err_nomem(e, "tuning");
        else if (k == r->n)
            r->entries[r->n++] = (entry){.vector = keys[i].vector,
                                         .group = keys[i].group,
                                         .answer = keys[i].answer,
                                         .row = (uint32_t)i,
                                         .bits = (1u << N_BITS) - 1,
                                         .best = -1};
        else
            r->n_again += i < r->n_forced;
    }
    if (in->group && r->n) qsort(r->entries, r->n, sizeof *r->entries, by_group);
    intern_release(&seen);
    free(keys);
    return st;
}

/* --- pairs ---------------------------------------------------------------------------------- */

/* The total order of the pairs that are shown, nearest the threshold first. */
static bool comes_first(const sweep_pair *a, const sweep_pair *b, bool highest)
{
    if (a->score != b->score) return highest ? a->score > b->score : a->score < b->score;
    return a->row != b->row ? a->row < b->row : a->earlier < b->earlier;
}

static void offer(sweep_pair *list, size_t *n, sweep_pair p, bool highest)
{
    size_t at = *n;
    while (at && comes_first(&p, &list[at - 1], highest)) at--;
    if (at == SWEEP_PAIRS) return;
    if (*n < SWEEP_PAIRS) ++*n;
    memmove(list + at + 1, list + at, (*n - at - 1) * sizeof *list);
    list[at] = p;
}

static bool is_forced(const run *r, const entry *n)
{
    return n->row < r->n_forced;
}

/* What a cosine must reach to change anything of an entry. */
static double limit_of(const run *r, const entry *n)
{
    double limit = n->best > r->lowest ? n->best : r->lowest;
    for (size_t i = 0; i < N_BITS; i++)
        if (n->bits >> i & 1 && r->thresholds[i] < limit) limit = r->thresholds[i];
    if (!r->in->answers) return limit;
    /* Its own vector may come again, with another answer, and is to be found at any limit. */
    double itself = r->facts.squares[n->vector] * (1 - 1e-9);
    return itself < limit ? itself : limit;
}

/* What decides of a pair. */
static double cosine_of(const run *r, const entry *a, const entry *b)
{
    const greedy_input *in = r->in;
    const float *x = in->vectors + (size_t)a->vector * in->dim;
    const float *y = in->vectors + (size_t)b->vector * in->dim;
    double cosine = cosine_exact(x, y, in->dim);
    if (!in->answers) return cosine;
    double other = answers_cosine(in, a->answer, b->answer);
    if (a->vector == b->vector) cosine = other < 1 ? other : 1; /* a repeat at any threshold */
    return other < cosine ? other : cosine;
}

/* A pair with an earlier entry that is final. */
static void take_pair(const run *r, entry *n, uint32_t member, double cosine)
{
    const entry *earlier = &r->group[member];
    uint32_t reached = 0;
    for (size_t i = 0; i < N_BITS; i++)
        if (cosine >= r->thresholds[i]) reached |= 1u << i;
    if (!is_forced(r, n)) n->bits &= ~(reached & earlier->bits);
    if (!(earlier->bits >> HERE & 1) || cosine < n->best) return;
    if (cosine == n->best && member > n->nearest) return; /* of equals the earliest */
    n->best = cosine;
    n->nearest = member;
}

typedef struct looking {
    const run *r;
    worker *w;
    uint32_t first; /* the first query's number in its group */
    double limits[SCAN_QUERIES];
} looking;

static void note(worker *w, uint32_t query, uint32_t member, double cosine)
{
    if (w->n_noted == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : BLOCK;
        noted *more = reallocarray(w->noted, cap, sizeof *more);
        if (!more) {
            w->failed = true;
            return;
        }
        w->noted = more;
        w->cap = cap;
    }
    w->noted[w->n_noted++] = (noted){query, member, cosine};
}

static void found(void *ctx, size_t query, uint32_t member)
{
    looking *l = ctx;
    const run *r = l->r;
    uint32_t number = l->first + (uint32_t)query;
    entry *n = &r->group[number];
    if (member >= number) return;
    double cosine = cosine_of(r, n, &r->group[member]);
    if (cosine < l->limits[query]) return;
    if (member >= r->block) {
        note(l->w, number, member, cosine);
        return;
    }
    take_pair(r, n, member, cosine);
    l->limits[query] = limit_of(r, n);
}

static void look(void *ctx, size_t item, int number)
{
    static const uint32_t none_seen[SCAN_QUERIES];
    const run *r = ctx;
    looking l = {
        .r = r, .w = &r->workers[number], .first = r->block + (uint32_t)item * SCAN_QUERIES};
    uint32_t vectors[SCAN_QUERIES], left = r->block_end - l.first;
    size_t n = left < SCAN_QUERIES ? left : SCAN_QUERIES;
    for (size_t q = 0; q < n; q++) {
        vectors[q] = r->group[l.first + q].vector;
        l.limits[q] = limit_of(r, &r->group[l.first + q]);
    }
    join_search(r->join,
                &(join_look){.set = &r->set,
                             .vectors = vectors,
                             .seen = none_seen,
                             .to = l.first + (uint32_t)n,
                             .limits = l.limits,
                             .n = n,
                             .found = found,
                             .ctx = &l},
                &l.w->scratch);
}

/* --- blocks --------------------------------------------------------------------------------- */

static int in_order(const void *a, const void *b)
{
    const noted *x = a, *y = b;
    if (x->query != y->query) return x->query < y->query ? -1 : 1;
    return (x->member > y->member) - (x->member < y->member);
}

/* The pairs within the block, in order, so that each earlier entry is final. */
static void settle(run *r, worker *all)
{
    qsort(all->noted, all->n_noted, sizeof *all->noted, in_order);
    for (size_t i = 0; i < all->n_noted; i++)
        take_pair(r, &r->group[all->noted[i].query], all->noted[i].member, all->noted[i].cosine);
    all->n_noted = 0;
}

static void tell(run *r, const entry *n)
{
    sweep *s = r->out;
    size_t step = 0;
    for (size_t i = 0; i < SWEEP_STEPS; i++) {
        s->kept[i] += n->bits >> i & 1;
        if (n->best >= r->thresholds[i]) step = i + 1;
    }
    if (step)
        s->nearest[step - 1]++;
    else
        s->apart++;
    if (n->best < sweep_threshold(0) || is_forced(r, n)) return;
    sweep_pair p = {n->row, r->group[n->nearest].row, n->best};
    if (n->bits >> HERE & 1)
        offer(s->below, &s->n_below, p, true);
    else
        offer(s->above, &s->n_above, p, false);
}

static status run_block(run *r, err *e)
{
    status st = ST_OK;
    worker *first = &r->workers[0];
    for (uint32_t i = r->block; st == ST_OK && i < r->block_end; i++)
        st = join_set_add(r->join, &r->set, r->group[i].vector, e);
    if (st) return st;
    pool_run(r->o->pool, (r->block_end - r->block + SCAN_QUERIES - 1) / SCAN_QUERIES, look, r);
    for (int w = 0; w < pool_size(r->o->pool); w++) {
        worker *x = &r->workers[w];
        for (size_t i = 0; w && i < x->n_noted; i++)
            note(first, x->noted[i].query, x->noted[i].member, x->noted[i].cosine);
        if (x->failed || first->failed) return err_nomem(e, "tuning");
        if (w) x->n_noted = 0;
    }
    if (first->n_noted) settle(r, first);
    for (uint32_t i = r->block; i < r->block_end; i++) tell(r, &r->group[i]);
    return ST_OK;
}

static status run_group(run *r, size_t from, size_t to, err *e)
{
    status st = ST_OK;
    uint32_t n = (uint32_t)(to - from);
    r->group = r->entries + from;
    join_set_clear(&r->set);
    for (r->block = 0; st == ST_OK && r->block < n; r->block = r->block_end) {
        r->block_end = n - r->block < BLOCK ? n : r->block + BLOCK;
        if (r->o->stop && *r->o->stop) return err_set(e, ST_INCOMPLETE, "interrupted while tuning");
        st = run_block(r, e);
        if (st == ST_OK) log_progress(r->o->log, "comparing", from + r->block_end, r->n);
    }
    return st;
}

static status run_groups(run *r, err *e)
{
    status st = ST_OK;
    for (size_t from = 0, to = 0; st == ST_OK && from < r->n; from = to) {
        for (to = from; to < r->n && r->entries[to].group == r->entries[from].group;) to++;
        st = run_group(r, from, to, e);
    }
    log_progress_end(r->o->log, "comparing", r->n);
    return st;
}

static status prepare(run *r, err *e)
{
    const greedy_input *in = r->in;
    for (size_t i = 0; i < SWEEP_STEPS; i++) r->thresholds[i] = sweep_threshold(i);
    r->thresholds[HERE] = in->threshold;
    r->lowest = in->threshold < r->thresholds[0] ? in->threshold : r->thresholds[0];
    status st = unite_vectors(in->vectors, in->n_vectors, in->dim, r->o->pool, &r->facts, e);
    if (st) return st;
    st = make_entries(r, e);
    if (st) return st;
    r->workers = calloc((size_t)pool_size(r->o->pool), sizeof *r->workers);
    if (!r->workers) return err_nomem(e, "tuning");
    st = join_new(&(join_input){.vectors = in->vectors,
                                .n = in->n_vectors,
                                .dim = in->dim,
                                .squares = r->facts.squares,
                                .longest = r->facts.longest,
                                .largest = r->facts.largest,
                                .threshold = r->lowest,
                                .isa = r->o->isa,
                                .pool = r->o->pool},
                  &r->join, e);
    for (int w = 0; st == ST_OK && w < pool_size(r->o->pool); w++)
        st = join_scratch_init(r->join, &r->workers[w].scratch, e);
    return st;
}

static void release(run *r)
{
    for (int w = 0; r->workers && w < pool_size(r->o->pool); w++) {
        join_scratch_release(&r->workers[w].scratch);
        free(r->workers[w].noted);
    }
    free(r->workers);
    free(r->entries);
    join_set_release(&r->set);
    join_free(r->join);
    vector_facts_release(&r->facts);
}

status sweep_run(const greedy_input *in, size_t n_forced, const greedy_options *o, sweep *out,
                 err *e)
{
    run r = {.in = in, .o = o, .out = out, .n_forced = n_forced};
    *out = (sweep){0};
    if (in->n_rows >= UINT32_MAX || in->n_vectors >= UINT32_MAX)
        return err_set(e, ST_FAILED, "more than %u rows", UINT32_MAX - 1);
    status st = prepare(&r, e);
    if (st == ST_OK) st = run_groups(&r, e);
    for (size_t i = 0; i < SWEEP_STEPS; i++) out->kept[i] += r.n_again;
    release(&r);
    return st;
}
