/* redact.h - takes personal data out of texts.
 *
 * A text depends on the rules alone: the same text gives the same result, and what is
 * redacted already stays as it is (marks are not looked into). */
#ifndef TAMIS_CURATE_REDACT_H
#define TAMIS_CURATE_REDACT_H

#include "base/buf.h"
#include "curate/scan.h"

/* What a find becomes: each letter and digit a '*'; [CARD]; [CARD:abcdefghijkl], twelve letters
 * that are the same for the same value under the same key. */
typedef enum redact_action { REDACT_MASK, REDACT_LABEL, REDACT_HASH } redact_action;

typedef struct redact_pattern {
    const char *name, *regex;
} redact_pattern;

typedef struct redact_options {
    const char *rules;              /* "card,iban": names, commas between, blanks allowed */
    const redact_pattern *patterns; /* [n_patterns] */
    size_t n_patterns;
    redact_action action;
    str key; /* REDACT_HASH; copied */
} redact_options;

typedef struct redactor redactor;

/* ST_USAGE: a rule that does not exist, a pattern that is not a regular expression (named). */
status redactor_new(const redact_options *o, redactor **out, err *e) MUST_USE;
void redactor_free(redactor *r); /* wipes the key; NULL is fine */

/* Rules are numbered: the built-in ones as scan_rule, then the patterns. */
size_t redactor_n_rules(const redactor *r);
bool redactor_rule_is_on(const redactor *r, size_t rule);
const char *redactor_rule_name(const redactor *r, size_t rule);

/* A text that differs whenever results might by the key: to be part of what a curation is
 * filed under.  Nothing of the key can be read from it. */
void redactor_key_mark(const redactor *r, buf *out);

/* What is to be redacted in a well-formed UTF-8 text: sorted, apart from each other.  A text on
 * which a pattern goes beyond its limits is found whole.  ST_FAILED: no memory. */
status redact_find(const redactor *r, str text, spans *out, err *e) MUST_USE;

/* Redacts a text.  *out is `text` itself where nothing is found, else a view of `scratch`
 * (which is cleared first).  counts: [redactor_n_rules], added to; may be NULL. */
status redact_text(const redactor *r, str text, buf *scratch, str *out, uint64_t *counts,
                   err *e) MUST_USE;

/* Whether a redacted text says nothing any more: it has marks, and no letter or digit
 * outside of them. */
bool redact_left_empty(const redactor *r, str text);

#endif
