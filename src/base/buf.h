/* buf.h - bytes that grow.
 *
 * Appending never fails visibly: when memory runs out the buffer keeps what it
 * has, sets `oom`, and ignores what follows; whoever uses the result checks
 * buf_ok() once.  One owner, one thread. */
#ifndef TAMIS_BASE_BUF_H
#define TAMIS_BASE_BUF_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef struct buf {
    char *p; /* NULL while empty; n bytes used of cap */
    size_t n, cap;
    bool oom;
} buf;

/* A zero-initialised buf is ready.  clear keeps the memory. */
void buf_release(buf *b);
void buf_clear(buf *b);

void buf_add(buf *b, const void *bytes, size_t n);
void buf_str(buf *b, str s);
void buf_z(buf *b, const char *z);
void buf_char(buf *b, char c);
void buf_fmt(buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Room for n more bytes behind the n used; NULL (and oom) when there is none. */
char *buf_reserve(buf *b, size_t n);

static inline bool buf_ok(const buf *b)
{
    return !b->oom;
}

static inline str buf_view(const buf *b)
{
    return (str){b->p, b->n};
}

/* The text as a C string owned by the buffer; NULL when memory is out. */
const char *buf_cstr(buf *b);

#endif
