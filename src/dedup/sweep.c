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
 * Rows with the same vector, group and answer are one entry: all but the first fall at any
 * threshold, or, being forced, stay at any.  An entry that begins with a forced row loses no bit.
 * Groups never meet and are gone through one after the other.  Entries go by in stretches, which
 * are looked for among the entries before the stretch, and these in blocks: in parallel against
 * what was filed since the stretch began, then in order against those of the block, whose pairs
 * are few and were noted meanwhile.  What a pair can still change of an entry (a bit, its nearest
 * kept one) gives the limit below which pairs are passed over; it rises as bits fall, so that a
 * crowd of rewordings costs no more than it has to.
 *
 * As earlier entries are final, they may be looked at in any order.  They lie in tiers: those
 * kept at the lowest threshold, which are few and take most low bits from the others; those kept
 * at the input's threshold; the rest, which matter only from the lowest threshold on at which
 * they are kept, by that. */
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
    BLOCK = 4 * SCAN_QUERIES, /* entries */
    STRIP = 8 * SCAN_QUERIES, /* entries that one thread looks for at a time */
    SHORT_STRIP = STRIP / 8,  /* at the end of a stretch, so that threads end together */
    STRETCH = 8 * STRIP
};

/* Entries before the block, in the order in which they are looked at. */
enum { LEADERS, KEPT, LOW, MIDDLE, HIGH, N_TIERS };

/* Below which lowest threshold an entry belongs to LOW, and to MIDDLE. */
#define LOW_END 0.80
#define MIDDLE_END 0.90

typedef struct entry {
    uint32_t vector, group, answer;
    uint32_t row;     /* its first */
    uint32_t bits;    /* thresholds at which it is kept, so far */
    uint32_t nearest; /* number, in its group, of the nearest one kept HERE */
    double best;      /* its cosine; -1: none so far */
} entry;

typedef struct tier {
    join_set set;
    uint32_t *entry; /* [set.n] number in its group */
    size_t cap;
    uint32_t n_before; /* the stretch */
    uint32_t matters;  /* thresholds from the lowest one on at which any is kept */
} tier;

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
    const scan_kernels *k;
    vector_facts facts;
    double bound; /* of the error of a float32 product */
    double thresholds[N_BITS], lowest;
    double shown_from; /* pairs that no threshold asks for, but those who read do */
    entry *entries;    /* [n] by group, then row */
    size_t n;
    size_t n_forced, n_again; /* rows; those of them that are not the first of their entry */
    entry *group;             /* the first of the group that is gone through */
    tier tiers[N_TIERS];      /* of its entries before the block, those kept at any threshold */
    uint32_t stretch, stretch_end;
    join_set set; /* the block's entries */
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

/* What tells entries apart. */
typedef struct entry_key {
    uint32_t vector, group, answer;
} entry_key;

/* Without groups and answers the vector alone does. */
typedef struct numbering {
    intern seen;
    entry_key *keys; /* [n_rows] */
    uint32_t *of;    /* [n_vectors] entry plus 1 of a vector; 0: none yet */
} numbering;

/* The number of a row's entry; `next`: it is a new one. */
static uint32_t number_of(numbering *x, size_t row, entry_key key, size_t next)
{
    if (x->of) {
        uint32_t *of = &x->of[key.vector];
        if (!*of) *of = (uint32_t)next + 1;
        return *of - 1;
    }
    x->keys[row] = key;
    return intern_add(&x->seen, (str){(const char *)&x->keys[row], sizeof key});
}

static status make_entries(run *r, err *e)
{
    const greedy_input *in = r->in;
    numbering x = {0};
    const bool by_vector = !in->group && !in->answer;
    if (by_vector)
        x.of = calloc(in->n_vectors + 1, sizeof *x.of);
    else
        x.keys = calloc(in->n_rows + 1, sizeof *x.keys);
    r->entries = calloc(in->n_rows + 1, sizeof *r->entries);
    status st = (x.of || x.keys) && r->entries ? ST_OK : err_nomem(e, "tuning");
    for (size_t i = 0; st == ST_OK && i < in->n_rows; i++) {
        const entry_key key = {r->facts.first[in->unit[i]], in->group ? in->group[i] : 0,
                               in->answer ? in->answer[i] : 0};
        const uint32_t k = number_of(&x, i, key, r->n);
        if (k == INTERN_NONE)
            st = err_nomem(e, "tuning");
        else if (k == r->n)
            r->entries[r->n++] = (entry){.vector = key.vector,
                                         .group = key.group,
                                         .answer = key.answer,
                                         .row = (uint32_t)i,
                                         .bits = (1u << N_BITS) - 1,
                                         .best = -1};
        else
            r->n_again += i < r->n_forced;
    }
    if (in->group && r->n) qsort(r->entries, r->n, sizeof *r->entries, by_group);
    intern_release(&x.seen);
    free(x.keys);
    free(x.of);
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

/* The lowest of some thresholds; HUGE_VAL: there is none. */
static double lowest_of(const run *r, uint32_t bits)
{
    const uint32_t steps = bits & ((1u << SWEEP_STEPS) - 1); /* these ascend */
    double lowest = steps ? r->thresholds[__builtin_ctz(steps)] : HUGE_VAL;
    if (bits >> HERE & 1 && r->thresholds[HERE] < lowest) lowest = r->thresholds[HERE];
    return lowest;
}

/* Those from this one on. */
static uint32_t thresholds_from(const run *r, double lowest)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < N_BITS; i++) bits |= (uint32_t)(r->thresholds[i] >= lowest) << i;
    return bits;
}

/* With answers, an entry's own vector may come again, and is to be found at any limit. */
static double findable(const run *r, const entry *n, double limit)
{
    if (!r->in->answer) return limit;
    double itself = r->facts.squares[n->vector] * (1 - 1e-9);
    return itself < limit ? itself : limit;
}

/* What a cosine with a member of a tier (NULL: of the block) must reach to change anything of an
 * entry; HUGE_VAL: none can. */
static double limit_in(const run *r, const entry *n, const tier *t)
{
    const bool kept_here = !t || t < &r->tiers[LOW];
    double limit = lowest_of(r, kept_here ? n->bits : n->bits & t->matters);
    if (kept_here) {
        double nearest = n->best > r->shown_from ? n->best : r->shown_from;
        if (nearest < limit) limit = nearest;
    }
    return limit == HUGE_VAL ? limit : findable(r, n, limit);
}

/* What decides of a pair; where it is surely below the limit, just something below it. */
static double cosine_of(const run *r, const entry *a, const entry *b, double limit)
{
    const greedy_input *in = r->in;
    float room[2][VECTORS_DIM];
    const float *x = vectors_row(&in->vectors, in->dim, a->vector, room[0]);
    const float *y = vectors_row(&in->vectors, in->dim, b->vector, room[1]);
    const bool repeats = in->answer && a->vector == b->vector;
    if (!repeats && (double)r->k->dot_floats(x, y, in->dim) < limit - r->bound) return -HUGE_VAL;
    double cosine = cosine_exact(x, y, in->dim);
    if (!in->answer) return cosine;
    double other = answers_cosine(in, a->answer, b->answer);
    if (repeats) cosine = other < 1 ? other : 1; /* at any threshold */
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

/* Entries that are looked for, of those of a strip, with what a pair must reach. */
typedef struct looking {
    const run *r;
    worker *w;
    const tier *tier; /* NULL: the block */
    uint32_t numbers[STRIP], vectors[STRIP];
    double limits[STRIP];
    uint32_t n;
    uint32_t first; /* of those that are looked for now */
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
    double *limit = &l->limits[l->first + query];
    uint32_t number = l->numbers[l->first + query];
    entry *n = &r->group[number];
    member = l->tier ? l->tier->entry[member] : r->block + member;
    if (member >= number) return;
    double cosine = cosine_of(r, n, &r->group[member], *limit);
    if (cosine < *limit) return;
    if (!l->tier) {
        note(l->w, number, member, cosine);
        return;
    }
    take_pair(r, n, member, cosine);
    *limit = limit_in(r, n, l->tier);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Members from..to of a tier, or (NULL) of the block. */
static void look_at(looking *l, const tier *t, uint32_t from, uint32_t to)
{
    uint32_t seen[SCAN_QUERIES];
    for (size_t q = 0; q < SCAN_QUERIES; q++) seen[q] = from;
    for (l->first = 0; l->first < l->n; l->first += SCAN_QUERIES)
        join_search(l->r->join,
                    &(join_look){.set = t ? &t->set : &l->r->set,
                                 .vectors = l->vectors + l->first,
                                 .seen = seen,
                                 .to = to,
                                 .limits = l->limits + l->first,
                                 .n = least(l->n - l->first, SCAN_QUERIES),
                                 .found = found,
                                 .ctx = l},
                    &l->w->scratch);
}

static bool is_stopped(const run *r)
{
    return r->o->stop && *r->o->stop;
}

/* Entries [from, end), a strip at most, against members [first, to) of a tier, or of the block: a
 * piece of them at a time, which stays in the second cache with its second codes while the strip
 * goes by.  Once stopped, whoever runs the stretch drops what was found. */
static void look_for(looking *l, uint32_t from, uint32_t end, const tier *t, uint32_t first,
                     uint32_t to)
{
    l->tier = t;
    l->n = 0;
    for (uint32_t i = from; first < to && i < end; i++) {
        l->limits[l->n] = limit_in(l->r, &l->r->group[i], t);
        if (l->limits[l->n] == HUGE_VAL) continue;
        l->vectors[l->n] = l->r->group[i].vector;
        l->numbers[l->n++] = i;
    }
    for (; first < to && !is_stopped(l->r); first += SCAN_COLUMNS - first % SCAN_COLUMNS)
        look_at(l, t, first, least(to, first + SCAN_COLUMNS - first % SCAN_COLUMNS));
}

/* How many strips of a stretch are whole ones; the rest is short ones. */
static uint32_t whole_strips(const run *r)
{
    const uint32_t whole = (r->stretch_end - r->stretch) / STRIP;
    return whole > 2 ? whole - 2 : 0;
}

/* A strip of the stretch against the entries before that. */
static void look_before(void *ctx, size_t item, int number)
{
    const run *r = ctx;
    looking l = {.r = r, .w = &r->workers[number]};
    const uint32_t strip = (uint32_t)item, whole = whole_strips(r);
    const uint32_t from = r->stretch + least(strip, whole) * STRIP +
                          (strip < whole ? 0 : strip - whole) * SHORT_STRIP;
    const uint32_t end = least(r->stretch_end, from + (strip < whole ? STRIP : SHORT_STRIP));
    for (const tier *t = r->tiers; t < r->tiers + N_TIERS; t++)
        look_for(&l, from, end, t, 0, t->n_before);
}

/* Some of the block against the entries of the stretch, and of the block, before them. */
static void look_within(void *ctx, size_t item, int number)
{
    const run *r = ctx;
    looking l = {.r = r, .w = &r->workers[number]};
    const uint32_t from = r->block + (uint32_t)item * SCAN_QUERIES;
    const uint32_t end = least(r->block_end, from + SCAN_QUERIES);
    for (const tier *t = r->tiers; t < r->tiers + N_TIERS; t++)
        look_for(&l, from, end, t, t->n_before, t->set.n);
    look_for(&l, from, end, NULL, 0, end - r->block);
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
    if (n->best < r->shown_from || is_forced(r, n)) return;
    sweep_pair p = {n->row, r->group[n->nearest].row, n->best};
    if (n->bits >> HERE & 1)
        offer(s->below, &s->n_below, p, true);
    else
        offer(s->above, &s->n_above, p, false);
}

static tier *tier_of(run *r, const entry *n, double lowest)
{
    if (lowest <= r->lowest) return &r->tiers[LEADERS];
    if (n->bits >> HERE & 1) return &r->tiers[KEPT];
    return &r->tiers[lowest < LOW_END ? LOW : lowest < MIDDLE_END ? MIDDLE : HIGH];
}

/* Puts the block's entries, which are final now, where later ones look for them. */
static status file_block(run *r, err *e)
{
    status st = ST_OK;
    for (uint32_t i = r->block; st == ST_OK && i < r->block_end; i++) {
        const entry *n = &r->group[i];
        const double lowest = lowest_of(r, n->bits);
        if (!n->bits) continue; /* takes nothing from anyone */
        tier *t = tier_of(r, n, lowest);
        if (t->set.n == t->cap) {
            size_t cap = t->cap ? 2 * t->cap : BLOCK;
            uint32_t *more = reallocarray(t->entry, cap, sizeof *more);
            if (!more) return err_nomem(e, "tuning");
            t->entry = more;
            t->cap = cap;
        }
        t->matters = (t->set.n ? t->matters : 0) | thresholds_from(r, lowest);
        t->entry[t->set.n] = i;
        st = join_set_add(r->join, &t->set, n->vector, e);
    }
    return st;
}

static status run_block(run *r, err *e)
{
    status st = ST_OK;
    worker *first = &r->workers[0];
    join_set_clear(&r->set);
    for (uint32_t i = r->block; st == ST_OK && i < r->block_end; i++)
        st = join_set_add(r->join, &r->set, r->group[i].vector, e);
    if (st) return st;
    pool_run(r->o->pool, (r->block_end - r->block + SCAN_QUERIES - 1) / SCAN_QUERIES, look_within,
             r);
    for (int w = 0; w < pool_size(r->o->pool); w++) {
        worker *x = &r->workers[w];
        for (size_t i = 0; w && i < x->n_noted; i++)
            note(first, x->noted[i].query, x->noted[i].member, x->noted[i].cosine);
        if (x->failed || first->failed) return err_nomem(e, "tuning");
        if (w) x->n_noted = 0;
    }
    if (first->n_noted) settle(r, first);
    for (uint32_t i = r->block; i < r->block_end; i++) tell(r, &r->group[i]);
    return file_block(r, e);
}

static status run_stretch(run *r, err *e)
{
    status st = ST_OK;
    for (tier *t = r->tiers; t < r->tiers + N_TIERS; t++) t->n_before = t->set.n;
    const uint32_t whole = whole_strips(r);
    const uint32_t rest = r->stretch_end - r->stretch - whole * STRIP;
    pool_run(r->o->pool, whole + (rest + SHORT_STRIP - 1) / SHORT_STRIP, look_before, r);
    for (r->block = r->stretch; st == ST_OK && r->block < r->stretch_end; r->block = r->block_end) {
        r->block_end = least(r->stretch_end, r->block + BLOCK);
        st = run_block(r, e);
        if (st == ST_OK && is_stopped(r))
            st = err_set(e, ST_INCOMPLETE, "interrupted while tuning");
    }
    return st;
}

static status run_group(run *r, size_t from, size_t to, err *e)
{
    status st = ST_OK;
    uint32_t n = (uint32_t)(to - from);
    r->group = r->entries + from;
    for (size_t i = 0; i < N_TIERS; i++) join_set_clear(&r->tiers[i].set);
    for (r->stretch = 0; st == ST_OK && r->stretch < n; r->stretch = r->stretch_end) {
        r->stretch_end = n - r->stretch < STRETCH ? n : r->stretch + STRETCH;
        st = run_stretch(r, e);
        if (st == ST_OK) log_progress(r->o->log, "comparing", from + r->stretch_end, r->n);
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
    r->shown_from = sweep_shown_from(in->threshold);
    status st = unite_vectors(
        &(unite_input){in->vectors, in->n_vectors, in->dim, r->o->isa, r->o->pool}, &r->facts, e);
    if (st) return st;
    r->k = scan_kernels_for(r->o->isa);
    r->bound = dot_floats_error(in->dim, r->facts.longest);
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
                                .threshold = (r->shown_from + MIDDLE_END) / 2, /* as limits rise */
                                .isa = r->o->isa,
                                .pool = r->o->pool},
                  &r->join, e);
    if (st == ST_OK)
        log_say(r->o->log, LOG_DEBUG, "comparing %zu rows by codes of the %s (%s)", in->n_rows,
                join_plan_name(join_plan_of(r->join)), isa_name(r->o->isa));
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
    for (size_t i = 0; i < N_TIERS; i++) {
        join_set_release(&r->tiers[i].set);
        free(r->tiers[i].entry);
    }
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
    if (st == ST_OK) st = vectors_check(&in->vectors, e);
    if (st == ST_OK && in->answer) st = vectors_check(&in->answers, e);
    for (size_t i = 0; i < SWEEP_STEPS; i++) out->kept[i] += r.n_again;
    release(&r);
    return st;
}
