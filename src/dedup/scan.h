/* scan.h - the inner loops of the join: integer products of codes, and what reaches its limit.
 *
 * Integers do not round, so every instruction set gives the same hits. */
#ifndef TAMIS_DEDUP_SCAN_H
#define TAMIS_DEDUP_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

enum {
    SCAN_PANEL = 16,     /* columns that lie side by side */
    SCAN_COLUMNS = 1024, /* most columns of a job: a hit has 16 bits for its column */
    SCAN_QUERIES = 128,  /* most queries of a job */
    SCAN_NARROW = 90,    /* see scan_kernels.scan_narrow: the greatest code, and what is added */
    SCAN_MOST = 32767,   /* and the greatest sum */
    SCAN_SPARE = 8,      /* hits that may be written behind the last one */
    SCAN_SIFT = 32       /* see sift_job */
};

/* Finds the pairs with  sum of query[i] * column[i]  >=  limit of the query. */
typedef struct scan_job {
    const int8_t *queries; /* [n_queries][4 * words], rows 4-aligned */
    const int32_t *limits; /* [n_queries] */
    size_t n_queries;
    const uint8_t *panels; /* [n_panels][words][SCAN_PANEL][4]; 64-aligned */
    size_t n_panels, words;
    int16_t *wide;  /* scratch [(SCAN_QUERIES + SCAN_PANEL) * 4 * words], 64-aligned */
    uint32_t *hits; /* out: room for [n_queries * n_panels * SCAN_PANEL + SCAN_SPARE] */
} scan_job;

/* Hits, of which those stay whose product of other, narrow codes reaches the query's limit. */
typedef struct sift_job {
    const int8_t *queries;  /* [SCAN_QUERIES][bytes]; 32-aligned */
    const int32_t *starts;  /* [SCAN_QUERIES] -SCAN_NARROW times the sum of a query's code */
    const int32_t *limits;  /* [SCAN_QUERIES] */
    const uint8_t *columns; /* [SCAN_COLUMNS][bytes]; 32-aligned */
    size_t bytes;           /* a multiple of SCAN_SIFT, zeros behind the words */
    uint32_t *hits;         /* [n_hits + SCAN_SPARE], in and out */
    size_t n_hits;
} sift_job;

/* What quantise() leaves. */
typedef struct quantised {
    double error; /* |x - scale * code|, but for roundings in float32 */
    double norm;  /* |scale * code|, but for roundings in double */
} quantised;

/* A hit is query << 16 | column; their order is not fixed. */
typedef struct scan_kernels {
    size_t (*scan)(const scan_job *j); /* number of hits */
    /* The same, quicker, for codes whose sums fit 16 bits: none is beyond SCAN_MOST, of either
     * sign.  In all words but the last, codes are from -SCAN_NARROW to SCAN_NARROW, and columns
     * hold code + SCAN_NARROW; the last word has no signs.  Limits are for products with the codes
     * of columns, without what is added.  Panels lie by two bytes, [n_panels][2 * words]
     * [SCAN_PANEL][2]; n_panels at most SCAN_COLUMNS / SCAN_PANEL.  NULL: scan is as quick. */
    size_t (*scan_narrow)(const scan_job *j);
    /* Of codes as scan_narrow has them, a code's bytes in a row; the number of hits that stay, in
     * their order. */
    size_t (*sift)(const sift_job *j);
    /* Exact product of two codes as quantise makes them; dim a multiple of 8, at most 4096. */
    int32_t (*dot_codes)(const int8_t *x, const int8_t *y, size_t dim);
    /* A float32 product in any order of summation; dim a multiple of 8. */
    float (*dot_floats)(const float *x, const float *y, size_t dim);
    /* code: [n] the nearest to x / scale, -127 to 127; the same bits everywhere (quantise.h). */
    quantised (*quantise)(const float *x, size_t n, float scale, int8_t *code);
    float (*greatest)(const float *x, size_t n); /* magnitude */
    double (*sum_of_squares)(const float *x, size_t n);
} scan_kernels;

/* How far dot_floats may be off, for vectors not longer than that.  A sum of dim products in
 * float32, in any order, is off by at most gamma |x| |y|, gamma = dim u / (1 - dim u), u = 2^-24
 * (Higham, Accuracy and Stability of Numerical Algorithms, 3.1); twice that also covers a sum in
 * double. */
static inline double dot_floats_error(size_t dim, double longest)
{
    const double gamma = (double)dim * 0x1p-24 / (1 - (double)dim * 0x1p-24);
    return 2 * gamma * longest * longest;
}

/* The ones for an instruction set that this machine has. */
const scan_kernels *scan_kernels_for(isa i);

extern const scan_kernels scan_scalar;
#ifdef TAMIS_X86_64
extern const scan_kernels scan_avx2, scan_avx512, scan_vnni;
size_t sift_avx2(const sift_job *j);
#endif

#endif
