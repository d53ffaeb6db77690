/* written.h - the files that say the rows once more: lines of chat, JSON lines, the parts of a
 * split, the CSV's columns behind the first eight.  Each is formed anew and compared as bytes. */
#ifndef TAMIS_VERIFY_WRITTEN_H
#define TAMIS_VERIFY_WRITTEN_H

#include "base/intern.h"
#include "verify/rows.h"

/* Which file of a split a row is in. */
enum { PART_TRAIN, PART_VALID, PART_TEST, PART_OTHER, PART_NO_ROW, N_PARTS = PART_OTHER };

/* "train", "valid", "test", "none". */
extern const char *const part_names[N_PARTS + 1];

/* What a row stands for: itself and the turns that went in its favour. */
typedef struct weight {
    uint64_t n; /* it included; 0: not a row */
    uint32_t first,
        last;        /* turns: the oldest and the newest; of equal instants the first in order */
    double ratings;  /* their sum, in order, scaled */
    uint32_t number; /* of the row */
} weight;

/* A format, with all its lines as they must be. */
typedef enum { LINES_CHAT, LINES_JSONL, N_LINES } lines_format;
typedef struct expected_lines {
    intern lines;    /* without the member split and what ends the line */
    arena bytes;     /* of the lines */
    uint32_t *first; /* [lines.n] the first turn with this line; NULL: none formed yet */
    uint32_t *next;  /* [turns] the next one with the same line; NO_ROW: none */
} expected_lines;

typedef struct written_rows {
    const turn_index *turns;
    weight *of; /* [turns] */
    /* [turns] 1: the guard gives it back; NULL: rows do not say */
    const unsigned char *guarded;
    expected_lines lines[N_LINES];
    /* [turns] the file that a row was found in, PART_OTHER: none yet */
    unsigned char *part;
} written_rows;

/* keeper: [turns] the row that stands for a turn (a row: itself); NO_ROW: none does.  `guarded` is
 * the caller's to set.  Release in any case. */
status written_init(written_rows *w, const turn_index *turns, const uint32_t *keeper,
                    err *e) MUST_USE;
void written_release(written_rows *w);

typedef struct lines_source {
    lines_format format;
    const char *path;
    int part;             /* the part that it is; -1: all rows */
    const bool *has_file; /* [N_PARTS] of parts, by [export]; NULL: lines say no part */
    bool optional;        /* no file is no line */
} lines_source;

/* Each line must be that of a row, byte for byte, in the order of the rows, each once.  A file of a
 * part notes it for its rows; one of all rows must have them all, and where its lines say a part,
 * it is held against what the files said, or noted for parts without a file.  What is not so is a
 * finding.  ST_FAILED: the file cannot be read. */
status lines_check(const lines_source *from, written_rows *w, findings *f, err *e) MUST_USE;

/* The CSV's columns behind the eighth: those of export.columns = all, or none.  r: its rows, as
 * rows_read gave them. */
status columns_check(const rows *r, bool all, const written_rows *w, findings *f, err *e) MUST_USE;

#endif
