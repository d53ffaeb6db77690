/* file.c - tells the form of a file by its first value, and hands on its records.
 *
 *   first line holds a whole value     that value is a page or an array: each line is one, its
 *                                      elements are records; else each line is a record
 *   first line begins [ or {, and      read whole: values one after the other, pages, arrays,
 *   goes on in the next lines          records over several lines
 *   anything else                      each line is a record (to be rejected, it may be)
 *
 * A first line that does not end its value may also be a damaged record of JSON lines: it is
 * when a string in it is not closed and it has not begun a page or an array, or when the file as a
 * whole does not add up and its second line is a value by itself. */
#include "source/file.h"

#include "base/compress.h"
#include "base/json.h"
#include "base/utf8.h"
#include "record.h"
#include "source/page.h"

enum { CHUNK = 256 << 10 };
static const size_t WHOLE_LIMIT = (size_t)RECORD_LIMIT * 16;

typedef struct reading {
    const char *name; /* of the file, for messages */
    instream *in;
    buf bytes;
    size_t at; /* bytes[at..] are not handed on yet */
    bool end;  /* of the file */
    uint64_t line;
    record_fn fn;
    void *ctx;
} reading;

/* --- lines ----------------------------------------------------------------------------------- */

static status more(reading *r, err *e)
{
    if (r->at > r->bytes.n / 2) {
        memmove(r->bytes.p, r->bytes.p + r->at, r->bytes.n - r->at);
        r->bytes.n -= r->at;
        r->at = 0;
    }
    return instream_read(r->in, CHUNK, &r->bytes, &r->end, e);
}

static str rest(const reading *r)
{
    if (!r->bytes.p) return STR("");
    return (str){r->bytes.p + r->at, r->bytes.n - r->at};
}

/* The next line, without its end; `limit`: its longest.  *whole false: it is longer, or the file
 * has no further one (then it is empty).  Valid until more is read. */
static status peek_line(reading *r, size_t limit, str *line, bool *whole, err *e)
{
    size_t looked = 0;
    for (;;) {
        str s = rest(r);
        const char *nl = s.n > looked ? memchr(s.p + looked, '\n', s.n - looked) : NULL;
        looked = s.n;
        *line = nl ? (str){s.p, (size_t)(nl - s.p)} : s;
        *whole = nl || (r->end && s.n);
        if (line->n > limit) *whole = false;
        if (nl || r->end || line->n > limit) return ST_OK;
        status st = more(r, e);
        if (st) return st;
    }
}

static void skip_line(reading *r, str line)
{
    r->at += line.n;
    if (r->at < r->bytes.n) r->at++;
    r->line++;
}

static str trim(str s)
{
    size_t at = js_skip_blank(s, 0);
    s = (str){s.p + at, s.n - at};
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]) && s.p[s.n - 1]) s.n--;
    return s;
}

/* --- values ---------------------------------------------------------------------------------- */

static status element(void *ctx, str raw, err *e)
{
    const reading *r = ctx;
    if (raw.n > RECORD_LIMIT)
        return err_set(e, ST_FAILED, "%s: a record is larger than %d MiB", r->name,
                       RECORD_LIMIT >> 20);
    return r->fn(r->ctx, raw, e);
}

/* The array that a page or an array is; false: the value is something else.  What has messages is a
 * record, whatever else it has. */
static bool page_array(str value, str *array)
{
    if (value.n && *value.p == '[') return *array = value, true;
    return page_find(value, array) && !page_value(value, "messages").n;
}

static status cut_short(const reading *r, err *e)
{
    return err_set(e, ST_FAILED, "%s: JSON cut short, or brackets that do not match", r->name);
}

/* Hands on a value: the elements of a page or an array, or the value itself. */
static status hand_on(reading *r, str value, err *e)
{
    str array;
    if (page_array(value, &array)) return page_elements(array, element, r, e);
    return page_is_begun(value) ? cut_short(r, e) : element(r, value, e);
}

static status read_lines(reading *r, bool expand, err *e)
{
    for (;;) {
        str line;
        bool whole;
        size_t limit = expand ? WHOLE_LIMIT : RECORD_LIMIT;
        status st = peek_line(r, limit, &line, &whole, e);
        if (st) return st;
        if (!whole && !line.n) return ST_OK;
        if (!whole)
            return err_set(e, ST_FAILED, "%s: line %llu is longer than %zu MiB", r->name,
                           (unsigned long long)r->line + 1, limit >> 20);
        str value = trim(line);
        if (value.n) st = expand ? hand_on(r, value, e) : element(r, value, e);
        if (st) return st;
        skip_line(r, line);
    }
}

/* --- the whole file -------------------------------------------------------------------------- */

static status read_rest(reading *r, err *e)
{
    while (!r->end) {
        if (r->bytes.n - r->at > WHOLE_LIMIT)
            return err_set(e, ST_FAILED,
                           "%s: a page or an array larger than %zu MiB; split it, or write one "
                           "interaction a line",
                           r->name, WHOLE_LIMIT >> 20);
        status st = more(r, e);
        if (st) return st;
    }
    return ST_OK;
}

/* The value that text begins with; false: it does not end. */
static bool first_value(str text, str *value)
{
    bool bracket = *text.p == '{' || *text.p == '[';
    *value = (str){text.p, bracket ? page_value_end(text) : js_value_end(text, 0)};
    return value->n > 0;
}

static str behind(str text, str value)
{
    return trim((str){text.p + value.n, text.n - value.n});
}

/* Whether text is values one after the other, to its end. */
static bool adds_up(str text)
{
    for (str value; text.n; text = behind(text, value))
        if (!first_value(text, &value)) return false;
    return true;
}

static bool second_line_is_value(str text)
{
    const char *nl = memchr(text.p, '\n', text.n);
    if (!nl) return false;
    text = trim((str){nl + 1, text.n - (size_t)(nl + 1 - text.p)});
    nl = text.n ? memchr(text.p, '\n', text.n) : NULL;
    str line = trim((str){text.p, nl ? (size_t)(nl - text.p) : text.n});
    return line.n && *line.p == '{' && page_value_end(line) == line.n;
}

static status read_whole(reading *r, err *e)
{
    status st = read_rest(r, e);
    if (st) return st;
    str text = trim(rest(r)), value;
    if (!adds_up(text)) {
        if (second_line_is_value(text)) return read_lines(r, false, e);
        return cut_short(r, e);
    }
    for (; text.n && st == ST_OK; text = behind(text, value))
        st = first_value(text, &value) ? hand_on(r, value, e) : ST_OK;
    return st;
}

/* --- what it is ------------------------------------------------------------------------------ */

static bool string_is_open(str line)
{
    bool open = false;
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] == '\\' && open)
            i++;
        else if (line.p[i] == '"')
            open = !open;
    }
    return open;
}

/* Leaves out a byte order mark and blanks at the front. */
static status skip_front(reading *r, err *e)
{
    while (r->bytes.n < 3 && !r->end) {
        status st = more(r, e);
        if (st) return st;
    }
    str text = rest(r);
    if (text.n >= 2 && (!memcmp(text.p, "\xFF\xFE", 2) || !memcmp(text.p, "\xFE\xFF", 2)))
        return err_set(e, ST_FAILED, "%s is UTF-16; convert it to UTF-8", r->name);
    r->at += text.n - utf8_skip_bom(text).n;
    for (;;) {
        text = rest(r);
        size_t n = js_skip_blank(text, 0);
        for (size_t i = 0; i < n; i++) r->line += text.p[i] == '\n';
        r->at += n;
        if (n < text.n || r->end) return ST_OK;
        status st = more(r, e);
        if (st) return st;
    }
}

static status read_records(reading *r, err *e)
{
    str line, array;
    bool whole;
    status st = skip_front(r, e);
    str text = rest(r);
    if (st || !text.n) return st;
    bool bracket = *text.p == '{' || *text.p == '[';
    if (!bracket) return read_lines(r, false, e);
    st = peek_line(r, WHOLE_LIMIT, &line, &whole, e);
    if (st) return st;
    str value = trim(line);
    size_t end = page_value_end(value);
    if (!whole || (!end && (page_is_begun(value) || !string_is_open(value))))
        return read_whole(r, e);
    bool expand = end && page_array((str){value.p, end}, &array);
    if (expand && end < value.n)
        return err_set(e, ST_FAILED, "%s: something stands behind the page on line %llu", r->name,
                       (unsigned long long)r->line + 1);
    return read_lines(r, expand, e);
}

status file_records(const char *path, const stop_flag *stop, record_fn fn, void *ctx, err *e)
{
    reading r = {.name = strcmp(path, "-") ? path : "standard input", .fn = fn, .ctx = ctx};
    status st = instream_open(path, stop, &r.in, e);
    if (st) return st;
    st = read_records(&r, e);
    instream_close(r.in);
    buf_release(&r.bytes);
    return st;
}
