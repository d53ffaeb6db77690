/* scan.h - every pair, by brute force: which kept rows are too near to each other, and which kept
 * row stands nearest to one that was dropped.
 *
 * Shares nothing with the dedup stage.  For each pair a rigorous bound of its cosine is computed
 * (reach.h); what can come near the line, or near the best so far, is computed in double precision
 * by a plain loop. */
#ifndef TAMIS_VERIFY_SCAN_H
#define TAMIS_VERIFY_SCAN_H

#include "base/isa.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/time.h"
#include "record.h"

typedef struct scan_row {
    uint32_t unit;   /* its vector */
    uint32_t answer; /* its answer's, with by_answer */
    uint32_t group;  /* rows of different groups never meet; below n_groups */
    uint32_t order;  /* place in the final order; NO_ROW: it has none, and stands for nobody */
} scan_row;

typedef struct scan_input {
    const float *vectors; /* [any, dim] unit vectors, finite */
    size_t dim;
    const scan_row *kept; /* [n_kept] by order, strictly ascending; those without one behind */
    size_t n_kept;
    const scan_row *dropped; /* [n_dropped] each with an order that no kept row has */
    size_t n_dropped, n_groups;
    double threshold;
    bool by_answer; /* rows meet only where their answers are too near to each other as well */
} scan_input;

typedef struct scan_options {
    isa isa;
    pool *pool;
    const logger *log;     /* progress "comparing", in pairs; may be NULL */
    const stop_flag *stop; /* may be NULL */
} scan_options;

/* Of the kept rows that it meets and that are earlier in order: the one with the highest cosine,
 * ties to the earliest.  When it is not covered, kept is NO_ROW. */
typedef struct scan_nearest {
    double score;
    uint32_t kept;   /* number among the kept */
    bool is_covered; /* one is at the threshold or above, or has the same bits */
} scan_nearest;

typedef struct scan_result {
    scan_nearest *nearest; /* [n_dropped] */
    uint32_t *n_near;      /* [n_kept] kept rows before it that it meets and is too near to */
    double closest;        /* the highest cosine of two kept rows of a group; ties to the ... */
    uint32_t a, b;         /* ... first b, then a; a < b, numbers among the kept */
                           /* (whatever their answers) */
    bool has_closest;      /* false: no two kept rows share a group */
    uint64_t n_pairs, n_exact;
} scan_result;

/* ST_FAILED: memory; or a bound that is not what the plain loops say, or below the cosine, which
 * the machine or the kernel is to blame for (one in each block is checked).
 * ST_INCOMPLETE: stopped. */
status scan_run(const scan_input *in, const scan_options *o, scan_result *out, err *e) MUST_USE;
void scan_result_release(scan_result *r);

/* The cosine that decides: double precision, index ascending. */
double scan_cosine(const scan_input *in, uint32_t unit_a, uint32_t unit_b);

/* Whether two rows of a group may not both be kept: the threshold is reached, or their vectors have
 * the same bits. */
bool scan_too_near(const scan_input *in, uint32_t unit_a, uint32_t unit_b, double cosine);

/* Whether two rows are compared at all. */
bool scan_meets(const scan_input *in, const scan_row *a, const scan_row *b);

#endif
