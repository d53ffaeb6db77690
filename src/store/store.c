/* store.c - the store in one SQLite file.
 *
 * What holds:
 *  - A file at the store's path is a whole tamis store or not ours.  A new one is made under
 *    another name, synced and renamed; an old one is known by the application id in its first
 *    100 bytes, read before SQLite does anything (a recovery, a checkpoint) to it.
 *  - WAL with synchronous=FULL: what store_commit returned ST_OK for survives a power loss,
 *    and readers go on beside the writer.
 *  - secure_delete: what is overwritten or removed is gone from the file.
 *  - The generation is counted in memory within a transaction and written at its end.
 * Statements that give at most one row are prepared once and kept (they are reset before the
 * function returns); those that call back are prepared for each call, so that a callback may
 * use the store as it likes. */
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/compress.h"
#include "base/json.h"
#include "base/number.h"
#include "store/place.h"
#include "store/records_read.h"
#include "store/store_sqlite.h"
#include "store/vectors_find.h"

struct store {
    place place;
    db *db;
    bool writes;      /* opened with STORE_WRITE */
    bool begun;       /* between store_begin and store_commit or store_rollback */
    bool reading;     /* a transaction in which nothing is written is open */
    origin from;      /* of the records that are put */
    uint64_t changes; /* of interactions since store_begin */
    unsigned char forget_key[SHA256_SIZE];
    enum { KEY_UNKNOWN, KEY_NONE, KEY_THERE } has_forget_key;
    int64_t run; /* begun by this handle and not ended; 0: none */
    packer *packer;
    buf packed; /* scratch of the writing functions */
};

static value hash_blob(const unsigned char digest[SHA256_SIZE])
{
    return blob((str){(const char *)digest, SHA256_SIZE});
}

/* --- opening ------------------------------------------------------------------------------ */

/* Takes an older store to this version's tables, all the way or not at all. */
static status migrate(const store *s, long version, err *e)
{
    char sql[64];
    status st = db_run(s->db, "BEGIN IMMEDIATE", e);
    for (; st == ST_OK && version < SCHEMA_VERSION; version++)
        st = db_run(s->db, schema_steps[version - 1], e);
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d; COMMIT", SCHEMA_VERSION);
    if (st == ST_OK) st = db_run(s->db, sql, e);
    if (st) db_rollback(s->db);
    return st;
}

static status check_version(const store *s, long *version, err *e)
{
    buf b = {0};
    status st = db_ask_text(s->db, "PRAGMA user_version", &b, e);
    *version = st == ST_OK ? strtol(b.p, NULL, 10) : 0;
    buf_release(&b);
    if (st == ST_OK && *version > SCHEMA_VERSION)
        st = err_set(e, ST_FAILED,
                     "the store %s was made by a newer version of tamis (schema %ld, this one "
                     "knows %d): use that version or another store.url",
                     s->place.name, *version, SCHEMA_VERSION);
    if (st == ST_OK && *version < 1) st = db_damaged(s->db, "it has no schema version", e);
    if (st == ST_OK && *version < SCHEMA_VERSION && !s->writes)
        st = err_set(e, ST_FAILED,
                     "the store %s was made by an older version of tamis: run `tamis sync` or "
                     "`tamis curate` once, which brings it up to date",
                     s->place.name);
    return st;
}

static status create_in(const db *d, err *e)
{
    char sql[128];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             SCHEMA_APPLICATION_ID, SCHEMA_VERSION);
    status st = db_run(d, "PRAGMA journal_mode = OFF; PRAGMA synchronous = FULL; BEGIN", e);
    if (st == ST_OK) st = db_run(d, schema_sql, e);
    if (st == ST_OK) st = db_run(d, sql, e);
    if (st == ST_OK) st = db_run(d, "PRAGMA journal_mode = WAL", e);
    return st;
}

/* A store is made whole, under another name, before it is one. */
static status create(const place *p, err *e)
{
    db *d = NULL;
    status st = place_make_new(p, e);
    if (st) return st;
    st = db_open(p->new_path, p->name, DB_WRITE, &d, e);
    if (st == ST_OK) st = create_in(d, e);
    db_close(d);
    if (st == ST_OK) st = place_publish(p, e);
    if (st) place_drop_new(p);
    return st;
}

static status configure(const store *s, err *e)
{
    buf mode = {0};
    status st = db_run(s->db,
                       "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                       "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536",
                       e);
    if (st || !s->writes) return st ? st : db_run(s->db, "PRAGMA query_only = ON", e);
    st = db_run(s->db,
                "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
                "PRAGMA journal_size_limit = 67108864",
                e);
    if (st == ST_OK) st = db_ask_text(s->db, "PRAGMA journal_mode = WAL", &mode, e);
    if (st == ST_OK && !str_eq(buf_view(&mode), STR("wal")))
        st = err_set(e, ST_FAILED,
                     "store %s: its file system does not allow SQLite's WAL: set store.url to a "
                     "path on a local disk",
                     s->place.name);
    buf_release(&mode);
    return st;
}

static status open_writing(store *s, err *e)
{
    place *p = &s->place;
    status st = ST_OK;
    if (p->is_there) { /* what we cannot use gets no lock beside it */
        st = db_open(p->path, p->name, DB_WRITE, &s->db, e);
        if (st == ST_OK) st = db_check_header(s->db, e);
        if (st == ST_OK && db_is_readonly(s->db))
            st = err_set(e, ST_FAILED, "cannot write the store %s: it is read-only", p->name);
    }
    if (st == ST_OK) st = place_lock(p, e);
    if (st || s->db) return st;
    st = place_look(p, e); /* another run may have made it meanwhile */
    if (st == ST_OK && !p->is_there) st = create(p, e);
    if (st == ST_OK) st = db_open(p->path, p->name, DB_WRITE, &s->db, e);
    return st ? st : db_check_header(s->db, e);
}

/* SQLite needs to write beside a file even to read it.  Where it may not (read-only media),
 * nobody else does either, so that the file alone is read. */
static status open_immutable(store *s, err *e)
{
    buf uri = {0};
    status st = place_immutable_uri(&s->place, &uri, e);
    db_close(s->db);
    s->db = NULL;
    if (st == ST_OK) st = db_open(uri.p, s->place.name, DB_IMMUTABLE, &s->db, e);
    buf_release(&uri);
    return st;
}

static status open_reading(store *s, err *e)
{
    if (!s->place.is_there)
        return err_set(e, ST_FAILED,
                       "no store at %s: run `tamis sync` or `tamis import` first, or set store.url",
                       s->place.name);
    status st = db_open(s->place.path, s->place.name, DB_READ, &s->db, e);
    if (st == ST_OK) st = db_check_header(s->db, e);
    if (st || db_can_read(s->db)) return st;
    return open_immutable(s, e);
}

status store_open(const char *url, store_mode mode, store **out, err *e)
{
    store *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return err_nomem(e, "opening the store");
    long version = SCHEMA_VERSION;
    s->writes = mode == STORE_WRITE;
    status st = place_find(&s->place, url, e);
    if (st == ST_OK) st = packer_new(&s->packer, e);
    if (st == ST_OK) st = s->writes ? open_writing(s, e) : open_reading(s, e);
    if (st == ST_OK) st = check_version(s, &version, e);
    if (st == ST_OK) st = configure(s, e);
    if (st == ST_OK && version < SCHEMA_VERSION) st = migrate(s, version, e);
    if (st == ST_OK && s->writes) st = db_do(s->db, Q_INTERRUPTED_RUNS, NO_VALUES, e);
    if (st)
        store_close(s);
    else
        *out = s;
    return st;
}

void store_close(store *s)
{
    if (!s) return;
    store_rollback(s);
    db_close(s->db);
    packer_free(s->packer);
    buf_release(&s->packed);
    place_release(&s->place); /* the lock last */
    free(s);
}

/* --- transactions ------------------------------------------------------------------------- */

static status may_write(const store *s, err *e)
{
    if (s->begun && db_in_transaction(s->db)) return ST_OK;
    return err_set(e, ST_FAILED,
                   "store %s: no transaction to write in (none was begun, or an error ended it)",
                   s->place.name);
}

status store_begin_read(store *s, err *e)
{
    status st = db_run(s->db, "BEGIN", e);
    s->reading = st == ST_OK;
    return st;
}

status store_begin(store *s, err *e)
{
    if (!s->writes)
        return err_set(e, ST_FAILED, "the store %s was opened for reading only", s->place.name);
    status st = db_run(s->db, "BEGIN IMMEDIATE", e);
    if (st) return st;
    s->begun = true;
    s->changes = 0;
    return ST_OK;
}

status store_commit(store *s, err *e)
{
    status st = may_write(s, e);
    if (st == ST_OK && s->changes)
        st = db_do(s->db, Q_SET_GENERATION, VALUES(integer((int64_t)s->changes)), e);
    if (st == ST_OK) st = db_run(s->db, "COMMIT", e);
    if (st == ST_OK) {
        s->begun = false;
        s->changes = 0;
    }
    store_rollback(s);
    return st;
}

void store_rollback(store *s)
{
    if (!s->begun && !s->reading) return;
    db_rollback(s->db);
    s->begun = s->reading = false;
    s->changes = 0;
}

/* Changes something, within the transaction. */
static status change(store *s, query which, const value *v, size_t n, err *e)
{
    status st = may_write(s, e);
    return st ? st : db_do(s->db, which, v, n, e);
}

/* --- settings ----------------------------------------------------------------------------- */

status store_get(store *s, const char *key, buf *out, bool *found, err *e)
{
    rows *row;
    status st = db_ask(s->db, Q_GET, VALUES(text(str_from(key))), &row, e);
    *found = row != NULL;
    if (row) buf_str(out, row_str(row, 0));
    db_release(row);
    if (st == ST_OK && !buf_ok(out)) st = err_nomem(e, "reading the store");
    return st;
}

status store_set(store *s, const char *key, str val, err *e)
{
    return change(s, Q_SET, VALUES(text(str_from(key)), blob(val)), e);
}

/* --- raw interactions --------------------------------------------------------------------- */

/* Packs into the scratch. */
static status pack(store *s, str raw, err *e)
{
    if (raw.n > RECORD_BYTES)
        return err_set(e, ST_FAILED, "a record of %zu bytes is more than the store takes", raw.n);
    buf_clear(&s->packed);
    return packer_pack(s->packer, raw, &s->packed, e);
}

/* Appends the record in column `at`; `what` and `id` name it. */
static status unpack(store *s, rows *r, int at, const char *what, str id, buf *out, err *e)
{
    const record_name name = {s->place.name, what, id};
    return record_unpack(s->packer, &name, row_str(r, at), out, e);
}

/* A record as it is stored. */
typedef struct known {
    int64_t number; /* 0: it is not */
    bool same;      /* its bytes */
    bool lacks_source;
} known;

static status look_up(store *s, str id, const unsigned char hash[SHA256_SIZE], known *out, err *e)
{
    rows *row;
    *out = (known){0};
    status st = db_ask(s->db, Q_INTERACTION_HASH, VALUES(blob(id)), &row, e);
    if (row) {
        out->number = row_int(row, 0);
        out->lacks_source = row_int(row, 2) == ORIGIN_UNKNOWN;
        out->same = str_eq(row_str(row, 1), (str){(const char *)hash, SHA256_SIZE});
    }
    db_release(row);
    return st;
}

void store_set_origin(store *s, origin from)
{
    s->from = from;
}

status store_put(store *s, str id, instant at, str raw, put_result *out, err *e)
{
    store_form form = {0};
    sha256_of(raw, form.hash);
    return store_put_formed(s, id, at, raw, &form, out, e);
}

status store_put_formed(store *s, str id, instant at, str raw, const store_form *form,
                        put_result *out, err *e)
{
    known k;
    bool forgotten;
    status st = may_write(s, e);
    if (st == ST_OK) st = store_is_forgotten(s, id, &forgotten, e);
    *out = PUT_FORGOTTEN;
    if (st || forgotten) return st;
    st = look_up(s, id, form->hash, &k, e);
    if (st) return st;
    *out = !k.number ? PUT_NEW : k.same ? PUT_SAME : PUT_UPDATED;
    value source = integer(s->from), number = integer(k.number);
    if (*out == PUT_SAME)
        return k.lacks_source ? change(s, Q_SET_SOURCE, VALUES(source, number), e) : ST_OK;
    if (!form->packed.n) st = pack(s, raw, e);
    if (st) return st;
    value seconds = integer(at.s), ns = integer(at.ns), sum = hash_blob(form->hash);
    value packed = blob(form->packed.n ? form->packed : buf_view(&s->packed));
    st = k.number
             ? change(s, Q_CHANGE_INTERACTION, VALUES(seconds, ns, sum, source, packed, number), e)
             : change(s, Q_ADD_INTERACTION, VALUES(blob(id), seconds, ns, sum, source, packed), e);
    if (st == ST_OK) s->changes++;
    return st;
}

status store_put_rejected(store *s, str raw, const char *reason, bool *is_new, err *e)
{
    rows *row;
    unsigned char hash[SHA256_SIZE];
    sha256_of(raw, hash);
    status st = db_ask(s->db, Q_REJECTED_HASH, VALUES(hash_blob(hash)), &row, e);
    *is_new = row == NULL;
    db_release(row);
    if (st == ST_OK && *is_new) st = pack(s, raw, e);
    if (st || !*is_new) return st;
    instant now = clock_now();
    return change(s, Q_ADD_REJECTED,
                  VALUES(hash_blob(hash), text(str_from(reason)), integer(now.s), integer(now.ns),
                         blob(buf_view(&s->packed))),
                  e);
}

status store_each(store *s, store_record_fn fn, void *ctx, err *e)
{
    rows *r;
    buf raw = {0};
    status st = db_list(s->db, list_interactions, NO_VALUES, &r, e);
    while (db_next(s->db, r, &st, e)) {
        str id = row_str(r, 0);
        buf_clear(&raw);
        st = unpack(s, r, 1, "interaction", id, &raw, e);
        if (st == ST_OK) st = fn(ctx, id, column_origin(r, 2), buf_view(&raw), e);
    }
    db_end(r);
    buf_release(&raw);
    return st;
}

status store_visit_each(store *s, const store_visit *v, err *e)
{
    return records_read(s->db, s->place.name, v, e);
}

status store_find(store *s, str id, buf *out, bool *found, err *e)
{
    rows *row;
    status st = db_ask(s->db, Q_FIND, VALUES(blob(id)), &row, e);
    *found = row != NULL;
    if (row) st = unpack(s, row, 0, "interaction", id, out, e);
    db_release(row);
    return st;
}

status store_each_rejected(store *s, store_rejected_fn fn, void *ctx, err *e)
{
    rows *r;
    buf raw = {0};
    status st = db_list(s->db, list_rejected, NO_VALUES, &r, e);
    while (db_next(s->db, r, &st, e)) {
        const char *reason = row_cstr(r, 0);
        buf_clear(&raw);
        st = unpack(s, r, 3, "rejected record", row_str(r, 4), &raw, e);
        if (st == ST_OK) st = fn(ctx, reason, row_instant(r, 1), buf_view(&raw), e);
    }
    db_end(r);
    buf_release(&raw);
    return st;
}

status store_generation(store *s, uint64_t *out, err *e)
{
    rows *row;
    status st = db_ask(s->db, Q_GENERATION, NO_VALUES, &row, e);
    if (row) *out = (uint64_t)row_int(row, 0) + s->changes;
    db_release(row);
    return st == ST_OK && !row ? db_damaged(s->db, "it has no generation", e) : st;
}

/* --- forgetting --------------------------------------------------------------------------- */

#define FORGET_KEY "forget.key"

/* The key under which forgotten ids are hashed; made when the first one is. */
static status load_forget_key(store *s, bool make, err *e)
{
    buf b = {0};
    bool found;
    if (s->has_forget_key == KEY_THERE || (s->has_forget_key == KEY_NONE && !make)) return ST_OK;
    status st = store_get(s, FORGET_KEY, &b, &found, e);
    if (st == ST_OK && found && b.n != sizeof s->forget_key)
        st = db_damaged(s->db, "its key for forgetting", e);
    if (st == ST_OK && found) memcpy(s->forget_key, b.p, sizeof s->forget_key);
    buf_release(&b);
    if (st == ST_OK && !found && make) {
        str key = {(const char *)s->forget_key, sizeof s->forget_key};
        if (getentropy(s->forget_key, sizeof s->forget_key))
            return err_sys(e, errno, "no random bytes");
        st = store_set(s, FORGET_KEY, key, e);
        found = true;
    }
    if (st == ST_OK) s->has_forget_key = found ? KEY_THERE : KEY_NONE;
    return st;
}

enum { FORGOTTEN_NAME = sizeof "forgotten." + SHA256_HEX };

/* The setting that says of an id that it is forgotten. */
static void forgotten_name(const store *s, str id, char out[FORGOTTEN_NAME])
{
    unsigned char digest[SHA256_SIZE];
    char hex[SHA256_HEX];
    hmac_sha256((str){(const char *)s->forget_key, sizeof s->forget_key}, id, digest);
    sha256_hex(digest, hex);
    snprintf(out, FORGOTTEN_NAME, "forgotten.%s", hex);
}

status store_is_forgotten(store *s, str id, bool *forgotten, err *e)
{
    char name[FORGOTTEN_NAME];
    rows *row;
    *forgotten = false;
    status st = load_forget_key(s, false, e);
    if (st || s->has_forget_key == KEY_NONE) return st;
    forgotten_name(s, id, name);
    st = db_ask(s->db, Q_GET, VALUES(text(str_from(name))), &row, e);
    *forgotten = row != NULL;
    db_release(row);
    return st;
}

/* Whether the reason of a rejection names the id, as those who read records write it. */
static bool reason_names(const char *reason, str id)
{
    static const char *const words[] = {"interaction ", "conversation ", "session ", "contact ",
                                        "part "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (const char *at = reason; (at = strstr(at, words[i]));) {
            at += strlen(words[i]);
            size_t n = strlen(at);
            if (n < id.n || memcmp(at, id.p, id.n) != 0) continue;
            if (n == id.n || at[id.n] == ' ' || at[id.n] == ')') return true;
        }
    return false;
}

/* Rejected records that have the id or hold it as a JSON string, or of which (redact.store) no more
 * is kept than a word that names it. */
static status forget_rejected(store *s, str id, bool *found, err *e)
{
    rows *r;
    arena a = {0};
    buf raw = {0}, quoted = {0};
    js_write_string(&quoted, id);
    status st = db_list(s->db, list_rejected, NO_VALUES, &r, e);
    while (db_next(s->db, r, &st, e)) {
        str number = row_str(r, 4);
        str has = {0};
        uint64_t n = 0;
        buf_clear(&raw);
        arena_reset(&a);
        st = unpack(s, r, 3, "rejected record", number, &raw, e);
        if (st == ST_OK) st = record_id_of_broken(buf_view(&raw), &a, &has, e);
        bool names = reason_names(row_cstr(r, 0), id) || str_eq(has, id) ||
                     (raw.n && memmem(raw.p, raw.n, quoted.p, quoted.n));
        if (st || !names || !number_parse_u64(number, &n)) continue;
        *found = true;
        st = change(s, Q_REMOVE_REJECTED, VALUES(integer((int64_t)n)), e);
    }
    db_end(r);
    if (st == ST_OK && (!buf_ok(&quoted) || !buf_ok(&raw))) st = err_nomem(e, "forgetting");
    buf_release(&raw);
    buf_release(&quoted);
    arena_release(&a);
    return st;
}

/* What open slices remember a record by: its id or the first bytes of its hash. */
static status forget_seen(store *s, str id, err *e)
{
    rows *row;
    unsigned char digest[SHA256_SIZE] = {0};
    status st = change(s, Q_REMOVE_SEEN, VALUES(blob(id)), e);
    if (st == ST_OK) st = db_ask(s->db, Q_INTERACTION_HASH, VALUES(blob(id)), &row, e);
    if (st) return st;
    bool there = row && row_str(row, 1).n == SHA256_SIZE;
    if (there) memcpy(digest, row_str(row, 1).p, SHA256_SIZE);
    db_release(row);
    str key = {(const char *)digest, STORE_SEEN_DIGEST};
    return there ? change(s, Q_REMOVE_SEEN, VALUES(blob(key)), e) : ST_OK;
}

status store_forget(store *s, str id, bool *found, err *e)
{
    char name[FORGOTTEN_NAME];
    bool before;
    status st = may_write(s, e);
    if (st == ST_OK) st = store_is_forgotten(s, id, &before, e);
    if (st == ST_OK) st = forget_seen(s, id, e);
    if (st == ST_OK) st = change(s, Q_REMOVE_INTERACTION, VALUES(blob(id)), e);
    *found = st == ST_OK && db_changed(s->db) > 0;
    if (*found) s->changes++;
    if (st == ST_OK) st = forget_rejected(s, id, found, e);
    if (st == ST_OK) st = change(s, Q_REMOVE_VERDICTS, VALUES(blob(id)), e);
    if (st == ST_OK) *found |= before;
    if (st || !*found) return st;
    st = load_forget_key(s, true, e);
    if (st) return st;
    forgotten_name(s, id, name);
    return store_set(s, name, STR(""), e);
}

static status keep_listed(store *s, const char *list, query remove, const intern *hashes, err *e)
{
    rows *r;
    status st = db_list(s->db, list, NO_VALUES, &r, e);
    while (db_next(s->db, r, &st, e))
        if (intern_find(hashes, row_str(r, 1)) == INTERN_NONE)
            st = change(s, remove, VALUES(integer(row_int(r, 0))), e);
    db_end(r);
    return st;
}

status store_keep_vectors(store *s, const intern *hashes, err *e)
{
    status st = keep_listed(s, list_vectors, Q_REMOVE_VECTOR, hashes, e);
    return st ? st : keep_listed(s, list_fast_vectors, Q_REMOVE_FAST_VECTOR, hashes, e);
}

status store_scrub(store *s, bool *done, err *e)
{
    rows *r;
    *done = false;
    status st = db_list(s->db, "PRAGMA wal_checkpoint(TRUNCATE)", NO_VALUES, &r, e);
    if (db_next(s->db, r, &st, e)) *done = row_int(r, 0) == 0;
    db_end(r);
    return st;
}

/* --- slices ------------------------------------------------------------------------------- */

static slice column_slice(rows *r)
{
    return (slice){.id = row_int(r, 0),
                   .lo = row_instant(r, 1),
                   .hi = row_instant(r, 3),
                   .state = str_eq(row_str(r, 5), STR("done")) ? SLICE_DONE : SLICE_OPEN,
                   .newest = row_instant(r, 6),
                   .pass = (uint32_t)row_int(r, 8),
                   .page = (uint32_t)row_int(r, 9),
                   .page_size = (uint32_t)row_int(r, 10),
                   .idle_pages = (uint32_t)row_int(r, 11),
                   .total_first = row_int(r, 12),
                   .total_last = row_int(r, 13),
                   .shrank = row_int(r, 14) != 0,
                   .bounded = row_int(r, 15) != 0,
                   .seen = (uint64_t)row_int(r, 16)};
}

status store_open_slice(store *s, str source, slice *out, bool *found, err *e)
{
    rows *row;
    status st = db_ask(s->db, Q_OPEN_SLICE, VALUES(blob(source)), &row, e);
    *found = row != NULL;
    if (row) *out = column_slice(row);
    db_release(row);
    return st;
}

static status ask_instant(store *s, query which, str source, instant *out, bool *found, err *e)
{
    rows *row;
    status st = db_ask(s->db, which, VALUES(blob(source)), &row, e);
    *found = row != NULL;
    if (row) *out = row_instant(row, 0);
    db_release(row);
    return st;
}

status store_cursor(store *s, str source, instant *newest, instant *lowest, bool *found, err *e)
{
    status st = ask_instant(s, Q_CURSOR_NEWEST, source, newest, found, e);
    if (st == ST_OK && *found) st = ask_instant(s, Q_CURSOR_LOWEST, source, lowest, found, e);
    return st;
}

status store_save_slice(store *s, str source, slice *sl, err *e)
{
    const value columns[] = {integer(sl->lo.s),
                             integer(sl->lo.ns),
                             integer(sl->hi.s),
                             integer(sl->hi.ns),
                             text(sl->state == SLICE_DONE ? STR("done") : STR("open")),
                             integer(sl->newest.s),
                             integer(sl->newest.ns),
                             integer(sl->pass),
                             integer(sl->page),
                             integer(sl->page_size),
                             integer(sl->idle_pages),
                             integer(sl->total_first),
                             integer(sl->total_last),
                             integer(sl->shrank),
                             integer(sl->bounded),
                             integer((int64_t)sl->seen),
                             blob(source),
                             integer(sl->id)};
    size_t n = sizeof columns / sizeof *columns;
    status st = sl->id ? change(s, Q_CHANGE_SLICE, columns, n, e)
                       : change(s, Q_ADD_SLICE, columns, n - 1, e);
    if (st == ST_OK && sl->id && db_changed(s->db) != 1)
        st = err_set(e, ST_FAILED, "store %s: it has no slice %" PRId64 " of %.*s", s->place.name,
                     sl->id, STR_FMT(source));
    if (st == ST_OK && !sl->id) sl->id = db_last_id(s->db);
    return st;
}

status store_mark_seen(store *s, int64_t slice_id, str key, bool *is_new, err *e)
{
    status st = change(s, Q_MARK_SEEN, VALUES(integer(slice_id), blob(key)), e);
    *is_new = st == ST_OK && db_changed(s->db) == 1;
    return st;
}

status store_forget_seen(store *s, int64_t slice_id, err *e)
{
    return change(s, Q_FORGET_SEEN, VALUES(integer(slice_id)), e);
}

/* --- vectors ------------------------------------------------------------------------------ */

static status put_vector(store *s, query q, str t, const float *v, size_t dim, err *e)
{
    unsigned char hash[SHA256_SIZE];
    sha256_of(t, hash);
    str bytes = {(const char *)v, dim * sizeof *v};
    return change(s, q, VALUES(hash_blob(hash), blob(bytes)), e);
}

status store_vector(store *s, str t, float *out, size_t dim, bool *found, err *e)
{
    return vector_look_up(s->db, false, t, out, dim, found, e);
}

status store_put_vector(store *s, str t, const float *v, size_t dim, err *e)
{
    return put_vector(s, Q_PUT_VECTOR, t, v, dim, e);
}

status store_fast_vector(store *s, str t, float *out, size_t dim, bool *found, err *e)
{
    return vector_look_up(s->db, true, t, out, dim, found, e);
}

status store_put_fast_vector(store *s, str t, const float *v, size_t dim, err *e)
{
    return put_vector(s, Q_PUT_FAST_VECTOR, t, v, dim, e);
}

/* While this handle holds the lock and writes nothing, other connections see what it sees. */
status store_vectors(store *s, const store_wanted *w, err *e)
{
    const bool alone = !s->writes || s->begun;
    return vectors_find(s->db, alone ? NULL : &s->place, w, e);
}

status store_drop_vectors(store *s, err *e)
{
    status st = change(s, Q_DROP_VECTORS, NO_VALUES, e);
    return st ? st : change(s, Q_DROP_FAST_VECTORS, NO_VALUES, e);
}

/* --- verdicts ----------------------------------------------------------------------------- */

status store_clear_verdicts(store *s, err *e)
{
    return change(s, Q_CLEAR_VERDICTS, NO_VALUES, e);
}

status store_add_verdict(store *s, const stored_verdict *v, err *e)
{
    value kept = {.kind = V_NULL};
    if (v->rule == RULE_DUPLICATE || v->rule == RULE_GUARDED) kept = blob(v->kept_interaction_id);
    return change(s, Q_ADD_VERDICT,
                  VALUES(blob(v->interaction_id), integer(v->turn),
                         text(str_from(rule_name(v->rule))), kept, integer(v->kept_turn),
                         real(v->score), integer(v->order)),
                  e);
}

static status each_verdict(store *s, const char *sql, const value *values, size_t n,
                           store_verdict_fn fn, void *ctx, err *e)
{
    rows *r;
    status st = db_list(s->db, sql, values, n, &r, e);
    while (db_next(s->db, r, &st, e)) {
        stored_verdict v = {.interaction_id = row_str(r, 0),
                            .turn = row_int(r, 1),
                            .kept_interaction_id = row_str(r, 3),
                            .kept_turn = row_int(r, 4),
                            .score = row_real(r, 5),
                            .order = row_int(r, 6)};
        st = rule_from_name(row_str(r, 2), &v.rule) ? fn(ctx, &v, e)
                                                    : db_damaged(s->db, "a verdict of no rule", e);
    }
    db_end(r);
    return st;
}

status store_verdicts_of(store *s, str interaction_id, store_verdict_fn fn, void *ctx, err *e)
{
    return each_verdict(s, list_verdicts_of, VALUES(blob(interaction_id)), fn, ctx, e);
}

status store_duplicates_of(store *s, str interaction_id, int64_t number, store_verdict_fn fn,
                           void *ctx, err *e)
{
    return each_verdict(s, list_duplicates_of, VALUES(blob(interaction_id), integer(number)), fn,
                        ctx, e);
}

status store_each_verdict(store *s, store_verdict_fn fn, void *ctx, err *e)
{
    return each_verdict(s, list_verdicts, NO_VALUES, fn, ctx, e);
}

/* --- runs --------------------------------------------------------------------------------- */

/* Runs are written at once, by themselves. */
static status may_write_at_once(const store *s, err *e)
{
    if (s->writes && !s->begun) return ST_OK;
    return err_set(e, ST_FAILED, "store %s: a run cannot begin or end %s", s->place.name,
                   s->writes ? "within a transaction" : "in a store opened for reading");
}

status store_begin_run(store *s, const char *command, int64_t *id, err *e)
{
    instant now = clock_now();
    status st = may_write_at_once(s, e);
    if (st == ST_OK)
        st = db_do(s->db, Q_BEGIN_RUN,
                   VALUES(text(str_from(command)), integer(now.s), integer(now.ns)), e);
    if (st == ST_OK) s->run = *id = db_last_id(s->db);
    return st;
}

status store_end_run(store *s, int64_t id, const char *state, str result, err *e)
{
    instant now = clock_now();
    status st = may_write_at_once(s, e);
    if (st == ST_OK)
        st = db_do(s->db, Q_END_RUN,
                   VALUES(text(str_from(state)), integer(now.s), integer(now.ns), text(result),
                          integer(id)),
                   e);
    if (st == ST_OK && s->run == id) s->run = 0;
    return st;
}

/* "running" in the file is true only while the writer that wrote it lives. */
static str run_state(const store *s, rows *r, bool held)
{
    str state = row_str(r, 2);
    bool alive = s->writes ? row_int(r, 0) == s->run : held;
    return str_eq(state, STR("running")) && !alive ? STR("interrupted") : state;
}

status store_each_run(store *s, unsigned last_n, store_run_fn fn, void *ctx, err *e)
{
    rows *r;
    bool held = !s->writes && place_is_held(&s->place);
    status st = db_list(s->db, list_runs, VALUES(integer(last_n)), &r, e);
    while (db_next(s->db, r, &st, e)) {
        bool ended = row_has(r, 5);
        stored_run run = {.id = row_int(r, 0),
                          .started = row_instant(r, 3),
                          .ended = ended ? row_instant(r, 5) : INSTANT_MIN,
                          .command = row_str(r, 1),
                          .state = run_state(s, r, held),
                          .result = row_str(r, 7)};
        st = fn(ctx, &run, e);
    }
    db_end(r);
    return st;
}

status store_check(store *s, err *e)
{
    buf found = {0};
    status st = db_ask_text(s->db, "PRAGMA integrity_check(1)", &found, e);
    if (st == ST_OK && strcmp(found.p, "ok")) st = db_damaged(s->db, found.p, e);
    buf_release(&found);
    return st;
}

/* --- what it holds ------------------------------------------------------------------------ */

status store_count(store *s, store_counts *out, err *e)
{
    rows *r;
    *out = (store_counts){.oldest = INSTANT_MIN, .newest = INSTANT_MIN};
    uint64_t *const numbers[] = {&out->interactions, &out->rejected,    &out->vectors,
                                 &out->slices_done,  &out->slices_open, &out->kept,
                                 &out->duplicates,   &out->bytes};
    enum { N = sizeof numbers / sizeof *numbers };
    status st = db_ask(s->db, Q_COUNT_ALL, NO_VALUES, &r, e);
    for (int i = 0; r && i < N; i++) *numbers[i] = (uint64_t)row_int(r, i);
    if (r && out->interactions) {
        out->oldest = row_instant(r, N);
        out->newest = row_instant(r, N + 2);
    }
    db_release(r);
    return st;
}

status store_each_slice(store *s, store_slice_fn fn, void *ctx, err *e)
{
    rows *r;
    status st = db_list(s->db, list_slices, NO_VALUES, &r, e);
    while (db_next(s->db, r, &st, e)) {
        slice sl = column_slice(r);
        st = fn(ctx, row_str(r, 17), &sl, e);
    }
    db_end(r);
    return st;
}
