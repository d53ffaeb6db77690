/* labelled_pairs.h - which threshold suits a person's own judgement of pairs of texts. */
#ifndef TAMIS_LABELLED_PAIRS_H
#define TAMIS_LABELLED_PAIRS_H

#include "base/buf.h"
#include "embed/embed.h"

/* Thresholds that are tried: 0.50, 0.51, ... 0.99. */
enum { PAIRS_FIRST = 50, PAIRS_STEPS = 50 };

typedef struct pairs_at {
    double threshold;
    uint64_t n_found;   /* pairs at or above it */
    uint64_t n_correct; /* ... that the label calls the same */
    double precision;   /* n_correct / n_found; 1 where nothing is found */
    double recall;      /* n_correct / n_same */
    double f1;          /* their harmonic mean */
} pairs_at;

typedef struct labelled_pairs {
    uint64_t n, n_same;
    pairs_at at[PAIRS_STEPS];
    size_t best; /* in `at`: the highest F1, of equals the highest threshold */
} labelled_pairs;

/* Reads tab-separated lines: text, text, label; or, where the first line names the columns, the
 * columns text1, text2 and label (or score...).  A label is a number, and says "the same" from
 * `same_from` on.  ST_FAILED: the file cannot be read, a line is not of this form (the message
 * has its number), or no pair is labelled the same. */
status labelled_pairs_read(const char *path, double same_from, embedder *em, size_t dim,
                           labelled_pairs *out, err *e) MUST_USE;

#endif
