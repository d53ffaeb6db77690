/* conflicts.h - questions that are near-duplicates and got different answers. */
#ifndef TAMIS_CONFLICTS_H
#define TAMIS_CONFLICTS_H

#include "dataset.h"

/* Writes, as JSON lines, each kept turn some of whose duplicates were answered otherwise (the
 * cosine of the answers is below conflicts.below, and the texts differ), with those turns; those
 * with most first.  Answers are embedded as utterances are, and kept in the store. */
status conflicts_write(const job *j, const dataset *d, const char *path, export_result *out,
                       err *e) MUST_USE;

#endif
