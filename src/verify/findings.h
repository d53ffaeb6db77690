/* findings.h - what is wrong with the files, as far as it is listed. */
#ifndef TAMIS_VERIFY_FINDINGS_H
#define TAMIS_VERIFY_FINDINGS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* Where: any of these may be missing (NULL, 0, empty, -1). */
typedef struct place {
    const char *file;
    uint64_t line; /* from 1 */
    str interaction_id;
    int64_t turn;
} place;

typedef struct finding {
    place at;
    str what;
} finding;

enum { FINDINGS_MAX = 1000 }; /* listed; the rest is counted */

/* Zero-initialise. */
typedef struct findings {
    finding *list; /* [n] in the order of finding */
    size_t n;
    uint64_t total;
    arena texts;
} findings;

void findings_release(findings *f);

/* Copies the id and the words; the file's name is borrowed. */
status findings_add(findings *f, const place *at, err *e, const char *fmt, ...)
    PRINTF_LIKE(4, 5) MUST_USE;

#endif
