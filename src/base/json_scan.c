/* json_scan.c - a strict reader of JSON that keeps nothing.
 *
 * The grammar is that of RFC 8259.  Whatever would need care to be read as jansson reads it is
 * left to jansson (see the header).  Most bytes of a record are plain ones within strings, so
 * these are looked at eight at a time.  Values within values recurse, to JS_DEPTH. */
#include "base/json_scan.h"

#include <stdint.h>

#include "base/utf8.h"

/* A byte in each of eight. */
#define EIGHT(byte) ((byte)*UINT64_C(0x0101010101010101))

/* Whether one of the eight bytes is less than n (n <= 128); exact as to whether, not as to
 * which. */
static uint64_t has_less(uint64_t eight, unsigned n)
{
    return (eight - EIGHT(n)) & ~eight & EIGHT(0x80);
}

size_t js_plain(const char *p, size_t n)
{
    size_t at = 0;
    for (; n - at >= 8; at += 8) {
        uint64_t w;
        memcpy(&w, p + at, 8);
        if (has_less(w, ' ') | has_less(w ^ EIGHT('"'), 1) | has_less(w ^ EIGHT('\\'), 1)) break;
    }
    while (at < n && (unsigned char)p[at] >= ' ' && p[at] != '"' && p[at] != '\\') at++;
    return at;
}

static void skip_blank(js_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool take(js_scan *s, char byte)
{
    if (s->at == s->end || *s->at != byte) return false;
    s->at++;
    return true;
}

bool js_scan_begin(js_scan *s, str text)
{
    *s = (js_scan){.at = text.p, .end = text.p + text.n};
    skip_blank(s);
    return utf8_valid(text);
}

bool js_scan_is_over(js_scan *s)
{
    skip_blank(s);
    return s->at == s->end;
}

js_kind js_scan_kind(const js_scan *s)
{
    switch (s->at < s->end ? *s->at : 0) {
    case '{':
        return JS_OBJECT;
    case '[':
        return JS_ARRAY;
    case '"':
        return JS_STRING;
    case 't':
    case 'f':
        return JS_BOOL;
    case 'n':
        return JS_NULL;
    case 0:
        return JS_NONE;
    default:
        return JS_NUMBER;
    }
}

bool js_scan_open(js_scan *s, js_kind kind)
{
    if (s->depth == JS_DEPTH || !take(s, kind == JS_OBJECT ? '{' : '[')) return false;
    s->depth++;
    return s->fresh = true;
}

/* To the next item between brackets, or behind the closing one. */
static bool step(js_scan *s, char close, bool *more)
{
    skip_blank(s);
    *more = !take(s, close);
    if (!*more) s->depth--;
    bool apart = !*more || s->fresh || take(s, ',');
    s->fresh = false;
    skip_blank(s);
    return apart;
}

bool js_scan_element(js_scan *s, bool *more)
{
    return step(s, ']', more);
}

bool js_scan_member(js_scan *s, str *key, bool *more)
{
    if (!step(s, '}', more)) return false;
    if (!*more) return true;
    if (!take(s, '"')) return false;
    *key = (str){s->at, js_plain(s->at, (size_t)(s->end - s->at))};
    s->at += key->n;
    if (!take(s, '"')) return false;
    skip_blank(s);
    if (!take(s, ':')) return false;
    skip_blank(s);
    return true;
}

/* --- strings -------------------------------------------------------------------------------- */

/* The value of four hex digits; -1: they are not. */
static int take_hex(js_scan *s)
{
    int v = 0;
    if (s->end - s->at < 4) return -1;
    for (unsigned i = 0; i < 4; i++) {
        char c = *s->at++;
        int lower = c | 0x20;
        if (c >= '0' && c <= '9')
            v = v * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            v = v * 16 + (lower - 'a' + 10);
        else
            return -1;
    }
    return v;
}

/* Behind "\u": appends the character, both halves of a pair at once. */
static bool take_code(js_scan *s, char *out, size_t *n)
{
    int c = take_hex(s);
    if (c < 0 || (c >= 0xDC00 && c <= 0xDFFF)) return false;
    if (c >= 0xD800 && c <= 0xDBFF) {
        int low = take(s, '\\') && take(s, 'u') ? take_hex(s) : -1;
        if (low < 0xDC00 || low > 0xDFFF) return false;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    *n += utf8_put(out + *n, (uint32_t)c);
    return true;
}

/* Behind a backslash: appends what the escape stands for, which is never longer. */
static bool take_escape(js_scan *s, char *out, size_t *n)
{
    static const char names[] = "\"\\/bfnrt", are[] = "\"\\/\b\f\n\r\t";
    if (s->at == s->end) return false;
    char c = *s->at++;
    if (c == 'u') return take_code(s, out, n);
    const char *which = c ? strchr(names, c) : NULL;
    if (!which) return false;
    out[(*n)++] = are[which - names];
    return true;
}

/* Steps over a string; *plain: without escapes.  What the escapes say is not looked at. */
static bool skip_string(js_scan *s, str *inner, bool *plain)
{
    *plain = true;
    if (!take(s, '"')) return false;
    inner->p = s->at;
    for (;;) {
        s->at += js_plain(s->at, (size_t)(s->end - s->at));
        inner->n = (size_t)(s->at - inner->p);
        if (take(s, '"')) return true;
        if (!take(s, '\\') || s->at == s->end) return false;
        *plain = false;
        s->at++;
    }
}

bool js_scan_string(js_scan *s, arena *a, str *out)
{
    str inner;
    bool plain;
    if (!skip_string(s, &inner, &plain)) return false;
    if (plain) {
        *out = arena_str(a, inner);
        return out->p != NULL;
    }
    js_scan in = {.at = inner.p, .end = inner.p + inner.n};
    char *text = arena_alloc(a, inner.n + 1, 1);
    size_t n = 0;
    while (text && in.at < in.end) {
        size_t run = js_plain(in.at, (size_t)(in.end - in.at));
        memcpy(text + n, in.at, run);
        in.at += run;
        n += run;
        if (in.at < in.end && (!take(&in, '\\') || !take_escape(&in, text, &n))) return false;
    }
    *out = (str){text, n};
    return text != NULL;
}

/* The escapes of a string that nobody wants must be good all the same. */
static bool check_string(js_scan *s)
{
    str inner;
    bool plain;
    if (!skip_string(s, &inner, &plain)) return false;
    js_scan in = {.at = inner.p, .end = inner.p + inner.n};
    while (!plain && in.at < in.end) {
        char unused[4];
        size_t n = 0;
        in.at += js_plain(in.at, (size_t)(in.end - in.at));
        if (in.at < in.end && (!take(&in, '\\') || !take_escape(&in, unused, &n))) return false;
    }
    return true;
}

/* --- other values --------------------------------------------------------------------------- */

static size_t take_digits(js_scan *s)
{
    const char *from = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') s->at++;
    return (size_t)(s->at - from);
}

static bool skip_number(js_scan *s)
{
    const char *from = s->at;
    take(s, '-');
    bool zero = s->at < s->end && *s->at == '0';
    size_t whole = take_digits(s);
    if (!whole || (zero && whole > 1)) return false;
    if (take(s, '.') && !take_digits(s)) return false;
    bool exponent = s->at < s->end && (*s->at | 0x20) == 'e';
    return !exponent && s->at - from <= JS_SCAN_DIGITS;
}

static bool skip_word(js_scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0) return false;
    s->at += n;
    return true;
}

static bool skip_value(js_scan *s);

static bool skip_items(js_scan *s, js_kind kind)
{
    str key;
    bool more = js_scan_open(s, kind);
    while (more) {
        bool good = kind == JS_OBJECT ? js_scan_member(s, &key, &more) : js_scan_element(s, &more);
        if (!good || (more && !skip_value(s))) return false;
        if (!more) return true;
    }
    return false;
}

static bool skip_value(js_scan *s)
{
    js_kind kind = js_scan_kind(s);
    switch (kind) {
    case JS_OBJECT:
    case JS_ARRAY:
        return skip_items(s, kind);
    case JS_STRING:
        return check_string(s);
    case JS_BOOL:
        return skip_word(s, *s->at == 't' ? "true" : "false");
    case JS_NULL:
        return skip_word(s, "null");
    case JS_NUMBER:
        return skip_number(s);
    case JS_NONE:
        break;
    }
    return false;
}

bool js_scan_value(js_scan *s, str *raw)
{
    raw->p = s->at;
    bool good = skip_value(s);
    raw->n = (size_t)(s->at - raw->p);
    return good;
}
