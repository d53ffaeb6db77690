/* cuts.h - what a split has cut: rows in different files that had to stay together. */
#ifndef TAMIS_VERIFY_CUTS_H
#define TAMIS_VERIFY_CUTS_H

#include "verify/rows.h"
#include "verify/scan.h"

enum { CUTS_MAX = 1000 }; /* listed; the rest is counted */

/* Two rows in different files. */
typedef struct cut {
    uint32_t a, b;           /* turns */
    bool is_of_conversation; /* they are of one interaction */
    double score;            /* else: their cosine; b has none in a's file that is nearer */
} cut;

typedef struct cuts_input {
    const turn_index *turns;
    const unsigned char *part; /* [turns] its file, as written.h numbers them */
    const uint32_t *unit;      /* [turns] the vector of a row */
    const float *vectors;      /* [any, dim] */
    size_t dim;
    double threshold; /* from which rows must stay together */
} cuts_input;

/* Zero-initialise. */
typedef struct cuts {
    cut *list; /* [n] of conversations, then of near rows */
    size_t n;
    uint64_t total; /* one for each row and each other file that a row nearer to it is in */
} cuts;

/* Brute force: each pair of rows in different files, those in no file being as in one more.
 * Release in any case. */
status cuts_find(const cuts_input *in, const scan_options *o, cuts *out, err *e) MUST_USE;
void cuts_release(cuts *c);

#endif
