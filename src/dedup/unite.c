/* unite.c - one pass over the vectors, in parallel, then a table of their hashes.
 *
 * Hashes start from a seed that nobody can know beforehand; they find, the bytes decide. */
#include "dedup/unite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STRIP = 256 };

typedef struct facts_job {
    const float *vectors;
    size_t n, dim;
    uint64_t seed;
    uint64_t *hashes; /* [n] */
    double *squares;  /* [n] */
    double *largest;  /* for each strip */
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

static double sum_of_squares(const float *v, size_t dim, double *largest)
{
    double sums[8] = {0};
    float most[8] = {0};
    for (size_t i = 0; i < dim; i += 8)
        for (size_t l = 0; l < 8; l++) {
            float x = fabsf(v[i + l]);
            sums[l] += (double)x * (double)x;
            most[l] = x > most[l] ? x : most[l];
        }
    double sum = 0;
    for (size_t l = 0; l < 8; l++) {
        sum += sums[l];
        *largest = (double)most[l] > *largest ? (double)most[l] : *largest;
    }
    return sum;
}

static void look_at_strip(void *ctx, size_t item, int worker)
{
    const facts_job *j = ctx;
    const size_t to = (item + 1) * STRIP < j->n ? (item + 1) * STRIP : j->n;
    (void)worker;
    double largest = 0;
    for (size_t i = item * STRIP; i < to; i++) {
        const float *v = j->vectors + i * j->dim;
        j->squares[i] = sum_of_squares(v, j->dim, &largest);
        j->hashes[i] = hash(v, j->dim, j->seed);
    }
    j->largest[item] = largest;
}

static status unite_equal(const facts_job *j, uint32_t *first, err *e)
{
    size_t n_slots = 1024;
    while (n_slots < j->n * 2) n_slots *= 2;
    const size_t bytes = j->dim * sizeof *j->vectors;
    uint32_t *slots = calloc(n_slots, sizeof *slots); /* number + 1 */
    if (!slots) return err_nomem(e, "deduplicating");
    for (size_t i = 0; i < j->n; i++) {
        size_t at = j->hashes[i] & (n_slots - 1);
        for (; slots[at]; at = (at + 1) & (n_slots - 1)) {
            size_t k = slots[at] - 1;
            if (j->hashes[k] == j->hashes[i] &&
                memcmp(j->vectors + k * j->dim, j->vectors + i * j->dim, bytes) == 0)
                break;
        }
        if (!slots[at]) slots[at] = (uint32_t)i + 1;
        first[i] = slots[at] - 1;
    }
    free(slots);
    return ST_OK;
}

status unite_vectors(const float *vectors, size_t n, size_t dim, pool *p, vector_facts *out, err *e)
{
    const size_t strips = (n + STRIP - 1) / STRIP;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    facts_job j = {.vectors = vectors,
                   .n = n,
                   .dim = dim,
                   .seed = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uintptr_t)out,
                   .hashes = calloc(n + 1, sizeof *j.hashes),
                   .squares = calloc(n + 1, sizeof *j.squares),
                   .largest = calloc(strips + 1, sizeof *j.largest)};
    *out = (vector_facts){.first = calloc(n + 1, sizeof *out->first), .squares = j.squares};
    status st =
        j.hashes && j.squares && j.largest && out->first ? ST_OK : err_nomem(e, "deduplicating");
    if (st) goto done;
    pool_run(p, strips, look_at_strip, &j);
    double most = 1;
    for (size_t i = 0; st == ST_OK && i < n; i++) {
        if (!isfinite(j.squares[i]))
            st = err_set(e, ST_FAILED, "vector %zu holds a value that is not finite", i + 1);
        most = j.squares[i] > most ? j.squares[i] : most;
    }
    out->longest = sqrt(most) * (1 + 1e-9);
    for (size_t s = 0; s < strips; s++)
        out->largest = j.largest[s] > out->largest ? j.largest[s] : out->largest;
    if (st == ST_OK) st = unite_equal(&j, out->first, e);
done:
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
