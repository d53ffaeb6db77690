/* schema.h - the tables of a store and the statements on them, as SQL text. */
#ifndef TAMIS_STORE_SCHEMA_H
#define TAMIS_STORE_SCHEMA_H

enum {
    SCHEMA_APPLICATION_ID = 0x54414d49, /* "TAMI" */
    SCHEMA_VERSION = 4
};

/* Makes all tables in an empty database. */
extern const char schema_sql[];

/* What older stores lack: the statements that take version n to n + 1, at [n - 1]. */
extern const char *const schema_steps[SCHEMA_VERSION - 1];

/* Statements that give at most one row. */
typedef enum {
    Q_GET,
    Q_SET,
    Q_INTERACTION_HASH,
    Q_ADD_INTERACTION,
    Q_CHANGE_INTERACTION,
    Q_SET_SOURCE,
    Q_FIND,
    Q_REJECTED_HASH,
    Q_ADD_REJECTED,
    Q_REMOVE_INTERACTION,
    Q_REMOVE_REJECTED,
    Q_REMOVE_SEEN,
    Q_REMOVE_VECTOR,
    Q_REMOVE_FAST_VECTOR,
    Q_REMOVE_VERDICTS,
    Q_GENERATION,
    Q_SET_GENERATION,
    Q_OPEN_SLICE,
    Q_CURSOR_NEWEST,
    Q_CURSOR_LOWEST,
    Q_ADD_SLICE,
    Q_CHANGE_SLICE,
    Q_MARK_SEEN,
    Q_FORGET_SEEN,
    Q_VECTOR,
    Q_LAST_VECTOR,
    Q_PUT_VECTOR,
    Q_DROP_VECTORS,
    Q_FAST_VECTOR,
    Q_LAST_FAST_VECTOR,
    Q_PUT_FAST_VECTOR,
    Q_DROP_FAST_VECTORS,
    Q_CLEAR_VERDICTS,
    Q_ADD_VERDICT,
    Q_BEGIN_RUN,
    Q_END_RUN,
    Q_INTERRUPTED_RUNS,
    Q_COUNT_ALL,
    N_QUERIES
} query;

extern const char *const query_sql[N_QUERIES];

/* Statements with many rows. */
extern const char list_interactions[], list_rejected[], list_slices[], list_runs[];
extern const char list_vectors[], list_fast_vectors[]; /* their numbers and hashes */
extern const char read_vectors[], read_fast_vectors[]; /* hashes and they, from number to number */
extern const char list_verdicts[], list_verdicts_of[], list_duplicates_of[];

#endif
