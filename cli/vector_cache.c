/* vector_cache.c - sets of eight places by a hash; the ids themselves decide.
 *
 * In a full set the oldest goes.  With sets of one, two texts that meet would throw each other out
 * again and again; with eight that is rare until the cache is nearly full. */
#include "vector_cache.h"

#include <stdlib.h>
#include <string.h>

enum { SETS = 1024, WAYS = 8, LONGEST = 64 /* ids; what people repeat is short */ };

typedef struct place {
    uint64_t hash;
    uint32_t n; /* 0: free */
    int32_t ids[LONGEST];
} place;

struct vector_cache {
    size_t dimension;
    float *vectors; /* [SETS * WAYS, dimension] */
    place places[SETS * WAYS];
    unsigned char oldest[SETS]; /* 0 to WAYS - 1 */
};

vector_cache *vector_cache_new(size_t dimension)
{
    vector_cache *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->dimension = dimension;
    c->vectors = calloc(SETS * WAYS, dimension * sizeof *c->vectors);
    if (c->vectors) return c;
    free(c);
    return NULL;
}

void vector_cache_free(vector_cache *c)
{
    if (!c) return;
    free(c->vectors);
    free(c);
}

static uint64_t hash_of(const int32_t *ids, size_t n)
{
    uint64_t h = n;
    for (size_t i = 0; i < n; i++) h = (h ^ (uint32_t)ids[i]) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

/* The place of a sequence; SETS * WAYS: none. */
static size_t find(const vector_cache *c, const int32_t *ids, size_t n, uint64_t hash)
{
    size_t from = hash % SETS * WAYS;
    for (size_t at = from; at < from + WAYS; at++) {
        const place *p = &c->places[at];
        if (p->hash == hash && p->n == n && memcmp(p->ids, ids, n * sizeof *ids) == 0) return at;
    }
    return SETS * WAYS;
}

const float *vector_cache_find(const vector_cache *c, const int32_t *ids, size_t n)
{
    size_t at = find(c, ids, n, hash_of(ids, n));
    return at < SETS * WAYS ? c->vectors + at * c->dimension : NULL;
}

void vector_cache_put(vector_cache *c, const int32_t *ids, size_t n, const float *vector)
{
    uint64_t hash = hash_of(ids, n);
    if (n > LONGEST || find(c, ids, n, hash) < SETS * WAYS) return;
    unsigned char *oldest = &c->oldest[hash % SETS];
    size_t at = hash % SETS * WAYS + *oldest;
    *oldest = (unsigned char)((*oldest + 1) % WAYS);
    c->places[at].hash = hash;
    c->places[at].n = (uint32_t)n;
    memcpy(c->places[at].ids, ids, n * sizeof *ids);
    memcpy(c->vectors + at * c->dimension, vector, c->dimension * sizeof *vector);
}
