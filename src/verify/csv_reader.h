/* csv_reader.h - the CSV dialect of the export, read strictly: one sequence of records has one
 * spelling, so whoever compares the fields has compared the bytes. */
#ifndef TAMIS_VERIFY_CSV_READER_H
#define TAMIS_VERIFY_CSV_READER_H

#include <stdint.h>

#include "base/arena.h"

enum { CSV_FIELDS_MAX = 64 };

typedef struct csv_reader {
    str text;      /* the whole file; borrowed */
    size_t at;     /* where the next record begins */
    uint64_t line; /* ... and its line, from 1 */
    arena unquoted;
} csv_reader;

/* Begin with {.text = ..., .line = 1}. */
void csv_reader_release(csv_reader *r);

typedef struct csv_record {
    str fields[CSV_FIELDS_MAX]; /* [n] quotes taken away; valid until the next call */
    size_t n;
    uint64_t line;
    const char *fault; /* CSV_BROKEN: what is wrong */
} csv_record;

typedef enum { CSV_RECORD, CSV_END, CSV_BROKEN } csv_result;

/* The next record.  Broken is what Python's csv.writer would not have written: a line end that is
 * not CRLF, a quote where none belongs or is needed, one that is never closed, no CRLF at the
 * end of the file, more than CSV_FIELDS_MAX fields (or memory is out).  Reading then goes on
 * behind the next CRLF. */
csv_result csv_next(csv_reader *r, csv_record *out);

#endif
