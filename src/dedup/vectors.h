/* vectors.h - rows of floats: all in memory, or the first ones there and the others in a file.
 *
 * The file has no name: it goes when it is closed, or when the process ends, however it does. */
#ifndef TAMIS_DEDUP_VECTORS_H
#define TAMIS_DEDUP_VECTORS_H

#include <stddef.h>

#include "base/err.h"

enum { VECTORS_DIM = 4096 }; /* floats in a row, at most */

typedef struct vector_file vector_file;

/* A view; whoever made it with vectors_new releases it.  `rows` alone is all there is to one in
 * memory that somebody else owns. */
typedef struct vector_list {
    float *rows;       /* [n_here, dim]; all of them without a limit */
    size_t n_here;     /* looked at only with one */
    vector_file *file; /* of the rows from n_here on; NULL: no limit of memory */
} vector_list;

/* n rows of dim floats (0: nobody knows yet how many), the first n_here of them in memory;
 * VECTORS_ALL: all, whatever that takes.  dir: where the file is to be.  ST_FAILED: no memory, or
 * no room for the file.  Release in any case. */
status vectors_new(size_t n, size_t dim, size_t n_here, const char *dir, vector_list *out,
                   err *e) MUST_USE;
void vectors_release(vector_list *v);
#define VECTORS_ALL ((size_t)-1)

/* Rows [at, at + n) become these.  Nobody else may use those rows meanwhile. */
status vectors_put(const vector_list *v, size_t dim, size_t at, size_t n, const float *rows,
                   err *e) MUST_USE;

/* More rows of the file into memory: the first n_here of the n there are. */
status vectors_bring(vector_list *v, size_t dim, size_t n_here, err *e) MUST_USE;

/* Rows [at, at + n), in memory or in `room` [n, dim]; any number of threads.  What cannot be read
 * is zeros, and vectors_check says so. */
const float *vectors_read(const vector_list *v, size_t dim, size_t at, size_t n, float *room);

/* Whether two rows have the same bits. */
bool vectors_equal(const vector_list *v, size_t dim, size_t a, size_t b);

/* ST_FAILED if a row could not be read since the file was made. */
status vectors_check(const vector_list *v, err *e) MUST_USE;

/* A row. */
static inline const float *vectors_row(const vector_list *v, size_t dim, size_t at, float *room)
{
    if (!v->file || at < v->n_here) return v->rows + at * dim;
    return vectors_read(v, dim, at, 1, room);
}

#endif
