/* vectors_find.h - the vectors of texts, one or many. */
#ifndef TAMIS_STORE_VECTORS_FIND_H
#define TAMIS_STORE_VECTORS_FIND_H

#include "store/store.h"
#include "store/store_sqlite.h"

/* As store_vector, store_vectors; fast: of the fast encoder. */
status vector_look_up(db *d, bool fast, str text, float *out, size_t dim, bool *found,
                      err *e) MUST_USE;
status vectors_find(db *d, bool fast, const str *texts, size_t n, size_t dim, store_vector_fn fn,
                    void *ctx, err *e) MUST_USE;

#endif
