/* store.h - the one file of state: raw interactions, slices, vectors, verdicts.
 *
 * Everything but the raw interactions can be made again from them.  One writer (a lock
 * beside the file; the second gets ST_BUSY), any number of readers.  Writing happens
 * between store_begin and store_commit; what is not committed is as if it had not been.
 * One thread. */
#ifndef TAMIS_STORE_STORE_H
#define TAMIS_STORE_STORE_H

#include "base/buf.h"
#include "base/intern.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/sha256.h"
#include "record.h"

typedef struct store store;

typedef enum { STORE_READ, STORE_WRITE } store_mode;

/* Opens, and with STORE_WRITE creates (mode 0600) or migrates.  ST_BUSY: another run
 * holds it; ST_FAILED: not there (STORE_READ), not a tamis store, made by a newer
 * version, damaged, not writable: the message says which and what to do. */
status store_open(const char *url, store_mode mode, store **out, err *e) MUST_USE;
void store_close(store *s); /* rolls back what is open; NULL is fine */

status store_begin(store *s, err *e) MUST_USE;
status store_commit(store *s, err *e) MUST_USE;
void store_rollback(store *s); /* no-op outside a transaction */

/* Until store_rollback, what is read is of one moment, and costs no lock each time. */
status store_begin_read(store *s, err *e) MUST_USE;

/* --- small settings (schema-free): model fingerprint, ... ----------------------- */
/* *found false: not there.  The value is appended to out. */
status store_get(store *s, const char *key, buf *out, bool *found, err *e) MUST_USE;
status store_set(store *s, const char *key, str value, err *e) MUST_USE;

/* --- raw interactions ------------------------------------------------------------ */
typedef enum { PUT_NEW, PUT_UPDATED, PUT_SAME, PUT_FORGOTTEN } put_result;

/* What the records come from that are put from now on; ORIGIN_UNKNOWN before. */
void store_set_origin(store *s, origin from);

/* Upserts by id; "updated" is decided by the SHA-256 of the raw bytes.  PUT_FORGOTTEN: it was
 * forgotten, and is not put.  A record is stored with what it came from; one that is there
 * with the same bytes keeps its own, unless that is unknown. */
status store_put(store *s, str id, instant at, str raw, put_result *out, err *e) MUST_USE;

/* What is stored of a record's bytes: their SHA-256 and, unless it is empty, the packed record as
 * base/compress.h makes it.  Any thread can make it. */
typedef struct store_form {
    unsigned char hash[SHA256_SIZE];
    str packed;
} store_form;
/* As store_put, of a record that has its form already. */
status store_put_formed(store *s, str id, instant at, str raw, const store_form *form,
                        put_result *out, err *e) MUST_USE;

/* Keeps a record that cannot be used, once for each content (*is_new false: known). */
status store_put_rejected(store *s, str raw, const char *reason, bool *is_new, err *e) MUST_USE;

typedef status (*store_record_fn)(void *ctx, str id, origin from, str raw, err *e);
/* Every interaction, newest instant first, equal instants by id (bytes). */
status store_each(store *s, store_record_fn fn, void *ctx, err *e) MUST_USE;

/* The same by several threads, in batches of up to STORE_BATCH records.  Any thread calls `read`
 * for a record (raw: borrowed until it returns), others at the same time for other slots; then one
 * thread at a time, not always the same one, calls `take` for each record in order, after which
 * its slot is free for another record.  Neither may use the store. */
enum { STORE_BATCH = 128, STORE_SLOTS = 2 * STORE_BATCH };
typedef struct store_visit {
    status (*read)(void *ctx, size_t slot, origin from, str raw, err *e);
    status (*take)(void *ctx, size_t slot, str id, err *e);
    void *ctx;
    pool *pool; /* NULL: this thread alone */
} store_visit;
status store_visit_each(store *s, const store_visit *v, err *e) MUST_USE;

/* The raw record of one id, appended to out. */
status store_find(store *s, str id, buf *out, bool *found, err *e) MUST_USE;

typedef status (*store_rejected_fn)(void *ctx, const char *reason, instant received, str raw,
                                    err *e);
status store_each_rejected(store *s, store_rejected_fn fn, void *ctx, err *e) MUST_USE;

/* A number that grows whenever an interaction is added, changed or removed. */
status store_generation(store *s, uint64_t *out, err *e) MUST_USE;

/* --- forgetting -------------------------------------------------------------------- */
/* Removes an interaction and all that names it (verdicts, rejected records, what open slices
 * remember), and notes a keyed hash of its id; the key is of this store.  *found false: there
 * was nothing, and nothing is noted.  An id that was forgotten before is found. */
status store_forget(store *s, str id, bool *found, err *e) MUST_USE;
status store_is_forgotten(store *s, str id, bool *forgotten, err *e) MUST_USE;
/* Removes the vectors, fast ones too, but for those of texts whose SHA-256 (as bytes) is in
 * `hashes`. */
status store_keep_vectors(store *s, const intern *hashes, err *e) MUST_USE;
/* Outside of a transaction: writes the log back into the file and empties it, so that what was
 * removed is in neither.  *done false: another program reads the store and needs the log. */
status store_scrub(store *s, bool *done, err *e) MUST_USE;

/* --- slices: `source` names the API that they were read from ---------------------- */
/* The oldest unfinished one; *found false: none. */
status store_open_slice(store *s, str source, slice *out, bool *found, err *e) MUST_USE;
/* Over finished slices: the newest row scanned, and the lowest lo.  *found false: none. */
status store_cursor(store *s, str source, instant *newest, instant *lowest, bool *found,
                    err *e) MUST_USE;
/* Inserts (id == 0, then set) or updates. */
status store_save_slice(store *s, str source, slice *sl, err *e) MUST_USE;
/* Bytes of the SHA-256 of a raw record that can stand for its id there. */
enum { STORE_SEEN_DIGEST = 16 };
/* Marks a record (by any key that tells it apart) as seen in the slice's current pass; *is_new
 * false: it was.  store_forget_seen empties the set. */
status store_mark_seen(store *s, int64_t slice_id, str key, bool *is_new, err *e) MUST_USE;
status store_forget_seen(store *s, int64_t slice_id, err *e) MUST_USE;

/* --- unit vectors, keyed by text, all of one model (dimension fixed by it) --------- */
/* dim floats into out; *found false: not there. */
status store_vector(store *s, str text, float *out, size_t dim, bool *found, err *e) MUST_USE;
status store_put_vector(store *s, str text, const float *v, size_t dim, err *e) MUST_USE;
/* The same for vectors of the fast encoder, which are another thing. */
status store_fast_vector(store *s, str text, float *out, size_t dim, bool *found, err *e) MUST_USE;
status store_put_fast_vector(store *s, str text, const float *v, size_t dim, err *e) MUST_USE;
/* v: borrowed until it returns; it may not use the store. */
typedef status (*store_vector_fn)(void *ctx, size_t which, const float *v, err *e);
typedef struct store_wanted {
    const str *texts; /* [n] each once */
    size_t n, dim;
    bool fast;          /* vectors of the fast encoder */
    store_vector_fn fn; /* called for each that is there, in any order */
    void *ctx;
    pool *pool; /* its threads read, and call fn at the same time; NULL: this one alone */
} store_wanted;
/* The vectors of many texts. */
status store_vectors(store *s, const store_wanted *w, err *e) MUST_USE;
/* Removes all vectors (another model is to be used). */
status store_drop_vectors(store *s, err *e) MUST_USE;

/* --- the last curation ------------------------------------------------------------- */
typedef struct stored_verdict {
    str interaction_id;
    int64_t turn; /* -1: the whole interaction */
    rule rule;
    str kept_interaction_id; /* RULE_DUPLICATE and RULE_GUARDED only */
    int64_t kept_turn;
    double score;
    int64_t order; /* row number among the turns in final order; -1: none */
} stored_verdict;

/* Replaces the verdicts; inside a transaction: clear, then add each. */
status store_clear_verdicts(store *s, err *e) MUST_USE;
status store_add_verdict(store *s, const stored_verdict *v, err *e) MUST_USE;

typedef status (*store_verdict_fn)(void *ctx, const stored_verdict *v, err *e);
/* Of one interaction, by turn (whole-interaction first). */
status store_verdicts_of(store *s, str interaction_id, store_verdict_fn fn, void *ctx,
                         err *e) MUST_USE;
/* Duplicates whose keeper is this turn, by order. */
status store_duplicates_of(store *s, str interaction_id, int64_t turn, store_verdict_fn fn,
                           void *ctx, err *e) MUST_USE;
/* All, by interaction id, then turn. */
status store_each_verdict(store *s, store_verdict_fn fn, void *ctx, err *e) MUST_USE;

/* --- runs ----------------------------------------------------------------------------- */
/* command: "run", "sync" ...; *id is for store_end_run.  Committed at once. */
status store_begin_run(store *s, const char *command, int64_t *id, err *e) MUST_USE;
/* result: the summary as JSON text; state "complete", "incomplete", "failed". */
status store_end_run(store *s, int64_t id, const char *state, str result, err *e) MUST_USE;

typedef struct stored_run {
    int64_t id;
    instant started, ended; /* ended INSTANT_MIN: it never did */
    str command, state, result;
} stored_run;
typedef status (*store_run_fn)(void *ctx, const stored_run *r, err *e);
/* The last ones, newest first.  One that never ended has the state "running" if a writer
 * holds the store now, else "interrupted". */
status store_each_run(store *s, unsigned last_n, store_run_fn fn, void *ctx, err *e) MUST_USE;

/* Reads the whole file and looks whether it is sound.  ST_FAILED: what is not. */
status store_check(store *s, err *e) MUST_USE;

/* --- what it holds, for `status` ------------------------------------------------------- */
typedef struct store_counts {
    uint64_t interactions, rejected, vectors, slices_done, slices_open;
    uint64_t kept, duplicates; /* turns, by the last curation */
    uint64_t bytes;            /* of the file */
    instant oldest, newest;    /* interactions; INSTANT_MIN: none */
} store_counts;
status store_count(store *s, store_counts *out, err *e) MUST_USE;
typedef status (*store_slice_fn)(void *ctx, str source, const slice *sl, err *e);
status store_each_slice(store *s, store_slice_fn fn, void *ctx, err *e) MUST_USE;

#endif
