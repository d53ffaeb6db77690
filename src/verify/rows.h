/* rows.h - the rows of an exported file, each held against the turns of the store. */
#ifndef TAMIS_VERIFY_ROWS_H
#define TAMIS_VERIFY_ROWS_H

#include "record.h"
#include "verify/findings.h"

/* The turns that passed the filters, in final order, and where each is found. */
typedef struct turn_index {
    const turn *turns; /* [n] */
    size_t n;
    uint32_t *by_id; /* [n] by interaction id (bytes), then number */
} turn_index;

status turn_index_init(turn_index *x, const turn *turns, size_t n, err *e) MUST_USE;
void turn_index_release(turn_index *x);
/* The first place in by_id that is not before this turn. */
size_t turn_index_find(const turn_index *x, str id, int64_t number);
/* The turn; NO_ROW if there is none such. */
uint32_t turn_index_at(const turn_index *x, str id, int64_t number);

typedef struct row {
    uint32_t turn; /* that it is; NO_ROW: the store has none that says the same */
    uint64_t line; /* where it begins in the file, from 1 */
    str interaction_id, bot_id, user_utterance, bot_response;
} row;

typedef struct rows {
    const char *path;
    row *list; /* [n] */
    size_t n, cap;
    uint32_t *row_of; /* [turns] the row that is a turn; NO_ROW: none */
    arena texts;      /* of rows without a turn; else they are the turn's */
} rows;

typedef enum { ROWS_CSV, ROWS_JSONL } rows_format;

/* Reads a file.  Each row must say what a turn of the store says, its similarity_score must be 1.0,
 * its dedup_group its number, and the rows must be in the order of the turns, each once; what is
 * not so is a finding.  optional: no file is no row.  ST_FAILED: it cannot be read. */
typedef struct rows_source {
    rows_format format;
    const char *path;
    bool optional;
} rows_source;
status rows_read(const rows_source *from, const turn_index *x, rows *out, findings *f,
                 err *e) MUST_USE;
void rows_release(rows *r);

#endif
