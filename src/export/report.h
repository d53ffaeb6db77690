/* report.h - one self-contained HTML page about a curation.
 *
 * No script, no network, no fonts: readable in any browser, light or dark, on a telephone, on
 * paper.  All texts are borrowed and escaped here (html.h). */
#ifndef TAMIS_EXPORT_REPORT_H
#define TAMIS_EXPORT_REPORT_H

#include "base/buf.h"
#include "record.h"

typedef struct report_count {
    str name;
    uint64_t n;
} report_count;

typedef struct report_counts {
    report_count *of; /* [n] */
    size_t n;
} report_counts;

typedef struct report_bot {
    str bot_id;
    uint64_t turns, kept;
} report_bot;

/* A bot or rating band that lost more than the guard allows. */
typedef struct report_loss {
    str name;
    uint64_t turns, kept, given; /* well rated; kept by the rule; given back besides */
} report_loss;

typedef struct report_pair {
    const turn *row, *earlier;
    double score; /* their cosine */
} report_pair;

typedef struct report_pairs {
    report_pair *of; /* [n] */
    size_t n;
} report_pairs;

typedef struct report_group {
    const turn *kept;
    uint64_t n_members;   /* near-duplicates that it stands for */
    report_pairs members; /* those furthest from it, first */
} report_group;

/* An answer to near-duplicates of a question that is unlike the one kept. */
typedef struct report_answer {
    const turn *first; /* the first in final order that got it */
    uint64_t n;        /* turns that got it, word for word */
    double score;      /* its cosine to the kept answer */
} report_answer;

typedef struct report_conflict {
    const turn *kept;
    uint64_t n;                /* turns answered otherwise */
    report_answer *answers;    /* [n_shown] most often given first */
    size_t n_shown, n_answers; /* of so many */
} report_conflict;

/* Columns of cosines and thresholds: from REPORT_LOWEST by hundredths below 1. */
enum { REPORT_STEPS = 30 };
#define REPORT_LOWEST 0.70

typedef struct report_run {
    str command, state, started, ended;
} report_run;

typedef struct report {
    str version, store;
    double threshold;
    report_counts funnel;   /* what remained, step by step */
    report_counts left_out; /* by rule */
    report_counts redacted; /* by rule; none: redaction is off */
    /* Rows by the cosine to the nearest earlier kept row; [i] from REPORT_LOWEST + i / 100. */
    uint64_t nearest[REPORT_STEPS];
    uint64_t n_apart;               /* rows with none from REPORT_LOWEST on */
    uint64_t kept_at[REPORT_STEPS]; /* rows kept at that threshold */
    const report_bot *bots;         /* [n_bots] */
    size_t n_bots;
    double max_loss; /* of the guard; 1: it is off */
    bool by_rating;
    const report_loss *losses; /* [n_losses] by name */
    size_t n_losses;
    const report_group *groups; /* [n_groups] largest first */
    size_t n_groups;
    bool asked_conflicts;   /* were answers compared? */
    double conflicts_below; /* cosines of answers that count */
    uint64_t n_conflicts, n_conflict_turns;
    const report_conflict *conflicts; /* [n_conflicts_shown] largest first */
    size_t n_conflicts_shown;
    report_pairs above, below; /* removed and kept pairs nearest the threshold */
    const report_run *runs;    /* [n_runs] newest first */
    size_t n_runs;
    str settings; /* "section.key = value" lines */
} report;

/* Appends the page. */
void report_write(const report *r, buf *out);

/* The two charts (report_chart.c), as SVG. */
void report_chart_nearest(const report *r, buf *out);
void report_chart_kept(const report *r, buf *out);

#endif
