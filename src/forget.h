/* forget.h - erases interactions for good, and tells what that changes. */
#ifndef TAMIS_FORGET_H
#define TAMIS_FORGET_H

#include "job.h"
#include "summary.h"

/* Another turn whose verdict is another one now. */
typedef struct forget_change {
    str id;
    uint32_t turn;
    rule was, now;
    str kept_id; /* RULE_DUPLICATE now: its keeper */
    uint32_t kept_turn;
} forget_change;

typedef struct forget_report {
    const char *const *ids; /* [n_ids] as given */
    size_t n_ids;
    forget_change *changes; /* [n_changes] by id (bytes), turn */
    size_t n_changes;
    arena texts;
} forget_report;
void forget_report_release(forget_report *r);

/* Erases the interactions r->ids names, all or none, from the store and its log; curates and
 * exports where the store was curated before, so that no file holds them.  ST_FAILED: one of
 * them is not there, and nothing was done.  ST_INCOMPLETE: they are erased, but the files are
 * not written or the log is in use: the message says what to do. */
status forget_run(const job *j, forget_report *r, summary *s, err *e) MUST_USE;

/* Appends "forgotten": [...], "changed": [...] without braces; or lines to read. */
void forget_write_json(const forget_report *r, buf *out);
void forget_write_text(const forget_report *r, buf *out);

#endif
