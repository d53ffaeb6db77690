/* screen.h - the verdicts of exact vectors from fast ones, and few exact ones.
 *
 * A fast vector is off by some small amount, so a cosine of it is known up to a margin.  The join
 * says which decisions the margin leaves open; the vectors these rest on are embedded again,
 * exactly, and it joins again, until none is open.  Decisions are made in order, and each rests
 * on those before it, so by then all are those of exact vectors.
 *
 * The margin is measured, not proved (docs/FAST.md).  So each run audits it: on a sample, and on
 * all that is embedded again; what is off by more than half of it widens it or, beyond a limit,
 * makes all vectors exact. */
#ifndef TAMIS_SCREEN_H
#define TAMIS_SCREEN_H

#include "dedup/greedy.h"
#include "embed/embed.h"

typedef struct screen_input {
    embedder *em;
    const str *texts;       /* [n] */
    vector_list vectors;    /* [n, dim] in and out */
    unsigned char *is_fast; /* [n] 1: of the fast encoder, 0: exact; in and out */
    size_t n, dim;
    const uint32_t *unit, *group; /* as in greedy_input */
    size_t n_rows;
    double threshold;
    /* Called when the vectors of these texts have been made exact. */
    status (*made_exact)(void *ctx, const size_t *which, size_t n, err *e);
    void *ctx;
} screen_input;

typedef struct screen_options {
    float margin;    /* what the error of one vector may add to a cosine, to begin with */
    float limit;     /* of the margin */
    size_t sample;   /* vectors, at most: one in eight of fewer */
    unsigned passes; /* of the join, before all that is left is made exact */
    isa isa;
    pool *pool;
    const logger *log;     /* may be NULL */
    const stop_flag *stop; /* may be NULL */
} screen_options;

/* What the program uses; the last four are to be filled in. */
screen_options screen_defaults(void);

typedef struct screen_result {
    size_t again;    /* vectors that were embedded again */
    unsigned passes; /* of the join */
    float margin;    /* in the end */
    float worst;     /* what the audit saw at most */
    bool exact;      /* all vectors are exact in the end */
} screen_result;

/* out: [n_rows] the verdicts; but unless all vectors became exact, of a dropped row the kept
 * row is one that is surely near enough, and the score SCORE_UNKNOWN. */
status screen_run(const screen_input *in, const screen_options *o, verdict *out,
                  screen_result *result, err *e) MUST_USE;

#endif
