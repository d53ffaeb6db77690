/* source/file.h - raw records from files: a page, an array, JSON lines; .gz, .zst, "-". */
#ifndef TAMIS_SOURCE_FILE_H
#define TAMIS_SOURCE_FILE_H

#include "base/buf.h"
#include "base/time.h"

/* Called for each record; `raw` is valid during the call.  Not ST_OK ends the reading
 * and is passed on. */
typedef status (*record_fn)(void *ctx, str raw, err *e);

/* Reads a file and hands on its records in order.  The form is told by the content:
 * an object with an "interactions" array is a page, an array is its elements, otherwise
 * one JSON value a line (blank lines skipped; a line that is not JSON is handed on as it
 * is, to be rejected alone).  gzip and zstd are told by their magic numbers.  A
 * compressed file that is cut short or damaged is ST_FAILED and names the file.
 * JSON lines are streamed; a page or an array must fit RECORD_LIMIT * 16 bytes.
 * stop: as in compress.h. */
status file_records(const char *path, const stop_flag *stop, record_fn fn, void *ctx,
                    err *e) MUST_USE;

#endif
