/* components.c - the connected components of the graph of near pairs.
 *
 * Rows go by in blocks: each is compared with all rows before it by the join.  A pair whose rows
 * hang together already is not looked at closely, so dense groups cost little; what is new is
 * noted by each thread and united between the blocks.  Which pairs are noted may depend on the
 * blocks, the components do not. */
#include "dedup/components.h"

#include <stdlib.h>
#include <string.h>

#include "dedup/unite.h"

enum { STRIPS = 64 }; /* of SCAN_QUERIES rows in a block */

typedef struct near_pair {
    uint32_t a, b;
} near_pair;

typedef struct worker {
    join_scratch scratch;
    near_pair *pairs;
    size_t n, cap;
    bool oom;
} worker;

typedef struct uniting {
    const greedy_input *in;
    const greedy_options *o;
    vector_facts facts;
    join *join;
    join_set set; /* members are rows */
    uint32_t *parent;
    worker *workers;
    uint32_t from, to; /* the block */
} uniting;

void forest_init(uint32_t *parent, size_t n)
{
    for (size_t i = 0; i < n; i++) parent[i] = (uint32_t)i;
}

uint32_t forest_root(const uint32_t *parent, uint32_t i)
{
    while (parent[i] != i) i = parent[i];
    return i;
}

void forest_unite(uint32_t *parent, uint32_t a, uint32_t b)
{
    uint32_t x = forest_root(parent, a), y = forest_root(parent, b);
    uint32_t low = x < y ? x : y;
    parent[x] = parent[y] = low;
    /* Both ways to the root become one step. */
    for (uint32_t next; parent[a] != low; a = next) next = parent[a], parent[a] = low;
    for (uint32_t next; parent[b] != low; b = next) next = parent[b], parent[b] = low;
}

typedef struct looking {
    uniting *u;
    worker *w;
    uint32_t first;
} looking;

static void found(void *ctx, size_t query, uint32_t member)
{
    looking *l = ctx;
    const greedy_input *in = l->u->in;
    uint32_t row = l->first + (uint32_t)query;
    worker *w = l->w;
    if (member >= row || forest_root(l->u->parent, member) == forest_root(l->u->parent, row))
        return;
    float room[2][VECTORS_DIM];
    const float *x = vectors_row(&in->vectors, in->dim, in->unit[row], room[0]);
    const float *y = vectors_row(&in->vectors, in->dim, in->unit[member], room[1]);
    if (cosine_exact(x, y, in->dim) < in->threshold && memcmp(x, y, in->dim * sizeof *x)) return;
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 256;
        near_pair *more = reallocarray(w->pairs, cap, sizeof *more);
        w->oom |= !more;
        if (!more) return;
        w->pairs = more;
        w->cap = cap;
    }
    w->pairs[w->n++] = (near_pair){member, row};
}

static void look(void *ctx, size_t item, int number)
{
    static const uint32_t none_seen[SCAN_QUERIES];
    uniting *u = ctx;
    looking l = {u, &u->workers[number], u->from + (uint32_t)item * SCAN_QUERIES};
    uint32_t vectors[SCAN_QUERIES], left = u->to - l.first;
    double limits[SCAN_QUERIES];
    size_t n = left < SCAN_QUERIES ? left : SCAN_QUERIES;
    for (size_t q = 0; q < n; q++) {
        uint32_t v = u->in->unit[l.first + q];
        vectors[q] = v;
        /* Vectors with the same bits can have a cosine just below the threshold. */
        limits[q] = u->facts.squares[v] * (1 - 1e-9) < u->in->threshold
                        ? u->facts.squares[v] * (1 - 1e-9)
                        : u->in->threshold;
    }
    join_search(u->join,
                &(join_look){.set = &u->set,
                             .vectors = vectors,
                             .seen = none_seen,
                             .to = l.first + (uint32_t)n,
                             .limits = limits,
                             .n = n,
                             .found = found,
                             .ctx = &l},
                &l.w->scratch);
}

static status run_block(uniting *u, err *e)
{
    status st = ST_OK;
    for (uint32_t i = u->from; st == ST_OK && i < u->to; i++)
        st = join_set_add(u->join, &u->set, u->in->unit[i], e);
    if (st) return st;
    pool_run(u->o->pool, (u->to - u->from + SCAN_QUERIES - 1) / SCAN_QUERIES, look, u);
    for (int k = 0; k < pool_size(u->o->pool); k++) {
        worker *w = &u->workers[k];
        if (w->oom) return err_nomem(e, "splitting");
        for (size_t i = 0; i < w->n; i++) forest_unite(u->parent, w->pairs[i].a, w->pairs[i].b);
        w->n = 0;
    }
    return ST_OK;
}

static status prepare(uniting *u, err *e)
{
    const greedy_input *in = u->in;
    status st = unite_vectors(
        &(unite_input){in->vectors, in->n_vectors, in->dim, u->o->isa, u->o->pool}, &u->facts, e);
    if (st) return st;
    u->workers = calloc((size_t)pool_size(u->o->pool), sizeof *u->workers);
    if (!u->workers) return err_nomem(e, "splitting");
    st = join_new(&(join_input){.vectors = in->vectors,
                                .n = in->n_vectors,
                                .dim = in->dim,
                                .squares = u->facts.squares,
                                .longest = u->facts.longest,
                                .largest = u->facts.largest,
                                .threshold = in->threshold,
                                .isa = u->o->isa,
                                .pool = u->o->pool},
                  &u->join, e);
    for (int k = 0; st == ST_OK && k < pool_size(u->o->pool); k++)
        st = join_scratch_init(u->join, &u->workers[k].scratch, e);
    return st;
}

static void uniting_release(uniting *u)
{
    for (int k = 0; u->workers && k < pool_size(u->o->pool); k++) {
        join_scratch_release(&u->workers[k].scratch);
        free(u->workers[k].pairs);
    }
    free(u->workers);
    join_set_release(&u->set);
    join_free(u->join);
    vector_facts_release(&u->facts);
}

status components_unite(const greedy_input *in, const greedy_options *o, uint32_t *parent, err *e)
{
    uniting u = {.in = in, .o = o, .parent = parent};
    const uint32_t n = (uint32_t)in->n_rows;
    if (!n) return ST_OK;
    status st = prepare(&u, e);
    for (u.from = 0; st == ST_OK && u.from < n; u.from = u.to) {
        u.to = n - u.from < STRIPS * SCAN_QUERIES ? n : u.from + STRIPS * SCAN_QUERIES;
        if (o->stop && *o->stop)
            st = err_set(e, ST_INCOMPLETE, "interrupted while splitting; run again");
        if (st == ST_OK) st = run_block(&u, e);
        log_progress(o->log, "splitting", u.to, n);
    }
    if (st == ST_OK) st = vectors_check(&in->vectors, e);
    if (st == ST_OK) log_progress_end(o->log, "splitting", n);
    uniting_release(&u);
    return st;
}
