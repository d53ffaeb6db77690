/* store_sqlite.c - the one door to SQLite.
 *
 * SQLite's errors become one line each, with the cause that the operating system gave where
 * there is one.  Text and blobs are bound without a copy: they live until the statement has
 * been run.  A forged file may hold triggers and views; they are switched off. */
#include "store/store_sqlite.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

enum {
    HEADER_SIZE = 100, /* https://www.sqlite.org/fileformat.html, 1.3 */
    HEADER_APPLICATION_ID = 68,
    BUSY_MS = 10000
};

struct db {
    const char *name;
    sqlite3 *handle;
    sqlite3_stmt *kept[N_QUERIES];
};

/* --- what went wrong ---------------------------------------------------------------------- */

static status no_room(const db *d, const char *why, err *e)
{
    return err_set(e, ST_FAILED,
                   "cannot write the store %s: %s; all that was committed before is kept: make "
                   "room and run again",
                   d->name, why);
}

status db_damaged(const db *d, const char *why, err *e)
{
    return err_set(e, ST_FAILED,
                   "the store %s is damaged (%s): put a backup in its place, or move it away to "
                   "begin anew",
                   d->name, why);
}

/* Errors of reading and writing the file; `why` is the errno, as far as SQLite tells it. */
static status failed_io(const db *d, int code, int why, err *e)
{
    if (code == SQLITE_IOERR_NOMEM) return err_nomem(e, "using the store");
    if (why == ENOSPC || (code == SQLITE_IOERR_SHMSIZE && !why))
        return no_room(d, "no space left on the device", e);
    if (why == EDQUOT || why == EFBIG) return no_room(d, strerror(why), e);
    return err_set(e, ST_FAILED,
                   "cannot read or write the store %s: %s (%s); all that was committed before is "
                   "kept",
                   d->name, sqlite3_errstr(code), why ? strerror(why) : "cause unknown");
}

/* What the last call of SQLite complained about.  SQLite tells the errno of an open that
 * failed, but not of a commit that did; so errno is set to 0 before each call and looked at
 * here. */
static status failed(const db *d, err *e)
{
    int why = errno, code = sqlite3_extended_errcode(d->handle);
    const char *name = d->name;
    switch (code & 0xff) {
    case SQLITE_FULL:
        return no_room(d, "no space left on the device", e);
    case SQLITE_IOERR:
        return failed_io(d, code, why, e);
    case SQLITE_NOMEM:
        return err_nomem(e, "using the store");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return db_damaged(d, sqlite3_errmsg(d->handle), e);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ST_BUSY, "another program holds the store %s: close it and run again",
                       name);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        why = sqlite3_system_errno(d->handle);
        if (why == EACCES || why == EROFS || why == EPERM || why == ENOENT || why == EMFILE)
            return err_sys(e, why, "cannot open or write the store %s (or its -wal and -shm)",
                           name);
        break;
    default:
        break;
    }
    return err_set(e, ST_FAILED, "store %s: %s", name, sqlite3_errmsg(d->handle));
}

/* --- values ------------------------------------------------------------------------------- */

/* Borrows the texts until the statement is reset. */
static int bind(sqlite3_stmt *q, int at, const value *v)
{
    const char *p = v->s.p ? v->s.p : ""; /* a NULL pointer would be NULL, not empty */
    switch (v->kind) {
    case V_INT:
        return sqlite3_bind_int64(q, at, v->i);
    case V_REAL:
        return sqlite3_bind_double(q, at, v->d);
    case V_TEXT:
        return sqlite3_bind_text64(q, at, p, v->s.n, SQLITE_STATIC, SQLITE_UTF8);
    case V_BLOB:
        return sqlite3_bind_blob64(q, at, p, v->s.n, SQLITE_STATIC);
    case V_NULL:
        break;
    }
    return sqlite3_bind_null(q, at);
}

static status bind_all(const db *d, sqlite3_stmt *q, const value *v, size_t n, err *e)
{
    for (size_t i = 0; i < n; i++)
        if (bind(q, (int)i + 1, &v[i])) return failed(d, e);
    return ST_OK;
}

/* --- opening ------------------------------------------------------------------------------ */

/* A connection for each use: what cannot be written opens for reading only. */
status db_open(const char *path, const char *name, db_mode mode, db **out, err *e)
{
    static const int flags[] = {[DB_WRITE] = SQLITE_OPEN_READWRITE,
                                [DB_READ] = SQLITE_OPEN_READWRITE,
                                [DB_IMMUTABLE] = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI};
    static const int off[] = {SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW};
    status st = ST_OK;
    db *d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d) return err_nomem(e, "opening the store");
    d->name = name;
    int rc = sqlite3_open_v2(path, &d->handle, flags[mode] | SQLITE_OPEN_NOMUTEX, NULL);
    if (!d->handle)
        st = err_nomem(e, "opening the store");
    else if (rc)
        st = failed(d, e);
    if (st) {
        db_close(d);
        return st;
    }
    sqlite3_extended_result_codes(d->handle, 1);
    sqlite3_busy_timeout(d->handle, BUSY_MS);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        sqlite3_db_config(d->handle, off[i], 0, NULL);
    *out = d;
    return ST_OK;
}

status db_open_beside(const char *path, const char *name, db **out, err *e)
{
    status st = db_open(path, name, DB_READ, out, e);
    if (st == ST_OK)
        st = db_run(*out,
                    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                    "PRAGMA query_only = ON; PRAGMA cache_size = -1024",
                    e);
    if (st == ST_OK) return st;
    db_close(*out);
    *out = NULL;
    return st;
}

void db_close(db *d)
{
    if (!d) return;
    for (size_t i = 0; i < N_QUERIES; i++) sqlite3_finalize(d->kept[i]);
    sqlite3_close(d->handle); /* a checkpoint that fails here is made at the next opening */
    free(d);
}

/* Reads the first bytes through SQLite's own file handle: closing another one would drop the
 * locks that this process may hold on the file (fcntl's rule). */
status db_check_header(const db *d, err *e)
{
    static const char magic[] = "SQLite format 3"; /* with its NUL */
    unsigned char h[HEADER_SIZE] = {0};
    sqlite3_file *f = NULL;
    sqlite3_file_control(d->handle, "main", SQLITE_FCNTL_FILE_POINTER, &f);
    int rc = f && f->pMethods ? f->pMethods->xRead(f, h, HEADER_SIZE, 0) : SQLITE_CANTOPEN;
    if (rc && rc != SQLITE_IOERR_SHORT_READ) return failed_io(d, rc, errno, e);
    if (memcmp(h, magic, sizeof magic))
        return err_set(e, ST_FAILED,
                       "%s is not a tamis store (not an SQLite database): set store.url to another "
                       "path",
                       d->name);
    uint32_t id = 0;
    for (int i = 0; i < 4; i++) id = id << 8 | h[HEADER_APPLICATION_ID + i];
    if (id == SCHEMA_APPLICATION_ID) return ST_OK;
    return err_set(e, ST_FAILED,
                   "%s is not a tamis store (an SQLite database of something else): set store.url "
                   "to another path",
                   d->name);
}

bool db_can_read(const db *d)
{
    int rc = sqlite3_exec(d->handle, "PRAGMA user_version", NULL, NULL, NULL) & 0xff;
    return rc != SQLITE_CANTOPEN && rc != SQLITE_READONLY && rc != SQLITE_PERM;
}

bool db_is_readonly(const db *d)
{
    return sqlite3_db_readonly(d->handle, "main") != 0;
}

bool db_in_transaction(const db *d)
{
    return !sqlite3_get_autocommit(d->handle);
}

void db_rollback(const db *d)
{
    /* An error may have ended it already.  If this fails, the end of the connection does it. */
    if (db_in_transaction(d)) sqlite3_exec(d->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* --- statements --------------------------------------------------------------------------- */

status db_run(const db *d, const char *sql, err *e)
{
    errno = 0;
    return sqlite3_exec(d->handle, sql, NULL, NULL, NULL) ? failed(d, e) : ST_OK;
}

status db_ask_text(const db *d, const char *sql, buf *out, err *e)
{
    rows *r;
    status st = db_list(d, sql, NO_VALUES, &r, e);
    if (db_next(d, r, &st, e)) buf_str(out, row_str(r, 0));
    db_end(r);
    if (st == ST_OK && !buf_cstr(out)) st = err_nomem(e, "opening the store");
    return st;
}

static status kept_statement(db *d, query which, sqlite3_stmt **out, err *e)
{
    errno = 0;
    if (!d->kept[which] && sqlite3_prepare_v3(d->handle, query_sql[which], -1,
                                              SQLITE_PREPARE_PERSISTENT, &d->kept[which], NULL))
        return failed(d, e);
    *out = d->kept[which];
    return ST_OK;
}

status db_ask(db *d, query which, const value *v, size_t n, rows **row, err *e)
{
    sqlite3_stmt *q = NULL;
    *row = NULL;
    status st = kept_statement(d, which, &q, e);
    if (st == ST_OK) st = bind_all(d, q, v, n, e);
    if (st) return st;
    errno = 0;
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        *row = q;
        return ST_OK;
    }
    if (rc != SQLITE_DONE) st = failed(d, e);
    sqlite3_reset(q);
    return st;
}

void db_release(rows *row)
{
    sqlite3_reset(row); /* what it returns has been told by the step */
}

status db_do(db *d, query which, const value *v, size_t n, err *e)
{
    rows *row;
    status st = db_ask(d, which, v, n, &row, e);
    db_release(row);
    return st;
}

uint64_t db_changed(const db *d)
{
    return (uint64_t)sqlite3_changes(d->handle);
}

int64_t db_last_id(const db *d)
{
    return sqlite3_last_insert_rowid(d->handle);
}

status db_list(const db *d, const char *sql, const value *v, size_t n, rows **out, err *e)
{
    *out = NULL;
    errno = 0;
    if (sqlite3_prepare_v2(d->handle, sql, -1, out, NULL)) return failed(d, e);
    return bind_all(d, *out, v, n, e);
}

bool db_next(const db *d, rows *r, status *st, err *e)
{
    if (*st) return false;
    errno = 0;
    int rc = sqlite3_step(r);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) *st = failed(d, e);
    return rc == SQLITE_ROW;
}

void db_end(rows *r)
{
    sqlite3_finalize(r);
}

/* --- columns ------------------------------------------------------------------------------ */

bool row_has(rows *r, int column)
{
    return sqlite3_column_type(r, column) != SQLITE_NULL;
}

int64_t row_int(rows *r, int column)
{
    return sqlite3_column_int64(r, column);
}

double row_real(rows *r, int column)
{
    return sqlite3_column_double(r, column);
}

str row_str(rows *r, int column)
{
    const char *p = sqlite3_column_blob(r, column); /* first; it may convert */
    return (str){p, (size_t)sqlite3_column_bytes(r, column)};
}

const char *row_cstr(rows *r, int column)
{
    const unsigned char *z = sqlite3_column_text(r, column);
    return z ? (const char *)z : "";
}

instant row_instant(rows *r, int column)
{
    return (instant){sqlite3_column_int64(r, column), sqlite3_column_int(r, column + 1)};
}
