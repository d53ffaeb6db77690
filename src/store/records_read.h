/* records_read.h - packed records, one or all of them. */
#ifndef TAMIS_STORE_RECORDS_READ_H
#define TAMIS_STORE_RECORDS_READ_H

#include "base/compress.h"
#include "store/store.h"
#include "store/store_sqlite.h"

enum { RECORD_BYTES = 1000000000 }; /* SQLite's own limit for a blob */

/* For messages: the store, what the record is of, and the id of that. */
typedef struct record_name {
    const char *store, *what;
    str id;
} record_name;

/* Appends a packed record. */
status record_unpack(packer *p, const record_name *name, str packed, buf *out, err *e) MUST_USE;

/* What its source column says; one that a later version numbered is unknown to this one. */
origin column_origin(rows *r, int at);

/* As store_visit_each. */
status records_read(db *d, const char *store_name, const store_visit *v, err *e) MUST_USE;

#endif
