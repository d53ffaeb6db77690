/* forced.h - keep the first of every group of near-duplicates, and some rows whatever they are. */
#ifndef TAMIS_DEDUP_FORCED_H
#define TAMIS_DEDUP_FORCED_H

#include "dedup/greedy.h"

/* As greedy_run, but the first n_forced rows are kept, near to each other or not; every other row
 * is dropped as ever if an earlier kept row that it meets has cosine >= threshold.  Neither prior
 * nor margin may be given. */
status forced_run(const greedy_input *in, size_t n_forced, const greedy_options *o, verdict *out,
                  err *e) MUST_USE;

#endif
