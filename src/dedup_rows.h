/* dedup_rows.h - what dedup_run compares: a unit vector for each row, and where it came from. */
#ifndef TAMIS_DEDUP_ROWS_H
#define TAMIS_DEDUP_ROWS_H

#include "base/isa.h"
#include "base/pool.h"
#include "dedup/budget.h"
#include "dedup/vectors.h"
#include "dedup_run.h"

typedef struct dedup_rows {
    vector_list vectors; /* [n_vectors, dim] unit vectors; dim a multiple of 16 */
    size_t n_vectors, dim, cap_vectors;
    uint64_t memory; /* limit of what comparing may take; 0: none */
    bool is_over;    /* it takes more: from then on rows and vectors are only counted */
    size_t n, cap;
    uint32_t *unit;  /* [n] the vector of each row */
    uint32_t *group; /* [n] */
    uint64_t *line;  /* [n] the number of its line, from 1 */
    bool in_memory;  /* the input can be read only once: the lines are kept here */
    buf bytes;       /* all lines, one behind the other */
    size_t *end;     /* [n] where each ends in bytes */
    double seconds_embed;
} dedup_rows;

/* Zero-initialise, but for memory.  With a limit all vectors are in a file. */
void dedup_rows_release(dedup_rows *r);

/* The input as messages name it. */
const char *dedup_input_name(const dedup_job *j);

/* What comparing them takes. */
budget dedup_rows_budget(const dedup_rows *r, const pool *p);

/* Reads JSON lines and embeds their texts, a batch at a time; equal texts once.  Blank lines
 * are passed over.  r->in_memory says whether to keep the lines. */
status dedup_rows_of_lines(const dedup_job *j, isa set, pool *p, dedup_rows *r, err *e) MUST_USE;

/* Reads rows of j->dim little-endian float32 and scales each to unit length: the sum of squares
 * in double precision, index ascending, then each x times 1 / its root, rounded once.  A row whose
 * sum is within UNIT_SLACK of 1 is a unit vector in float32 and taken as it is. */
status dedup_rows_of_vectors(const dedup_job *j, pool *p, dedup_rows *r, err *e) MUST_USE;
#define UNIT_SLACK 0x1p-20

#endif
