/* utf8.h - UTF-8 in and out, and Python's idea of white space. */
#ifndef TAMIS_BASE_UTF8_H
#define TAMIS_BASE_UTF8_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum { UTF8_REPLACEMENT = 0xFFFD };

/* Decodes the scalar value at s.p[*at] (*at < s.n) and moves *at behind it.
 * Ill-formed bytes give UTF8_REPLACEMENT, one for each maximal subpart
 * (Unicode 15, 3.9, table 3-8: what Python's errors="replace" does). */
uint32_t utf8_next(str s, size_t *at);

bool utf8_valid(str s);

/* Encodes a scalar value: 1 to 4 bytes into out, the count returned. */
size_t utf8_put(char out[4], uint32_t scalar);

/* Appends s with every ill-formed subpart replaced by U+FFFD. */
void utf8_repair(buf *out, str s);

/* True for the characters that Python's str.isspace() and str.strip() take. */
bool utf8_is_space(uint32_t scalar);

/* Whether a terminal would act on it: C0, DEL, C1. */
bool utf8_is_control(uint32_t scalar);

/* Appends s, a blank in place of each control character. */
void utf8_write_plain(buf *out, str s);

/* In place: '?' for each byte of a control character or of an ill-formed sequence. */
void utf8_make_plain(char *z);

/* s without leading and trailing white space, as str.strip(); what is not well-formed stays. */
str utf8_strip(str s);

/* The text without a leading byte order mark. */
str utf8_skip_bom(str text);

#endif
