/* splits.h - the rows in parts for training, validation and test. */
#ifndef TAMIS_SPLITS_H
#define TAMIS_SPLITS_H

#include "dataset.h"

/* Whether [export] names a file of a part. */
bool splits_wanted(const config *c);

/* Fills d->split: for each kept turn its part, so that no interaction and no pair of rows with
 * cosine >= split.threshold is cut.  ST_USAGE: shares that make more than 1. */
status splits_make(const job *j, dataset *d, summary *s, err *e) MUST_USE;

#endif
