/* unite.c - one pass over the vectors, then a table of their hashes for each of PARTS, told apart
 * by the first bits of the hashes; both in parallel.
 *
 * Hashes start from a seed that nobody can know beforehand; they find, the bytes decide. */
#include "dedup/unite.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dedup/scan.h"

enum { STRIP = 256, PART_BITS = 4, PARTS = 1 << PART_BITS };

typedef struct facts_job {
    unite_input in;
    const scan_kernels *k;
    float *room; /* for each worker [STRIP, dim]; NULL: all vectors are in memory */
    uint64_t seed;
    uint64_t *hashes;   /* [n] */
    double *squares;    /* [n] */
    double *largest;    /* for each strip */
    uint32_t *first;    /* [n] */
    bool failed[PARTS]; /* no memory */
} facts_job;

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xE7037ED1A0B428DBu);
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* dim is a multiple of 8: whole groups of 32 bytes. */
static uint64_t hash(const float *v, size_t dim, uint64_t seed)
{
    uint64_t a = seed, b = ~seed;
    for (size_t i = 0; i < dim; i += 8) {
        uint64_t w[4];
        memcpy(w, v + i, sizeof w);
        a = mix(a ^ w[0], w[1]) + w[3];
        b = mix(b ^ w[2], w[3]) + w[1];
    }
    return mix(a, b);
}

static void look_at_strip(void *ctx, size_t item, int worker)
{
    const facts_job *j = ctx;
    const size_t dim = j->in.dim, from = item * STRIP;
    const size_t n = j->in.n - from < STRIP ? j->in.n - from : STRIP;
    float *room = j->room ? j->room + (size_t)worker * STRIP * dim : NULL;
    const float *v = vectors_read(&j->in.vectors, dim, from, n, room);
    double largest = 0;
    for (size_t i = from; i < from + n; i++, v += dim) {
        const double most = (double)j->k->greatest(v, dim);
        largest = most > largest ? most : largest;
        j->squares[i] = j->k->sum_of_squares(v, dim);
        j->hashes[i] = hash(v, dim, j->seed);
    }
    j->largest[item] = largest;
}

static bool are_equal(const facts_job *j, size_t a, size_t b)
{
    return j->hashes[a] == j->hashes[b] && vectors_equal(&j->in.vectors, j->in.dim, a, b);
}

static void unite_part(void *ctx, size_t part, int worker)
{
    facts_job *j = ctx;
    size_t n = 0, n_slots = 64;
    (void)worker;
    for (size_t i = 0; i < j->in.n; i++) n += j->hashes[i] >> (64 - PART_BITS) == part;
    while (n_slots < n * 2) n_slots *= 2;
    uint32_t *slots = calloc(n_slots, sizeof *slots); /* number + 1 */
    j->failed[part] = !slots;
    for (size_t i = 0; slots && i < j->in.n; i++) {
        if (j->hashes[i] >> (64 - PART_BITS) != part) continue;
        size_t at = j->hashes[i] & (n_slots - 1);
        while (slots[at] && !are_equal(j, slots[at] - 1, i)) at = (at + 1) & (n_slots - 1);
        if (!slots[at]) slots[at] = (uint32_t)i + 1;
        j->first[i] = slots[at] - 1;
    }
    free(slots);
}

static status unite_equal(facts_job *j, err *e)
{
    status st = ST_OK;
    pool_run(j->in.pool, PARTS, unite_part, j);
    for (size_t i = 0; i < PARTS; i++)
        if (j->failed[i]) st = err_nomem(e, "deduplicating");
    return st;
}

status unite_vectors(const unite_input *in, vector_facts *out, err *e)
{
    const size_t n = in->n, strips = (n + STRIP - 1) / STRIP;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    facts_job j = {.in = *in,
                   .k = scan_kernels_for(in->isa),
                   .seed = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uintptr_t)out,
                   .hashes = calloc(n + 1, sizeof *j.hashes),
                   .squares = calloc(n + 1, sizeof *j.squares),
                   .largest = calloc(strips + 1, sizeof *j.largest),
                   .first = calloc(n + 1, sizeof *j.first)};
    *out = (vector_facts){.first = j.first, .squares = j.squares};
    bool ok = j.hashes && j.squares && j.largest && j.first;
    if (in->vectors.file) {
        j.room = calloc((size_t)pool_size(in->pool) * STRIP, in->dim * sizeof *j.room);
        ok = ok && j.room;
    }
    status st = ok ? ST_OK : err_nomem(e, "deduplicating");
    if (st) goto done;
    pool_run(in->pool, strips, look_at_strip, &j);
    double most = 1;
    for (size_t i = 0; st == ST_OK && i < n; i++) {
        if (!isfinite(j.squares[i]))
            st = err_set(e, ST_FAILED, "vector %zu holds a value that is not finite", i + 1);
        most = j.squares[i] > most ? j.squares[i] : most;
    }
    out->longest = sqrt(most) * (1 + 1e-9);
    for (size_t s = 0; s < strips; s++)
        out->largest = j.largest[s] > out->largest ? j.largest[s] : out->largest;
    if (st == ST_OK) st = unite_equal(&j, e);
    if (st == ST_OK) st = vectors_check(&in->vectors, e);
done:
    free(j.room);
    free(j.hashes);
    free(j.largest);
    return st;
}

void vector_facts_release(vector_facts *f)
{
    free(f->first);
    free(f->squares);
    *f = (vector_facts){0};
}
