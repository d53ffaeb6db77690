/* vectors_find.h - the vectors of texts, one or many. */
#ifndef TAMIS_STORE_VECTORS_FIND_H
#define TAMIS_STORE_VECTORS_FIND_H

#include "store/place.h"
#include "store/store.h"
#include "store/store_sqlite.h"

/* As store_vector; fast: of the fast encoder. */
status vector_look_up(db *d, bool fast, str text, float *out, size_t dim, bool *found,
                      err *e) MUST_USE;
/* As store_vectors.  `where`: other threads may open the file there for themselves, since nobody
 * changes it; NULL: they may not. */
status vectors_find(db *d, const place *where, const store_wanted *w, err *e) MUST_USE;

#endif
