/* lines.h - a file's lines, one after the other; gzip and zstd as compress.h reads them. */
#ifndef TAMIS_BASE_LINES_H
#define TAMIS_BASE_LINES_H

#include <stdint.h>

#include "base/buf.h"
#include "base/time.h"

typedef struct lines lines;

/* "-": standard input.  limit: the longest line that is taken.  stop: as in compress.h. */
status lines_open(const char *path, size_t limit, const stop_flag *stop, lines **out,
                  err *e) MUST_USE;
void lines_close(lines *l); /* NULL is fine */

/* The next line with the newline that ends it (the last one may lack it), valid until the next
 * call; empty: there is none.  ST_FAILED: it cannot be read, or is longer than the limit. */
status lines_next(lines *l, str *line, err *e) MUST_USE;

/* The number of the line that lines_next gave last, from 1; 0 before the first. */
uint64_t lines_number(const lines *l);

/* The file, for messages. */
const char *lines_name(const lines *l);

#endif
