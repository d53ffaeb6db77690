/* fuzz_csv.c - any texts as fields: a reader that knows RFC 4180 finds them again. */
#include <string.h>

#include "export/export.h"
#include "fuzz.h"

enum { FIELDS = 3 };

/* Reads a field at *at, and what ends it (',' or '\r'). */
static void read_field(str row, size_t *at, buf *out, char *end)
{
    bool quoted = *at < row.n && row.p[*at] == '"';
    for (*at += quoted; *at < row.n; ++*at) {
        char c = row.p[*at];
        bool twice = c == '"' && *at + 1 < row.n && row.p[*at + 1] == '"';
        if (quoted && twice)
            ++*at;
        else if (quoted && c == '"')
            break;
        else if (!quoted && (c == ',' || c == '\r'))
            break;
        buf_char(out, c);
    }
    *at += quoted;
    must(*at < row.n);
    *end = row.p[(*at)++];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    buf row = {0}, back = {0};
    str text = {(const char *)data, size}, fields[FIELDS];
    for (int i = 0; i < FIELDS; i++) {
        size_t n = text.n < 2 ? text.n : text.n / 2;
        fields[i] = (str){text.p, n};
        text = (str){text.p + n, text.n - n};
        if (i) buf_char(&row, ',');
        csv_write_field(&row, fields[i]);
    }
    buf_char(&row, '\r');
    size_t at = 0;
    for (int i = 0; i < FIELDS; i++) {
        char end = 0;
        buf_clear(&back);
        read_field(buf_view(&row), &at, &back, &end);
        must(end == (i < FIELDS - 1 ? ',' : '\r') && str_eq(buf_view(&back), fields[i]));
    }
    must(at == row.n);
    buf_release(&row);
    buf_release(&back);
    return 0;
}
