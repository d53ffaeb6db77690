/* dataset.h - the turns of the well-rated interactions, in final order. */
#ifndef TAMIS_DATASET_H
#define TAMIS_DATASET_H

#include "job.h"
#include "summary.h"

typedef struct dataset {
    arena texts;
    turn *turns;       /* [n_turns] */
    verdict *verdicts; /* [n_turns], for the dedup stage to fill; NULL before dataset_load */
    verdict *seconds;  /* [n_turns] greedy_options.second; NULL: not known */
    size_t n_turns, cap_turns;
    uint64_t n_distinct; /* texts of users; 0: not counted yet */
    /* [n_turns] 1: a duplicate that guard.floor gave back, a row that stands for itself alone;
     * NULL: the guard gives nothing back */
    unsigned char *guarded;
    unsigned char *split; /* [n_turns] the part of each kept turn (curate/split.h); NULL: none */
    size_t n_pinned;      /* turns that stay whatever is near to them: the first ones */
    dropped_interaction *dropped; /* [n_dropped] */
    size_t n_dropped, cap_dropped;
} dataset;

/* Reads what the store holds: rates, pairs, sorts, pinned turns first.  Zero-initialise *d,
 * release it in any case.
 * Fills s->turns but for what only verdicts can tell. */
status dataset_load(const job *j, dataset *d, summary *s, err *e) MUST_USE;
void dataset_release(dataset *d);

#endif
