/* decide.c - keeps and drops the rows of a group.
 *
 * Rows go by in blocks.  First, in parallel, each entry of the block meets the kept rows before the
 * block.  Then those that may be kept are packed, and all entries of the block meet them, again in
 * parallel, which leaves one bit for each pair that could matter.  Last, one row after the other
 * is decided, looking at the bits of those that were kept.  Entries known to fall are never
 * packed, so a crowd of near-duplicates costs little.
 *
 * An entry with prior verdicts need not meet all.  Call *added* the kept rows that were not kept in
 * the prior run (or are new), *old* the others.  A known row that was kept met no old one near
 * enough; one that was dropped names the two nearest, or the nearest alone, or says that there was
 * only one.  All other old ones come after what it names (its *horizon*), or are not near
 * enough.  So it meets the added rows before it, and those that it names and that are still kept;
 * the nearest of these is the nearest of all if it does not come after the horizon.  Only if it
 * does, the row meets all.
 *
 * With answers, a pair whose answers are not near is passed over where it is met; so several rows
 * of one vector may be kept, in an entry each.
 *
 * With margins, the pairs of an entry near the threshold are remembered until its row is decided:
 * PENDING of them, which is enough, since one is all it takes for a row to be doubtful. */
#include "dedup/decide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_MAX = 2048,   /* rows in a block */
    BLOCK_KNOWN = 8192, /* where most is known, so that within it few pairs matter */
    PENDING = 16
};

/* Vectors, near the threshold, of kept rows that an entry has met. */
typedef struct pending {
    uint32_t n;
    uint32_t vector[PENDING];
} pending;

typedef struct slot {
    uint32_t entry;
    uint32_t first, last; /* places in r->rows of its first and last row in the block */
} slot;

typedef struct strip {
    size_t from, n; /* slots */
    bool whole;
} strip;

typedef struct worker {
    join_scratch join;
    double limits[SCAN_QUERIES];
    uint32_t vectors[SCAN_QUERIES], seen[SCAN_QUERIES];
    uint64_t exact;
} worker;

/* Candidates of a block for being kept, in order. */
typedef struct maybes {
    join_set set;
    uint32_t *place; /* [set.n] in r->rows */
    uint32_t *kept;  /* [set.n] number as a kept row */
    uint64_t *bits;  /* [words] which are kept */
    size_t words;
} maybes;

typedef struct group {
    run *r;
    uint32_t *kept, *kept_entry; /* [n_kept] row, entry */
    uint32_t n_kept, n_before;   /* now; before the block */
    uint32_t *added;             /* [n_added] numbers of kept rows */
    join_set kept_set, added_set;
    maybes all, new;    /* new: those that would be added */
    size_t block;       /* rows */
    uint32_t start;     /* the first row of the block that is gone through */
    slot *slots, *rest; /* [block]; rest: scratch */
    uint32_t n_slots;
    strip *strips;
    size_t n_strips, n_spared, first; /* spared ones; where the numbers of pool_run begin */
    uint32_t spared_slots;            /* they come first */
    uint64_t *near;                   /* for each slot [words]: candidates that could matter */
    size_t near_cap;
    pending *pending;   /* [block] for each slot; NULL without margins */
    uint32_t *maybe[2]; /* [block] for each slot: its number in `all`, in `new` */
    worker *workers;
    int n_workers;
} group;

/* --- one pair ------------------------------------------------------------------------------- */

static double limit_of(const run *r, const entry *n)
{
    if (r->in->margin)
        return n->is_sure ? HUGE_VAL
                          : r->in->threshold - (double)r->in->margin[n->vector] - r->most_margin;
    /* With answers, its own vector may come again, and it decides though it may be below `best`. */
    if (r->in->answer && n->floor < r->in->threshold && !n->is_covered) return n->floor;
    const double known = r->o->second ? n->second : n->best;
    return known > n->floor ? known : n->floor;
}

static void consider(entry *n, uint32_t kept, double cosine)
{
    if (kept == n->best_kept || kept == n->second_kept) return;
    if (cosine > n->best || (cosine == n->best && kept < n->best_kept)) {
        n->second = n->best;
        n->second_kept = n->best_kept;
        n->best = cosine;
        n->best_kept = kept;
    } else if (cosine > n->second || (cosine == n->second && kept < n->second_kept)) {
        n->second = cosine;
        n->second_kept = kept;
    }
}

static void note_margin(const run *r, entry *n, uint32_t vector, double cosine, pending *p)
{
    double both = (double)r->in->margin[n->vector] + (double)r->in->margin[vector];
    if (both == 0) {
        n->is_sure |= cosine >= r->in->threshold;
        return;
    }
    both += 1e-9 * r->facts.longest * r->facts.longest; /* roundings here and in the margins' sum */
    if (cosine >= r->in->threshold + both)
        n->is_sure = true;
    else if (cosine >= r->in->threshold - both && p->n < PENDING)
        p->vector[p->n++] = vector;
}

/* With answers: whether the two meet. */
static bool has_near_answer(const run *r, entry *n, const entry *other)
{
    if (answers_cosine(r->in, n->answer, other->answer) < r->in->threshold) return false;
    n->is_covered |= n->vector == other->vector;
    return true;
}

/* An entry meets a kept row that came near. */
static void meet(const run *r, entry *n, uint32_t kept, const entry *other, pending *p,
                 uint64_t *exact)
{
    const size_t dim = r->in->dim;
    float room[2][VECTORS_DIM];
    const float *x = vectors_row(&r->in->vectors, dim, n->vector, room[0]);
    const float *y = vectors_row(&r->in->vectors, dim, other->vector, room[1]);
    double estimate = (double)r->k->dot_floats(x, y, dim);
    if (estimate < limit_of(r, n) - r->bound) return;
    double cosine = cosine_exact(x, y, dim);
    ++*exact;
    if (r->in->answer && !has_near_answer(r, n, other)) return;
    if (r->in->margin) note_margin(r, n, other->vector, cosine, p);
    consider(n, kept, cosine);
}

/* It is kept; its next row may find nothing nearer. */
static void meet_itself(const run *r, entry *n, uint32_t kept)
{
    n->is_kept = true;
    if (n->is_repeated) consider(n, kept, vectors_cosine(r->in, n->vector, n->vector));
}

static void mark_doubtful(const run *r, uint32_t vector)
{
    if (r->in->margin[vector] > 0) __atomic_store_n(&r->in->doubtful[vector], 1, __ATOMIC_RELAXED);
}

/* Does a kept row come before all that is hidden? */
static bool is_before(double score, uint32_t row, rank hidden)
{
    return score > hidden.score || (score == hidden.score && row <= hidden.row);
}

/* What is next to the nearest, as greedy_options.second has it. */
static verdict second_of(const run *r, const entry *n, const uint32_t *kept)
{
    const verdict unknown = {ROW_UNKNOWN, 0};
    if (r->in->margin || n->is_kept || n->floor < r->in->threshold) return unknown;
    if (n->second < r->in->threshold)
        return n->hidden.score < r->in->threshold ? (verdict){NO_ROW, 0} : unknown;
    const uint32_t row = kept[n->second_kept];
    return is_before(n->second, row, n->hidden) ? (verdict){row, n->second} : unknown;
}

/* The verdict of a row whose entry has met all kept rows before it; true: keep it. */
static bool judge(run *r, uint32_t row, entry *n, const uint32_t *kept, pending *p)
{
    n->is_known = true;
    if (p && p->n && !n->is_sure && !n->is_kept) {
        mark_doubtful(r, n->vector);
        for (uint32_t i = 0; i < p->n; i++) mark_doubtful(r, p->vector[i]);
    }
    if (p) p->n = 0;
    bool keep = !n->is_kept && !n->is_covered && n->best < r->in->threshold;
    r->out[row] = keep ? (verdict){NO_ROW, 1.0} : (verdict){kept[n->best_kept], n->best};
    if (r->o->second) r->o->second[row] = keep ? (verdict){NO_ROW, 0} : second_of(r, n, kept);
    return keep;
}

/* A row of an entry that was kept, and is nearest to itself, needs to meet nobody. */
static bool is_settled(const run *r, const entry *n)
{
    return n->is_kept && n->floor >= r->in->threshold;
}

/* --- small groups --------------------------------------------------------------------------- */

void decide_small_group(run *r, group_rows g, uint64_t *exact)
{
    uint32_t *kept = r->kept + g.from, *kept_entry = r->kept_entry + g.from, n_kept = 0;
    for (size_t i = g.from; i < g.to; i++) {
        const uint32_t row = r->rows[i];
        entry *n = &r->entries[r->of[row]];
        pending p = {0};
        if (!is_settled(r, n))
            for (; n->seen < n_kept; n->seen++)
                meet(r, n, n->seen, &r->entries[kept_entry[n->seen]], &p, exact);
        if (!judge(r, row, n, kept, r->in->margin ? &p : NULL)) continue;
        kept[n_kept] = row;
        kept_entry[n_kept] = r->of[row];
        meet_itself(r, n, n_kept);
        n->seen = ++n_kept;
    }
}

/* --- what prior verdicts spare -------------------------------------------------------------- */

static const verdict *prior_of(const run *r, uint32_t row)
{
    if (!r->in->prior || r->in->margin || r->in->prior[row].kept_row == ROW_UNKNOWN) return NULL;
    return &r->in->prior[row];
}

static bool was_kept(const run *r, uint32_t row)
{
    const verdict *p = prior_of(r, row);
    return p && p->kept_row == NO_ROW;
}

/* Can a prior verdict spare the row all but the added ones? */
static bool may_be_spared(const run *r, uint32_t row)
{
    return prior_of(r, row) && r->entries[r->of[row]].floor >= r->in->threshold;
}

/* The next to nearest of a known row; kept_row may be ROW_UNKNOWN. */
static verdict prior_second_of(const run *r, uint32_t row)
{
    return r->in->prior_second ? r->in->prior_second[row] : (verdict){ROW_UNKNOWN, 0};
}

/* The old rows that a known row does not name come after this. */
static rank horizon_of(const run *r, uint32_t row)
{
    const verdict *p = prior_of(r, row), second = prior_second_of(r, row);
    if (p->kept_row == NO_ROW || second.kept_row == NO_ROW) return (rank){-HUGE_VAL, 0};
    if (second.kept_row == ROW_UNKNOWN) return (rank){p->score, p->kept_row};
    return (rank){second.score, second.kept_row};
}

/* --- a block: gathering --------------------------------------------------------------------- */

static int by_look(const void *a, const void *b, void *ctx)
{
    const slot *x = a, *y = b;
    const entry *entries = ctx;
    const entry *m = &entries[x->entry], *n = &entries[y->entry];
    if (m->needs_whole != n->needs_whole) return m->needs_whole ? 1 : -1;
    uint32_t p = m->needs_whole ? m->seen : m->seen_added;
    uint32_t q = n->needs_whole ? n->seen : n->seen_added;
    if (p != q) return p < q ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

/* Most entries have one row and have seen nothing: those need no sorting. */
static void sort_slots(slot *slots, size_t n, entry *entries)
{
    for (size_t i = 1; i < n; i++)
        if (by_look(&slots[i - 1], &slots[i], entries) > 0) {
            qsort_r(slots, n, sizeof *slots, by_look, entries);
            return;
        }
}

/* Cuts slots of one kind into strips, several for each thread. */
static void cut_strips(group *g, size_t from, size_t to, bool whole)
{
    size_t share = (to - from + (size_t)g->n_workers * 4 - 1) / ((size_t)g->n_workers * 4);
    share = (share + 7) / 8 * 8;
    share = share < 8 ? 8 : share > SCAN_QUERIES ? SCAN_QUERIES : share;
    for (; from < to; from += share)
        g->strips[g->n_strips++] = (strip){from, to - from < share ? to - from : share, whole};
}

/* Meets a row that a prior verdict names, if it is one of [from, to), all decided, and kept. */
static void consider_named(const group *g, verdict named, uint32_t from, uint32_t to, entry *n)
{
    const uint32_t row = named.kept_row; /* NO_ROW and ROW_UNKNOWN are never before */
    if (row >= from && row < to && g->r->out[row].kept_row == NO_ROW)
        consider(n, g->r->number[row], named.score);
}

static void consider_known(const group *g, uint32_t row, uint32_t from, uint32_t to, entry *n)
{
    consider_named(g, *prior_of(g->r, row), from, to, n);
    consider_named(g, prior_second_of(g->r, row), from, to, n);
}

/* Is the nearest that a known row has met the nearest of all? */
static bool knows_nearest(const group *g, uint32_t row, const entry *n)
{
    const rank horizon = horizon_of(g->r, row);
    if (horizon.score < g->r->in->threshold) return true;
    return n->best_kept != NO_NUMBER && is_before(n->best, g->kept[n->best_kept], horizon);
}

/* The entries of the rows [from, to) that have to look, those that look farthest back together. */
static void gather_slots(group *g, size_t from, size_t to)
{
    run *r = g->r;
    g->n_slots = 0;
    g->start = r->rows[from];
    for (size_t i = from; i < to; i++) {
        entry *n = &r->entries[r->of[r->rows[i]]];
        if (is_settled(r, n)) continue;
        if (n->slot == NO_NUMBER) {
            n->slot = g->n_slots;
            n->needs_whole = false;
            g->slots[g->n_slots++] = (slot){r->of[r->rows[i]], (uint32_t)i, (uint32_t)i};
        }
        g->slots[n->slot].last = (uint32_t)i;
        if (!may_be_spared(r, r->rows[i]))
            n->needs_whole = true;
        else if (n->is_repeated) /* the others do it when they look, side by side */
            consider_known(g, r->rows[i], 0, g->start, n);
    }
}

/* Both keep their order.  Returns the number of spared ones. */
static uint32_t put_spared_first(group *g)
{
    uint32_t spared = 0, rest = 0;
    for (uint32_t s = 0; s < g->n_slots; s++)
        if (g->r->entries[g->slots[s].entry].needs_whole)
            g->rest[rest++] = g->slots[s];
        else
            g->slots[spared++] = g->slots[s];
    memcpy(g->slots + spared, g->rest, rest * sizeof *g->rest);
    return spared;
}

/* Sorts them and cuts them into strips, the spared ones first. */
static void order_slots(group *g)
{
    run *r = g->r;
    uint32_t spared = put_spared_first(g);
    sort_slots(g->slots, spared, r->entries);
    sort_slots(g->slots + spared, g->n_slots - spared, r->entries);
    for (uint32_t s = 0; s < g->n_slots; s++) {
        entry *n = &r->entries[g->slots[s].entry];
        n->slot = s;
        g->maybe[0][s] = g->maybe[1][s] = NO_NUMBER;
        if (g->pending) g->pending[s].n = 0;
    }
    g->n_strips = 0;
    g->spared_slots = spared;
    cut_strips(g, 0, spared, false);
    g->n_spared = g->n_strips;
    cut_strips(g, spared, g->n_slots, true);
}

/* --- a block: looking ----------------------------------------------------------------------- */

typedef struct looking {
    group *g;
    worker *w;
    const strip *s;
} looking;

static void meet_kept(void *ctx, size_t query, uint32_t member)
{
    const looking *l = ctx;
    group *g = l->g;
    const size_t s = l->s->from + query;
    entry *n = &g->r->entries[g->slots[s].entry];
    uint32_t kept = l->s->whole ? member : g->added[member];
    meet(g->r, n, kept, &g->r->entries[g->kept_entry[kept]], g->pending ? &g->pending[s] : NULL,
         &l->w->exact);
    l->w->limits[query] = limit_of(g->r, n);
}

static void look_before(void *ctx, size_t item, int number)
{
    group *g = ctx;
    worker *w = &g->workers[number];
    const strip *s = &g->strips[g->first + item];
    const join_set *set = s->whole ? &g->kept_set : &g->added_set;
    for (size_t i = 0; i < s->n; i++) {
        const slot *at = &g->slots[s->from + i];
        entry *n = &g->r->entries[at->entry];
        if (!s->whole && !n->is_repeated) consider_known(g, g->r->rows[at->first], 0, g->start, n);
        w->vectors[i] = n->vector;
        w->limits[i] = limit_of(g->r, n);
        w->seen[i] = s->whole ? n->seen : n->seen_added;
    }
    looking l = {g, w, s};
    join_search(g->r->join,
                &(join_look){.set = set,
                             .vectors = w->vectors,
                             .seen = w->seen,
                             .to = set->n,
                             .limits = w->limits,
                             .n = s->n,
                             .found = meet_kept,
                             .ctx = &l},
                &w->join);
    for (size_t i = 0; s->whole && i < s->n; i++)
        g->r->entries[g->slots[s->from + i].entry].seen = g->n_kept;
}

/* Entries for whose fallen keeper nothing makes up are not spared after all; rows [from, to).  What
 * the block may still bring is waited for. */
static bool find_unspared(group *g, size_t from, size_t to)
{
    run *r = g->r;
    bool any = false;
    for (size_t i = from; i < to; i++) {
        const uint32_t row = r->rows[i], second = prior_second_of(r, row).kept_row;
        const verdict *p = prior_of(r, row);
        entry *n = &r->entries[r->of[row]];
        if (!p || n->slot == NO_NUMBER || n->needs_whole || p->kept_row >= g->start) continue;
        if (second != ROW_UNKNOWN && second >= g->start) continue;
        if (!knows_nearest(g, row, n)) n->needs_whole = any = true;
    }
    return any;
}

/* All entries of the block against what lies before it. */
static void look_back(group *g, size_t from, size_t to)
{
    run *r = g->r;
    g->first = 0;
    pool_run(r->o->pool, g->n_spared, look_before, g);
    if (g->n_spared && find_unspared(g, from, to)) order_slots(g);
    g->first = g->n_spared;
    pool_run(r->o->pool, g->n_strips - g->n_spared, look_before, g);
    for (uint32_t s = 0; s < g->n_slots; s++)
        if (r->entries[g->slots[s].entry].needs_whole)
            r->counts.whole++;
        else
            r->counts.spared++;
}

static status add_maybe(group *g, maybes *m, int which, uint32_t s, size_t place, err *e)
{
    g->maybe[which][s] = m->set.n;
    m->place[m->set.n] = (uint32_t)place;
    return join_set_add(g->r->join, &m->set, g->r->entries[g->slots[s].entry].vector, e);
}

static void clear_bits(maybes *m)
{
    m->words = (m->set.n + 63) / 64;
    memset(m->bits, 0, m->words * sizeof *m->bits);
}

/* For the bits of the candidates. */
static status make_room(group *g, err *e)
{
    clear_bits(&g->all);
    clear_bits(&g->new);
    const size_t need =
        g->spared_slots * g->new.words + (g->n_slots - g->spared_slots) * g->all.words;
    if (need <= g->near_cap) return ST_OK;
    free(g->near);
    g->near_cap = 0;
    g->near = calloc(need, sizeof *g->near);
    if (!g->near) return err_nomem(e, "deduplicating");
    g->near_cap = need;
    return ST_OK;
}

/* Where the bits of a slot lie. */
static uint64_t *near_of(const group *g, size_t s)
{
    const size_t spared = g->spared_slots;
    if (s < spared) return g->near + s * g->new.words;
    return g->near + spared * g->new.words + (s - spared) * g->all.words;
}

/* Packs the entries of the rows [from, to) that may be kept. */
static status gather_maybes(group *g, size_t from, size_t to, err *e)
{
    run *r = g->r;
    const bool any_whole = g->n_strips && g->strips[g->n_strips - 1].whole;
    status st = ST_OK;
    join_set_clear(&g->all.set);
    join_set_clear(&g->new.set);
    for (size_t i = from; st == ST_OK && i < to; i++) {
        const entry *n = &r->entries[r->of[r->rows[i]]];
        if (is_settled(r, n) || n->is_known || n->is_covered) continue;
        if (n->best >= r->in->threshold) continue;
        if (g->slots[n->slot].first != i) continue;
        if (any_whole) st = add_maybe(g, &g->all, 0, n->slot, i, e);
        if (st == ST_OK && r->in->prior && !was_kept(r, r->rows[i]))
            st = add_maybe(g, &g->new, 1, n->slot, i, e);
    }
    return st == ST_OK ? make_room(g, e) : st;
}

static void note_near(void *ctx, size_t query, uint32_t member)
{
    const looking *l = ctx;
    near_of(l->g, l->s->from + query)[member / 64] |= (uint64_t)1 << member % 64;
}

static void look_among(void *ctx, size_t item, int number)
{
    group *g = ctx;
    worker *w = &g->workers[number];
    const strip *s = &g->strips[item];
    const maybes *m = s->whole ? &g->all : &g->new;
    uint32_t last = 0, to = m->set.n;
    if (!to) return;
    for (size_t i = 0; i < s->n; i++) {
        const slot *at = &g->slots[s->from + i];
        const entry *n = &g->r->entries[at->entry];
        w->vectors[i] = n->vector;
        w->limits[i] = limit_of(g->r, n);
        w->seen[i] = 0;
        last = at->last > last ? at->last : last;
    }
    while (to && m->place[to - 1] >= last) to--; /* rows meet only earlier ones */
    memset(near_of(g, s->from), 0, s->n * m->words * sizeof *g->near);
    looking l = {g, w, s};
    join_search(g->r->join,
                &(join_look){.set = &m->set,
                             .vectors = w->vectors,
                             .seen = w->seen,
                             .to = to,
                             .limits = w->limits,
                             .n = s->n,
                             .found = note_near,
                             .ctx = &l},
                &w->join);
}

/* --- a block: deciding ---------------------------------------------------------------------- */

static void rescued_meets(void *ctx, size_t query, uint32_t member)
{
    const looking *l = ctx;
    entry *n = &l->g->r->entries[l->g->slots[l->s->from].entry];
    meet(l->g->r, n, member, &l->g->r->entries[l->g->kept_entry[member]], NULL, &l->w->exact);
    l->w->limits[query] = limit_of(l->g->r, n);
}

/* A spared entry whose keeper fell within the block meets all kept rows after all. */
static void rescue(group *g, uint32_t s)
{
    run *r = g->r;
    worker *w = &g->workers[0];
    entry *n = &r->entries[g->slots[s].entry];
    strip one = {s, 1, true};
    looking l = {g, w, &one};
    w->limits[0] = limit_of(r, n);
    join_search(r->join,
                &(join_look){.set = &g->kept_set,
                             .vectors = &n->vector,
                             .seen = &n->seen,
                             .to = g->n_kept,
                             .limits = w->limits,
                             .n = 1,
                             .found = rescued_meets,
                             .ctx = &l},
                &w->join);
    r->counts.whole++;
}

/* A row that is not settled meets the kept rows of its block. */
static void meet_block(group *g, uint32_t row, entry *n)
{
    run *r = g->r;
    const uint32_t s = n->slot;
    const maybes *m = n->needs_whole ? &g->all : &g->new;
    const uint64_t *near = near_of(g, s);
    for (size_t word = 0; word < m->words; word++)
        for (uint64_t rest = near[word] & m->bits[word]; rest; rest &= rest - 1) {
            uint32_t kept = m->kept[word * 64 + (size_t)__builtin_ctzll(rest)];
            if (kept < n->seen) continue;
            meet(r, n, kept, &r->entries[g->kept_entry[kept]], g->pending ? &g->pending[s] : NULL,
                 &g->workers[0].exact);
        }
    if (n->needs_whole) return;
    consider_known(g, row, g->start, row, n);
    if (knows_nearest(g, row, n))
        n->hidden = horizon_of(r, row);
    else
        rescue(g, s);
}

static void note_kept(maybes *m, uint32_t number, uint32_t kept)
{
    if (number == NO_NUMBER) return;
    m->bits[number / 64] |= (uint64_t)1 << number % 64;
    m->kept[number] = kept;
}

static status keep(group *g, uint32_t row, entry *n, err *e)
{
    run *r = g->r;
    const uint32_t k = g->n_kept++, s = n->slot;
    g->kept[k] = row;
    g->kept_entry[k] = r->of[row];
    if (r->number) r->number[row] = k;
    meet_itself(r, n, k);
    note_kept(&g->all, g->maybe[0][s], k);
    note_kept(&g->new, g->maybe[1][s], k);
    status st = join_set_add(r->join, &g->kept_set, n->vector, e);
    if (st == ST_OK && r->in->prior && !was_kept(r, row)) {
        g->added[g->added_set.n] = k;
        st = join_set_add(r->join, &g->added_set, n->vector, e);
    }
    return st;
}

static status decide(group *g, uint32_t row, err *e)
{
    run *r = g->r;
    entry *n = &r->entries[r->of[row]];
    status st = ST_OK;
    const bool settled = is_settled(r, n);
    if (!settled) meet_block(g, row, n);
    pending *p = g->pending && !settled ? &g->pending[n->slot] : NULL;
    if (judge(r, row, n, g->kept, p)) st = keep(g, row, n, e);
    n->seen = g->n_kept;
    n->seen_added = g->added_set.n;
    return st;
}

static status run_block(group *g, size_t from, size_t to, err *e)
{
    run *r = g->r;
    status st = ST_OK;
    gather_slots(g, from, to);
    order_slots(g);
    look_back(g, from, to);
    st = gather_maybes(g, from, to, e);
    if (st == ST_OK) pool_run(r->o->pool, g->n_strips, look_among, g);
    for (size_t i = from; st == ST_OK && i < to; i++) st = decide(g, r->rows[i], e);
    for (uint32_t s = 0; s < g->n_slots; s++) r->entries[g->slots[s].entry].slot = NO_NUMBER;
    return st;
}

/* --- a group -------------------------------------------------------------------------------- */

static void maybes_release(maybes *m)
{
    join_set_release(&m->set);
    free(m->place);
    free(m->kept);
    free(m->bits);
}

static bool maybes_init(maybes *m, size_t n)
{
    m->place = calloc(n, sizeof *m->place);
    m->kept = calloc(n, sizeof *m->kept);
    m->bits = calloc(n / 64 + 1, sizeof *m->bits);
    return m->place && m->kept && m->bits;
}

static void group_release(group *g)
{
    for (int i = 0; g->workers && i < g->n_workers; i++) {
        join_scratch_release(&g->workers[i].join);
        g->r->counts.exact += g->workers[i].exact;
    }
    maybes_release(&g->all);
    maybes_release(&g->new);
    join_set_release(&g->kept_set);
    join_set_release(&g->added_set);
    free(g->added);
    free(g->slots);
    free(g->rest);
    free(g->strips);
    free(g->near);
    free(g->pending);
    free(g->maybe[0]);
    free(g->maybe[1]);
    free(g->workers);
}

/* Rows in a block.  In larger ones threads wait for each other less often, and the few rows that
 * must look among all kept ones do so together. */
static size_t block_of(const group *g, group_rows rows)
{
    const size_t n = rows.to - rows.from;
    size_t block = (size_t)g->n_workers * 4 * SCAN_QUERIES, known = 0;
    if (block > BLOCK_MAX) block = BLOCK_MAX;
    for (size_t i = rows.from; i < rows.to; i++) known += prior_of(g->r, g->r->rows[i]) != NULL;
    if (known < n / 16 * 15 || n / 64 < block) return block;
    return n / 64 < BLOCK_KNOWN ? n / 64 : BLOCK_KNOWN;
}

static status group_init(group *g, run *r, group_rows rows, err *e)
{
    *g = (group){.r = r,
                 .kept = r->kept + rows.from,
                 .kept_entry = r->kept_entry + rows.from,
                 .n_workers = pool_size(r->o->pool)};
    g->block = block_of(g, rows);
    g->added = calloc(r->in->prior ? rows.to - rows.from : 1, sizeof *g->added);
    g->slots = calloc(g->block, sizeof *g->slots);
    g->rest = calloc(g->block, sizeof *g->rest);
    g->strips = calloc(g->block, sizeof *g->strips);
    g->maybe[0] = calloc(g->block, sizeof *g->maybe[0]);
    g->maybe[1] = calloc(g->block, sizeof *g->maybe[1]);
    g->workers = calloc((size_t)g->n_workers, sizeof *g->workers);
    if (r->in->margin) g->pending = calloc(g->block, sizeof *g->pending);
    bool ok = maybes_init(&g->all, g->block) && maybes_init(&g->new, g->block) && g->added &&
              g->slots && g->rest && g->strips && g->maybe[0] && g->maybe[1] && g->workers &&
              (g->pending || !r->in->margin);
    status st = ok ? ST_OK : err_nomem(e, "deduplicating");
    for (int i = 0; st == ST_OK && i < g->n_workers; i++)
        st = join_scratch_init(r->join, &g->workers[i].join, e);
    return st;
}

static void add_counts(group *g)
{
    join_counts *to = &g->r->counts.pairs;
    for (int i = 0; i < g->n_workers; i++) {
        const join_counts *from = &g->workers[i].join.counts;
        to->scanned += from->scanned;
        to->sifted += from->sifted;
        to->coded += from->coded;
        to->found += from->found;
    }
}

status decide_group(run *r, group_rows rows, size_t done, err *e)
{
    group g;
    status st = group_init(&g, r, rows, e);
    for (size_t from = rows.from; st == ST_OK && from < rows.to; from += g.block) {
        size_t to = rows.to - from < g.block ? rows.to : from + g.block;
        if (r->o->stop && *r->o->stop)
            st = err_set(e, ST_INCOMPLETE, "interrupted while deduplicating; run again");
        if (st == ST_OK) st = run_block(&g, from, to, e);
        if (st == ST_OK) st = vectors_check(&r->in->vectors, e);
        log_progress(r->o->log, "deduplicating", done + to - rows.from, r->in->n_rows);
    }
    if (st == ST_OK) add_counts(&g);
    group_release(&g);
    return st;
}
