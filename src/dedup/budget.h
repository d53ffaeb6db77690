/* budget.h - what a comparison holds in memory, at most: a formula, so that a limit of memory can
 * be kept, or refused, before anything is done.
 *
 * Bytes.  For each vector: its codes and what is known of it, dim + 112.  For each row: 280, and
 * twice a column of the join, 64 or (below 6,000 vectors or 112 dimensions) dim + 4.
 * Besides: 8 MiB, 64 KiB for each dimension, 8 for each pair of dimensions, and for each thread
 * 1 MiB and 2 KiB for each dimension.  Texts and what a data set says of its turns, the model and
 * the program itself are not in it. */
#ifndef TAMIS_DEDUP_BUDGET_H
#define TAMIS_DEDUP_BUDGET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct budget {
    uint64_t n_vectors, n_rows, dim;
    uint64_t n_threads;
} budget;

/* With no vector in memory. */
uint64_t budget_least(const budget *b);

/* With all vectors there. */
uint64_t budget_most(const budget *b);

/* How many vectors may be in memory (as for vectors_new) under a limit that is not below the least;
 * 0: no limit. */
size_t budget_here(const budget *b, uint64_t limit);

/* Says that a limit (as it was given) is below the least.  ST_USAGE. */
status budget_refuse(const budget *b, const char *limit, const char *where, err *e);

#endif
