/* ini.h - [section] and key = value, line by line, of any length. */
#ifndef TAMIS_BASE_INI_H
#define TAMIS_BASE_INI_H

#include "base/str.h"

typedef enum { INI_END, INI_SECTION, INI_PAIR, INI_BROKEN } ini_kind;

/* Begins as {.rest = text}; what ini_next finds lies in that text. */
typedef struct ini {
    str rest;
    str section;     /* of INI_SECTION and INI_PAIR; empty before the first */
    str name, value; /* of INI_PAIR */
    int line;        /* of what was found, from 1 */
} ini;

/* The next section or pair; INI_BROKEN: a line that is neither.  Blank lines and those that begin
 * with ';' or '#' are passed over; a ';' behind a blank begins a comment on any line.  Blanks
 * around names and values, at the front of a line too, do not count. */
ini_kind ini_next(ini *i);

#endif
