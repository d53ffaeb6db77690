/* manifest.h - what the exported files are: their hashes, and what they were made from. */
#ifndef TAMIS_MANIFEST_H
#define TAMIS_MANIFEST_H

#include "dataset.h"

/* Writes a JSON object about the files that s->files names.  It has no time in it and nothing of
 * this machine: the same input gives the same bytes. */
status manifest_write(const job *j, const dataset *d, const summary *s, const char *path,
                      export_result *out, err *e) MUST_USE;

#endif
