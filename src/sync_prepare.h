/* sync_prepare.h - what is to be done with a page's records and needs no store, by several threads.
 *
 * What comes out does not depend on how many they are. */
#ifndef TAMIS_SYNC_PREPARE_H
#define TAMIS_SYNC_PREPARE_H

#include "record.h"
#include "store/store.h"

typedef struct prepared {
    interaction of; /* as far as it could be read */
    const char *why; /* it cannot be used; NULL: it can */
    bool has_form;
    store_form form;
} prepared;

/* How much to do. */
typedef enum {
    PREPARE_READ, /* only read it */
    PREPARE_HASH, /* its form, not packed yet: enough for what is stored already */
    PREPARE_PACK  /* its form */
} prepare_extent;

/* Reads one record.  ST_FAILED: out of memory; a record that cannot be used is none.  All that
 * *out points to lives in `a`. */
status prepare_record(str raw, arena *a, prepared *out, err *e) MUST_USE;

typedef struct preparer preparer;

/* n_threads: at least 1; 0: as many as are of use. */
status preparer_new(int n_threads, preparer **out, err *e) MUST_USE;
void preparer_free(preparer *p);

/* Prepares records; (*out)[n] is of raws[n], and lives until the next call.  ST_FAILED: out of
 * memory. */
status preparer_run(preparer *p, const str *raws, size_t n, prepare_extent extent,
                    const prepared **out, err *e) MUST_USE;

#endif
