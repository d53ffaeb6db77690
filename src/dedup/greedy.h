/* greedy.h - keep the first of every group of near-duplicates, exactly.
 *
 * Row i is dropped if an earlier kept row of its group has cosine >= threshold. */
#ifndef TAMIS_DEDUP_GREEDY_H
#define TAMIS_DEDUP_GREEDY_H

#include "base/isa.h"
#include "base/log.h"
#include "base/pool.h"
#include "record.h"

typedef struct greedy_input {
    const float *vectors;  /* [n_vectors, dim] unit vectors, row-major, finite */
    size_t n_vectors, dim; /* dim a multiple of 8, at most 4096 */
    const uint32_t *unit;  /* [n_rows] which vector each row has */
    const uint32_t *group; /* [n_rows] rows of different groups never meet; NULL: one group */
    size_t n_rows;         /* in final order; below UINT32_MAX */
    double threshold;      /* 0 < threshold <= 1 */
} greedy_input;

typedef struct greedy_options {
    isa isa;
    pool *pool;
    const logger *log;     /* progress "deduplicating", in rows; may be NULL */
    const stop_flag *stop; /* may be NULL */
} greedy_options;

/* out: [n_rows].  For a dropped row: the kept row before it with the highest cosine, ties
 * to the earliest, and that cosine (double precision, index ascending).  Rows with the
 * same unit are duplicates whatever the threshold.  Memory linear in rows.  The result
 * does not depend on threads, blocks or instruction set.  ST_INCOMPLETE: stopped;
 * ST_FAILED: a vector that is not finite, or no memory. */
status greedy_run(const greedy_input *in, const greedy_options *o, verdict *out, err *e) MUST_USE;

/* The cosine that decides: double precision, one plain loop, index ascending. */
double cosine_exact(const float *x, const float *y, size_t dim);

#endif
