/* summary.h - what a run did, in figures. */
#ifndef TAMIS_SUMMARY_H
#define TAMIS_SUMMARY_H

#include "base/buf.h"
#include "curate/guard.h"
#include "curate/split.h"
#include "export/export.h"
#include "redaction.h"
#include "sync.h"

typedef enum {
    OUT_CSV,
    OUT_JSONL,
    OUT_CHAT,
    OUT_RASA,
    OUT_COGNIGY,
    OUT_TRAIN,
    OUT_VALID,
    OUT_TEST,
    OUT_REMOVED,
    OUT_CONFLICTS,
    OUT_REPORT,
    OUT_MANIFEST,
    OUT_COUNT
} out_file;

typedef struct summary {
    bool synced, curated; /* which parts ran */
    status end;           /* ST_OK or ST_INCOMPLETE */
    char reason[ERR_CAP]; /* of an incomplete end */
    sync_counts interactions;
    uint64_t stored;
    struct {
        uint64_t interactions, rated, distinct_texts, embedded, kept, duplicates, not_text;
    } turns;
    redaction_tally redactions;
    guard_result guard; /* of a curation; options.max_loss 1: off */
    bool has_split;
    split_sizes split;
    const struct forget_report *forgotten; /* NULL: nothing was to be forgotten */
    struct {
        const char *path; /* NULL: not written */
        export_result result;
    } files[OUT_COUNT];
    struct {
        double sync, embed, dedup, export, total;
    } seconds;
    source_stats http;
} summary;

/* Frees what it owns. */
void summary_release(summary *s);

/* What this process had in memory at most, in MiB, shared pages included. */
long summary_peak_mib(void);

/* "csv", "jsonl" ...: the key of [export]. */
const char *summary_file_name(out_file i);

/* The object of INTERFACE.md, "run, sync, import, curate, export with --json", a line. */
void summary_write_json(const summary *s, buf *out);

/* A few lines to read. */
void summary_write_text(const summary *s, buf *out);

#endif
