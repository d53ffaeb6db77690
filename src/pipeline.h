/* pipeline.h - the stages in order: what the store holds, to the rows of the data set. */
#ifndef TAMIS_PIPELINE_H
#define TAMIS_PIPELINE_H

#include "dataset.h"
#include "dedup/sweep.h"

/* Reads what the store holds, rates, pairs, embeds, deduplicates, and keeps the verdicts in
 * the store.  Where the verdicts there are still current (same interactions, configuration
 * and model), they are taken as they are.  Fills s->turns and s->seconds. */
status pipeline_curate(const job *j, dataset *d, summary *s, err *e) MUST_USE;

/* What other thresholds would keep of a curated data set. */
status pipeline_sweep(const job *j, const dataset *d, sweep *out, err *e) MUST_USE;

/* Computes the scores that the verdicts in the store lack (screen.h).  *are_there false: it did
 * not, since those verdicts were made with another configuration, or of other interactions. */
status pipeline_add_scores(const job *j, bool *are_there, err *e) MUST_USE;

/* Writes the files named in [export].  A data set without rows writes none: what is there
 * stays. */
status pipeline_export(const job *j, dataset *d, summary *s, err *e) MUST_USE;

#endif
