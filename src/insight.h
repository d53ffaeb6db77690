/* insight.h - a second look at a curation: help with the threshold, and the report. */
#ifndef TAMIS_INSIGHT_H
#define TAMIS_INSIGHT_H

#include "job.h"

/* What `tamis tune` answers.  pairs: a file of labelled pairs (labelled_pairs.h), or NULL; a label
 * from same_from on says "the same".  Curates first where the verdicts are not current. */
status insight_tune(const job *j, const char *pairs, double same_from, bool json, buf *out,
                    err *e) MUST_USE;

/* The page of `tamis report`.  Curates first where the verdicts are not current. */
status insight_report(const job *j, buf *out, err *e) MUST_USE;

#endif
