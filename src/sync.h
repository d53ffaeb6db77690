/* sync.h - what the API serves, or a file holds, into the store, whatever happens. */
#ifndef TAMIS_SYNC_H
#define TAMIS_SYNC_H

#include "curate/redact.h"
#include "source/slices.h"
#include "source/source.h"
#include "store/store.h"

typedef struct sync_counts {
    uint64_t received, added, updated, rejected, forgotten;
} sync_counts;

typedef struct sync_options {
    const char *source_name; /* what the slices are filed under: the API's address */
    instant since;           /* INSTANT_MIN: everything */
    const instant *resync;   /* read again all that is not older than this; NULL: what is new */
    double lookback, settle; /* seconds */
    uint32_t page_size;
    int n_threads;            /* that prepare records; 0: as many as are of use */
    const redactor *redactor; /* redact.store = yes, else NULL */
    const logger *log;
} sync_options;

/* What a store that has finished slices (else found is false) knows of them: see store_cursor. */
typedef struct sync_known {
    bool found;
    instant newest, lowest;
} sync_known;

/* The slice after the ones that are done, up to hi. */
slice sync_plan(const sync_options *o, const sync_known *k, instant hi, uint32_t page_size);

/* Reads the unfinished slices if there are any, then the one up to now.  Each page and the
 * slice's progress are one transaction.  ST_INCOMPLETE: what arrived is kept. */
status sync_run(store *st, source *src, const sync_options *o, sync_counts *counts,
                err *e) MUST_USE;

/* Keeps every record of a file (source/file.h), in one transaction: a file that turns out
 * damaged leaves the store as it was.  ST_INCOMPLETE: stopped; what arrived is kept.
 * cleaner: redact.store = yes, else NULL. */
status sync_import(store *st, const char *path, const redactor *cleaner, const logger *log,
                   const stop_flag *stop, sync_counts *counts, err *e) MUST_USE;

#endif
