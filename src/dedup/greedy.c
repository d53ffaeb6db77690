/* greedy.c - keep the first of every group of near-duplicates.
 *
 * A row is dropped when an earlier kept row of its group has cosine >= threshold.  Rows arrive in
 * final order (pipeline.c sorts), so the result is the lexicographically first maximal
 * independent set of the similarity graph: independent of threads, blocks and how the pairs
 * were found.
 *
 * What decides is cosine_exact, in double precision.  Found are the pairs by float32 products,
 * whose error has a bound (see error_bound): only a pair whose estimate comes within it of
 * what could matter is computed exactly.
 *
 * Rows go by in blocks.  First, in parallel, each row of the block against the kept rows
 * before the block; then, one after the other, against those that the block itself keeps.
 * Rows with the same vector and group are one entry, which remembers how far among the kept
 * rows it has looked and the best it saw: a repeated text costs no second scan.
 *
 * Memory: the kept vectors once more, packed for the product, a small record for each entry,
 * and scratch of fixed size.  Left to later: pruning by shorter codes. */
#include "dedup/greedy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/gemm.h"
#include "base/intern.h"

enum {
    CHUNK = 1024,    /* kept rows in a piece of packed memory; a multiple of GEMM_PANEL */
    STRIP = 32,      /* rows of a block that one thread takes */
    BLOCK_MAX = 1024 /* rows in a block */
};

double cosine_exact(const float *x, const float *y, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

/* A vector in a group, and the nearest of the first `seen` kept rows of that group. */
typedef struct entry {
    double best;        /* exact cosine; below -1: none that could matter */
    uint32_t best_kept; /* number of that kept row */
    uint32_t seen;      /* kept rows looked at */
    uint32_t vector;
    uint32_t group;
    double floor;      /* what could matter: the threshold, or its own square if that is less */
    uint32_t in_block; /* slot, while its block runs */
    bool is_kept;      /* one of its rows was kept */
} entry;

typedef struct run {
    const greedy_input *in;
    const greedy_options *o;
    verdict *out;
    gemm_fn gemm;
    double bound; /* of the error of an estimate */

    uint64_t *keys;   /* [n_rows] vector and group, as one number */
    uint32_t *of;     /* [n_rows] entry of each row */
    uint32_t *vector; /* [n_vectors] the first with the same bits */
    entry *entries;   /* [n_rows at most] */
    uint32_t n_entries;

    uint32_t *kept;       /* [n_kept] row */
    uint32_t *kept_entry; /* [n_kept] */
    uint32_t n_kept;
    float **chunks; /* [CHUNK / 16][dim][16] floats each */
    size_t n_chunks;

    uint32_t *slots; /* [n_slots] entries of the block */
    uint32_t n_slots;
    size_t block;   /* rows */
    float *queries; /* [BLOCK_MAX, dim] their vectors */
    float *panels;  /* [BLOCK_MAX / 16][dim][16] the same, packed */
    float *among;   /* [BLOCK_MAX, BLOCK_MAX] estimates between slots */
    float *scratch; /* for each worker [STRIP, CHUNK] */
} run;

/* --- setting up ----------------------------------------------------------------------------- */

static void run_release(run *r)
{
    for (size_t i = 0; i < r->n_chunks; i++) free(r->chunks[i]);
    free(r->chunks);
    free(r->keys);
    free(r->of);
    free(r->vector);
    free(r->entries);
    free(r->kept);
    free(r->kept_entry);
    free(r->slots);
    free(r->queries);
    free(r->panels);
    free(r->among);
    free(r->scratch);
}

static void *floats(size_t a, size_t b)
{
    void *p = NULL;
    size_t bytes;
    if (__builtin_mul_overflow(a, b * sizeof(float), &bytes)) return NULL;
    return posix_memalign(&p, 64, bytes + 64) ? NULL : p;
}

static status allocate(run *r, err *e)
{
    const size_t n = r->in->n_rows, dim = r->in->dim;
    size_t threads = (size_t)pool_size(r->o->pool);
    r->block = STRIP * 4 * threads;
    if (r->block > BLOCK_MAX) r->block = BLOCK_MAX;
    r->keys = calloc(n + 1, sizeof *r->keys);
    r->of = calloc(n + 1, sizeof *r->of);
    r->vector = calloc(r->in->n_vectors + 1, sizeof *r->vector);
    r->entries = calloc(n + 1, sizeof *r->entries);
    r->kept = calloc(n + 1, sizeof *r->kept);
    r->kept_entry = calloc(n + 1, sizeof *r->kept_entry);
    r->chunks = calloc(n / CHUNK + 2, sizeof *r->chunks);
    r->slots = calloc(BLOCK_MAX, sizeof *r->slots);
    r->queries = floats(BLOCK_MAX, dim);
    r->panels = floats(BLOCK_MAX, dim);
    r->among = floats(BLOCK_MAX, BLOCK_MAX);
    r->scratch = floats(threads * STRIP, CHUNK);
    bool ok = r->keys && r->of && r->vector && r->entries && r->kept && r->kept_entry &&
              r->chunks && r->slots && r->queries && r->panels && r->among && r->scratch;
    return ok ? ST_OK : err_nomem(e, "deduplicating");
}

/* A chain of dim fused multiply-adds in float32 is off by at most gamma |x| |y|, gamma =
 * dim u / (1 - dim u), u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, 3.1);
 * twice that also covers the double sum and the rounding of the limit it is compared with. */
static status error_bound(run *r, err *e)
{
    const greedy_input *in = r->in;
    double longest = 0, gamma = (double)in->dim * 0x1p-24 / (1 - (double)in->dim * 0x1p-24);
    for (size_t i = 0; i < in->n_vectors; i++) {
        const float *v = in->vectors + i * in->dim;
        double squares = cosine_exact(v, v, in->dim);
        if (!isfinite(squares))
            return err_set(e, ST_FAILED, "vector %zu holds a value that is not finite", i + 1);
        longest = squares > longest ? squares : longest;
    }
    r->bound = 2 * gamma * longest;
    return ST_OK;
}

/* Vectors with the same bits are one. */
static status unite_vectors(run *r, err *e)
{
    const greedy_input *in = r->in;
    intern seen = {0};
    status st = ST_OK;
    uint32_t *first = calloc(in->n_vectors + 1, sizeof *first);
    if (!first) st = err_nomem(e, "deduplicating");
    for (size_t i = 0; st == ST_OK && i < in->n_vectors; i++) {
        const char *bytes = (const char *)(in->vectors + i * in->dim);
        uint32_t n = seen.n, k = intern_add(&seen, (str){bytes, in->dim * sizeof(float)});
        if (k == INTERN_NONE)
            st = err_nomem(e, "deduplicating");
        else if (k == n)
            first[k] = (uint32_t)i;
        if (st == ST_OK) r->vector[i] = first[k];
    }
    free(first);
    intern_release(&seen);
    return st;
}

static status make_entries(run *r, err *e)
{
    const greedy_input *in = r->in;
    intern seen = {0};
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < in->n_rows; i++) {
        uint32_t vector = r->vector[in->unit[i]], group = in->group ? in->group[i] : 0;
        r->keys[i] = (uint64_t)vector << 32 | group;
        r->of[i] = intern_add(&seen, (str){(const char *)&r->keys[i], sizeof r->keys[i]});
        if (r->of[i] == INTERN_NONE) {
            st = err_nomem(e, "deduplicating");
        } else if (r->of[i] == r->n_entries) {
            const float *v = in->vectors + (size_t)vector * in->dim;
            double own = cosine_exact(v, v, in->dim);
            r->entries[r->n_entries++] = (entry){.best = -HUGE_VAL,
                                                 .vector = vector,
                                                 .group = group,
                                                 .floor = own < in->threshold ? own : in->threshold,
                                                 .in_block = UINT32_MAX};
        }
    }
    intern_release(&seen);
    return st;
}

/* --- looking -------------------------------------------------------------------------------- */

/* An estimate below this cannot change what is known of the entry. */
static float limit_of(const run *r, const entry *n)
{
    double least = n->best > n->floor ? n->best : n->floor;
    return (float)(least - r->bound);
}

/* Looks at one kept row whose estimate came near. */
static void weigh(const run *r, entry *n, uint32_t kept)
{
    const entry *other = &r->entries[r->kept_entry[kept]];
    const size_t dim = r->in->dim;
    if (other->group != n->group) return;
    double cosine = cosine_exact(r->in->vectors + (size_t)n->vector * dim,
                                 r->in->vectors + (size_t)other->vector * dim, dim);
    if (cosine > n->best) { /* not >=: of equals the earliest stays */
        n->best = cosine;
        n->best_kept = kept;
    }
}

/* Estimates of kept rows [from, to) of a chunk that begins at kept row `first`. */
static void look_through(const run *r, entry *n, const float *estimates, uint32_t first,
                         uint32_t from, uint32_t to)
{
    float limit = limit_of(r, n);
    for (uint32_t k = from > n->seen ? from : n->seen; k < to; k++) {
        if (estimates[k - first] < limit) continue;
        weigh(r, n, k);
        limit = limit_of(r, n);
    }
}

/* A strip of slots against all kept rows before the block. */
static void look_before(void *ctx, size_t item, int worker)
{
    const run *r = ctx;
    const size_t dim = r->in->dim, from = item * STRIP;
    const size_t m = r->n_slots - from < STRIP ? r->n_slots - from : STRIP;
    float *y = r->scratch + (size_t)worker * STRIP * CHUNK;
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; i < m; i++) {
        uint32_t seen = r->entries[r->slots[from + i]].seen;
        least = seen < least ? seen : least;
    }
    for (uint32_t c = least / CHUNK; (size_t)c * CHUNK < r->n_kept; c++) {
        uint32_t first = c * CHUNK, to = r->n_kept - first < CHUNK ? r->n_kept : first + CHUNK;
        size_t n = (to - first + GEMM_PANEL - 1) / GEMM_PANEL * GEMM_PANEL;
        r->gemm(&(gemm_job){.x = r->queries + from * dim,
                            .ldx = dim,
                            .m = m,
                            .k = dim,
                            .w = r->chunks[c],
                            .y = y,
                            .ldy = CHUNK,
                            .n = n});
        for (size_t i = 0; i < m; i++)
            look_through(r, &r->entries[r->slots[from + i]], y + i * CHUNK, first, first, to);
    }
    for (size_t i = 0; i < m; i++) r->entries[r->slots[from + i]].seen = r->n_kept;
    size_t n = (r->n_slots + GEMM_PANEL - 1) / GEMM_PANEL * GEMM_PANEL;
    r->gemm(&(gemm_job){.x = r->queries + from * dim,
                        .ldx = dim,
                        .m = m,
                        .k = dim,
                        .w = r->panels,
                        .y = r->among + from * BLOCK_MAX,
                        .ldy = BLOCK_MAX,
                        .n = n});
}

/* --- deciding ------------------------------------------------------------------------------- */

/* Puts a vector into column `at` of packed panels. */
static void pack_column(float *panels, size_t at, const float *v, size_t dim)
{
    float *to = panels + at / GEMM_PANEL * dim * GEMM_PANEL + at % GEMM_PANEL;
    for (size_t i = 0; i < dim; i++) to[i * GEMM_PANEL] = v[i];
}

static status keep_row(run *r, uint32_t row, err *e)
{
    const size_t dim = r->in->dim;
    uint32_t k = r->n_kept;
    entry *n = &r->entries[r->of[row]];
    const float *v = r->in->vectors + (size_t)n->vector * dim;
    if (k % CHUNK == 0) {
        float *chunk = floats(CHUNK, dim);
        if (!chunk) return err_nomem(e, "deduplicating");
        memset(chunk, 0, CHUNK * dim * sizeof *chunk);
        r->chunks[r->n_chunks++] = chunk;
    }
    pack_column(r->chunks[k / CHUNK], k % CHUNK, v, dim);
    r->kept[k] = row;
    r->kept_entry[k] = r->of[row];
    r->n_kept++;
    n->is_kept = true;
    weigh(r, n, k); /* the next row of this entry may find nothing nearer */
    n->seen = r->n_kept;
    return ST_OK;
}

static status decide(run *r, uint32_t row, err *e)
{
    entry *n = &r->entries[r->of[row]];
    const float *estimates = r->among + (size_t)n->in_block * BLOCK_MAX;
    for (; n->seen < r->n_kept; n->seen++) { /* kept by this block */
        const entry *other = &r->entries[r->kept_entry[n->seen]];
        if (!(estimates[other->in_block] < limit_of(r, n))) weigh(r, n, n->seen);
    }
    if (!n->is_kept && n->best < r->in->threshold) {
        r->out[row] = (verdict){NO_ROW, 1.0};
        return keep_row(r, row, e);
    }
    r->out[row] = (verdict){r->kept[n->best_kept], n->best};
    return ST_OK;
}

/* --- blocks --------------------------------------------------------------------------------- */

static int by_seen(const void *a, const void *b, void *ctx)
{
    const uint32_t *x = a, *y = b;
    const entry *entries = ctx;
    if (entries[*x].seen != entries[*y].seen) return entries[*x].seen < entries[*y].seen ? -1 : 1;
    return (*x > *y) - (*x < *y);
}

/* The entries of rows [from, to), those that have to look farthest back together. */
static void gather_slots(run *r, size_t from, size_t to)
{
    const size_t dim = r->in->dim;
    r->n_slots = 0;
    for (size_t i = from; i < to; i++) {
        entry *n = &r->entries[r->of[i]];
        if (n->in_block != UINT32_MAX) continue;
        n->in_block = 0;
        r->slots[r->n_slots++] = r->of[i];
    }
    qsort_r(r->slots, r->n_slots, sizeof *r->slots, by_seen, r->entries);
    for (uint32_t s = 0; s < r->n_slots; s++) {
        entry *n = &r->entries[r->slots[s]];
        const float *v = r->in->vectors + (size_t)n->vector * dim;
        n->in_block = s;
        memcpy(r->queries + s * dim, v, dim * sizeof *v);
        pack_column(r->panels, s, v, dim);
    }
}

static status run_block(run *r, size_t from, size_t to, err *e)
{
    status st = ST_OK;
    gather_slots(r, from, to);
    pool_run(r->o->pool, (r->n_slots + STRIP - 1) / STRIP, look_before, r);
    for (size_t i = from; st == ST_OK && i < to; i++) st = decide(r, (uint32_t)i, e);
    for (uint32_t s = 0; s < r->n_slots; s++) r->entries[r->slots[s]].in_block = UINT32_MAX;
    return st;
}

static status run_blocks(run *r, err *e)
{
    const size_t n = r->in->n_rows;
    for (size_t from = 0; from < n; from += r->block) {
        size_t to = n - from < r->block ? n : from + r->block;
        if (r->o->stop && *r->o->stop)
            return err_set(e, ST_INCOMPLETE, "interrupted while deduplicating; run again");
        status st = run_block(r, from, to, e);
        if (st) return st;
        log_progress(r->o->log, "deduplicating", to, n);
    }
    log_progress_end(r->o->log, "deduplicating", n);
    return ST_OK;
}

status greedy_run(const greedy_input *in, const greedy_options *o, verdict *out, err *e)
{
    run r = {.in = in, .o = o, .out = out, .gemm = gemm_for(o->isa)};
    if (in->n_rows >= UINT32_MAX || in->n_vectors >= UINT32_MAX)
        return err_set(e, ST_FAILED, "more than %u rows", UINT32_MAX - 1);
    status st = error_bound(&r, e);
    if (st == ST_OK) st = allocate(&r, e);
    if (st == ST_OK) st = unite_vectors(&r, e);
    if (st == ST_OK) st = make_entries(&r, e);
    if (st == ST_OK) st = run_blocks(&r, e);
    run_release(&r);
    return st;
}
