/* json.h - reading and writing JSON.  json.c is the one door to the parser, whose
 * own names begin with json_; hence js_ here.
 *
 * A document is a tree of borrowed nodes under one owned root.  Accessors take
 * NULL and nodes of another type and answer "nothing", so that looking up a
 * path needs no checks on the way. */
#ifndef TAMIS_BASE_JSON_H
#define TAMIS_BASE_JSON_H

#include "base/buf.h"

typedef struct js js;

/* Deepest nesting of arrays and objects that is read; deeper is an error. */
enum { JS_DEPTH = 64 };

typedef enum { JS_NONE, JS_NULL, JS_BOOL, JS_NUMBER, JS_STRING, JS_ARRAY, JS_OBJECT } js_kind;

/* Parses one whole value (white space around it allowed).  Strict JSON; in an
 * object the last of equal keys wins; NUL in strings is allowed; numbers are
 * doubles, beyond their range is an error.  The message names the byte offset.
 * *out is freed with js_free. */
status js_parse(str text, js **out, err *e) MUST_USE;
void js_free(js *root);

js_kind js_type(const js *j);
const js *js_get(const js *object, const char *key); /* NULL if absent */
size_t js_size(const js *array);
const js *js_at(const js *array, size_t i);
str js_string(const js *j); /* {NULL, 0} if not a string */
double js_number(const js *j, double otherwise);
bool js_true(const js *j);

typedef struct js_members js_members;
/* The members of an object, in the order of the text: it = NULL to start with;
 * NULL at the end. */
js_members *js_next(const js *object, js_members *it, str *key, const js **value);

/* Makes text that may hold ill-formed UTF-8 and escaped lone surrogates fit for
 * js_parse: each becomes U+FFFD.  Returns `text` itself when nothing needed
 * mending, else the view of `scratch` (check buf_ok). */
str js_mend(str text, buf *scratch);

/* --- cutting without parsing: where values begin and end ------------------------------------ */

typedef enum { JS_CUT_ITEM, JS_CUT_END, JS_CUT_BROKEN } js_cut_result;

typedef struct js_cutter {
    str text;
    size_t at;
    bool begun;
} js_cutter;

/* Over a text whose first non-blank is '{' or '[': gives the raw text of each
 * member or element in turn (`key`: the raw key without its quotes; untouched
 * for arrays).  Only brackets, strings, commas and colons are looked at, so an
 * item may still be bad JSON in itself.  BROKEN: the brackets do not match. */
js_cut_result js_cut(js_cutter *c, str *key, str *item);

/* The end of the value that starts at text.p[at], or 0 when it is broken. */
size_t js_value_end(str text, size_t at);
size_t js_skip_blank(str text, size_t at);

/* Whether a raw key (escapes unresolved) says `name` (plain ASCII). */
bool js_key_is(str raw_key, const char *name);

/* Whether the text is an object with the one member `key` (plain ASCII), a string without escapes;
 * then *value is that string, as js_parse would give it.  What most programs write a line of,
 * without the cost of a tree.  False says nothing about the text. */
bool js_only_member(str text, const char *key, str *value);

/* --- writing -------------------------------------------------------------------------------- */

/* Appends "text" quoted; non-ASCII stays UTF-8, control characters are escaped. */
void js_write_string(buf *b, str text);
/* A double with `decimals` digits behind the point; not finite: null. */
void js_write_fixed(buf *b, double value, int decimals);

#endif
