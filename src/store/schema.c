/* schema.c - the one place where the tables and their columns are named.
 *
 * Ids and texts are blobs: order by bytes, and NUL is a byte like others.  An instant is two
 * columns, seconds and nanoseconds, so that an index has the order of instants;
 * interaction_order is the reference order, so that reading in it never sorts.  Short rows
 * lie in tables WITHOUT ROWID; packed records and vectors in tables with one, where a long row
 * fills its page better. */
#include "store/schema.h"

const char schema_sql[] =
    "CREATE TABLE setting (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE generation (n INTEGER NOT NULL);"
    "INSERT INTO generation VALUES (0);"
    /* hash: SHA-256 of the raw record; source: a record.h origin; raw: one zstd frame */
    "CREATE TABLE interaction (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,"
    "  at_s INTEGER NOT NULL, at_ns INTEGER NOT NULL, hash BLOB NOT NULL,"
    "  source INTEGER NOT NULL DEFAULT 0, raw BLOB NOT NULL);"
    "CREATE INDEX interaction_order ON interaction (at_s DESC, at_ns DESC, id);"
    "CREATE TABLE rejected (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
    "  reason TEXT NOT NULL, received_s INTEGER NOT NULL, received_ns INTEGER NOT NULL,"
    "  raw BLOB NOT NULL);"
    "CREATE TABLE slice (id INTEGER PRIMARY KEY, source BLOB NOT NULL,"
    "  lo_s INTEGER NOT NULL, lo_ns INTEGER NOT NULL, hi_s INTEGER NOT NULL,"
    "  hi_ns INTEGER NOT NULL, state TEXT NOT NULL, newest_s INTEGER NOT NULL,"
    "  newest_ns INTEGER NOT NULL, pass INTEGER NOT NULL, page INTEGER NOT NULL,"
    "  page_size INTEGER NOT NULL, idle_pages INTEGER NOT NULL, total_first INTEGER NOT NULL,"
    "  total_last INTEGER NOT NULL, shrank INTEGER NOT NULL, bounded INTEGER NOT NULL DEFAULT 0,"
    "  seen INTEGER NOT NULL);"
    "CREATE TABLE slice_seen (slice INTEGER NOT NULL, key BLOB NOT NULL,"
    "  PRIMARY KEY (slice, key)) WITHOUT ROWID;"
    /* hash: SHA-256 of the text; v: float32, little-endian */
    "CREATE TABLE vector (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
    "  v BLOB NOT NULL);"
    /* the same of the fast encoder: never taken for the others */
    "CREATE TABLE fast_vector (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
    "  v BLOB NOT NULL);"
    "CREATE TABLE verdict (interaction BLOB NOT NULL, turn INTEGER NOT NULL, rule TEXT NOT NULL,"
    "  kept BLOB, kept_turn INTEGER NOT NULL, score REAL NOT NULL, row INTEGER NOT NULL,"
    "  PRIMARY KEY (interaction, turn)) WITHOUT ROWID;"
    "CREATE INDEX verdict_keeper ON verdict (kept, kept_turn, row) WHERE kept IS NOT NULL;"
    "CREATE TABLE run (id INTEGER PRIMARY KEY, command TEXT NOT NULL, state TEXT NOT NULL,"
    "  started_s INTEGER NOT NULL, started_ns INTEGER NOT NULL,"
    "  ended_s INTEGER, ended_ns INTEGER, result TEXT);";

/* [n - 1] makes a store of version n one of version n + 1. */
const char *const schema_steps[SCHEMA_VERSION - 1] = {
    "ALTER TABLE slice ADD COLUMN bounded INTEGER NOT NULL DEFAULT 0;",
    ("CREATE TABLE fast_vector (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
     "  v BLOB NOT NULL);"),
    "ALTER TABLE interaction ADD COLUMN source INTEGER NOT NULL DEFAULT 0;",
};

#define SLICE_COLUMNS                                                                              \
    "id, lo_s, lo_ns, hi_s, hi_ns, state, newest_s, newest_ns, pass, page, page_size,"             \
    " idle_pages, total_first, total_last, shrank, bounded, seen, source"
#define VERDICT_COLUMNS "interaction, turn, rule, kept, kept_turn, score, row"

const char *const query_sql[N_QUERIES] = {
    [Q_GET] = "SELECT value FROM setting WHERE key = ?",
    [Q_SET] = "INSERT INTO setting VALUES (?, ?)"
              " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [Q_INTERACTION_HASH] = "SELECT number, hash, source FROM interaction WHERE id = ?",
    [Q_ADD_INTERACTION] = "INSERT INTO interaction (id, at_s, at_ns, hash, source, raw)"
                          " VALUES (?, ?, ?, ?, ?, ?)",
    [Q_CHANGE_INTERACTION] = "UPDATE interaction SET at_s = ?, at_ns = ?, hash = ?,"
                             " source = ?, raw = ? WHERE number = ?",
    [Q_SET_SOURCE] = "UPDATE interaction SET source = ? WHERE number = ?",
    [Q_FIND] = "SELECT raw FROM interaction WHERE id = ?",
    [Q_REJECTED_HASH] = "SELECT 1 FROM rejected WHERE hash = ?",
    [Q_ADD_REJECTED] = "INSERT INTO rejected (hash, reason, received_s, received_ns, raw)"
                       " VALUES (?, ?, ?, ?, ?)",
    [Q_REMOVE_INTERACTION] = "DELETE FROM interaction WHERE id = ?",
    [Q_REMOVE_REJECTED] = "DELETE FROM rejected WHERE number = ?",
    [Q_REMOVE_SEEN] = "DELETE FROM slice_seen WHERE key = ?",
    [Q_REMOVE_VECTOR] = "DELETE FROM vector WHERE number = ?",
    [Q_REMOVE_FAST_VECTOR] = "DELETE FROM fast_vector WHERE number = ?",
    [Q_REMOVE_VERDICTS] = "DELETE FROM verdict WHERE interaction = ?1 OR kept = ?1",
    [Q_GENERATION] = "SELECT n FROM generation",
    [Q_SET_GENERATION] = "UPDATE generation SET n = n + ?",
    [Q_OPEN_SLICE] = "SELECT " SLICE_COLUMNS " FROM slice WHERE source = ? AND state = 'open'"
                     " ORDER BY id LIMIT 1",
    [Q_CURSOR_NEWEST] = "SELECT newest_s, newest_ns FROM slice WHERE source = ?"
                        " AND state = 'done' ORDER BY newest_s DESC, newest_ns DESC LIMIT 1",
    [Q_CURSOR_LOWEST] = "SELECT lo_s, lo_ns FROM slice WHERE source = ?"
                        " AND state = 'done' ORDER BY lo_s, lo_ns LIMIT 1",
    [Q_ADD_SLICE] = "INSERT INTO slice (" SLICE_COLUMNS ")"
                    " VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [Q_CHANGE_SLICE] = "UPDATE slice SET lo_s = ?, lo_ns = ?, hi_s = ?, hi_ns = ?, state = ?,"
                       " newest_s = ?, newest_ns = ?, pass = ?, page = ?, page_size = ?,"
                       " idle_pages = ?, total_first = ?, total_last = ?, shrank = ?,"
                       " bounded = ?, seen = ?"
                       " WHERE source = ? AND id = ?",
    [Q_MARK_SEEN] = "INSERT INTO slice_seen VALUES (?, ?) ON CONFLICT DO NOTHING",
    [Q_FORGET_SEEN] = "DELETE FROM slice_seen WHERE slice = ?",
    [Q_VECTOR] = "SELECT v FROM vector WHERE hash = ?",
    [Q_LAST_VECTOR] = "SELECT max(number) FROM vector",
    [Q_PUT_VECTOR] = "INSERT INTO vector (hash, v) VALUES (?, ?)"
                     " ON CONFLICT (hash) DO UPDATE SET v = excluded.v",
    [Q_DROP_VECTORS] = "DELETE FROM vector",
    [Q_FAST_VECTOR] = "SELECT v FROM fast_vector WHERE hash = ?",
    [Q_LAST_FAST_VECTOR] = "SELECT max(number) FROM fast_vector",
    [Q_PUT_FAST_VECTOR] = "INSERT INTO fast_vector (hash, v) VALUES (?, ?)"
                          " ON CONFLICT (hash) DO UPDATE SET v = excluded.v",
    [Q_DROP_FAST_VECTORS] = "DELETE FROM fast_vector",
    [Q_CLEAR_VERDICTS] = "DELETE FROM verdict",
    [Q_ADD_VERDICT] = "INSERT INTO verdict (" VERDICT_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?)",
    [Q_BEGIN_RUN] = "INSERT INTO run (command, state, started_s, started_ns)"
                    " VALUES (?, 'running', ?, ?)",
    [Q_END_RUN] = "UPDATE run SET state = ?, ended_s = ?, ended_ns = ?, result = ? WHERE id = ?",
    [Q_INTERRUPTED_RUNS] = "UPDATE run SET state = 'interrupted' WHERE state = 'running'",
    [Q_COUNT_ALL] =
        "SELECT (SELECT count(*) FROM interaction), (SELECT count(*) FROM rejected),"
        " (SELECT count(*) FROM vector), (SELECT count(*) FROM slice WHERE state = 'done'),"
        " (SELECT count(*) FROM slice WHERE state = 'open'),"
        " (SELECT count(*) FROM verdict WHERE rule IN ('kept', 'guarded')),"
        " (SELECT count(*) FROM verdict WHERE rule = 'duplicate'),"
        " (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size),"
        " (SELECT at_s FROM interaction ORDER BY at_s, at_ns LIMIT 1),"
        " (SELECT at_ns FROM interaction ORDER BY at_s, at_ns LIMIT 1),"
        " (SELECT at_s FROM interaction ORDER BY at_s DESC, at_ns DESC LIMIT 1),"
        " (SELECT at_ns FROM interaction ORDER BY at_s DESC, at_ns DESC LIMIT 1)",
};

const char list_interactions[] =
    "SELECT id, raw, source FROM interaction ORDER BY at_s DESC, at_ns DESC, id";
const char list_rejected[] = "SELECT reason, received_s, received_ns, raw, CAST(number AS TEXT)"
                             " FROM rejected ORDER BY number";
const char list_vectors[] = "SELECT number, hash FROM vector ORDER BY number";
const char list_fast_vectors[] = "SELECT number, hash FROM fast_vector ORDER BY number";
const char read_vectors[] =
    "SELECT hash, v FROM vector WHERE number BETWEEN ? AND ? ORDER BY number";
const char read_fast_vectors[] =
    "SELECT hash, v FROM fast_vector WHERE number BETWEEN ? AND ? ORDER BY number";
const char list_slices[] = "SELECT " SLICE_COLUMNS " FROM slice ORDER BY id";
const char list_runs[] = "SELECT id, command, state, started_s, started_ns, ended_s, ended_ns,"
                         " result FROM run ORDER BY id DESC LIMIT ?";
const char list_verdicts[] = "SELECT " VERDICT_COLUMNS " FROM verdict ORDER BY interaction, turn";
const char list_verdicts_of[] =
    "SELECT " VERDICT_COLUMNS " FROM verdict WHERE interaction = ? ORDER BY turn";
const char list_duplicates_of[] =
    "SELECT " VERDICT_COLUMNS " FROM verdict WHERE kept = ? AND kept_turn = ? ORDER BY row";
