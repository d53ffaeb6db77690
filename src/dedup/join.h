/* join.h - which of a set of vectors may be as near to a vector as matters. */
#ifndef TAMIS_DEDUP_JOIN_H
#define TAMIS_DEDUP_JOIN_H

#include <stdbool.h>

#include "base/isa.h"
#include "base/pool.h"
#include "dedup/scan.h"
#include "dedup/vectors.h"

/* How many dimensions the first codes have, after a turn that makes the first ones say most.
 * JOIN_SIFT: what they leave is sifted by codes of 124, turned.  JOIN_ALL: every one, and no turn.
 * JOIN_AUTO: what a sample finds quickest. */
typedef enum join_plan {
    JOIN_AUTO,
    JOIN_PREFIX_28,
    JOIN_PREFIX_44,
    JOIN_PREFIX_60,
    JOIN_PREFIX_76,
    JOIN_PREFIX_92,
    JOIN_SIFT_36,
    JOIN_SIFT_52,
    JOIN_ALL,
    JOIN_PLANS
} join_plan;

typedef struct join_input {
    vector_list vectors;   /* [n, dim], finite */
    size_t n, dim;         /* dim a multiple of 8, at most 4096 */
    const double *squares; /* [n] squared lengths (unite.h) */
    double longest, largest;
    double threshold; /* for the choice of a plan alone */
    join_plan plan;   /* one that needs more dimensions than there are is made JOIN_ALL; under a
                       * limit of memory JOIN_AUTO is of 60 at most, if it can: others take more */
    isa isa;
    pool *pool;
} join_input;

/* Whether JOIN_AUTO looks for a prefix. */
bool join_has_prefix(uint64_t n, uint64_t dim);

typedef struct join join;
/* The input stays borrowed but for the struct itself. */
status join_new(const join_input *in, join **out, err *e) MUST_USE;
void join_free(join *j);
join_plan join_plan_of(const join *j);
const char *join_plan_name(join_plan p);

/* Vectors to look through.  Zero-initialise. */
typedef struct join_set {
    uint8_t **chunks; /* [n_chunks] of SCAN_COLUMNS columns, as the scan wants them */
    size_t n_chunks;
    uint32_t *vector; /* [n] */
    uint32_t n, cap;
} join_set;
status join_set_add(const join *j, join_set *s, uint32_t vector, err *e) MUST_USE;
void join_set_clear(join_set *s); /* keeps its memory */
void join_set_release(join_set *s);

/* Pairs looked at by first codes, sifted, looked at by second codes, left after all. */
typedef struct join_counts {
    uint64_t scanned, sifted, coded, found;
} join_counts;

/* Space for one thread. */
typedef struct join_scratch {
    int8_t *queries;
    double *cosines; /* that the limits are for */
    int32_t *limits;
    int64_t *offsets;
    int16_t *wide;
    int8_t *sift_queries; /* NULL: nothing is sifted */
    int32_t *sift_limits, *sift_starts;
    uint32_t *hits;
    join_counts counts;
} join_scratch;
status join_scratch_init(const join *j, join_scratch *s, err *e) MUST_USE;
void join_scratch_release(join_scratch *s);

typedef struct join_look {
    const join_set *set;
    const uint32_t *vectors; /* [n] whose neighbours are looked for; n at most SCAN_QUERIES */
    const uint32_t *seen;    /* [n] ascending: members that need not be looked at */
    uint32_t to;             /* members from here on are not looked at either */
    const double *limits;    /* [n] cosines below do not matter; found() may raise them */
    size_t n;
    /* Every pair whose cosine_exact can be at or above the limit of its query is told, some
     * others too, some that were seen too; by ascending pieces of SCAN_COLUMNS members. */
    void (*found)(void *ctx, size_t query, uint32_t member);
    void *ctx;
} join_look;
void join_search(const join *j, const join_look *l, join_scratch *s);

#endif
