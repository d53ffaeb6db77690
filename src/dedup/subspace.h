/* subspace.h - the few directions that hold most of a set of vectors. */
#ifndef TAMIS_DEDUP_SUBSPACE_H
#define TAMIS_DEDUP_SUBSPACE_H

#include "base/isa.h"
#include "base/pool.h"

typedef struct subspace_input {
    const float *vectors;   /* [n, dim] the sample; dim a multiple of 8 */
    size_t n, dim, n_basis; /* n_basis at most a quarter of dim */
    isa isa;
    pool *pool;
} subspace_input;

/* out: [n_basis, dim] orthonormal rows, nearly the leading eigenvectors of the sample's second
 * moment, the leading one first. */
status subspace_find(const subspace_input *in, double *out, err *e) MUST_USE;

/* Turns the first k rows of a basis within their span, so that no single direction is long, and
 * rounds them: out [k, dim].  *error: an upper bound on the spectral norm of out * out' - I. */
status subspace_turn(const double *basis, size_t k, size_t dim, float *out, double *error,
                     err *e) MUST_USE;

#endif
