/* number.h - numbers as text, both ways, independent of the locale. */
#ifndef TAMIS_BASE_NUMBER_H
#define TAMIS_BASE_NUMBER_H

#include "base/buf.h"

/* A JSON number token or plain decimal text ("5", "-4.50", "1e1"; nothing
 * around it, no inf, nan or hexadecimal) as a finite double.  false also: no memory for one of
 * more than a thousand digits. */
bool number_parse(str s, double *out);

/* Digits only, at most UINT64_MAX. */
bool number_parse_u64(str s, uint64_t *out);

/* A size such as 512M, 1.5G, 2GiB or 1048576: digits, maybe a point and more, and K, M, G or T
 * (powers of 1024); in bytes, at most 2^60. */
bool size_parse(str s, uint64_t *out);

/* Appends a JSON number token as Python prints the number it loads from it:
 * an integer token digit for digit ("-0" as "0"), any other as repr(float)
 * (the shortest digits that read back the same; 1e1 as 10.0, 1e16 as 1e+16). */
void number_write_python(buf *b, str token);

/* Appends a finite double as a JSON number: whole ones without a point ("5"), others with
 * the shortest digits that read back the same. */
void number_write_json(buf *b, double v);

#endif
