/* pipeline.h - the stages in order: what the store holds, to the rows of the data set. */
#ifndef TAMIS_PIPELINE_H
#define TAMIS_PIPELINE_H

#include "config.h"
#include "embed/embed.h"
#include "summary.h"

typedef struct job {
    const config *config;
    const char *model_dir;
    store *store;
    int n_threads; /* 0: one for each processor */
    bool reembed;  /* another model than the store's is welcome: embed all again */
    const logger *log;
    const stop_flag *stop;
} job;

/* The curated data set, in final order. */
typedef struct dataset {
    arena texts;
    turn *turns;       /* [n_turns] */
    verdict *verdicts; /* [n_turns]; NULL before the verdict */
    size_t n_turns, cap_turns;
    dropped_interaction *dropped; /* [n_dropped] */
    size_t n_dropped, cap_dropped;
} dataset;
void dataset_release(dataset *d);

/* Reads what the store holds, rates, pairs, embeds, deduplicates, and keeps the verdicts in
 * the store.  Where the verdicts there are still current (same interactions, configuration
 * and model), they are taken as they are.  Fills s->turns and s->seconds. */
status pipeline_curate(const job *j, dataset *d, summary *s, err *e) MUST_USE;

/* Writes the files named in [export].  A data set without rows writes none: what is there
 * stays. */
status pipeline_export(const job *j, const dataset *d, summary *s, err *e) MUST_USE;

#endif
