/* store_ground.h - what the tests of the store stand on: a directory, a store in it, and
 * checks that tell the store's own words when they fail. */
#ifndef TAMIS_TESTS_STORE_GROUND_H
#define TAMIS_TESTS_STORE_GROUND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "store/store.h"

static err E;
#define OK(st) ok_at((st), __LINE__)
#define FAILS(st, code, part) fails_at((st), (code), (part), __LINE__)

static inline void ok_at(status st, int line)
{
    if (st) fail_msg("line %d: %s", line, E.msg);
}

/* It fails so, and the message has that part. */
static inline void fails_at(status st, status code, const char *part, int line)
{
    if (st != code) fail_msg("line %d: status %d: %s", line, st, E.msg);
    if (!strstr(E.msg, part)) fail_msg("line %d: \"%s\" has no \"%s\"", line, E.msg, part);
    E = (err){0};
}

/* In memory if there is such a place: syncing to a disk a thousand times takes minutes. */
static char dir[] = "/dev/shm/tamis-store-XXXXXX";

/* A name in the directory, valid until eight more were asked for. */
static inline const char *in_dir(const char *name)
{
    static char names[8][512];
    static int k;
    k = (k + 1) % 8;
    snprintf(names[k], sizeof names[k], "%s/%s", dir, name);
    return names[k];
}

static inline const char *store_path(void)
{
    return in_dir("s.db");
}

static inline int empty_dir(void **state)
{
    (void)state;
    DIR *d = opendir(dir);
    if (!d) return -1;
    for (struct dirent *f; (f = readdir(d));)
        if (f->d_name[0] != '.') unlink(in_dir(f->d_name));
    closedir(d);
    return 0;
}

static inline int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir)) return 0;
    strcpy(dir, "/tmp/tamis-store-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static inline int drop_dir(void **state)
{
    return empty_dir(state) || rmdir(dir);
}

static inline int n_files(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) n += f->d_name[0] != '.';
    closedir(d);
    return n;
}

static inline store *open_as(store_mode mode)
{
    store *s;
    if (store_open(store_path(), mode, &s, &E)) fail_msg("%s", E.msg);
    return s;
}

static inline put_result put(store *s, const char *id, int64_t seconds, int32_t ns, const char *raw)
{
    put_result how;
    OK(store_put(s, str_from(id), (instant){seconds, ns}, str_from(raw), &how, &E));
    return how;
}

/* A store with some of everything, closed. */
static inline void make_store(void)
{
    int64_t id;
    bool is_new;
    float v[3] = {1, 2, 3};
    slice sl = {.lo = INSTANT_MIN, .hi = {9, 0}, .newest = {8, 0}, .pass = 1, .page = 1};
    stored_verdict row = {.interaction_id = STR("a"), .order = -1, .turn = -1};
    store *s = open_as(STORE_WRITE);
    OK(store_begin_run(s, "sync", &id, &E));
    OK(store_begin(s, &E));
    put(s, "a", 1, 0, "{\"id\": \"a\"}");
    put(s, "b", 2, 0, "{\"id\": \"b\", \"text\": \"0123456789abcdefghijklmnopqrstuvwxyz\"}");
    OK(store_put_rejected(s, STR("{}"), "no id", &is_new, &E));
    OK(store_save_slice(s, STR("api"), &sl, &E));
    OK(store_mark_seen(s, sl.id, STR("a"), &is_new, &E));
    OK(store_put_vector(s, STR("text"), v, 3, &E));
    OK(store_add_verdict(s, &row, &E));
    OK(store_set(s, "model", STR("m"), &E));
    OK(store_commit(s, &E));
    OK(store_end_run(s, id, "complete", STR("{}"), &E));
    store_close(s);
}

static inline void read_bytes(const char *path, buf *out)
{
    buf_clear(out);
    OK(file_read(path, 1 << 30, out, &E));
}

static inline void write_bytes(const char *path, str bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    assert_int_equal(fclose(f), 0);
}

/* Writes over a part of a file. */
static inline void patch(const char *path, long at, str bytes)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    assert_int_equal(fclose(f), 0);
}

static inline status list_ids(void *ctx, str id, origin from, str raw, err *e)
{
    (void)from;
    (void)raw;
    (void)e;
    buf_str(ctx, id);
    buf_char(ctx, ' ');
    return ST_OK;
}

static inline void expect_ids(store *s, const char *ids)
{
    buf b = {0};
    OK(store_each(s, list_ids, &b, &E));
    buf_char(&b, 0);
    assert_string_equal(b.p, ids);
    buf_release(&b);
}

#endif
