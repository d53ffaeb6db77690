/* tune.h - help with the threshold: what others would keep, and the pairs nearest the line. */
#ifndef TAMIS_TUNE_H
#define TAMIS_TUNE_H

#include "dedup/sweep.h"
#include "labelled_pairs.h"
#include "pipeline.h"

/* Appends the answer of `tamis tune`, as lines or as one JSON object.  pairs: NULL where no file
 * was judged. */
status tune_write(const dataset *d, const sweep *s, double threshold, const labelled_pairs *pairs,
                  bool json, buf *out, err *e) MUST_USE;

#endif
