/* test_memory.c - no memory: each allocation of a scenario fails in turn, once, and it and all
 * after it.
 *
 * A scenario then ends well or says that memory is out; it never crashes, gives everything
 * back, and goes well right afterwards.  The allocator is defined here again, over that of
 * glibc, so it has those of SQLite, jansson, zstd and libcurl too.  Scenarios with more than
 * LONGEST allocations are sampled, evenly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "config.h"
#include "curate/rating.h"
#include "curate/turns.h"
#include "source/page.h"
#include "store/store.h"
#include "sync.h"
#include "tamis.h"
#include "tiny_model.h"

/* --- the allocator -------------------------------------------------------------------------- */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);

static struct {
    bool on, forever;
    long n;     /* allocations since it was set on */
    long fails; /* the one that fails; 0: none */
    long live;  /* allocated and not freed */
} plan;

#define EXPORTED __attribute__((visibility("default")))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HAS_ALLOCATOR = 0 };
#else
enum { HAS_ALLOCATOR = 1 };

static bool fails_now(void)
{
    if (!plan.on) return false;
    plan.n++;
    bool yes = plan.fails && (plan.n == plan.fails || (plan.forever && plan.n > plan.fails));
    if (yes) errno = ENOMEM;
    return yes;
}

static void *counted(void *p)
{
    plan.live += p != NULL;
    return p;
}

EXPORTED void *malloc(size_t n)
{
    return fails_now() ? NULL : counted(__libc_malloc(n));
}

EXPORTED void *calloc(size_t n, size_t size)
{
    return fails_now() ? NULL : counted(__libc_calloc(n, size));
}

EXPORTED void *realloc(void *p, size_t n)
{
    if (fails_now()) return NULL;
    return p ? __libc_realloc(p, n) : counted(__libc_malloc(n));
}

EXPORTED void *reallocarray(void *p, size_t n, size_t size)
{
    if (!__builtin_mul_overflow(n, size, &n)) return realloc(p, n);
    errno = ENOMEM;
    return NULL;
}

extern void *__libc_memalign(size_t alignment, size_t n);

EXPORTED void *aligned_alloc(size_t alignment, size_t n)
{
    return fails_now() ? NULL : counted(__libc_memalign(alignment, n));
}

EXPORTED int posix_memalign(void **p, size_t alignment, size_t n)
{
    *p = aligned_alloc(alignment, n);
    return *p ? 0 : ENOMEM;
}

EXPORTED void free(void *p)
{
    plan.live -= p != NULL;
    __libc_free(p);
}
#endif

/* --- the ground ----------------------------------------------------------------------------- */

static char dir[] = "/dev/shm/tamis-memory-XXXXXX", model_dir[] = TINY_MODEL_TEMPLATE;

static const char *in_dir(const char *name)
{
    static char path[4][128];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof *path, "%s/%.60s", dir, name);
    return p;
}

static void empty_dir(void)
{
    struct dirent *entry;
    DIR *d = opendir(dir);
    assert_non_null(d);
    while ((entry = readdir(d)))
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "in.jsonl"))
            unlink(in_dir(entry->d_name));
    closedir(d);
}

static const char record_text[] =
    "{\"id\": \"int_%d\", \"timestamp\": \"2026-01-01T00:00:%02d.5+01:00\", \"botId\": \"b\","
    " \"rating\": \"4.5\", \"messages\": [{\"from\": \"user\", \"text\": \"hello \\ud83d %d\"},"
    " {\"from\": \"bot\", \"text\": \"a \\\"b\\\"\"}]}";

static str record_of(int k, char out[512])
{
    int n = snprintf(out, 512, record_text, k, k % 60, k);
    return (str){out, (size_t)n};
}

static int make_ground(void **state)
{
    char text[512];
    (void)state;
    if (!mkdtemp(dir)) return -1;
    FILE *f = fopen(in_dir("in.jsonl"), "w");
    for (int k = 0; f && k < 6; k++) fprintf(f, "%.*s\n", STR_FMT(record_of(k, text)));
    if (!f || fclose(f)) return -1;
    tiny_model_write(model_dir);
    return 0;
}

static int drop_ground(void **state)
{
    (void)state;
    empty_dir();
    unlink(in_dir("in.jsonl"));
    tiny_model_remove(model_dir);
    return rmdir(dir);
}

/* --- all allocations in turn ---------------------------------------------------------------- */

enum { LONGEST = 700 };

static long once(status (*scenario)(err *e), long fails, bool forever, status *st, err *e)
{
    *e = (err){0};
    plan.n = 0;
    plan.fails = fails;
    plan.forever = forever;
    plan.on = true;
    *st = scenario(e);
    plan.on = false;
    return plan.n;
}

static void check(const char *name, status (*scenario)(err *e), long fails, bool forever)
{
    status st;
    err e;
    long live = plan.live;
    once(scenario, fails, forever, &st, &e);
    if (plan.live != live)
        fail_msg("%s: %ld blocks lost when allocation %ld fails%s (%s)", name, plan.live - live,
                 fails, forever ? " and all after it" : "", e.msg);
    if (st == ST_OK) return; /* something else did as well */
    if (st != ST_FAILED || !strstr(e.msg, "memory"))
        fail_msg("%s: status %d when allocation %ld fails%s: %s", name, (int)st, fails,
                 forever ? " and all after it" : "", e.msg);
}

static void each_allocation(const char *name, status (*scenario)(err *e))
{
    status st;
    err e;
    if (!HAS_ALLOCATOR || (getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "vgpreload"))) {
        print_message("SKIPPED: the allocator belongs to somebody else\n");
        skip();
    }
    once(scenario, 0, false, &st, &e); /* what is kept for ever is allocated now */
    long live = plan.live;
    long n = once(scenario, 0, false, &st, &e), step = n / LONGEST + 1, tried = 0;
    assert_int_equal(plan.live, live);
    if (st) fail_msg("%s, without a fault: %s", name, e.msg);
    for (long k = 1; k <= n; k += step, tried++) {
        check(name, scenario, k, false);
        check(name, scenario, k, true);
    }
    once(scenario, 0, false, &st, &e);
    assert_int_equal(st, ST_OK);
    print_message("%s: %ld allocations, %ld of them failed\n", name, n, tried);
}

/* --- scenarios ------------------------------------------------------------------------------ */

static status read_record(err *e)
{
    arena a = {0};
    interaction i;
    rating r;
    rating_map map = {0};
    char text[512];
    size_t not_text = 0;
    status st = record_parse(record_of(3, text), &a, &i, e);
    if (st == ST_OK) st = rating_map_parse(STR("4.5=5,-1=1"), &a, &map, e);
    if (st == ST_OK) st = rating_read(i.rating, &map, &a, &r, e);
    if (st == ST_OK) {
        turn *turns = arena_alloc(&a, turns_limit(&i), sizeof *turns);
        st = turns ? ST_OK : err_nomem(e, "pairing");
        if (turns) assert_int_equal(turns_pair(&i, turns, &not_text), 1);
    }
    arena_release(&a);
    return st;
}

static status cut_page(err *e)
{
    source_page p = {0};
    char text[512];
    buf_z(&p.body, "{\"interactions\": [");
    for (int k = 0; k < 300; k++) {
        if (k) buf_char(&p.body, ',');
        buf_str(&p.body, record_of(k, text));
    }
    buf_z(&p.body, "], \"totalCount\": 300}");
    status st = buf_ok(&p.body) ? page_cut(&p, e) : err_nomem(e, "receiving");
    if (st == ST_OK) assert_int_equal(p.n_records, 300);
    source_page_release(&p);
    return st;
}

static status configure(err *e)
{
    config c;
    buf text = {0};
    status st = config_init(&c, e);
    if (st == ST_OK) st = config_set(&c, "source.base_url=https://example.com/api", e);
    if (st == ST_OK) st = config_set(&c, "filter.rating_map=-1=1,1=5", e);
    config_write_template(&text);
    if (st == ST_OK) config_describe_curation(&c, &text);
    if (st == ST_OK && !buf_ok(&text)) st = err_nomem(e, "writing");
    buf_release(&text);
    config_release(&c);
    return st;
}

static status ignore_record(void *ctx, str id, origin from, str raw, err *e)
{
    (void)ctx, (void)id, (void)from, (void)raw, (void)e;
    return ST_OK;
}

static status ignore_read(void *ctx, size_t slot, origin from, str raw, err *e)
{
    (void)ctx, (void)slot, (void)from, (void)raw, (void)e;
    return ST_OK;
}

static status ignore_taken(void *ctx, size_t slot, str id, err *e)
{
    (void)ctx, (void)slot, (void)id, (void)e;
    return ST_OK;
}

static status write_store(store *s, err *e)
{
    static const float vector[4] = {0.5f, 0.5f, 0.5f, 0.5f};
    char text[512];
    put_result how;
    bool is_new;
    slice sl = {.lo = INSTANT_MIN, .hi = {50, 0}, .newest = INSTANT_MIN, .page = 1, .page_size = 9};
    stored_verdict v = {.interaction_id = STR("int_1"), .turn = 0, .rule = RULE_KEPT, .order = 0};
    status st = store_begin(s, e);
    for (int k = 0; st == ST_OK && k < 5; k++)
        st = store_put(s, record_of(k, text), (instant){k, 0}, record_of(k, text), &how, e);
    if (st == ST_OK) st = store_put_rejected(s, STR("no record"), "not JSON", &is_new, e);
    if (st == ST_OK) st = store_save_slice(s, STR("api"), &sl, e);
    if (st == ST_OK) st = store_mark_seen(s, sl.id, STR("int_1"), &is_new, e);
    if (st == ST_OK) st = store_put_vector(s, STR("hello"), vector, 4, e);
    if (st == ST_OK) st = store_add_verdict(s, &v, e);
    if (st == ST_OK) st = store_set(s, "key", STR("value"), e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

static status keep(err *e)
{
    const store_visit visit = {.read = ignore_read, .take = ignore_taken};
    store *s = NULL;
    buf value = {0};
    bool found;
    int64_t run;
    store_counts counts;
    bool on = plan.on;
    plan.on = false;
    empty_dir();
    plan.on = on;
    status st = store_open(in_dir("s.db"), STORE_WRITE, &s, e);
    if (st == ST_OK) st = store_begin_run(s, "sync", &run, e);
    if (st == ST_OK) st = write_store(s, e);
    if (st == ST_OK) st = store_get(s, "key", &value, &found, e);
    if (st == ST_OK) st = store_each(s, ignore_record, NULL, e);
    if (st == ST_OK) st = store_visit_each(s, &visit, e);
    if (st == ST_OK) st = store_count(s, &counts, e);
    if (st == ST_OK) assert_true(found && counts.interactions == 5);
    if (st == ST_OK) st = store_end_run(s, run, "complete", STR("{}"), e);
    store_close(s);
    buf_release(&value);
    return st;
}

/* Records of a file into a store that is open: each is there, none is taken for a bad one. */
static status import_records(err *e)
{
    store *s = NULL;
    store_counts n = {0};
    sync_counts counts = {0};
    err unused = {0};
    char name[128];
    bool on = plan.on;
    plan.on = false;
    empty_dir();
    snprintf(name, sizeof name, "%s/in.jsonl", dir);
    assert_int_equal(store_open(in_dir("s.db"), STORE_WRITE, &s, &unused), ST_OK);
    plan.on = on;
    status st = sync_import(s, name, NULL, NULL, NULL, &counts, e);
    plan.on = false;
    assert_int_equal(store_count(s, &n, &unused), ST_OK);
    assert_int_equal(n.rejected, 0);
    if (st == ST_OK) assert_int_equal(n.interactions, 6);
    store_close(s);
    plan.on = on;
    return st;
}

static tamis_status set(tamis *t, const char *key, const char *value, tamis_error *error)
{
    char setting[256];
    snprintf(setting, sizeof setting, "%s=%s", key, value);
    return tamis_set(t, setting, error);
}

/* A job that went well has written as much as one without a fault: no record was passed over. */
static void check_rows(bool is_whole)
{
    static off_t whole;
    struct stat s;
    assert_int_equal(stat(in_dir("o.csv"), &s), 0);
    if (is_whole) whole = s.st_size;
    assert_true(s.st_size > 100 && s.st_size == whole);
}

/* The whole job by way of the public API. */
static status do_job(err *e)
{
    char name[128], *out = NULL;
    const char *file = name;
    tamis *t = NULL;
    tamis_error error = {0};
    bool on = plan.on;
    plan.on = false;
    empty_dir();
    plan.on = on;
    snprintf(name, sizeof name, "%s/in.jsonl", dir);
    tamis_status st = tamis_new(&t, &error);
    if (st == TAMIS_OK) st = set(t, "store.url", in_dir("s.db"), &error);
    if (st == TAMIS_OK) st = set(t, "embed.model", model_dir, &error);
    if (st == TAMIS_OK) st = set(t, "export.csv", in_dir("o.csv"), &error);
    if (st == TAMIS_OK) st = set(t, "export.removed", in_dir("r.jsonl"), &error);
    if (st == TAMIS_OK) {
        tamis_set_threads(t, 1);
        st = tamis_import(t, &file, 1, TAMIS_JSON, &out, &error);
        free(out);
        out = NULL;
    }
    if (st == TAMIS_OK) st = tamis_run(t, TAMIS_CURATE | TAMIS_EXPORT, TAMIS_TEXT, &out, &error);
    free(out);
    out = NULL;
    if (st == TAMIS_OK) check_rows(plan.fails == 0);
    if (st == TAMIS_OK) st = tamis_report_status(t, TAMIS_JSON, &out, &error);
    free(out);
    tamis_free(t);
    memcpy(e->msg, error.message, sizeof e->msg);
    return e->code = (status)st;
}

/* matrix: 29 */
static void test_records(void **state)
{
    (void)state;
    each_allocation("a record", read_record);
    each_allocation("a page", cut_page);
    each_allocation("the configuration", configure);
}

/* matrix: 29 */
static void test_store(void **state)
{
    (void)state;
    each_allocation("the store", keep);
    each_allocation("an import", import_records);
}

/* matrix: 29 */
static void test_job(void **state)
{
    (void)state;
    each_allocation("the job", do_job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_job),
    };
    return cmocka_run_group_tests_name("memory", tests, make_ground, drop_ground);
}
