/* codes.h - short codes of vectors, with what they leave out (join.c says what for). */
#ifndef TAMIS_DEDUP_CODES_H
#define TAMIS_DEDUP_CODES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/isa.h"
#include "base/pool.h"
#include "dedup/scan.h"
#include "dedup/vectors.h"

typedef struct codes_input {
    vector_list vectors;   /* [n, dim] */
    size_t n, dim;         /* dim a multiple of 8, at most 4096 */
    const double *squares; /* [n] squared lengths */
    double longest;        /* no vector is longer; 1 at least */
    double largest;        /* no component is greater */
    const float *turn;     /* [length, dim] nearly orthonormal rows; NULL: no turn, length = dim */
    size_t length;         /* of the first code; a multiple of 4; with a turn, at most dim / 3 */
    double turn_error;     /* spectral norm of turn * turn' - I is not above it */
    bool sift;             /* first codes alone, as scan_kernels.sift wants them; with a turn */
    isa isa;
    pool *pool;
} codes_input;

/* The second code of a vector x, all dimensions: x is nearly scale * code. */
typedef struct code_head {
    float scale;
    float error; /* |x - scale * code|, rounded up */
    float norm;  /* |scale * code|, rounded up */
} code_head;

typedef struct codes {
    const codes_input *in;
    size_t words;       /* of a first code: length / 4 and one of what it leaves out */
    bool narrow;        /* first codes are as scan_narrow and sift want them */
    double scale;       /* of all first codes */
    double reach;       /* no first code, scaled, is longer */
    double fuzz;        /* what roundings may add to a bound */
    int8_t *first;      /* [n][4 * words] as a query */
    uint8_t (*rest)[2]; /* [n] the last word of a column: rest[0] three times, rest[1] */
    float *error;       /* [n] of the first code */
    int32_t *start;     /* [n] -SCAN_NARROW times the sum of the first code; only to sift */
    int8_t *second;     /* [n][dim]; NULL without a turn, the first code is as good, or to sift */
    code_head *heads;   /* [n] */
} codes;

/* What a column holds more than its code, so that it has no sign. */
static inline int codes_added(const codes *c)
{
    return c->narrow ? SCAN_NARROW : 128;
}

/* in stays borrowed.  Release in any case. */
status codes_make(const codes_input *in, codes *out, err *e) MUST_USE;
void codes_release(codes *c);

#endif
