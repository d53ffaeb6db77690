/* job.h - what every part of a curation is given. */
#ifndef TAMIS_JOB_H
#define TAMIS_JOB_H

#include "base/log.h"
#include "config.h"
#include "curate/guard.h"
#include "curate/pins.h"
#include "curate/redact.h"
#include "store/store.h"

/* A file that dedup.pins names. */
typedef struct pin_file {
    const char *path;
    buf text;
    pins pins;
    unsigned char hash[SHA256_SIZE]; /* of the text */
} pin_file;

/* ST_USAGE: it cannot be read, or a line is wrong.  Release it in any case. */
status pin_file_read(const char *path, pin_file *out, err *e) MUST_USE;
void pin_file_release(pin_file *f);

typedef struct job {
    const config *config;
    const redactor *redactor; /* NULL: texts stay as they are */
    struct pin_file *pins;    /* of dedup.pins; NULL: none; what is met is noted there */
    const char *model_dir;
    store *store;
    int n_threads;     /* 0: one for each processor */
    bool writes_empty; /* a file without rows replaces one that has some (forgotten ones) */
    bool reembed;      /* another model than the store's is welcome: embed all again */
    bool scores;       /* they are looked at: verdicts without will not do */
    const logger *log;
    const stop_flag *stop;
} job;

/* Appends what the data set depends on but for interactions and model: the configuration, and
 * what it names (keys, files) as a hash. */
void job_describe(const job *j, buf *out);

/* ST_USAGE: a pin that no interaction met, and that was not forgotten: its file and line. */
status job_check_pins(const job *j, err *e) MUST_USE;

/* dedup.answers = distinct: do the answers matter, too? */
bool job_compares_answers(const job *j);

/* Of dedup.memory: bytes; 0: no limit. */
uint64_t job_memory(const job *j);

/* Where what it leaves no room for lies meanwhile: TMPDIR, or the store's directory; NULL: no
 * memory. */
const char *job_memory_dir(const job *j, buf *out);

/* Of [guard]. */
guard_options job_guard(const job *j);

/* What shows with which cosine to which row duplicates are nearest, which verdicts by screening
 * (screen.h) do not say; NULL: nothing does. */
const char *job_needs_scores(const job *j);

#endif
