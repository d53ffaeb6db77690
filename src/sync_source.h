/* sync_source.h - the sync that fits source.type. */
#ifndef TAMIS_SYNC_SOURCE_H
#define TAMIS_SYNC_SOURCE_H

#include "config.h"
#include "sync.h"

typedef struct sync_job {
    const config *config;
    store *store;
    const redactor *redactor; /* redact.store = yes, else NULL */
    const instant *resync;    /* see sync.h */
    int n_threads;            /* see sync.h */
    const logger *log;
    const stop_flag *stop;
} sync_job;

/* Reads the configured source up to now: an API, or a file.  Errors as sync_run; ST_USAGE: the
 * configuration cannot work.  stats stay as they are for a file. */
status sync_source(const sync_job *j, sync_counts *counts, source_stats *stats, err *e) MUST_USE;

#endif
