/* decide.h - the rows of one group, in order: kept or dropped.  Internal to dedup. */
#ifndef TAMIS_DEDUP_DECIDE_H
#define TAMIS_DEDUP_DECIDE_H

#include "dedup/greedy.h"
#include "dedup/unite.h"

/* How near a kept row is: nearer rows come first, of equally near ones the earlier. */
typedef struct rank {
    double score;
    uint32_t row;
} rank;

/* A vector in a group (with answers: of one answer), and the two nearest of the kept rows of that
 * group that it has met. */
typedef struct entry {
    double best, second; /* exact cosines; below -1: none that could matter */
    double floor;        /* what could matter: the threshold, or its own square if that is less */
    rank hidden;         /* the kept rows that it was spared come after; score -inf: none matters */
    uint32_t best_kept;  /* number of that kept row in its group; NO_NUMBER: none */
    uint32_t second_kept; /* the same */
    uint32_t seen;        /* it has met the first so many kept rows */
    uint32_t seen_added;  /* and the first so many of the added ones */
    uint32_t vector, answer;
    uint32_t slot;    /* while its block runs */
    bool is_repeated; /* it has more than one row */
    bool is_known;    /* one of its rows was decided */
    bool is_kept;     /* one of its rows was kept */
    bool is_covered;  /* with answers: it met a kept row with its vector and a near answer */
    bool is_sure;     /* with a margin: it falls whatever the true vectors are */
    bool needs_whole; /* while its block runs: prior verdicts do not spare it */
} entry;

enum { NO_NUMBER = UINT32_MAX };

typedef struct run {
    const greedy_input *in;
    const greedy_options *o;
    verdict *out;
    const scan_kernels *k;
    join *join; /* NULL: no group is large enough */
    vector_facts facts;
    double bound; /* of the error of a float32 product */
    double most_margin;
    uint32_t *rows; /* [n_rows] by group, then in order */
    uint32_t *of;   /* [n_rows] entry of each row */
    entry *entries;
    uint32_t n_entries;
    uint32_t *kept;       /* [n_rows] row of a kept row, the numbers of a group side by side */
    uint32_t *kept_entry; /* [n_rows] */
    uint32_t *number;     /* [n_rows] of a kept row; NULL without prior verdicts */
    greedy_counts counts;
} run;

/* The rows r->rows[from, to): one group. */
typedef struct group_rows {
    size_t from, to;
} group_rows;

/* A large group, by blocks on all threads.  `done`: rows of other groups that were decided. */
status decide_group(run *r, group_rows g, size_t done, err *e) MUST_USE;

/* A small one, on one thread, with no join.  Adds to *exact. */
void decide_small_group(run *r, group_rows g, uint64_t *exact);

#endif
