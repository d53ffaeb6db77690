/* texts.c - reads standard input in large pieces; a text lies where it was read.
 *
 * Nothing in the buffer moves while texts of the batch lie in it, so a batch ends at the latest
 * when the buffer is full; only a single line longer than it makes it grow, to LINE_LIMIT at
 * most. */
#include "texts.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUFFER = 1 << 20,
    LINE_LIMIT = 16 << 20,
    GATHER_MS = 10 /* a writer that is busy fills a pipe again within this time */
};

static void clear(text_reader *r)
{
    for (size_t i = 0; r->jsonl && i < r->n; i++) free((char *)r->texts[i].bytes);
    r->n = 0;
}

void text_reader_release(text_reader *r)
{
    clear(r);
    free(r->buffer);
    r->buffer = NULL;
}

/* Makes room behind `end`; only between batches. */
static int make_room(text_reader *r)
{
    if (r->from) memmove(r->buffer, r->buffer + r->from, r->end - r->from);
    r->scan -= r->from;
    r->end -= r->from;
    r->from = 0;
    if (r->end < r->cap) return 0;
    if (r->cap >= LINE_LIMIT)
        return cli_fail(TAMIS_FAILED, "standard input, line %llu: longer than %d MiB", r->line + 1,
                        LINE_LIMIT >> 20);
    size_t cap = r->cap ? r->cap * 2 : BUFFER;
    char *buffer = realloc(r->buffer, cap);
    if (!buffer) return cli_fail(TAMIS_FAILED, "out of memory reading line %llu", r->line + 1);
    r->buffer = buffer;
    r->cap = cap;
    return 0;
}

/* Whether a read would give something, or the end, within `ms` (-1: wait for it). */
static bool is_readable(int ms)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&p, 1, ms) != 0;
}

static int read_some(text_reader *r)
{
    for (;;) {
        ssize_t n = read(STDIN_FILENO, r->buffer + r->end, r->cap - r->end);
        if (n >= 0) {
            r->end += (size_t)n;
            r->at_end = n == 0;
            return 0;
        }
        if (cli_stop) return cli_fail(TAMIS_INCOMPLETE, "interrupted");
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            (void)is_readable(-1);
        else if (errno != EINTR)
            return cli_fail(TAMIS_FAILED, "cannot read standard input: %s", strerror(errno));
    }
}

static int take(text_reader *r, const char *line, size_t n)
{
    static const char mark[] = {'\xEF', '\xBB', '\xBF'}; /* of byte order: not a part of JSON */
    tamis_error e = {0};
    char *text = NULL;
    r->line++;
    if (r->jsonl && r->line == 1 && n >= sizeof mark && !memcmp(line, mark, sizeof mark)) {
        line += sizeof mark;
        n -= sizeof mark;
    }
    if (r->jsonl && tamis_text_of_json(line, n, &text, &n, &e))
        return cli_fail((int)e.status, "standard input, line %llu: %s", r->line, e.message);
    r->texts[r->n++] = (tamis_text){r->jsonl ? text : line, n};
    return 0;
}

/* Takes the lines that lie in the buffer; at the end of the input also the last without newline. */
static int take_lines(text_reader *r, size_t most)
{
    int rc = 0;
    while (!rc && r->n < most && r->from < r->end) {
        char *start = r->buffer + r->from;
        char *end = memchr(r->buffer + r->scan, '\n', r->end - r->scan);
        if (!end && !r->at_end) {
            r->scan = r->end;
            break;
        }
        if (!end) end = r->buffer + r->end;
        rc = take(r, start, (size_t)(end - start));
        r->from = (size_t)(end - r->buffer) + 1;
        if (r->from > r->end) r->from = r->end;
        r->scan = r->from;
    }
    return rc;
}

int text_reader_fill(text_reader *r, size_t most)
{
    clear(r);
    int rc = 0;
    for (;;) {
        rc = take_lines(r, most);
        if (rc || r->n == most || r->at_end) return rc;
        if (r->n && (r->end == r->cap || !is_readable(GATHER_MS))) return 0;
        if (!r->n) rc = make_room(r);
        if (!rc) rc = read_some(r);
        if (rc) return rc;
    }
}

uint64_t text_reader_count_ahead(void)
{
    struct stat s;
    off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
    if (at < 0 || fstat(STDIN_FILENO, &s) || !S_ISREG(s.st_mode)) return 0;
    char *piece = malloc(BUFFER), last = '\n';
    uint64_t n_lines = 0;
    ssize_t n;
    while (piece && (n = pread(STDIN_FILENO, piece, BUFFER, at)) > 0) {
        const char *end = piece + n;
        for (char *p = piece; (p = memchr(p, '\n', (size_t)(end - p))); p++) n_lines++;
        last = end[-1];
        at += n;
    }
    free(piece);
    return n_lines + (last != '\n');
}
