/* dedup_run.h - the deduplication alone: rows in, distinct rows out, no store. */
#ifndef TAMIS_DEDUP_RUN_H
#define TAMIS_DEDUP_RUN_H

#include "base/buf.h"
#include "base/log.h"
#include "base/time.h"

typedef struct dedup_job {
    const char *path;    /* JSON lines, or rows of float32 if dim > 0; "-": standard input */
    const char *field;   /* the text of a line's object */
    const char *group;   /* lines whose values of it differ never meet; NULL: one group */
    const char *removed; /* the file for what was removed; NULL: none */
    size_t dim;          /* 0, or floats in a row, at most DEDUP_DIM_MAX */
    double threshold;
    const char *memory; /* dedup.memory; empty: no limit */
    const char *model_dir;
    int n_threads;
    const logger *log;
    const stop_flag *stop;
    /* Takes the output, piece by piece, once everything is decided; an empty one at the end,
     * to flush. */
    status (*write)(void *ctx, str bytes, err *e);
    void *ctx;
} dedup_job;

enum { DEDUP_DIM_MAX = 4096 };

typedef struct dedup_summary {
    uint64_t rows, distinct, kept; /* distinct: texts or vectors */
    double seconds_read, seconds_embed, seconds_dedup, seconds_total;
} dedup_summary;

/* The kept rows in order: lines byte for byte, or numbers of rows from 1.  ST_FAILED: a line
 * that is not an object with the text (and the group), a row that has no direction, ...; the
 * message names the line or row, and nothing was written. */
status dedup_run(const dedup_job *j, dedup_summary *s, err *e) MUST_USE;

/* The summary as a line to read, or as a JSON object. */
void dedup_summary_write(const dedup_summary *s, bool json, buf *out);

#endif
