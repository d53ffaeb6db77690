/* vector_cache.h - the vectors of recent texts, by their token ids. */
#ifndef CLI_VECTOR_CACHE_H
#define CLI_VECTOR_CACHE_H

#include <stddef.h>
#include <stdint.h>

/* Of bounded size: some thousand short sequences; later ones take the places of older ones. */
typedef struct vector_cache vector_cache;

vector_cache *vector_cache_new(size_t dimension); /* NULL: no memory */
void vector_cache_free(vector_cache *c);

/* The vector of a sequence [dimension], valid until the next put; NULL: not kept. */
const float *vector_cache_find(const vector_cache *c, const int32_t *ids, size_t n);

/* Keeps a copy, unless the sequence is long. */
void vector_cache_put(vector_cache *c, const int32_t *ids, size_t n, const float *vector);

#endif
