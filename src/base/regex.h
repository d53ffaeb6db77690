/* regex.h - regular expressions of the user (PCRE2 syntax); regex.c is the one door to them.
 *
 * A pattern may be slow on a text made for it, so each search has limits that grow with the
 * text: what goes beyond is told, not waited for. */
#ifndef TAMIS_BASE_REGEX_H
#define TAMIS_BASE_REGEX_H

#include "base/err.h"
#include "base/str.h"

typedef struct regex regex;

/* UTF-8; `.`, classes, \w, \d and \b by Unicode character.  ST_FAILED: not an
 * expression; the message says what and at which byte.  *out is freed with regex_free. */
status regex_new(str pattern, regex **out, err *e) MUST_USE;
void regex_free(regex *r);

typedef enum { REGEX_FOUND, REGEX_NONE, REGEX_GAVE_UP } regex_result;

/* The first match that is not empty at or behind `from` of a well-formed UTF-8 text. */
regex_result regex_search(const regex *r, str text, size_t from, size_t *start, size_t *end);

#endif
