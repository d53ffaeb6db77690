/* lines.c - lines out of a stream: pieces are gathered until they hold a newline. */
#include "base/lines.h"

#include <stdlib.h>

#include "base/compress.h"

enum { PIECE = 256 << 10 };

struct lines {
    instream *in;
    char *name;
    size_t limit;
    buf bytes; /* bytes[at..] are not handed out yet */
    size_t at;
    bool end; /* of the file */
    uint64_t number;
};

status lines_open(const char *path, size_t limit, const stop_flag *stop, lines **out, err *e)
{
    *out = NULL;
    lines *l = calloc(1, sizeof *l);
    if (!l) return err_nomem(e, "opening a file");
    l->limit = limit;
    l->name = strdup(strcmp(path, "-") ? path : "standard input");
    status st = l->name ? instream_open(path, stop, &l->in, e) : err_nomem(e, "opening a file");
    if (st)
        lines_close(l);
    else
        *out = l;
    return st;
}

void lines_close(lines *l)
{
    if (!l) return;
    instream_close(l->in);
    buf_release(&l->bytes);
    free(l->name);
    free(l);
}

uint64_t lines_number(const lines *l)
{
    return l->number;
}

const char *lines_name(const lines *l)
{
    return l->name;
}

static status more(lines *l, err *e)
{
    if (l->at) {
        memmove(l->bytes.p, l->bytes.p + l->at, l->bytes.n - l->at);
        l->bytes.n -= l->at;
        l->at = 0;
    }
    return instream_read(l->in, PIECE, &l->bytes, &l->end, e);
}

status lines_next(lines *l, str *line, err *e)
{
    for (size_t looked = 0;;) {
        str rest = l->bytes.p ? (str){l->bytes.p + l->at, l->bytes.n - l->at} : STR("");
        const char *nl = rest.n > looked ? memchr(rest.p + looked, '\n', rest.n - looked) : NULL;
        looked = rest.n;
        size_t n = nl ? (size_t)(nl - rest.p) + 1 : rest.n;
        if (n > l->limit)
            return err_set(e, ST_FAILED, "%s, line %llu: longer than %zu MiB", l->name,
                           (unsigned long long)l->number + 1, l->limit >> 20);
        if (nl || l->end) {
            *line = (str){rest.p, n};
            l->at += n;
            l->number += n > 0;
            return ST_OK;
        }
        status st = more(l, e);
        if (st) return st;
    }
}
