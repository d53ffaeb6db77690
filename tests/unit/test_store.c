/* test_store.c - the store: what goes in comes out, in order, and what is rolled back does
 * not.  What it does when things fail is in test_store_faults.c. */
#include "store_ground.h"

/* --- interactions ------------------------------------------------------------------------- */

static void expect_raw(store *s, str id, str raw)
{
    bool found;
    buf b = {0};
    buf_z(&b, "x"); /* it appends */
    OK(store_find(s, id, &b, &found, &E));
    assert_true(found);
    assert_true(str_eq((str){b.p + 1, b.n - 1}, raw));
    buf_release(&b);
}

static void test_new_updated_same(void **state)
{
    (void)state;
    bool found;
    uint64_t g0, g1, g2;
    put_result how;
    buf b = {0};
    store *s = open_as(STORE_WRITE);
    OK(store_generation(s, &g0, &E));
    OK(store_begin(s, &E));
    assert_int_equal(put(s, "a", 1, 0, "one"), PUT_NEW);
    assert_int_equal(put(s, "a", 1, 0, "one"), PUT_SAME);
    assert_int_equal(put(s, "b", 2, 0, ""), PUT_NEW);
    assert_int_equal(put(s, "b", 2, 0, ""), PUT_SAME);
    OK(store_generation(s, &g1, &E));
    assert_true(g1 > g0);
    assert_int_equal(put(s, "a", 3, 5, "two"), PUT_UPDATED);
    OK(store_generation(s, &g2, &E));
    assert_true(g2 > g1);
    OK(store_put(s, STR("nul\0id"), (instant){0, 0}, STR("\0raw\0"), &how, &E));
    assert_int_equal(how, PUT_NEW);
    OK(store_commit(s, &E));
    expect_ids(s, (const char[]){"a b nul"}); /* up to the NUL */
    store_close(s);

    s = open_as(STORE_READ);
    OK(store_generation(s, &g0, &E));
    assert_int_equal(g0, g2 + 1);
    expect_raw(s, STR("a"), STR("two"));
    expect_raw(s, STR("b"), STR(""));
    expect_raw(s, STR("nul\0id"), STR("\0raw\0"));
    OK(store_find(s, STR("nul"), &b, &found, &E));
    assert_false(found);
    assert_int_equal(b.n, 0);
    store_close(s);

    s = open_as(STORE_WRITE); /* nothing new: the generation stays */
    OK(store_begin(s, &E));
    assert_int_equal(put(s, "a", 3, 5, "two"), PUT_SAME);
    OK(store_commit(s, &E));
    OK(store_generation(s, &g1, &E));
    assert_int_equal(g1, g0);
    store_close(s);
}

typedef struct entry {
    instant at;
    str id;
} entry;

static int entry_cmp(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int c = instant_cmp(y->at, x->at);
    return c ? c : str_cmp(x->id, y->id);
}

static status expect_next(void *ctx, str id, origin from, str raw, err *e)
{
    entry **next = ctx;
    (void)from;
    (void)e;
    assert_true(str_eq(id, (*next)->id));
    assert_true(str_eq(raw, id)); /* put so below */
    (*next)++;
    return ST_OK;
}

static void test_order(void **state)
{
    (void)state;
    static const instant instants[] = {INSTANT_MIN,
                                       {INT64_MIN, 1},
                                       {-62167219200, 0},
                                       {-1, 0},
                                       {-1, 999999999},
                                       {0, 0},
                                       {0, 1},
                                       {0, 999999999},
                                       {1, 0},
                                       {1700000000, 123456789},
                                       {253402300799, 0},
                                       {INT64_MAX, 0},
                                       INSTANT_MAX};
    static const str ids[] = {{"", 0},         {"\0", 1},   {"\0\0", 2}, {"a", 1},
                              {"a\0", 2},      {"ab", 2},   {"b", 1},    {"B", 1},
                              {"\x7f", 1},     {"\x80", 1}, {"\xff", 1}, {"\xff\xff", 2},
                              {"\xc3\xa4", 2}, {"10", 2},   {"9", 1}};
    enum { N_INSTANTS = sizeof instants / sizeof *instants, N_IDS = sizeof ids / sizeof *ids };
    entry all[N_INSTANTS * N_IDS];
    char made[N_INSTANTS * N_IDS][8];
    size_t n = 0;
    put_result how;
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    for (size_t k = 0; k < N_INSTANTS * N_IDS; k++) {
        size_t i = k * 7 % (N_INSTANTS * N_IDS); /* in no order */
        str id = ids[i % N_IDS];
        if (id.n) memcpy(made[n], id.p, id.n);
        made[n][id.n] = (char)(i / N_IDS); /* ids are one for each */
        all[n] = (entry){instants[i / N_IDS], {made[n], id.n + 1}};
        if (i % 3 == 0) all[n].at = (instant){77, 7}; /* many equal ones */
        OK(store_put(s, all[n].id, all[n].at, all[n].id, &how, &E));
        assert_int_equal(how, PUT_NEW);
        n++;
    }
    OK(store_commit(s, &E));
    qsort(all, n, sizeof *all, entry_cmp);
    entry *next = all;
    OK(store_each(s, expect_next, &next, &E));
    assert_ptr_equal(next, all + n);
    store_counts c;
    OK(store_count(s, &c, &E));
    assert_int_equal(c.interactions, n);
    assert_int_equal(instant_cmp(c.newest, all[0].at), 0);
    assert_int_equal(instant_cmp(c.oldest, all[n - 1].at), 0);
    store_close(s);
}

static status stop_at_b(void *ctx, str id, origin from, str raw, err *e)
{
    (void)from;
    (void)raw;
    buf_str(ctx, id);
    return str_eq(id, STR("b")) ? err_set(e, ST_INCOMPLETE, "enough") : ST_OK;
}

/* A callback may use the store as it likes: read, write, commit, go through it again. */
static status use_within(void *ctx, str id, origin from, str raw, err *e)
{
    store *s = ctx;
    float v[2];
    bool found;
    char again[32];
    put_result how;
    int64_t run;
    buf b = {0};
    (void)from;
    OK(store_find(s, id, &b, &found, e));
    assert_true(found && str_eq(buf_view(&b), raw));
    OK(store_vector(s, id, v, 2, &found, e));
    buf_clear(&b);
    OK(store_each(s, list_ids, &b, e));
    assert_true(b.n > 0);
    OK(store_begin(s, e));
    snprintf(again, sizeof again, "again %.*s", STR_FMT(id));
    OK(store_put(s, id, (instant){1, 0}, str_from(again), &how, e));
    OK(store_put_vector(s, id, (float[]){1, 2}, 2, e));
    if (str_eq(id, STR("c")))
        store_rollback(s);
    else
        OK(store_commit(s, e));
    OK(store_begin_run(s, "x", &run, e));
    buf_release(&b);
    return ST_OK;
}

/* --- records by threads ------------------------------------------------------------------- */

enum { VISITED = 3 * STORE_BATCH + 5 };

typedef struct visiting {
    buf made[STORE_SLOTS]; /* what `read` leaves for `take` */
    size_t n_taken;
    size_t bad_read, bad_also, bad_take; /* numbers of records */
} visiting;

static size_t number_in(str raw)
{
    size_t n = 0;
    for (size_t i = sizeof "raw" - 1; i < raw.n; i++) n = n * 10 + (size_t)(raw.p[i] - '0');
    return n;
}

static status visit_read(void *ctx, size_t slot, origin from, str raw, err *e)
{
    visiting *v = ctx;
    const size_t i = number_in(raw);
    if (slot >= STORE_SLOTS || from != ORIGIN_IMPORT) return err_set(e, ST_FAILED, "no such slot");
    buf_clear(&v->made[slot]);
    buf_str(&v->made[slot], raw);
    if (i != v->bad_read && i != v->bad_also) return ST_OK;
    return err_set(e, ST_FAILED, "record %zu is bad", i);
}

/* In order, each once, what was read of it. */
static status visit_take(void *ctx, size_t slot, str id, err *e)
{
    visiting *v = ctx;
    char want[32];
    snprintf(want, sizeof want, "id %zu", v->n_taken);
    assert_true(str_eq(id, str_from(want)));
    assert_int_equal(number_in(buf_view(&v->made[slot])), v->n_taken);
    if (v->n_taken == v->bad_take) return err_set(e, ST_INCOMPLETE, "enough");
    v->n_taken++;
    return ST_OK;
}

/* Whatever the threads: the order of the table, and the first error. */
static void test_visit(void **state)
{
    (void)state;
    static const int threads[] = {1, 4};
    char first[32];
    visiting v = {.bad_read = SIZE_MAX, .bad_also = SIZE_MAX, .bad_take = SIZE_MAX};
    store_visit each = {visit_read, visit_take, &v, NULL};
    store *s = open_as(STORE_WRITE);
    OK(store_visit_each(s, &each, &E));
    assert_int_equal(v.n_taken, 0);
    store_set_origin(s, ORIGIN_IMPORT);
    OK(store_begin(s, &E));
    for (int i = 0; i < VISITED; i++) {
        char id[32], raw[32];
        snprintf(id, sizeof id, "id %d", i);
        snprintf(raw, sizeof raw, "raw%d", i);
        put(s, id, VISITED - i, 0, raw);
    }
    OK(store_commit(s, &E));
    for (size_t k = 0; k < sizeof threads / sizeof *threads; k++) {
        if (k) OK(pool_new(threads[k], &each.pool, &E));
        v.n_taken = 0;
        OK(store_visit_each(s, &each, &E));
        assert_int_equal(v.n_taken, VISITED);
        snprintf(first, sizeof first, "record %d is bad", STORE_BATCH + 20);
        v.n_taken = 0;
        v.bad_read = STORE_BATCH + 70;
        v.bad_also = STORE_BATCH + 20; /* the first */
        FAILS(store_visit_each(s, &each, &E), ST_FAILED, first);
        assert_int_equal(v.n_taken, STORE_BATCH);
        v.n_taken = 0;
        v.bad_take = 3; /* earlier than what cannot be read in the same round */
        FAILS(store_visit_each(s, &each, &E), ST_INCOMPLETE, "enough");
        v.bad_read = v.bad_also = v.bad_take = SIZE_MAX;
    }
    pool_free(each.pool);
    for (size_t i = 0; i < STORE_SLOTS; i++) buf_release(&v.made[i]);
    store_close(s);
}

static void test_callbacks(void **state)
{
    (void)state;
    buf b = {0};
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    put(s, "a", 1, 0, "raw a");
    put(s, "b", 1, 0, "raw b");
    put(s, "c", 1, 0, "raw c");
    OK(store_commit(s, &E));
    FAILS(store_each(s, stop_at_b, &b, &E), ST_INCOMPLETE, "enough");
    assert_true(str_eq(buf_view(&b), STR("ab")));
    OK(store_each(s, use_within, s, &E));
    expect_raw(s, STR("a"), STR("again a"));
    expect_raw(s, STR("c"), STR("raw c"));
    buf_release(&b);
    store_close(s);
}

static status expect_rejected(void *ctx, const char *reason, instant received, str raw, err *e)
{
    int *n = ctx;
    (void)e;
    assert_true(received.s > 1600000000);
    assert_string_equal(reason, *n ? "no id" : "not JSON");
    assert_true(*n ? str_eq(raw, STR("")) : str_eq(raw, STR("{\0")));
    ++*n;
    return ST_OK;
}

static void test_rejected(void **state)
{
    (void)state;
    bool is_new;
    int n = 0;
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    OK(store_put_rejected(s, STR("{\0"), "not JSON", &is_new, &E));
    assert_true(is_new);
    OK(store_put_rejected(s, STR(""), "no id", &is_new, &E));
    assert_true(is_new);
    OK(store_put_rejected(s, STR("{\0"), "another", &is_new, &E));
    assert_false(is_new);
    OK(store_commit(s, &E));
    OK(store_each_rejected(s, expect_rejected, &n, &E));
    assert_int_equal(n, 2);
    store_close(s);
}

/* --- transactions ------------------------------------------------------------------------- */

static void test_rollback_leaves_nothing(void **state)
{
    (void)state;
    uint64_t before, after;
    bool is_new, found;
    buf b = {0};
    slice sl = {.pass = 1};
    store_counts c;
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    put(s, "a", 1, 0, "old");
    OK(store_commit(s, &E));
    OK(store_generation(s, &before, &E));
    OK(store_begin(s, &E));
    put(s, "a", 2, 0, "new");
    put(s, "b", 2, 0, "new");
    OK(store_set(s, "k", STR("v"), &E));
    OK(store_save_slice(s, STR("api"), &sl, &E));
    OK(store_put_rejected(s, STR("{"), "not JSON", &is_new, &E));
    OK(store_put_vector(s, STR("t"), (float[]){1}, 1, &E));
    OK(store_clear_verdicts(s, &E));
    store_rollback(s);
    store_rollback(s);
    OK(store_generation(s, &after, &E));
    assert_int_equal(before, after);
    expect_ids(s, "a ");
    expect_raw(s, STR("a"), STR("old"));
    OK(store_get(s, "k", &b, &found, &E));
    assert_false(found);
    OK(store_count(s, &c, &E));
    assert_int_equal(c.interactions, 1);
    assert_int_equal(c.rejected + c.vectors + c.slices_open + c.slices_done, 0);
    OK(store_begin(s, &E)); /* closing rolls back as well */
    put(s, "b", 2, 0, "new");
    store_close(s);
    s = open_as(STORE_READ);
    expect_ids(s, "a ");
    store_close(s);
}

static void test_writing_needs_a_transaction(void **state)
{
    (void)state;
    put_result how;
    bool is_new;
    int64_t id;
    make_store();
    store *s = open_as(STORE_WRITE);
    FAILS(store_put(s, STR("z"), (instant){0, 0}, STR("z"), &how, &E), ST_FAILED, "transaction");
    FAILS(store_put_rejected(s, STR("z"), "z", &is_new, &E), ST_FAILED, "transaction");
    FAILS(store_set(s, "k", STR("v"), &E), ST_FAILED, "transaction");
    FAILS(store_commit(s, &E), ST_FAILED, "transaction");
    OK(store_begin(s, &E));
    put(s, "c", 1, 0, "c");
    FAILS(store_begin(s, &E), ST_FAILED, "transaction");
    FAILS(store_begin_run(s, "sync", &id, &E), ST_FAILED, "transaction");
    OK(store_commit(s, &E)); /* the first one went on */
    expect_raw(s, STR("c"), STR("c"));
    store_close(s);
    s = open_as(STORE_READ);
    FAILS(store_begin(s, &E), ST_FAILED, "reading only");
    FAILS(store_set(s, "k", STR("v"), &E), ST_FAILED, "transaction");
    FAILS(store_begin_run(s, "sync", &id, &E), ST_FAILED, "reading");
    store_close(s);
}

/* --- settings, slices, vectors, verdicts, runs -------------------------------------------- */

static void test_settings(void **state)
{
    (void)state;
    bool found;
    buf b = {0};
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    OK(store_set(s, "a", STR("1"), &E));
    OK(store_set(s, "a", STR("t\0wo"), &E));
    OK(store_set(s, "empty", STR(""), &E));
    OK(store_get(s, "a", &b, &found, &E)); /* seen within the transaction */
    assert_true(found);
    OK(store_commit(s, &E));
    OK(store_get(s, "a", &b, &found, &E)); /* appended */
    assert_true(found && str_eq(buf_view(&b), STR("t\0wot\0wo")));
    buf_clear(&b);
    OK(store_get(s, "empty", &b, &found, &E));
    assert_true(found && b.n == 0);
    OK(store_get(s, "none", &b, &found, &E));
    assert_false(found);
    buf_release(&b);
    store_close(s);
}

static void expect_slice(const slice *a, const slice *b)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(instant_cmp(a->lo, b->lo), 0);
    assert_int_equal(instant_cmp(a->hi, b->hi), 0);
    assert_int_equal(a->state, b->state);
    assert_int_equal(instant_cmp(a->newest, b->newest), 0);
    assert_int_equal(a->pass, b->pass);
    assert_int_equal(a->page, b->page);
    assert_int_equal(a->page_size, b->page_size);
    assert_int_equal(a->idle_pages, b->idle_pages);
    assert_int_equal(a->total_first, b->total_first);
    assert_int_equal(a->total_last, b->total_last);
    assert_int_equal(a->shrank, b->shrank);
    assert_int_equal(a->bounded, b->bounded);
    assert_int_equal(a->seen, b->seen);
}

typedef struct slices {
    slice all[3];
    int n;
} slices;

static status expect_slice_row(void *ctx, str source, const slice *sl, err *e)
{
    slices *expected = ctx;
    (void)e;
    assert_true(str_eq(source, expected->n == 2 ? STR("other") : STR("api")));
    expect_slice(sl, &expected->all[expected->n++]);
    return ST_OK;
}

static const slices three = {
    .all = {{.lo = INSTANT_MIN,
             .hi = {100, 5},
             .newest = INSTANT_MIN,
             .pass = 1,
             .page = 1,
             .page_size = 100,
             .total_first = -1,
             .total_last = -1},
            {.lo = {50, 999999999},
             .hi = INSTANT_MAX,
             .newest = {99, 1},
             .pass = UINT32_MAX,
             .page = UINT32_MAX,
             .page_size = UINT32_MAX,
             .idle_pages = UINT32_MAX,
             .total_first = INT64_MAX,
             .total_last = 7,
             .shrank = true,
             .bounded = true,
             .seen = INT64_MAX},
            {.lo = {-5, 1}, .hi = {200, 0}, .newest = {200, 0}, .pass = 1}}};

static void test_slices(void **state)
{
    (void)state;
    bool found;
    slice got;
    instant newest, lowest;
    slices x = three;
    store *s = open_as(STORE_WRITE);
    OK(store_open_slice(s, STR("api"), &got, &found, &E));
    assert_false(found);
    OK(store_cursor(s, STR("api"), &newest, &lowest, &found, &E));
    assert_false(found);
    OK(store_begin(s, &E));
    OK(store_save_slice(s, STR("api"), &x.all[0], &E));
    OK(store_save_slice(s, STR("api"), &x.all[1], &E));
    OK(store_save_slice(s, STR("other"), &x.all[2], &E));
    OK(store_commit(s, &E));
    assert_true(x.all[0].id > 0 && x.all[1].id > x.all[0].id);
    OK(store_open_slice(s, STR("api"), &got, &found, &E));
    assert_true(found);
    expect_slice(&got, &x.all[0]); /* the oldest */
    OK(store_cursor(s, STR("api"), &newest, &lowest, &found, &E));
    assert_false(found);

    x.all[0].state = SLICE_DONE;
    x.all[0].page = 9;
    OK(store_begin(s, &E));
    OK(store_save_slice(s, STR("api"), &x.all[0], &E));
    OK(store_commit(s, &E));
    OK(store_open_slice(s, STR("api"), &got, &found, &E));
    assert_true(found);
    expect_slice(&got, &x.all[1]);
    OK(store_cursor(s, STR("api"), &newest, &lowest, &found, &E));
    assert_true(found); /* finished, though it had no row */
    assert_int_equal(instant_cmp(newest, INSTANT_MIN), 0);
    assert_int_equal(instant_cmp(lowest, INSTANT_MIN), 0);

    x.all[1].state = SLICE_DONE;
    OK(store_begin(s, &E));
    OK(store_save_slice(s, STR("api"), &x.all[1], &E));
    slice none = {.id = 12345};
    FAILS(store_save_slice(s, STR("api"), &none, &E), ST_FAILED, "no slice 12345");
    OK(store_commit(s, &E));
    OK(store_cursor(s, STR("api"), &newest, &lowest, &found, &E));
    assert_true(found);
    assert_int_equal(instant_cmp(newest, (instant){99, 1}), 0);
    assert_int_equal(instant_cmp(lowest, INSTANT_MIN), 0);
    OK(store_each_slice(s, expect_slice_row, &x, &E));
    assert_int_equal(x.n, 3);
    store_close(s);
}

/* An open slice moves no cursor, though it goes further both ways. */
static void test_cursor_is_of_finished_slices(void **state)
{
    (void)state;
    bool found;
    instant newest, lowest;
    slice done = three.all[2], open = {.lo = INSTANT_MIN, .hi = INSTANT_MAX, .newest = INSTANT_MAX};
    store *s = open_as(STORE_WRITE);
    done.state = SLICE_DONE;
    OK(store_begin(s, &E));
    OK(store_save_slice(s, STR("other"), &done, &E));
    OK(store_save_slice(s, STR("other"), &open, &E));
    OK(store_commit(s, &E));
    OK(store_cursor(s, STR("other"), &newest, &lowest, &found, &E));
    assert_true(found);
    assert_int_equal(instant_cmp(newest, done.newest), 0);
    assert_int_equal(instant_cmp(lowest, done.lo), 0);
    store_close(s);
}

static bool mark(store *s, int64_t slice_id, str key)
{
    bool is_new;
    OK(store_mark_seen(s, slice_id, key, &is_new, &E));
    return is_new;
}

static void test_seen(void **state)
{
    (void)state;
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    assert_true(mark(s, 1, STR("a")));
    assert_false(mark(s, 1, STR("a")));
    assert_true(mark(s, 2, STR("a")));
    assert_true(mark(s, 1, STR("a\0b")));
    assert_true(mark(s, 1, STR("")));
    assert_false(mark(s, 1, STR("")));
    OK(store_commit(s, &E));
    OK(store_begin(s, &E));
    assert_false(mark(s, 1, STR("a\0b")));
    OK(store_forget_seen(s, 1, &E));
    assert_true(mark(s, 1, STR("a")));
    assert_false(mark(s, 2, STR("a")));
    OK(store_commit(s, &E));
    store_close(s);
}

static void test_vectors(void **state)
{
    (void)state;
    enum { DIM = 384 };
    float v[DIM], got[DIM];
    bool found;
    for (int i = 0; i < DIM; i++) v[i] = (float)(i - 7) / 3.0f;
    v[5] = -0.0f;
    store *s = open_as(STORE_WRITE);
    OK(store_begin(s, &E));
    OK(store_put_vector(s, STR("text"), got, 0, &E));
    OK(store_put_vector(s, STR("text"), v, DIM, &E)); /* replaces */
    OK(store_put_vector(s, STR("te\0xt"), v + 1, DIM - 1, &E));
    OK(store_commit(s, &E));
    OK(store_vector(s, STR("text"), got, DIM, &found, &E));
    assert_true(found);
    assert_memory_equal(got, v, sizeof v);
    OK(store_vector(s, STR("te\0xt"), got, DIM - 1, &found, &E));
    assert_true(found);
    assert_memory_equal(got, v + 1, sizeof v - sizeof *v);
    OK(store_vector(s, STR("text"), got, DIM - 1, &found, &E)); /* of another model */
    assert_false(found);
    OK(store_vector(s, STR("te"), got, DIM, &found, &E));
    assert_false(found);
    OK(store_begin(s, &E));
    OK(store_drop_vectors(s, &E));
    OK(store_commit(s, &E));
    OK(store_vector(s, STR("text"), got, DIM, &found, &E));
    assert_false(found);
    store_close(s);
}

static status list_vector(void *ctx, size_t which, const float *v, err *e)
{
    (void)e;
    buf_fmt(ctx, "%zu:%g,%g ", which, (double)v[0], (double)v[1]);
    return which == 9 ? err_set(e, ST_INCOMPLETE, "enough") : ST_OK;
}

/* Few of many are looked up, many are read as they lie there. */
static void test_many_vectors(void **state)
{
    (void)state;
    enum { MANY = 40, DIM = 3 };
    char names[MANY][8];
    str all[MANY];
    buf found = {0};
    store *s = open_as(STORE_WRITE);
    store_wanted all_of = {all, 0, DIM, false, list_vector, &found, NULL};
    OK(store_vectors(s, &all_of, &E));
    all_of.n = MANY;
    OK(store_begin(s, &E));
    for (int i = 0; i < MANY; i++) {
        float v[DIM] = {(float)i, 0.5f, 2};
        snprintf(names[i], sizeof names[i], "text %d", i);
        all[i] = str_from(names[i]);
        if (i == 2) OK(store_put_fast_vector(s, all[i], v, DIM, &E));
        if (i != 2) OK(store_put_vector(s, all[i], v, i == 5 ? DIM - 1 : DIM, &E));
    }
    OK(store_commit(s, &E));
    const str few[] = {STR("no"), all[8], all[3], all[5]};
    OK(store_vectors(s, &(store_wanted){few, 4, DIM, false, list_vector, &found, NULL}, &E));
    assert_string_equal(buf_cstr(&found), "1:8,0.5 2:3,0.5 ");
    found.n = 0;
    OK(store_vectors(s, &(store_wanted){all, MANY, DIM, true, list_vector, &found, NULL}, &E));
    assert_string_equal(buf_cstr(&found), "2:2,0.5 ");
    found.n = 0;
    assert_int_equal(store_vectors(s, &all_of, &E), ST_INCOMPLETE);
    assert_string_equal(buf_cstr(&found),
                        "0:0,0.5 1:1,0.5 3:3,0.5 4:4,0.5 6:6,0.5 7:7,0.5 8:8,0.5 9:9,0.5 ");
    buf_release(&found);
    store_close(s);
}

enum { PARTED = 5000, PARTED_DIM = 2, PARTED_MISSING = 7 };

/* Each text has its own place, so that threads need no lock. */
static status place_vector(void *ctx, size_t which, const float *v, err *e)
{
    float *all = ctx;
    if (which >= PARTED) return err_set(e, ST_FAILED, "a text that nobody asked for");
    all[which] += v[1];
    return ST_OK;
}

static status refuse_vector(void *ctx, size_t which, const float *v, err *e)
{
    (void)ctx;
    (void)v;
    return err_set(e, ST_INCOMPLETE, "no %s", which < PARTED ? "more" : "such text");
}

/* Threads share a table out, and each vector is told once; not if something is being written. */
static void test_vectors_by_threads(void **state)
{
    (void)state;
    static char names[PARTED][16];
    static str all[PARTED];
    static float got[PARTED];
    store *s = open_as(STORE_WRITE);
    pool *p = NULL;
    store_wanted w = {all, PARTED, PARTED_DIM, false, place_vector, got, NULL};
    OK(store_begin(s, &E));
    for (int i = 0; i < PARTED; i++) {
        const float v[PARTED_DIM] = {2, (float)i};
        snprintf(names[i], sizeof names[i], "text %d", i);
        all[i] = str_from(names[i]);
        if (i != PARTED_MISSING) OK(store_put_vector(s, all[i], v, PARTED_DIM, &E));
    }
    OK(pool_new(4, &p, &E));
    w.pool = p;
    for (int round = 0; round < 2; round++) { /* within the transaction, and after it */
        memset(got, 0, sizeof got);
        OK(store_vectors(s, &w, &E));
        for (int i = 0; i < PARTED; i++)
            assert_true(got[i] == (i == PARTED_MISSING ? 0 : (float)i));
        if (!round) OK(store_commit(s, &E));
    }
    w.fn = refuse_vector;
    assert_int_equal(store_vectors(s, &w, &E), ST_INCOMPLETE);
    assert_string_equal(E.msg, "no more");
    pool_free(p);
    store_close(s);
}

static status list_verdict(void *ctx, const stored_verdict *v, err *e)
{
    (void)e;
    buf_fmt(ctx, "%.*s/%lld %s %.*s/%lld %g %lld\n", STR_FMT(v->interaction_id), (long long)v->turn,
            rule_name(v->rule), STR_FMT(v->kept_interaction_id), (long long)v->kept_turn, v->score,
            (long long)v->order);
    return ST_OK;
}

static void expect_verdicts(buf *b, const char *lines)
{
    buf_char(b, 0);
    assert_string_equal(b->p, lines);
    buf_clear(b);
}

static void test_verdicts(void **state)
{
    (void)state;
    static const stored_verdict all[] = {
        {STR("c"), 1, RULE_DUPLICATE, STR("a"), 0, 0.875, 4},
        {STR("c"), 0, RULE_DUPLICATE, STR("a"), 0, 0.9375, 3},
        {STR("a"), 0, RULE_KEPT, {0}, -1, 1.0, 2},
        {STR("b"), 0, RULE_DUPLICATE, STR("a"), 0, 1.0, 5},
        {STR("b"), 1, RULE_DUPLICATE, STR("a"), 1, 1.0, 6},
        {STR("d"), -1, RULE_UNRATED, {0}, -1, 0.0, -1},
        {STR("b"), -1, RULE_NO_TURNS, {0}, -1, 0.0, -1},
    };
    buf b = {0};
    store_counts c;
    store *s = open_as(STORE_WRITE);
    for (int round = 0; round < 2; round++) {
        OK(store_begin(s, &E));
        OK(store_clear_verdicts(s, &E));
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) OK(store_add_verdict(s, &all[i], &E));
        OK(store_commit(s, &E));
    }
    OK(store_verdicts_of(s, STR("b"), list_verdict, &b, &E));
    expect_verdicts(&b, "b/-1 no-turns /-1 0 -1\nb/0 duplicate a/0 1 5\nb/1 duplicate a/1 1 6\n");
    OK(store_duplicates_of(s, STR("a"), 0, list_verdict, &b, &E));
    expect_verdicts(&b, "c/0 duplicate a/0 0.9375 3\nc/1 duplicate a/0 0.875 4\n"
                        "b/0 duplicate a/0 1 5\n");
    OK(store_duplicates_of(s, STR("c"), 0, list_verdict, &b, &E));
    OK(store_verdicts_of(s, STR("nobody"), list_verdict, &b, &E));
    expect_verdicts(&b, "");
    OK(store_each_verdict(s, list_verdict, &b, &E));
    expect_verdicts(&b, "a/0 kept /-1 1 2\n"
                        "b/-1 no-turns /-1 0 -1\nb/0 duplicate a/0 1 5\nb/1 duplicate a/1 1 6\n"
                        "c/0 duplicate a/0 0.9375 3\nc/1 duplicate a/0 0.875 4\n"
                        "d/-1 unrated /-1 0 -1\n");
    OK(store_count(s, &c, &E));
    assert_int_equal(c.kept, 1);
    assert_int_equal(c.duplicates, 4);
    buf_release(&b);
    store_close(s);
}

static status list_run(void *ctx, const stored_run *r, err *e)
{
    (void)e;
    assert_true(r->started.s > 1600000000);
    bool ended = instant_cmp(r->ended, INSTANT_MIN) != 0;
    assert_true(!ended || instant_cmp(r->ended, r->started) >= 0);
    buf_fmt(ctx, "%lld %.*s %.*s%s %.*s\n", (long long)r->id, STR_FMT(r->command),
            STR_FMT(r->state), ended ? "" : "...", STR_FMT(r->result));
    return ST_OK;
}

static void expect_runs(store *s, unsigned n, const char *lines)
{
    buf b = {0};
    OK(store_each_run(s, n, list_run, &b, &E));
    buf_char(&b, 0);
    assert_string_equal(b.p, lines);
    buf_release(&b);
}

static void test_runs(void **state)
{
    (void)state;
    int64_t id;
    store *w = open_as(STORE_WRITE);
    OK(store_begin_run(w, "sync", &id, &E));
    OK(store_end_run(w, id, "complete", STR("{\"a\": 1}"), &E));
    OK(store_begin_run(w, "run", &id, &E));
    store *r = open_as(STORE_READ);
    expect_runs(w, 9, "2 run running... \n1 sync complete {\"a\": 1}\n");
    expect_runs(r, 9, "2 run running... \n1 sync complete {\"a\": 1}\n");
    store_close(w); /* as if it had died */
    expect_runs(r, 9, "2 run interrupted... \n1 sync complete {\"a\": 1}\n");
    w = open_as(STORE_WRITE);
    expect_runs(w, 1, "2 run interrupted... \n");
    expect_runs(r, 1, "2 run interrupted... \n"); /* though a writer is there */
    OK(store_begin_run(w, "curate", &id, &E));
    expect_runs(r, 2, "3 curate running... \n2 run interrupted... \n");
    OK(store_end_run(w, id, "failed", STR(""), &E));
    expect_runs(w, 1, "3 curate failed \n");
    store_close(w);
    store_close(r);
}

static void test_counts(void **state)
{
    (void)state;
    store_counts c;
    store *s = open_as(STORE_WRITE);
    OK(store_count(s, &c, &E));
    assert_int_equal(c.interactions, 0);
    assert_int_equal(instant_cmp(c.oldest, INSTANT_MIN), 0);
    assert_int_equal(instant_cmp(c.newest, INSTANT_MIN), 0);
    store_close(s);
    empty_dir(NULL);
    make_store();
    s = open_as(STORE_READ);
    OK(store_count(s, &c, &E));
    assert_int_equal(c.interactions, 2);
    assert_int_equal(c.rejected, 1);
    assert_int_equal(c.vectors, 1);
    assert_int_equal(c.slices_open, 1);
    assert_int_equal(c.slices_done, 0);
    assert_int_equal(c.oldest.s, 1);
    assert_int_equal(c.newest.s, 2);
    struct stat st;
    assert_int_equal(stat(store_path(), &st), 0);
    assert_int_equal(c.bytes, st.st_size);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(test_##name, empty_dir)
        TEST(new_updated_same),
        TEST(order),
        TEST(callbacks),
        TEST(visit),
        TEST(rejected),
        TEST(rollback_leaves_nothing),
        TEST(writing_needs_a_transaction),
        TEST(settings),
        TEST(slices),
        TEST(cursor_is_of_finished_slices),
        TEST(seen),
        TEST(vectors),
        TEST(many_vectors),
        TEST(vectors_by_threads),
        TEST(verdicts),
        TEST(runs),
        TEST(counts),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
