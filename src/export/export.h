/* export.h - the export stage: rows and ledger to files, all or nothing.
 *
 * A file is written beside its place, synced and renamed; whoever reads it sees the whole
 * data set of one curation. */
#ifndef TAMIS_EXPORT_EXPORT_H
#define TAMIS_EXPORT_EXPORT_H

#include "base/buf.h"
#include "base/sha256.h"
#include "record.h"

/* The turns in final order, each with its verdict; kept ones are rows. */
typedef struct export_rows {
    const turn *turns;       /* [n_turns] */
    const verdict *verdicts; /* [n_turns] */
    size_t n_turns;
    const unsigned char *split; /* [n_turns] part of each kept turn (curate/split.h); NULL: none */
    const char *const *parts;   /* their names */
    int only;                   /* the part to write; -1: all rows */
    bool all_columns;           /* of the CSV: what the JSON lines have */
    /* [n_turns] 1: a duplicate that was given back; NULL: none is, and rows do not say */
    const unsigned char *guarded;
} export_rows;

/* What went before it was compared, for the ledger. */
typedef struct dropped_interaction {
    str id;
    int64_t turn; /* -1: the interaction as a whole */
    rule rule;
} dropped_interaction;

typedef struct export_result {
    uint64_t rows;
    char sha256[SHA256_HEX];
} export_result;

typedef enum { EXPORT_CSV, EXPORT_JSONL, EXPORT_CHAT, EXPORT_RASA, EXPORT_COGNIGY } export_format;

/* EXPORT_CSV: the eight columns of the reference as Python's csv.DictWriter writes them
 * (CRLF, minimal quoting).  EXPORT_JSONL: the same as objects, what each row stands for
 * (row_weights.h): conversation_turn, duplicates, first_seen, last_seen, mean_rating, its
 * source, and where the guard gives rows back, guarded.  EXPORT_CHAT:
 * {"messages":[{"role":"user",...},{"role":"assistant",...}]}. */
status export_file(export_format format, const char *path, const export_rows *rows,
                   export_result *out, err *e) MUST_USE;

/* EXPORT_RASA: NLU data as YAML.  EXPORT_COGNIGY: intents as CSV.  Each row is an intent, its
 * utterance and those removed in its favour the examples. */
status export_intents(export_format format, const char *path, const export_rows *rows,
                      export_result *out, err *e) MUST_USE;

/* The ledger as JSON lines, by interaction id (bytes), then turn; an interaction that went
 * as a whole has turn null. */
status export_removed(const char *path, const export_rows *rows, const dropped_interaction *dropped,
                      size_t n_dropped, export_result *out, err *e) MUST_USE;

/* One field as Python's csv module writes it with QUOTE_MINIMAL. */
void csv_write_field(buf *b, str field);

/* Decimals of a score in JSON. */
enum { SCORE_DECIMALS = 6 };

#endif
