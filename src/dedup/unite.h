/* unite.h - which vectors have the same bits, and how long they are. */
#ifndef TAMIS_DEDUP_UNITE_H
#define TAMIS_DEDUP_UNITE_H

#include <stdint.h>

#include "base/isa.h"
#include "base/pool.h"
#include "dedup/vectors.h"

typedef struct vector_facts {
    uint32_t *first; /* [n] the first vector with the same bits */
    double *squares; /* [n] squared length: sum of dim products in double, any order */
    double longest;  /* the greatest length, 1 at least */
    double largest;  /* the greatest magnitude of a component */
} vector_facts;

typedef struct unite_input {
    vector_list vectors; /* [n, dim]; dim a multiple of 8 */
    size_t n, dim;
    isa isa;
    pool *pool;
} unite_input;

/* ST_FAILED: a value that is not finite (the message says which vector), no memory.  Release the
 * facts in any case. */
status unite_vectors(const unite_input *in, vector_facts *out, err *e) MUST_USE;
void vector_facts_release(vector_facts *f);

#endif
