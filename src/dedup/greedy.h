/* greedy.h - keep the first of every group of near-duplicates, exactly.
 *
 * Row i is dropped if an earlier kept row of its group has cosine >= threshold; with answers, one
 * whose answer is as near too. */
#ifndef TAMIS_DEDUP_GREEDY_H
#define TAMIS_DEDUP_GREEDY_H

#include "base/isa.h"
#include "base/log.h"
#include "base/pool.h"
#include "dedup/join.h"
#include "record.h"

/* In `prior`: nothing is known of the row. */
enum { ROW_UNKNOWN = UINT32_MAX - 1 };

typedef struct greedy_input {
    vector_list vectors;   /* [n_vectors, dim] unit vectors, row-major, finite */
    size_t n_vectors, dim; /* dim a multiple of 8, at most 4096 */
    const uint32_t *unit;  /* [n_rows] which vector each row has */
    const uint32_t *group; /* [n_rows] rows of different groups never meet; NULL: one group */
    size_t n_rows;         /* in final order; below ROW_UNKNOWN */
    double threshold;      /* 0 < threshold <= 1 */

    /* With answers, rows meet only where the cosine of their answers is at or above the threshold,
     * too, or these have the same bits.  Not with a margin. */
    vector_list answers;    /* [any, dim] unit vectors */
    const uint32_t *answer; /* [n_rows] which of them each row has; NULL: answers do not matter */

    /* Vectors that are only near the true ones.  margin[v]: what v's error may add to a cosine;
     * 0: it is exact; NULL: all are.  doubtful: [n_vectors], out, NULL if margin is: 1 for each
     * vector that is not exact and that an uncertain decision rests on, else 0.  A decision is
     * uncertain when some pair of the row is within both margins of the threshold and no kept row
     * is surely at or above it.  With none doubtful, the same rows are kept as with true
     * vectors. */
    const float *margin;
    unsigned char *doubtful;

    /* What an earlier run said of these rows; NULL: nothing.  [n_rows], in row numbers of this
     * list; kept_row may be ROW_UNKNOWN.  The rows that are known stood in that run's list in
     * this order, with the same vectors, groups and answers, among others that are gone; dimension
     * and threshold were the same, and there was no margin.  It saves work and changes nothing;
     * with a margin it is not used. */
    const verdict *prior;
    const verdict *prior_second; /* [n_rows] what it put into greedy_options.second; or NULL */
} greedy_input;

typedef struct greedy_counts {
    join_counts pairs;
    uint64_t exact;         /* pairs whose cosine was computed in double */
    uint64_t whole, spared; /* rows looked up among all kept rows; among the added ones alone */
} greedy_counts;

typedef struct greedy_options {
    isa isa;
    pool *pool;
    const logger *log;     /* progress "deduplicating", in rows, and the plan; may be NULL */
    const stop_flag *stop; /* may be NULL */
    join_plan plan;        /* JOIN_AUTO: the quickest for these vectors */
    greedy_counts *counts; /* out; may be NULL */

    /* out: [n_rows], or NULL.  For a dropped row: of the kept rows before it that it meets, the one
     * next to the nearest, by the same order, and its cosine; kept_row NO_ROW: no other has a
     * cosine at or above the threshold; ROW_UNKNOWN: not found out.  For a kept row: NO_ROW. */
    verdict *second;
} greedy_options;

/* out: [n_rows].  For a dropped row: of the kept rows before it that it meets, the one with the
 * highest cosine, ties to the earliest, and that cosine (double precision, index ascending); with
 * a margin, some kept row before it that is near enough.  Rows with the same unit are duplicates
 * whatever the threshold, and without a margin so are rows whose vectors have the same bits.
 * Memory linear in rows.  The result does not depend on plan, threads, blocks or instruction set.
 * ST_INCOMPLETE: stopped; ST_FAILED: a vector that is not finite or nowhere near unit length, or
 * cannot be read, or no memory. */
status greedy_run(const greedy_input *in, const greedy_options *o, verdict *out, err *e) MUST_USE;

/* The cosine that decides: double precision, one plain loop, index ascending. */
double cosine_exact(const float *x, const float *y, size_t dim);

/* That of two of in->vectors. */
double vectors_cosine(const greedy_input *in, uint32_t a, uint32_t b);

/* That of two of in->answers; HUGE_VAL where they have the same bits. */
double answers_cosine(const greedy_input *in, uint32_t a, uint32_t b);

#endif
