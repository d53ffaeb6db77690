/* csv_reader.c - records of a CSV file, strictly.
 *
 * Written from the dialect (RFC 4180 with quotes only where needed), not from the writer: the
 * two share no code. */
#include "verify/csv_reader.h"

void csv_reader_release(csv_reader *r)
{
    arena_release(&r->unquoted);
    *r = (csv_reader){0};
}

static bool is_crlf(str t, size_t at)
{
    return at + 1 < t.n && t.p[at] == '\r' && t.p[at + 1] == '\n';
}

/* The field without quotes that begins at *at; *at moves to the comma or CRLF behind it. */
static const char *plain_field(str t, size_t *at, str *out)
{
    size_t end = *at;
    while (end < t.n && t.p[end] != ',' && !is_crlf(t, end)) {
        if (t.p[end] == '"') return "a quote inside a field without quotes";
        if (t.p[end] == '\r' || t.p[end] == '\n') return "a line that does not end in CR LF";
        end++;
    }
    if (end == t.n) return "the file does not end in CR LF";
    *out = (str){t.p + *at, end - *at};
    *at = end;
    return NULL;
}

/* The field in quotes whose opening quote is at *at. */
static const char *quoted_field(csv_reader *r, size_t *at, str *out)
{
    const str t = r->text;
    size_t from = *at + 1, end = from, doubled = 0;
    for (;; end++) {
        if (end == t.n) return "a quote that is never closed";
        if (t.p[end] != '"') continue;
        if (end + 1 == t.n || t.p[end + 1] != '"') break;
        end++;
        doubled++;
    }
    if (end + 1 == t.n || (t.p[end + 1] != ',' && !is_crlf(t, end + 1)))
        return "something behind a closing quote";
    *at = end + 1;
    *out = (str){t.p + from, end - from};
    if (!doubled) {
        for (size_t i = 0; i < out->n; i++)
            if (strchr(",\r\n", out->p[i]) && out->p[i]) return NULL;
        return "quotes that are not needed";
    }
    char *copy = arena_alloc(&r->unquoted, end - from, 1);
    if (!copy) return "out of memory";
    size_t n = 0;
    for (size_t i = from; i < end; i++) {
        copy[n++] = t.p[i];
        i += t.p[i] == '"';
    }
    *out = (str){copy, n};
    return NULL;
}

static const char *read_record(csv_reader *r, csv_record *out, size_t *end)
{
    size_t at = r->at;
    for (;;) {
        if (out->n == CSV_FIELDS_MAX) return "too many fields";
        str *field = &out->fields[out->n++];
        bool quoted = at < r->text.n && r->text.p[at] == '"';
        const char *fault = quoted ? quoted_field(r, &at, field) : plain_field(r->text, &at, field);
        if (fault) return fault;
        if (r->text.p[at] != ',') break;
        at++;
    }
    *end = at + 2;
    return NULL;
}

csv_result csv_next(csv_reader *r, csv_record *out)
{
    size_t end = r->at;
    out->n = 0;
    out->line = r->line;
    out->fault = NULL;
    if (r->at >= r->text.n) return CSV_END;
    arena_reset(&r->unquoted);
    out->fault = read_record(r, out, &end);
    if (out->fault) {
        while (end < r->text.n && !is_crlf(r->text, end)) end++;
        end = end < r->text.n ? end + 2 : r->text.n;
    }
    for (; r->at < end; r->at++) r->line += r->text.p[r->at] == '\n';
    return out->fault ? CSV_BROKEN : CSV_RECORD;
}
