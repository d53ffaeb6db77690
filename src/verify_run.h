/* verify_run.h - are the exported files what the store's interactions and the configuration make
 * of them?  Proved from the files alone, by code that shares nothing with the deduplication. */
#ifndef TAMIS_VERIFY_RUN_H
#define TAMIS_VERIFY_RUN_H

#include "dataset.h"
#include "verify/cuts.h"
#include "verify/ledger.h"
#include "verify/written.h"

enum { VERIFY_LISTED = 1000 }; /* pairs and turns that are listed; the rest is counted */

/* Two rows of the file that may not both be there. */
typedef struct near_rows {
    uint32_t a, b; /* numbers of rows; a first in order */
    double score;
} near_rows;

/* A turn that is in no row, and that no row stands for. */
typedef struct uncovered_turn {
    uint32_t turn;
    uint32_t nearest; /* row; NO_ROW: none that it is compared with is earlier */
    double score;
} uncovered_turn;

typedef struct verify_result {
    dataset d; /* what the store has; no verdicts */
    double threshold;
    bool by_answer; /* rows are too near only where their answers are, too */
    rows rows;
    bool is_guarded;   /* guard.floor gives rows back */
    uint64_t n_given;  /* those */
    size_t n_removed;  /* turns that passed the filters and are in no row */
    bool has_ledger;   /* one is configured */
    uint64_t n_ledger; /* its entries */
    near_rows *near;   /* [n_near] by b, then a */
    size_t n_near;
    uint64_t total_near;
    uncovered_turn *uncovered; /* [n_uncovered] in final order */
    size_t n_uncovered;
    uint64_t total_uncovered;
    findings files;
    bool has_split;      /* files of parts are configured */
    unsigned char *part; /* [turns] where each row was found (written.h) */
    cuts cuts;
    bool has_closest;
    near_rows closest; /* of all kept pairs of a domain */
    struct {
        double read, embed, scan, total;
    } seconds;
} verify_result;

void verify_result_release(verify_result *r);

/* Reads the files that [export] names and fills *out, violations and all.  ST_FAILED: a file is
 * not there or cannot be read, the model cannot be used, this machine computes wrongly. */
status verify_run(const job *j, verify_result *out, err *e) MUST_USE;

uint64_t verify_violations(const verify_result *r);

/* The result as one JSON object, or to read. */
void verify_write(const verify_result *r, bool json, buf *out);

#endif
