/* json_scan.h - JSON read from front to back, without a tree: for texts of which a few members
 * are wanted, at a tenth of what js_parse costs.
 *
 * What is taken here, js_parse takes too, and it means the same.  Not all that js_parse takes is
 * taken here: keys with escapes, numbers with an exponent or of more than JS_SCAN_DIGITS bytes and
 * half surrogate pairs are not.  So false says nothing about the text but: ask js_parse.  After
 * it a scan is of no more use. */
#ifndef TAMIS_BASE_JSON_SCAN_H
#define TAMIS_BASE_JSON_SCAN_H

#include "base/arena.h"
#include "base/json.h"

enum { JS_SCAN_DIGITS = 200 }; /* no number this long is beyond the range of a double */

typedef struct js_scan {
    const char *at, *end;
    unsigned depth; /* brackets that are open */
    bool fresh;     /* the innermost was opened just now */
} js_scan;

/* A scan of a whole text (borrowed).  false: it is not well-formed UTF-8. */
bool js_scan_begin(js_scan *s, str text) MUST_USE;
/* Whether nothing but blanks is left. */
bool js_scan_is_over(js_scan *s) MUST_USE;

/* The kind of the value that comes next, by its first byte. */
js_kind js_scan_kind(const js_scan *s);

/* Steps into an object or array. */
bool js_scan_open(js_scan *s, js_kind kind) MUST_USE;
/* Steps to the value of the next member (its key: plain, borrowed from the text) or to the next
 * element; *more false: there was none, and the scan stands behind the bracket. */
bool js_scan_member(js_scan *s, str *key, bool *more) MUST_USE;
bool js_scan_element(js_scan *s, bool *more) MUST_USE;

/* Steps over a string; *out, without its escapes, lies in `a`.  false also: no memory. */
bool js_scan_string(js_scan *s, arena *a, str *out) MUST_USE;
/* Steps over any value; *raw is how it stands in the text. */
bool js_scan_value(js_scan *s, str *raw) MUST_USE;

/* How many bytes stand before the first quote, backslash or control character, or the end. */
size_t js_plain(const char *p, size_t n);

#endif
