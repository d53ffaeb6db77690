/* sweep.h - what each of many thresholds would keep, in one pass over the pairs. */
#ifndef TAMIS_DEDUP_SWEEP_H
#define TAMIS_DEDUP_SWEEP_H

#include "dedup/greedy.h"

/* Thresholds 0.70, 0.71, ... 0.99; and how many pairs to each side of the line are shown. */
enum { SWEEP_FIRST = 70, SWEEP_STEPS = 30, SWEEP_PAIRS = 40 };

typedef struct sweep_pair {
    uint32_t row, earlier; /* the first rows of two distinct vectors */
    double score;          /* their cosine; with answers, the lower one of the two */
} sweep_pair;

typedef struct sweep {
    uint64_t kept[SWEEP_STEPS]; /* rows kept at (SWEEP_FIRST + i) / 100, forced ones too */
    /* Distinct vectors (of a group) by the cosine to the nearest earlier one that is kept at
     * the threshold of the input: [i] from (SWEEP_FIRST + i) / 100 on; the others, `apart`. */
    uint64_t nearest[SWEEP_STEPS], apart;
    /* Of distinct vectors, each with its nearest earlier kept one, those nearest that threshold:
     * removed with a cosine just above it, lowest first; kept with one just below it, highest
     * first.  None below sweep_shown_from. */
    sweep_pair above[SWEEP_PAIRS], below[SWEEP_PAIRS];
    size_t n_above, n_below;
} sweep;

static inline double sweep_threshold(size_t step)
{
    return (double)(SWEEP_FIRST + step) / 100;
}

/* Below which cosine no pair is shown at a threshold: what is further from the line says nothing
 * about it. */
static inline double sweep_shown_from(double threshold)
{
    double far = threshold - 0.15;
    return far < sweep_threshold(0) ? far : sweep_threshold(0);
}

/* As forced_run (forced.h), without prior and margins: the kept counts are those of forced_run at
 * each threshold, whatever the threads and instruction set.  No forced row is among the pairs that
 * are shown, since no cosine decides it, but as the earlier one.  With answers, the distinct
 * vectors are distinct pairs of vector and answer.  Memory linear in rows. */
status sweep_run(const greedy_input *in, size_t n_forced, const greedy_options *o, sweep *out,
                 err *e) MUST_USE;

#endif
