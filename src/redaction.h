/* redaction.h - joins [redact] of the configuration and the redactor. */
#ifndef TAMIS_REDACTION_H
#define TAMIS_REDACTION_H

#include "base/intern.h"
#include "config.h"
#include "curate/redact.h"
#include "record.h"

/* What [redact] asks for; *out NULL: nothing.  ST_USAGE: action = hash without a key. */
status redaction_open(const config *c, redactor **out, err *e) MUST_USE;

/* How often each rule found something, for each bot. */
typedef struct redaction_tally {
    arena texts;
    intern bots;        /* a bot's number is its place in `counts` */
    uint64_t *counts;   /* [bots.n, n_rules] */
    uint32_t cap;       /* bots there is room for */
    const char **names; /* [n_rules], copied */
    size_t n_rules;     /* 0: nothing was redacted, no rule is on */
} redaction_tally;
void redaction_tally_release(redaction_tally *t);

/* Redacts both texts of a turn, into `a`, and counts what was found (tally may be NULL); *empty:
 * one of them says nothing any more. */
status redaction_of_turn(const redactor *r, redaction_tally *tally, arena *a, turn *t, bool *empty,
                         err *e) MUST_USE;

uint64_t redaction_tally_total(const redaction_tally *t);

/* Appends {"rules": {"card": 1}, "bots": {"bot_1": {"card": 1}}}: rules that are on, bots with a
 * find, by name (bytes). */
void redaction_tally_write(const redaction_tally *t, buf *out);

#endif
