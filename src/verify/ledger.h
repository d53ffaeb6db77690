/* ledger.h - the ledger of what was left out, held against what should be in it. */
#ifndef TAMIS_VERIFY_LEDGER_H
#define TAMIS_VERIFY_LEDGER_H

#include "verify/rows.h"

/* What the filters left out: an interaction (turn -1), or one of its turns. */
typedef struct gone_turn {
    str interaction_id;
    int64_t turn;
    rule rule;
} gone_turn;

/* A turn that is in no row, with the kept turn nearest to it of those before it. */
typedef struct dropped_turn {
    uint32_t turn;
    uint32_t kept; /* turn; NO_ROW: none covers it */
    double score;
} dropped_turn;

typedef struct ledger_claims {
    const turn_index *turns;
    const dropped_turn *dropped; /* [n_dropped] */
    size_t n_dropped;
    const gone_turn *gone; /* [n_gone] */
    size_t n_gone;
} ledger_claims;

/* Each of them must be in the file once, nothing else, by interaction id (bytes) and turn, and
 * each line must be, byte for byte, what follows from the claims; what is not so is a finding.
 * *n_lines: entries of the file. */
status ledger_check(const char *path, const ledger_claims *want, findings *f, uint64_t *n_lines,
                    err *e) MUST_USE;

#endif
