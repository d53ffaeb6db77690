/* json.c - JSON through jansson, and the parts that it does not do.
 *
 * jansson refuses ill-formed UTF-8 and lone surrogates (mended here first), NUL in names, and
 * allows 2,048 levels (we allow 64, counted before parsing).  It passes over a NUL byte behind a
 * number or a word, where JSON has no byte of that kind anywhere.  Integers are read
 * as doubles so that a number of any length is legal up to the double range;
 * who needs the digits as they stand cuts them from the raw text.  jansson calls it an invalid
 * token when there is no memory for one, so its allocations go by here to be told apart: a good
 * record must not pass for a bad one.  Worse, jansson 2.14 does not look whether the buffer of a
 * token could grow, and then reads on behind it: that buffer is given memory that was set aside. */
#include "base/json.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "base/utf8.h"

static json_t *node(const js *j)
{
    return (json_t *)j;
}

/* Nesting of the text outside its strings, counted up to JS_DEPTH + 1. */
static int depth_of(str text)
{
    int depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n && deepest <= JS_DEPTH; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > deepest) deepest = depth;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return deepest;
}

static _Thread_local bool out_of_memory; /* in the parse that is going on */
static _Thread_local buf spare;          /* ... for the buffer of a token */
static json_malloc_t get_memory;         /* what a host program that uses jansson has set, too */
static json_free_t free_memory;

/* What the buffer of a token asks for when it grows: 16 bytes doubled. */
static bool is_growth(size_t n)
{
    return n >= 32 && (n & (n - 1)) == 0;
}

static void *allocate(size_t n)
{
    void *p = get_memory(n);
    if (p) return p;
    out_of_memory = true;
    if (!is_growth(n) || n > spare.cap - spare.n) return NULL;
    p = spare.p + spare.n;
    spare.n += n;
    return p;
}

static void give_back(void *p)
{
    uintptr_t at = (uintptr_t)p, from = (uintptr_t)spare.p;
    if (at < from || at >= from + spare.cap) free_memory(p);
}

static void watch_allocations(void)
{
    json_get_alloc_funcs(&get_memory, &free_memory);
    json_set_alloc_funcs(allocate, give_back);
}

/* jansson's own part; NULL: it is not JSON, or out_of_memory says that there was none. */
static json_t *load(str text, json_error_t *why)
{
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    out_of_memory = !buf_reserve(&spare, 4 * text.n + 64); /* all that a token of it can ask for */
    json_t *root = out_of_memory ? NULL : json_loadb(text.p ? text.p : "", text.n, flags, why);
    if (out_of_memory) { /* what it made all the same may lack members */
        json_decref(root);
        root = NULL;
    }
    buf_release(&spare);
    return root;
}

static size_t string_end(str t, size_t at);

/* Copies a text with U+FFFD for each NUL in a name, which jansson does not take: no name that
 * matters has one. */
static void mend_names(str t, buf *out)
{
    size_t good = 0, end;
    for (size_t at = 0; at < t.n; at = end) {
        end = t.p[at] == '"' ? string_end(t, at) : at + 1;
        if (!end) break;
        const size_t next = js_skip_blank(t, end);
        const bool is_name = t.p[at] == '"' && next < t.n && t.p[next] == ':';
        for (size_t i = at; is_name && i < end; i += t.p[i] == '\\' ? 2 : 1) {
            if (end - i < 6 || memcmp(t.p + i, "\\u0000", 6) != 0) continue;
            buf_add(out, t.p + good, i - good);
            buf_z(out, "\\uFFFD");
            good = i + 6;
        }
    }
    buf_add(out, t.p + good, t.n - good);
}

/* How much of what jansson says is about the text and not of it: behind that come up to 20 bytes
 * that stand there, which may be what somebody said. */
static int length_of_why(const char *why)
{
    static const char *const shown[] = {" near '", " '\\u"};
    size_t n = strlen(why);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const char *at = strstr(why, shown[i]);
        if (at && (size_t)(at - why) < n) n = (size_t)(at - why);
    }
    return (int)n;
}

status js_parse(str text, js **out, err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    json_error_t why;
    *out = NULL;
    pthread_once(&once, watch_allocations);
    if (depth_of(text) > JS_DEPTH)
        return err_set(e, ST_FAILED, "JSON nested deeper than %d levels", JS_DEPTH);
    const char *nul = text.n ? memchr(text.p, 0, text.n) : NULL;
    if (nul) return err_set(e, ST_FAILED, "not JSON: a NUL (byte %zu)", (size_t)(nul - text.p) + 1);
    json_t *root = load(text, &why);
    if (!root && !out_of_memory && json_error_code(&why) == json_error_null_byte_in_key) {
        buf mended = {0};
        mend_names(text, &mended);
        out_of_memory = !buf_ok(&mended);
        if (!out_of_memory) root = load(buf_view(&mended), &why);
        buf_release(&mended);
    }
    if (out_of_memory) return err_nomem(e, "reading JSON");
    if (!root)
        return err_set(e, ST_FAILED, "not JSON: %.*s (byte %d)", length_of_why(why.text), why.text,
                       why.position);
    *out = (js *)root;
    return ST_OK;
}

void js_free(js *root)
{
    json_decref(node(root));
}

js_kind js_type(const js *j)
{
    if (!j) return JS_NONE;
    switch (json_typeof(node(j))) {
    case JSON_OBJECT:
        return JS_OBJECT;
    case JSON_ARRAY:
        return JS_ARRAY;
    case JSON_STRING:
        return JS_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return JS_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return JS_BOOL;
    case JSON_NULL:
        return JS_NULL;
    }
    return JS_NONE;
}

const js *js_get(const js *object, const char *key)
{
    return (const js *)json_object_get(node(object), key);
}

size_t js_size(const js *array)
{
    return json_array_size(node(array));
}

const js *js_at(const js *array, size_t i)
{
    return (const js *)json_array_get(node(array), i);
}

str js_string(const js *j)
{
    if (js_type(j) != JS_STRING) return (str){0};
    return (str){json_string_value(node(j)), json_string_length(node(j))};
}

double js_number(const js *j, double otherwise)
{
    return js_type(j) == JS_NUMBER ? json_number_value(node(j)) : otherwise;
}

bool js_true(const js *j)
{
    return j && json_is_true(node(j));
}

js_members *js_next(const js *object, js_members *it, str *key, const js **value)
{
    void *next = it ? json_object_iter_next(node(object), it) : json_object_iter(node(object));
    if (!next) return NULL;
    *key = (str){json_object_iter_key(next), json_object_iter_key_len(next)};
    *value = (const js *)json_object_iter_value(next);
    return next;
}

/* The four hex digits at s.p[at], or -1. */
static int hex4(str s, size_t at)
{
    int v = 0;
    if (at > s.n || s.n - at < 4) return -1;
    for (size_t i = at; i < at + 4; i++) {
        int c = (unsigned char)s.p[i];
        if (!isxdigit(c)) return -1;
        v = v * 16 + (isdigit(c) ? c - '0' : (c | 32) - 'a' + 10);
    }
    return v;
}

/* At a "\uXXXX" (s.p[at] is the backslash): how long the escape is, a pair
 * counted whole, and whether it is half a pair. */
static size_t escape_length(str s, size_t at, bool *lone)
{
    int u = at + 1 < s.n && s.p[at + 1] == 'u' ? hex4(s, at + 2) : -1;
    *lone = u >= 0xD800 && u <= 0xDFFF;
    if (u >= 0xD800 && u <= 0xDBFF && at + 7 < s.n && s.p[at + 6] == '\\' && s.p[at + 7] == 'u') {
        int v = hex4(s, at + 8);
        if (v >= 0xDC00 && v <= 0xDFFF) {
            *lone = false;
            return 12;
        }
    }
    return u >= 0 ? 6 : at + 2 <= s.n ? 2 : 1;
}

/* Copies s with lone surrogate escapes replaced; false if there was none. */
static bool mend_escapes(str s, buf *out)
{
    size_t good = 0;
    for (size_t at = 0; at < s.n;) {
        if (s.p[at] != '\\') {
            at++;
            continue;
        }
        bool lone;
        size_t n = escape_length(s, at, &lone);
        if (lone) {
            buf_add(out, s.p + good, at - good);
            buf_z(out, "\\uFFFD");
            good = at + n;
        }
        at += n;
    }
    if (!good) return false;
    buf_add(out, s.p + good, s.n - good);
    return true;
}

str js_mend(str text, buf *scratch)
{
    buf_clear(scratch);
    bool escapes = mend_escapes(text, scratch);
    str s = escapes ? buf_view(scratch) : text;
    if (!buf_ok(scratch) || utf8_valid(s)) return s;
    buf whole = {0};
    utf8_repair(&whole, s);
    buf_release(scratch);
    *scratch = whole;
    return buf_view(scratch);
}

size_t js_skip_blank(str text, size_t at)
{
    while (at < text.n && strchr(" \t\r\n", text.p[at]) && text.p[at]) at++;
    return at;
}

/* Behind the closing quote of the string that starts at `at`; 0: not closed. */
static size_t string_end(str t, size_t at)
{
    for (at++; at < t.n; at++) {
        at += js_plain(t.p + at, t.n - at);
        if (at < t.n && t.p[at] == '\\')
            at++;
        else if (at < t.n && t.p[at] == '"')
            return at + 1;
    }
    return 0;
}

static size_t bracket_end(str t, size_t at)
{
    size_t depth = 0;
    while (at < t.n) {
        char c = t.p[at];
        if (c == '"') {
            at = string_end(t, at);
            if (!at) return 0;
            continue;
        }
        at++;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && --depth == 0) return at;
    }
    return 0;
}

size_t js_value_end(str t, size_t at)
{
    if (at >= t.n) return 0;
    if (t.p[at] == '"') return string_end(t, at);
    if (t.p[at] == '{' || t.p[at] == '[') return bracket_end(t, at);
    size_t start = at;
    while (at < t.n && !strchr(",]} \t\r\n", t.p[at])) at++;
    return at > start ? at : 0;
}

js_cut_result js_cut(js_cutter *c, str *key, str *item)
{
    str t = c->text;
    size_t at = js_skip_blank(t, c->at);
    if (!c->begun && at < t.n)
        c->begun = true, at = js_skip_blank(t, at + 1);
    else if (at < t.n && t.p[at] == ',')
        at = js_skip_blank(t, at + 1);
    if (at >= t.n) return JS_CUT_BROKEN;
    if (t.p[at] == ']' || t.p[at] == '}') {
        c->at = at + 1;
        return JS_CUT_END;
    }
    bool object = t.p[js_skip_blank(t, 0)] == '{';
    if (object) {
        size_t end = t.p[at] == '"' ? string_end(t, at) : 0;
        if (!end) return JS_CUT_BROKEN;
        *key = (str){t.p + at + 1, end - at - 2};
        at = js_skip_blank(t, end);
        if (at >= t.n || t.p[at] != ':') return JS_CUT_BROKEN;
        at = js_skip_blank(t, at + 1);
    }
    size_t end = js_value_end(t, at);
    if (!end) return JS_CUT_BROKEN;
    *item = (str){t.p + at, end - at};
    c->at = js_skip_blank(t, end);
    bool goes_on = c->at < t.n && strchr(object ? ",}" : ",]", t.p[c->at]) && t.p[c->at];
    return goes_on ? JS_CUT_ITEM : JS_CUT_BROKEN;
}

bool js_key_is(str raw, const char *name)
{
    size_t at = 0;
    for (; *name && at < raw.n; name++) {
        int c = (unsigned char)raw.p[at];
        size_t n = 1;
        if (c == '\\') {
            c = at + 1 < raw.n && raw.p[at + 1] == 'u' ? hex4(raw, at + 2) : -1;
            n = 6;
        }
        if (c != (unsigned char)*name) return false;
        at += n;
    }
    return !*name && at == raw.n;
}

/* Behind `byte`, which is the next but for blanks; 0: it is not. */
static size_t behind(str t, size_t at, char byte)
{
    at = js_skip_blank(t, at);
    return at < t.n && t.p[at] == byte ? at + 1 : 0;
}

bool js_only_member(str t, const char *key, str *value)
{
    size_t n = strlen(key), at = behind(t, 0, '{');
    at = at ? behind(t, at, '"') : 0;
    if (!at || t.n - at < n || memcmp(t.p + at, key, n) != 0) return false;
    at += n;
    if (at >= t.n || t.p[at++] != '"') return false;
    at = behind(t, at, ':');
    size_t start = at ? behind(t, at, '"') : 0, end = start;
    if (!start) return false;
    while (end < t.n && (unsigned char)t.p[end] >= ' ' && t.p[end] != '"' && t.p[end] != '\\')
        end++;
    if (end >= t.n || t.p[end] != '"') return false;
    at = behind(t, end + 1, '}');
    *value = (str){t.p + start, end - start};
    return at && js_skip_blank(t, at) == t.n && utf8_valid(*value);
}

void js_write_string(buf *b, str text)
{
    buf_char(b, '"');
    size_t good = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x80) {
            size_t end = i;
            if (utf8_next(text, &end) == UTF8_REPLACEMENT) {
                buf_add(b, text.p + good, i - good);
                buf_z(b, "\xEF\xBF\xBD");
                good = end;
            }
            i = end - 1;
            continue;
        }
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
        buf_add(b, text.p + good, i - good);
        good = i + 1;
        const char *plain = "\"\\\b\f\n\r\t", *as = "\"\\bfnrt";
        const char *hit = c ? strchr(plain, c) : NULL;
        if (hit)
            buf_fmt(b, "\\%c", as[hit - plain]);
        else
            buf_fmt(b, "\\u%04x", c);
    }
    if (good < text.n) buf_add(b, text.p + good, text.n - good);
    buf_char(b, '"');
}

void js_write_fixed(buf *b, double value, int decimals)
{
    if (isfinite(value))
        buf_fmt(b, "%.*f", decimals, value);
    else
        buf_z(b, "null");
}
