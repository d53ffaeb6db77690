/* test_store_faults.c - the store when things are not as they should be: files that are not
 * stores, stores that are damaged, locked or out of reach, and writing that fails, or whose
 * process dies, at any of its calls to the operating system.
 *
 * The calls with which SQLite writes are defined here again, so that each can be made to
 * fail, to write a part, or to be the last thing the process does. */
#include "store_ground.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* --- the calls that may fail -------------------------------------------------------------- */

typedef enum { NO_FAULT, DIE, FULL, FULL_AFTER_HALF, BROKEN_WRITE, BROKEN_SYNC } fault;

static struct {
    fault kind;
    bool forever; /* all calls from then on, or one */
    int after;    /* that many calls go well */
    int *fired;   /* shared with the parent */
} plan;

static struct {
    int data, all; /* calls of fdatasync and fsync */
} synced;

/* Whether this call is to go wrong. */
static bool goes_wrong(bool is_sync)
{
    if (plan.kind == NO_FAULT) return false;
    if (plan.kind != DIE && (plan.kind == BROKEN_SYNC) != is_sync) return false;
    if (plan.after-- > 0) return false;
    if (*plan.fired && !plan.forever) return false;
    (*plan.fired)++;
    if (plan.kind == DIE) raise(SIGKILL);
    return true;
}

#define EXPORTED __attribute__((visibility("default")))

EXPORTED ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at);
EXPORTED ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    if (!goes_wrong(false)) return syscall(SYS_pwrite64, fd, p, n, at);
    if (plan.kind == FULL_AFTER_HALF && *plan.fired == 1 && n > 1) {
        *plan.fired = 1;
        plan.forever = true; /* after a short write comes a failing one */
        return syscall(SYS_pwrite64, fd, p, n / 2, at);
    }
    errno = plan.kind == BROKEN_WRITE ? EIO : ENOSPC;
    return -1;
}

EXPORTED int ftruncate64(int fd, off64_t n)
{
    if (!goes_wrong(false)) return (int)syscall(SYS_ftruncate, fd, n);
    errno = plan.kind == BROKEN_WRITE ? EIO : ENOSPC;
    return -1;
}

EXPORTED int fdatasync(int fd)
{
    synced.data++;
    if (!goes_wrong(true)) return (int)syscall(SYS_fdatasync, fd);
    errno = EIO;
    return -1;
}

EXPORTED int fsync(int fd)
{
    synced.all++;
    if (!goes_wrong(true)) return (int)syscall(SYS_fsync, fd);
    errno = EIO;
    return -1;
}

/* On "read-only media" nothing opens for writing. */
static bool media_is_readonly;

EXPORTED int open64(const char *name, int flags, ...)
{
    enum { ACCESS_MODE = 3, READ_ONLY = 0, CREATE = 0100 }; /* <fcntl.h> would define open64 */
    va_list ap;
    va_start(ap, flags);
    unsigned mode = flags & CREATE ? va_arg(ap, unsigned) : 0;
    va_end(ap);
    if (media_is_readonly && (flags & ACCESS_MODE) != READ_ONLY) {
        errno = EROFS;
        return -1;
    }
    return (int)syscall(SYS_open, name, flags, mode);
}

/* Runs a part of a test in a process of its own and returns how that ended. */
static inline int in_child(void (*part)(void))
{
    int how;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        part();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    return how;
}

/* In a child: leave with a word on what is wrong. */
static inline void must(bool is, const char *what)
{
    if (is) return;
    fprintf(stderr, "in the child: not %s: %s\n", what, E.msg);
    _exit(1);
}

static int no_faults(void **state)
{
    plan.kind = NO_FAULT;
    media_is_readonly = false;
    return empty_dir(state);
}

/* --- what is refused and left alone ------------------------------------------------------- */

static status try_open(store_mode mode)
{
    store *s = NULL;
    status st = store_open(store_path(), mode, &s, &E);
    assert_true((st == ST_OK) == (s != NULL));
    store_close(s);
    return st;
}

/* Opening the file fails with these words, both ways, and leaves it and its directory alone. */
static void expect_refused(const char *part, bool names_store)
{
    buf before = {0}, after = {0};
    int n = n_files();
    read_bytes(store_path(), &before);
    for (int mode = STORE_READ; mode <= STORE_WRITE; mode++) {
        FAILS(try_open((store_mode)mode), ST_FAILED, part);
        if (names_store) FAILS(try_open((store_mode)mode), ST_FAILED, store_path());
    }
    read_bytes(store_path(), &after);
    assert_true(str_eq(buf_view(&before), buf_view(&after)));
    assert_int_equal(n_files(), n);
    buf_release(&before);
    buf_release(&after);
}

static void test_missing(void **state)
{
    (void)state;
    char words[600];
    snprintf(words, sizeof words, "no store at %s: run `tamis sync` or `tamis import` first",
             store_path());
    FAILS(try_open(STORE_READ), ST_FAILED, words);
    assert_int_equal(n_files(), 0);
    write_bytes(store_path(), STR("")); /* as mktemp leaves it */
    FAILS(try_open(STORE_READ), ST_FAILED, words);
    make_store();
    OK(try_open(STORE_READ));
}

static void test_not_a_database(void **state)
{
    (void)state;
    buf b = {0};
    write_bytes(store_path(), STR("interaction_id,timestamp\n"));
    expect_refused("not a tamis store", true);
    while (b.n < 10000) buf_z(&b, "0123456789abcdef\n");
    write_bytes(store_path(), buf_view(&b));
    expect_refused("not a tamis store", true);
    write_bytes(store_path(), STR("SQLite format 3"));
    expect_refused("not a tamis store", true);
    buf_release(&b);
}

/* Where SQLite's header has these (fileformat.html, 1.3). */
enum { USER_VERSION_AT = 60, APPLICATION_ID_AT = 68 };

static void test_foreign_database(void **state)
{
    (void)state;
    make_store();
    assert_int_equal(unlink(in_dir("s.db-lock")), 0);
    patch(store_path(), APPLICATION_ID_AT, STR("\0\0\0\0"));
    expect_refused("an SQLite database of something else", true);
}

/* Not even its log is touched, though SQLite would work it in. */
static void test_foreign_database_with_a_log(void **state)
{
    (void)state;
    buf b = {0}, log = {0}, after = {0};
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    put(s, "a", 1, 0, "a");
    OK(store_commit(s, &E));
    read_bytes(store_path(), &b);
    read_bytes(in_dir("s.db-wal"), &log);
    store_close(s);
    no_faults(NULL);
    write_bytes(store_path(), buf_view(&b));
    patch(store_path(), APPLICATION_ID_AT, STR("GPKG"));
    write_bytes(in_dir("s.db-wal"), buf_view(&log));
    expect_refused("an SQLite database of something else", true);
    read_bytes(in_dir("s.db-wal"), &after);
    assert_true(log.n > 0 && str_eq(buf_view(&log), buf_view(&after)));
    buf_release(&b);
    buf_release(&log);
    buf_release(&after);
}

/* matrix: 33 */
static void test_newer_schema(void **state)
{
    (void)state;
    make_store();
    patch(store_path(), USER_VERSION_AT, STR("\0\0\0\x63"));
    expect_refused("made by a newer version of tamis (schema 99", true);
    patch(store_path(), USER_VERSION_AT, STR("\0\0\0\0"));
    expect_refused("damaged", true);
}

static void test_other_urls(void **state)
{
    (void)state;
    store *s;
    FAILS(store_open("postgresql://h/db", STORE_WRITE, &s, &E), ST_USAGE, "not supported");
    FAILS(store_open("postgres://h/db", STORE_READ, &s, &E), ST_USAGE, "not supported");
    assert_int_equal(store_open("mysql://u:secret@h/db", STORE_READ, &s, &E), ST_USAGE);
    assert_null(strstr(E.msg, "secret"));
    FAILS(store_open("", STORE_WRITE, &s, &E), ST_USAGE, "empty");
    FAILS(store_open("dir/", STORE_WRITE, &s, &E), ST_USAGE, "directory");
    FAILS(store_open(dir, STORE_WRITE, &s, &E), ST_FAILED, "not a file");
    FAILS(store_open("/dev/null", STORE_WRITE, &s, &E), ST_FAILED, "not a file");
    store_close(NULL);
}

static void test_out_of_reach(void **state)
{
    (void)state;
    store *s;
    make_store();
    for (int mode = STORE_READ; mode <= STORE_WRITE; mode++) {
        const char *below = in_dir("s.db/t.db"); /* below a regular file */
        FAILS(store_open(below, (store_mode)mode, &s, &E), ST_FAILED, "Not a directory");
        FAILS(store_open(below, (store_mode)mode, &s, &E), ST_FAILED, below);
        const char *missing = in_dir("none/t.db");
        FAILS(store_open(missing, (store_mode)mode, &s, &E), ST_FAILED, "No such file");
        FAILS(store_open(missing, (store_mode)mode, &s, &E), ST_FAILED, missing);
    }
    assert_int_equal(symlink("nowhere", in_dir("link.db")), 0);
    FAILS(store_open(in_dir("link.db"), STORE_WRITE, &s, &E), ST_FAILED, "No such file");
}

/* matrix: 28 */
static void test_read_only_media(void **state)
{
    (void)state;
    make_store();
    int n = n_files();
    media_is_readonly = true;
    store *s = open_as(STORE_READ);
    expect_ids(s, "b a ");
    store_close(s);
    assert_int_equal(n_files(), n);
    FAILS(try_open(STORE_WRITE), ST_FAILED, "read-only");
    write_bytes(in_dir("s.db-wal"), STR("x")); /* newer pages may lie there */
    FAILS(try_open(STORE_READ), ST_FAILED, "did not end properly");
}

/* --- one writer, any number of readers ---------------------------------------------------- */

static void test_modes(void **state)
{
    (void)state;
    struct stat st;
    mode_t old = umask(0);
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    put(s, "a", 1, 0, "a");
    OK(store_commit(s, &E));
    umask(old);
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"s.db", "s.db-lock", "s.db-wal", "s.db-shm"};
        assert_int_equal(stat(in_dir(names[i]), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    store_close(s);
    assert_int_equal(n_files(), 2); /* the store, the lock */
}

static void be_second_writer(void)
{
    store *s;
    must(store_open(store_path(), STORE_WRITE, &s, &E) == ST_BUSY, "busy");
    must(strstr(E.msg, "another run holds the store") != NULL, "told so");
    must(strstr(E.msg, store_path()) != NULL, "named");
    must(store_open(in_dir("link.db"), STORE_WRITE, &s, &E) == ST_BUSY, "busy by a link");
    must(store_open(store_path(), STORE_READ, &s, &E) == ST_OK, "readable");
    store_counts c;
    must(store_count(s, &c, &E) == ST_OK && c.interactions == 1, "what is committed");
    store_close(s);
}

/* matrix: 31 */
static void test_one_writer(void **state)
{
    (void)state;
    store *s = open_as(STORE_WRITE);
    assert_int_equal(symlink("s.db", in_dir("link.db")), 0);
    OK(store_begin(s, &E));
    put(s, "a", 1, 0, "a");
    OK(store_commit(s, &E));
    OK(store_begin(s, &E));
    put(s, "b", 1, 0, "b");
    assert_int_equal(in_child(be_second_writer), 0);
    OK(store_commit(s, &E));
    FAILS(try_open(STORE_WRITE), ST_BUSY, "another run"); /* in this process as well */
    store_close(s);
    OK(try_open(STORE_WRITE));
}

static void test_reading_of_one_moment(void **state)
{
    (void)state;
    store *w = open_as(STORE_WRITE), *r = open_as(STORE_READ);
    OK(store_begin_read(r, &E));
    expect_ids(r, "");
    OK(store_begin(w, &E));
    put(w, "a", 1, 0, "a");
    OK(store_commit(w, &E));
    expect_ids(r, "");
    store_rollback(r);
    expect_ids(r, "a ");
    OK(store_begin_read(w, &E));
    FAILS(store_set(w, "key", STR("value"), &E), ST_FAILED, "no transaction to write in");
    store_close(w);
    store_close(r);
}

static void test_reader_beside_writer(void **state)
{
    (void)state;
    store *w = open_as(STORE_WRITE), *r = open_as(STORE_READ);
    expect_ids(r, "");
    OK(store_begin(w, &E));
    put(w, "a", 1, 0, "a");
    expect_ids(r, "");
    expect_ids(w, "a ");
    OK(store_commit(w, &E));
    expect_ids(r, "a ");
    OK(store_begin(w, &E));
    put(w, "b", 2, 0, "b");
    store *late = open_as(STORE_READ); /* in the middle of a transaction */
    expect_ids(late, "a ");
    store_close(r); /* and closing one harms nobody */
    OK(store_commit(w, &E));
    expect_ids(late, "b a ");
    store_close(w);
    expect_ids(late, "b a ");
    store_close(late);
    assert_int_equal(n_files(), 2);
}

/* A log whose store was moved away is neither used nor removed. */
static void die_with_a_log(void)
{
    store *s;
    put_result how;
    must(store_open(store_path(), STORE_WRITE, &s, &E) == ST_OK, "opened");
    must(store_begin(s, &E) == ST_OK, "begun");
    must(store_put(s, STR("a"), (instant){1, 0}, STR("a"), &how, &E) == ST_OK, "put");
    must(store_commit(s, &E) == ST_OK, "committed");
    raise(SIGKILL);
}

static void test_store_moved_without_its_log(void **state)
{
    (void)state;
    assert_true(WIFSIGNALED(in_child(die_with_a_log)));
    assert_int_equal(rename(store_path(), in_dir("moved.db")), 0);
    FAILS(try_open(STORE_WRITE), ST_FAILED, "s.db-wal");
    assert_int_equal(rename(in_dir("moved.db"), store_path()), 0);
    store *s = open_as(STORE_READ);
    expect_ids(s, "a ");
    store_close(s);
}

/* --- damage ------------------------------------------------------------------------------- */

/* matrix: 32 */
static void test_damaged_record(void **state)
{
    (void)state;
    static const char magic[] = "\x28\xb5\x2f\xfd";
    const store_visit nobody = {0}; /* nothing is called for it */
    bool found;
    buf file = {0}, out = {0};
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    put(s, "the-one", 2, 0, "0123456789 abcdefghijklmnopqrstuvwxyz");
    OK(store_commit(s, &E));
    store_close(s);
    read_bytes(store_path(), &file);
    const char *frame = memmem(file.p, file.n, magic, 4);
    assert_non_null(frame);
    patch(store_path(), frame - file.p + 20, STR("?"));
    s = open_as(STORE_READ);
    FAILS(store_each(s, list_ids, &out, &E), ST_FAILED, "interaction the-one: damaged");
    FAILS(store_visit_each(s, &nobody, &E), ST_FAILED, "interaction the-one: damaged");
    FAILS(store_find(s, STR("the-one"), &out, &found, &E), ST_FAILED, "interaction the-one");
    FAILS(store_find(s, STR("the-one"), &out, &found, &E), ST_FAILED, store_path());
    assert_int_equal(out.n, 0);
    store_close(s);
    buf_release(&file);
    buf_release(&out);
}

/* What was overwritten is not in the file any more. */
static void test_old_content_is_gone(void **state)
{
    (void)state;
    static const char secret[] = "wq7Zk2mP9xL4vB8n";
    buf file = {0};
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    put(s, "a", 2, 0, secret);
    put(s, "b", 2, 0, "something else");
    OK(store_commit(s, &E));
    store_close(s);
    read_bytes(store_path(), &file);
    assert_non_null(memmem(file.p, file.n, secret, strlen(secret)));
    s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    put(s, "a", 2, 0, "nothing secret here, but more text than there was");
    OK(store_commit(s, &E));
    store_close(s);
    read_bytes(store_path(), &file);
    assert_null(memmem(file.p, file.n, secret, strlen(secret)));
    buf_release(&file);
}

static status ignore_record(void *ctx, str id, origin from, str raw, err *e)
{
    (void)ctx, (void)id, (void)from, (void)raw, (void)e;
    return ST_OK;
}

static status ignore_rejected(void *ctx, const char *reason, instant at, str raw, err *e)
{
    (void)ctx, (void)reason, (void)at, (void)raw, (void)e;
    return ST_OK;
}

static status ignore_vector(void *ctx, size_t which, const float *v, err *e)
{
    (void)ctx;
    (void)which;
    (void)v;
    (void)e;
    return ST_OK;
}

static status ignore_verdict(void *ctx, const stored_verdict *v, err *e)
{
    (void)ctx, (void)v, (void)e;
    return ST_OK;
}

static status ignore_run(void *ctx, const stored_run *r, err *e)
{
    (void)ctx, (void)r, (void)e;
    return ST_OK;
}

static status ignore_slice(void *ctx, str source, const slice *sl, err *e)
{
    (void)ctx, (void)source, (void)sl, (void)e;
    return ST_OK;
}

/* Asks for everything; errors are fine, as long as they have a message. */
static int n_errors;

static void any(status st)
{
    assert_true(st == ST_OK || *E.msg);
    n_errors += st != ST_OK;
    E = (err){0};
}

static void use_all(store_mode mode)
{
    store *s;
    bool found;
    float v[3];
    buf b = {0};
    uint64_t generation;
    store_counts c;
    put_result how;
    slice sl;
    instant newest, lowest;
    status st = store_open(store_path(), mode, &s, &E);
    any(st);
    if (st) return;
    any(store_get(s, "model", &b, &found, &E));
    any(store_each(s, ignore_record, NULL, &E));
    any(store_each_rejected(s, ignore_rejected, NULL, &E));
    any(store_find(s, STR("b"), &b, &found, &E));
    any(store_generation(s, &generation, &E));
    any(store_open_slice(s, STR("api"), &sl, &found, &E));
    any(store_cursor(s, STR("api"), &newest, &lowest, &found, &E));
    any(store_vector(s, STR("text"), v, 3, &found, &E));
    const store_wanted wanted = {(str[]){STR("text")}, 1, 3, false, ignore_vector, NULL, NULL};
    any(store_vectors(s, &wanted, &E));
    any(store_each_verdict(s, ignore_verdict, NULL, &E));
    any(store_duplicates_of(s, STR("a"), 0, ignore_verdict, NULL, &E));
    any(store_each_run(s, 10, ignore_run, NULL, &E));
    any(store_each_slice(s, ignore_slice, NULL, &E));
    any(store_count(s, &c, &E));
    any(store_begin(s, &E));
    any(store_put(s, STR("new"), (instant){5, 5}, STR("new"), &how, &E));
    any(store_clear_verdicts(s, &E));
    any(store_commit(s, &E));
    store_close(s);
    buf_release(&b);
}

/* However a file is hurt, the store says so or works; it never goes down. */
/* matrix: 32 */
static void test_damaged_files(void **state)
{
    (void)state;
    enum { ROUNDS = 200 };
    uint32_t x = 7;
    buf whole = {0}, hurt = {0};
    make_store();
    read_bytes(store_path(), &whole);
    n_errors = 0;
    for (int round = 0; round < ROUNDS; round++) {
        buf_clear(&hurt);
        buf_str(&hurt, buf_view(&whole));
        for (int k = round % 20; k >= 0; k--) { /* in pages, mostly where they have cells */
            x = x * 1664525 + 1013904223;
            size_t page = x >> 8 % (uint32_t)(whole.n / 4096);
            size_t at = page * 4096 % whole.n + (x & 1 ? x >> 20 & 15 : x >> 20);
            hurt.p[at % whole.n] = (char)(x >> 3);
        }
        memcpy(hurt.p, whole.p, 100); /* it still looks like one */
        if (round % 10 == 9) hurt.n = 4096 + (x >> 8) % (uint32_t)(whole.n - 4096);
        write_bytes(store_path(), buf_view(&hurt));
        use_all(round & 1 ? STORE_WRITE : STORE_READ);
        unlink(in_dir("s.db-wal"));
        unlink(in_dir("s.db-shm"));
    }
    assert_true(n_errors > ROUNDS / 4);
    write_bytes(store_path(), (str){whole.p, 4096}); /* nothing but its first page */
    FAILS(try_open(STORE_WRITE), ST_FAILED, "damaged");
    buf_release(&whole);
    buf_release(&hurt);
}

/* --- dying and failing in the middle ------------------------------------------------------ */

enum { COMMITS = 4, PUTS = 12 };

/* Shared by a child and its parent. */
static struct {
    int fired;
    int committed; /* -1: there is no store yet */
    status failed;
    char msg[ERR_CAP];
} * shared;

/* What a store holds after so many commits: an id for each put, a slice that knows the
 * number, records that the next commit changes. */
static char next_byte(uint32_t *x)
{
    *x = *x * 1664525 + 1013904223;
    return (char)(*x >> 24);
}

static status commit_one(store *s, int k)
{
    char id[32], raw[600];
    uint32_t x = (uint32_t)k;
    put_result how;
    bool is_new;
    slice sl = {.id = k ? 1 : 0, .page = (uint32_t)k + 1};
    status st = store_begin(s, &E);
    for (int i = 0; st == ST_OK && i < PUTS; i++) {
        snprintf(id, sizeof id, "%d-%d", k, i);
        for (size_t n = 0; n < sizeof raw; n++) raw[n] = next_byte(&x);
        raw[0] = (char)('a' + k);
        st = store_put(s, str_from(id), (instant){k, i}, (str){raw, sizeof raw}, &how, &E);
        snprintf(id, sizeof id, "changing %d", i);
        if (st == ST_OK)
            st = store_put(s, str_from(id), (instant){k, i}, (str){raw, sizeof raw}, &how, &E);
    }
    if (st == ST_OK) st = store_save_slice(s, STR("api"), &sl, &E);
    if (st == ST_OK) st = store_mark_seen(s, sl.id, (str){raw, (size_t)k + 1}, &is_new, &E);
    if (st == ST_OK) st = store_commit(s, &E);
    store_rollback(s);
    return st;
}

static void write_store(void)
{
    store *s;
    status st = store_open(store_path(), STORE_WRITE, &s, &E);
    if (st == ST_OK) shared->committed = 0;
    for (int k = 0; st == ST_OK && k < COMMITS; k++) {
        st = commit_one(s, k);
        if (st == ST_OK) shared->committed = k + 1;
    }
    shared->failed = st;
    memcpy(shared->msg, E.msg, sizeof shared->msg);
    if (shared->committed >= 0) store_close(s);
}

static status count_records(void *ctx, str id, origin from, str raw, err *e)
{
    int *n = ctx; /* in all, changing */
    (void)from;
    (void)e;
    assert_int_equal(raw.n, 600);
    n[0]++;
    if (id.n > 9 && memcmp(id.p, "changing ", 9) == 0) {
        n[1]++;
        n[2] = raw.p[0] - 'a' + 1;
    } else {
        assert_int_equal(raw.p[0] - 'a', id.p[0] - '0');
    }
    return ST_OK;
}

/* The number of commits whose work is there, all of it and nothing else. */
static int commits_there(void)
{
    int n[3] = {0};
    bool found;
    slice sl = {0};
    uint64_t generation;
    struct stat st;
    if (stat(store_path(), &st) && errno == ENOENT) {
        FAILS(try_open(STORE_READ), ST_FAILED, "no store at");
        return -1;
    }
    store *s = open_as(STORE_READ);
    OK(store_each(s, count_records, n, &E));
    OK(store_open_slice(s, STR("api"), &sl, &found, &E));
    OK(store_generation(s, &generation, &E));
    int k = (int)sl.page;
    assert_int_equal(n[0], k ? k * PUTS + PUTS : 0);
    assert_int_equal(n[1], k ? PUTS : 0);
    assert_int_equal(n[2], k);
    assert_int_equal(generation, k * PUTS * 2);
    store_close(s);
    return k;
}

/* Lets every call in turn go wrong; returns for how many there was something to go wrong. */
static int each_call(fault kind, bool forever, void (*check)(int there, int how))
{
    for (int n = 0;; n++) {
        no_faults(NULL);
        memset(shared, 0, sizeof *shared);
        shared->committed = -1;
        plan.kind = kind;
        plan.forever = forever;
        plan.after = n;
        plan.fired = &shared->fired;
        int how = in_child(write_store);
        plan.kind = NO_FAULT;
        int there = commits_there();
        check(there, how);
        /* And from there it goes on. */
        store *s = open_as(STORE_WRITE);
        if (there < COMMITS && shared->fired) OK(commit_one(s, there < 0 ? 0 : there));
        store_close(s);
        if (!shared->fired) {
            assert_int_equal(how, 0);
            assert_int_equal(there, COMMITS);
            return n;
        }
    }
}

/* A kill during a commit may come before it or after it has taken hold. */
static void check_killed(int there, int how)
{
    if (!shared->fired) return;
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    assert_true(there == shared->committed || there == shared->committed + 1);
}

/* matrix: 26, 27 */
static void test_killed_at_every_call(void **state)
{
    (void)state;
    int n = each_call(DIE, false, check_killed);
    assert_true(n > 40);
}

static void check_full(int there, int how)
{
    assert_int_equal(how, 0);
    if (shared->failed == ST_OK) { /* it hit a checkpoint: nothing is lost */
        assert_int_equal(there, COMMITS);
        return;
    }
    assert_int_equal(shared->failed, ST_FAILED);
    assert_true(there == shared->committed || (there == 0 && shared->committed < 0));
    if (!strstr(shared->msg, "no space left on the device")) fail_msg("%s", shared->msg);
    assert_non_null(strstr(shared->msg, store_path()));
}

/* matrix: 28 */
static void test_disk_full_at_every_call(void **state)
{
    (void)state;
    assert_true(each_call(FULL, false, check_full) > 20);
    assert_true(each_call(FULL, true, check_full) > 20);
    assert_true(each_call(FULL_AFTER_HALF, false, check_full) > 20);
}

/* What could not be written did not happen. */
static void check_broken(int there, int how)
{
    assert_int_equal(how, 0);
    if (shared->failed == ST_OK) {
        assert_int_equal(there, COMMITS);
        return;
    }
    assert_int_equal(shared->failed, ST_FAILED);
    if (!strstr(shared->msg, "Input/output error")) fail_msg("%s", shared->msg);
    assert_non_null(strstr(shared->msg, store_path()));
    assert_true(there == shared->committed || (there == 0 && shared->committed < 0));
}

/* matrix: 28 */
static void test_broken_disk_at_every_call(void **state)
{
    (void)state;
    assert_true(each_call(BROKEN_WRITE, false, check_broken) > 20);
    assert_true(each_call(BROKEN_WRITE, true, check_broken) > 20);
}

/* What could not be synced may have happened. */
static void check_unsynced(int there, int how)
{
    assert_int_equal(how, 0);
    if (shared->failed == ST_OK) {
        assert_int_equal(there, COMMITS);
        return;
    }
    assert_int_equal(shared->failed, ST_FAILED);
    if (!strstr(shared->msg, "Input/output error")) fail_msg("%s", shared->msg);
    assert_true(there == shared->committed || there == shared->committed + 1);
}

/* matrix: 28 */
static void test_unsynced_at_every_call(void **state)
{
    (void)state;
    assert_true(each_call(BROKEN_SYNC, false, check_unsynced) > 4);
    assert_true(each_call(BROKEN_SYNC, true, check_unsynced) > 4);
}

/* What is committed has been synced when store_commit returns; a new store's name, too. */
/* matrix: 27 */
static void test_commits_are_synced(void **state)
{
    (void)state;
    synced.all = 0;
    store *s = open_as(STORE_WRITE);
    assert_true(synced.all > 0); /* the directory */
    for (int i = 0; i < 3; i++) {
        OK(store_begin(s, &E));
        put(s, "a", i, 0, i & 1 ? "odd" : "even");
        int before = synced.data + synced.all;
        OK(store_commit(s, &E));
        assert_true(synced.data + synced.all > before);
    }
    store_close(s);
}

/* A transaction larger than the cache has pages in the log before it is committed. */
static void die_in_a_large_transaction(void)
{
    enum { RECORDS = 80, SIZE = 1 << 20 };
    store *s;
    char id[16];
    put_result how;
    uint32_t *raw = malloc(SIZE), x = 1;
    must(raw != NULL, "memory");
    must(store_open(store_path(), STORE_WRITE, &s, &E) == ST_OK, "opened");
    must(commit_one(s, 0) == ST_OK, "committed");
    must(store_begin(s, &E) == ST_OK, "begun");
    for (int i = 0; i < RECORDS; i++) {
        for (size_t k = 0; k < SIZE / sizeof *raw; k++) raw[k] = x = x * 1664525 + 1013904223;
        snprintf(id, sizeof id, "large %d", i);
        str bytes = {(const char *)raw, SIZE};
        must(store_put(s, str_from(id), (instant){i, 0}, bytes, &how, &E) == ST_OK, "put");
    }
    raise(SIGKILL);
}

/* matrix: 26 */
static void test_killed_in_a_large_transaction(void **state)
{
    (void)state;
    struct stat st;
    int how = in_child(die_in_a_large_transaction);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    assert_int_equal(stat(in_dir("s.db-wal"), &st), 0);
    assert_true(st.st_size > 8 << 20);
    assert_int_equal(commits_there(), 1);
    store *s = open_as(STORE_WRITE);
    OK(commit_one(s, 1));
    store_close(s);
    assert_int_equal(commits_there(), 2);
}

/* The kernel's own refusal: the file may not grow beyond a limit. */
static void write_within_a_limit(void)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {200000, 200000};
    must(setrlimit(RLIMIT_FSIZE, &limit) == 0, "limited");
    write_store();
    must(shared->failed == ST_FAILED, "failed");
}

/* matrix: 28 */
static void test_file_size_limit(void **state)
{
    (void)state;
    memset(shared, 0, sizeof *shared);
    shared->committed = -1;
    assert_int_equal(in_child(write_within_a_limit), 0);
    assert_in_range(shared->committed, 1, COMMITS - 1);
    assert_non_null(strstr(shared->msg, "File too large; all that was committed before is kept"));
    assert_int_equal(commits_there(), shared->committed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(test_##name, no_faults)
        TEST(missing),
        TEST(not_a_database),
        TEST(foreign_database),
        TEST(foreign_database_with_a_log),
        TEST(newer_schema),
        TEST(other_urls),
        TEST(out_of_reach),
        TEST(read_only_media),
        TEST(modes),
        TEST(one_writer),
        TEST(reading_of_one_moment),
        TEST(reader_beside_writer),
        TEST(store_moved_without_its_log),
        TEST(damaged_record),
        TEST(old_content_is_gone),
        TEST(damaged_files),
        TEST(killed_at_every_call),
        TEST(disk_full_at_every_call),
        TEST(broken_disk_at_every_call),
        TEST(unsynced_at_every_call),
        TEST(commits_are_synced),
        TEST(killed_in_a_large_transaction),
        TEST(file_size_limit),
    };
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 1;
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
