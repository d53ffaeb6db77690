/* outputs.h - where the files of [export] go, and whether they can. */
#ifndef TAMIS_OUTPUTS_H
#define TAMIS_OUTPUTS_H

#include "config.h"
#include "summary.h"

/* The path of each file as configured; empty: it is not wanted. */
void outputs_paths(const config *c, const char *paths[OUT_COUNT]);

/* ST_USAGE: one is "-"; two of them have one path, or one has that of the store or of a file that
 * is read, which it would replace; or the shares of a split that is wanted make more than 1. */
status outputs_check(const config *c, err *e) MUST_USE;

/* The same of the ledger of `dedup`.  ST_USAGE: it would replace the store or a file that is
 * read. */
status outputs_check_removed(const config *c, const char *path, err *e) MUST_USE;

/* ST_FAILED: a file cannot be made where it should go.  Asked before the first is written, so
 * that they stay a set. */
status outputs_can_write(const config *c, err *e) MUST_USE;

#endif
