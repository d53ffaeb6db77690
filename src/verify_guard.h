/* verify_guard.h - rows that guard.floor gave back, told from those of the rule. */
#ifndef TAMIS_VERIFY_GUARD_H
#define TAMIS_VERIFY_GUARD_H

#include "curate/guard.h"
#include "verify/rows.h"
#include "verify/scan.h"

/* Zero-initialise. */
typedef struct guard_proof {
    uint32_t *base_of; /* [n_base] numbers in scan_input.kept of the rows that the rule kept */
    scan_row *base;    /* [n_base] those rows */
    size_t n_base;
    unsigned char *is_fine; /* [n_kept] 1: of the rule, or rightly given back */
    unsigned char *given;   /* [turns] 1: the guard gives it back */
} guard_proof;

void guard_proof_release(guard_proof *g);

/* all: every row of the file, n_near: [n_kept] what the scan found of them, n_pinned: rows of the
 * first so many turns are kept by hand.  A row is of the rule if no earlier row of the rule is too
 * near to it.  What those rows make the guard give back must be rows; the rest of the rows is not
 * fine.  A turn that should be a row is a finding. */
typedef struct guard_claims {
    const scan_input *all;
    const uint32_t *n_near;
    const turn_index *turns;
    const rows *rows;
    size_t n_pinned;
    guard_options options;
} guard_claims;
status guard_prove(const guard_claims *c, guard_proof *out, findings *f, err *e) MUST_USE;

#endif
