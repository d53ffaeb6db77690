/* store_sqlite.h - a database file, statements with values, rows; its .c is the one door to
 * SQLite.  Errors name the file as the user does and say what to do. */
#ifndef TAMIS_STORE_SQLITE_H
#define TAMIS_STORE_SQLITE_H

#include "base/buf.h"
#include "base/time.h"
#include "store/schema.h"

typedef struct db db;             /* a connection; one thread */
typedef struct sqlite3_stmt rows; /* a statement, standing on a row */

typedef enum { DB_WRITE, DB_READ, DB_IMMUTABLE } db_mode;

/* Opens a file that is there, and does nothing to it yet.  `name` (borrowed) is what errors
 * call it.  DB_IMMUTABLE: `path` is a URI (see place_immutable_uri). */
status db_open(const char *path, const char *name, db_mode mode, db **out, err *e) MUST_USE;
/* Another connection to a file that is open for writing, for another thread that reads it once from
 * end to end. */
status db_open_beside(const char *path, const char *name, db **out, err *e) MUST_USE;
void db_close(db *d); /* rolls back what is open; NULL is fine */

/* Whether the first bytes are those of an SQLite database with our application id. */
status db_check_header(const db *d, err *e) MUST_USE;

/* False: SQLite may not read it where it lies, for it may not write its files beside it. */
bool db_can_read(const db *d);
bool db_is_readonly(const db *d);
bool db_in_transaction(const db *d);
void db_rollback(const db *d); /* no-op outside of a transaction */

/* "the store NAME is damaged (WHY): ...", ST_FAILED. */
status db_damaged(const db *d, const char *why, err *e);

/* Statements without values, whose rows are of no interest. */
status db_run(const db *d, const char *sql, err *e) MUST_USE;
/* The first column of the only row. */
status db_ask_text(const db *d, const char *sql, buf *out, err *e) MUST_USE;

/* --- values ------------------------------------------------------------------------------- */

typedef struct value {
    enum { V_INT, V_REAL, V_TEXT, V_BLOB, V_NULL } kind;
    int64_t i;
    double d;
    str s; /* borrowed until the statement has run */
} value;

static inline value integer(int64_t i)
{
    return (value){.kind = V_INT, .i = i};
}

static inline value real(double d)
{
    return (value){.kind = V_REAL, .d = d};
}

static inline value text(str s)
{
    return (value){.kind = V_TEXT, .s = s};
}

static inline value blob(str s)
{
    return (value){.kind = V_BLOB, .s = s};
}

/* Values as an argument: a pointer and a number. */
#define VALUES(...)                                                                                \
    (const value[]){__VA_ARGS__}, sizeof((const value[]){__VA_ARGS__}) / sizeof(value)
#define NO_VALUES NULL, 0

/* --- statements of at most one row: prepared once, kept ----------------------------------- */

/* *row: to be given back with db_release before the next use of the same statement; NULL: no
 * row. */
status db_ask(db *d, query which, const value *v, size_t n, rows **row, err *e) MUST_USE;
void db_release(rows *row); /* NULL is fine */

/* The same, of no interest but for what it does. */
status db_do(db *d, query which, const value *v, size_t n, err *e) MUST_USE;
uint64_t db_changed(const db *d); /* rows changed by the last */
int64_t db_last_id(const db *d);  /* of the row added last */

/* --- statements of many rows: prepared for each use --------------------------------------- */

/* Then for each row db_next is true; it leaves alone an error in *st, and leaves its own
 * there.  db_end in any case. */
status db_list(const db *d, const char *sql, const value *v, size_t n, rows **out, err *e) MUST_USE;
bool db_next(const db *d, rows *r, status *st, err *e);
void db_end(rows *r);

/* --- columns, from 0; what is borrowed is valid until the row is left --------------------- */

bool row_has(rows *r, int column); /* not NULL */
int64_t row_int(rows *r, int column);
double row_real(rows *r, int column);
str row_str(rows *r, int column);
const char *row_cstr(rows *r, int column); /* never NULL */
instant row_instant(rows *r, int column);  /* two columns */

#endif
