/* test_slices.c - slices against a model of a server whose rows come and go while it is read.
 *
 * The model knows what really happened, so it can say for each pass that was accepted whether a
 * row is missing that was there all the time; and whether the one thing happened that no reader
 * of pages can see (slices.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/slices.h"

/* --- the model ------------------------------------------------------------------------------ */

enum { ROWS_MAX = 4096, REQUESTS_MAX = 3000 };

typedef struct model {
    uint64_t dice;
    int rows[ROWS_MAX]; /* ids, newest first */
    int n_rows, next_id;
    bool there_all_pass[ROWS_MAX], seen[ROWS_MAX]; /* by id */
    bool unseeable;                                /* happened in this pass */
    /* what it does between requests, in percent */
    int inserts, deletes, late, holes;
    int late_depth; /* rows from the head that late ones come at; 0: anywhere */
    int cap;        /* most rows a page has, whatever was asked; 0: as asked */
} model;

static uint32_t roll(model *m, uint32_t n)
{
    m->dice ^= m->dice << 13;
    m->dice ^= m->dice >> 7;
    m->dice ^= m->dice << 17;
    return (uint32_t)(m->dice >> 33) % n;
}

static bool chance(model *m, int percent)
{
    return (int)roll(m, 100) < percent;
}

static void insert(model *m, int at)
{
    if (m->next_id == ROWS_MAX) return;
    memmove(m->rows + at + 1, m->rows + at, (size_t)(m->n_rows - at) * sizeof *m->rows);
    m->rows[at] = m->next_id++;
    m->n_rows++;
}

static void erase(model *m, int at)
{
    m->there_all_pass[m->rows[at]] = false;
    m->n_rows--;
    memmove(m->rows + at, m->rows + at + 1, (size_t)(m->n_rows - at) * sizeof *m->rows);
}

/* What happens between two requests; rows before `reached` have been read. */
static void live(model *m, int reached)
{
    int before = m->n_rows, pulled = 0, deleted = 0;
    for (int k = 0; k < 4; k++) {
        if (chance(m, m->inserts)) insert(m, 0), pulled--, reached++;
        if (chance(m, m->late)) {
            bool near = m->late_depth && m->late_depth < m->n_rows;
            int at = (int)roll(m, (uint32_t)(near ? m->late_depth : m->n_rows) + 1);
            insert(m, at);
            if (at < reached) pulled--, reached++;
        }
        if (m->n_rows && chance(m, m->deletes)) {
            int at = (int)roll(m, (uint32_t)m->n_rows);
            erase(m, at);
            deleted++;
            if (at < reached) pulled++, reached--;
        }
    }
    if (m->n_rows >= before && (pulled > 0 || (m->holes && deleted))) m->unseeable = true;
}

static slice_page answer(model *m, const slice *s)
{
    uint32_t size = m->cap && m->cap < (int)s->page_size ? (uint32_t)m->cap : s->page_size;
    int64_t first = (int64_t)(s->page - 1) * size;
    slice_page p = {.total = m->n_rows, .newest = INSTANT_MIN};
    if (chance(m, m->holes)) return p;
    for (int64_t i = first; i < first + size && i < m->n_rows; i++) {
        int id = m->rows[i];
        p.n_new += !m->seen[id];
        m->seen[id] = true;
        p.n_records++;
    }
    return p;
}

static void begin_pass(model *m)
{
    memset(m->there_all_pass, 0, sizeof m->there_all_pass);
    memset(m->seen, 0, sizeof m->seen);
    for (int i = 0; i < m->n_rows; i++) m->there_all_pass[m->rows[i]] = true;
    m->unseeable = false;
}

static int missing(const model *m)
{
    int n = 0;
    for (int id = 0; id < m->next_id; id++) n += m->there_all_pass[id] && !m->seen[id];
    return n;
}

typedef struct outcome {
    slice_next end;
    int requests, passes;
    int foreseen; /* requests that could be told from the page before */
    const char *why;
} outcome;

/* Feeds a page; *foreseen: the page alone says that the next one follows.  Then it must. */
static slice_next feed(slice *s, const slice_page *p, unsigned passes_left, const char **why,
                       bool *foreseen)
{
    uint32_t page = s->page;
    *foreseen = slice_goes_on(s, p->n_records, p->total);
    slice_next next = slice_feed(s, p, passes_left, why);
    if (*foreseen && (next != SLICE_MORE || s->page != page + 1))
        fail_msg("after page %u: %d, page %u", page, (int)next, s->page);
    return next;
}

static outcome read_slice(model *m, uint32_t page_size, unsigned passes)
{
    outcome o = {.end = SLICE_MORE, .passes = 1};
    slice s = slice_plan(INSTANT_MIN, INSTANT_MIN, 0, (instant){0, 0}, page_size);
    begin_pass(m);
    for (; o.requests < REQUESTS_MAX; o.requests++) {
        uint32_t size = m->cap && m->cap < (int)page_size ? (uint32_t)m->cap : page_size;
        live(m, (int)((s.page - 1) * size));
        /* Rows are "there all the time" from the first answer on. */
        if (s.page == 1 && s.seen == 0) begin_pass(m);
        slice_page p = answer(m, &s);
        bool foreseen;
        o.end = feed(&s, &p, passes - (unsigned)o.passes, &o.why, &foreseen);
        o.foreseen += foreseen;
        if (o.end == SLICE_AGAIN) {
            o.passes++;
            assert_int_equal(s.page, 1);
            assert_int_equal(s.seen, 0);
            begin_pass(m);
        } else if (o.end != SLICE_MORE) {
            break;
        }
    }
    assert_int_not_equal(o.end, SLICE_MORE);
    assert_int_equal(s.state, o.end == SLICE_FINISHED ? SLICE_DONE : SLICE_OPEN);
    return o;
}

/* --- schedules ------------------------------------------------------------------------------ */

typedef struct tally {
    int schedules, finished, given_up, unseeable_loss, requests, foreseen;
} tally;

static void run_schedules(const char *name, model kind, int n, tally *t)
{
    *t = (tally){0};
    for (int k = 0; k < n; k++) {
        model *m = malloc(sizeof *m);
        assert_non_null(m);
        *m = kind;
        m->dice = 0x9E3779B97F4A7C15u * (uint64_t)(k + 1);
        for (int i = (int)roll(m, 120); i > 0; i--) insert(m, 0);
        outcome o = read_slice(m, 1 + roll(m, 20), SLICE_PASSES);
        t->schedules++;
        t->requests += o.requests;
        t->foreseen += o.foreseen;
        t->finished += o.end == SLICE_FINISHED;
        t->given_up += o.end == SLICE_GIVE_UP;
        if (o.end == SLICE_FINISHED && missing(m)) {
            if (!m->unseeable) fail_msg("%s, schedule %d: %d rows lost", name, k, missing(m));
            t->unseeable_loss++;
        }
        if (o.end != SLICE_FINISHED) assert_true(*o.why);
        free(m);
    }
    print_message("%s: %d schedules, %d finished, %d given up, %d lost what cannot be seen\n", name,
                  t->schedules, t->finished, t->given_up, t->unseeable_loss);
}

static void test_still(void **state)
{
    (void)state;
    tally t;
    run_schedules("still", (model){0}, 2000, &t);
    assert_int_equal(t.finished, t.schedules);
    assert_true(t.foreseen > t.requests * 8 / 10); /* `requests` counts no last ones */
    run_schedules("still, capped pages", (model){.cap = 3}, 2000, &t);
    assert_int_equal(t.finished, t.schedules);
}

/* matrix: 2 */
static void test_rows_come(void **state)
{
    (void)state;
    tally t;
    run_schedules("rows come at the head", (model){.inserts = 10}, 5000, &t);
    assert_int_equal(t.unseeable_loss, 0);
    assert_true(t.finished > t.schedules * 9 / 10);
    run_schedules("rows come anywhere", (model){.inserts = 5, .late = 5}, 5000, &t);
    assert_int_equal(t.unseeable_loss, 0);
    assert_true(t.finished > t.schedules / 2);
    run_schedules("rows come late, near the head",
                  (model){.inserts = 2, .late = 2, .late_depth = 20}, 5000, &t);
    assert_int_equal(t.unseeable_loss, 0);
    assert_true(t.finished > t.schedules * 9 / 10);
    run_schedules("rows come, capped pages", (model){.inserts = 10, .cap = 4}, 5000, &t);
    assert_int_equal(t.unseeable_loss, 0);
}

/* matrix: 3 */
static void test_rows_go(void **state)
{
    (void)state;
    tally t;
    run_schedules("rows go", (model){.deletes = 3}, 5000, &t);
    assert_int_equal(t.unseeable_loss, 0);
    assert_true(t.finished > t.schedules / 4);
    run_schedules("rows come at the head, and go", (model){.inserts = 5, .deletes = 3}, 10000, &t);
    assert_int_equal(t.unseeable_loss, 0);
}

/* matrix: 2, 3, 11 */
static void test_everything_at_once(void **state)
{
    (void)state;
    tally t;
    run_schedules("rows come anywhere, and go", (model){.inserts = 4, .late = 4, .deletes = 3},
                  20000, &t);
    run_schedules("holes", (model){.holes = 5}, 5000, &t);
    assert_int_equal(t.unseeable_loss, 0);
    assert_true(t.finished > t.schedules / 2);
    run_schedules("holes, rows come and go",
                  (model){.inserts = 4, .late = 2, .deletes = 2, .holes = 3}, 20000, &t);
}

/* The schedules above must be able to fail: a reader that believes in short pages loses rows. */
static void test_the_model_can_find_losses(void **state)
{
    (void)state;
    int lost = 0;
    for (int k = 0; k < 500; k++) {
        model m = {.dice = 77u + (uint64_t)k, .deletes = 5};
        for (int i = 0; i < 60; i++) insert(&m, 0);
        slice s = slice_plan(INSTANT_MIN, INSTANT_MIN, 0, (instant){0, 0}, 10);
        begin_pass(&m);
        for (;; s.page++) {
            slice_page p = answer(&m, &s);
            if (p.n_records < 10) break;
            live(&m, (int)s.page * 10);
        }
        lost += missing(&m) > 0;
    }
    assert_true(lost > 100);
}

/* --- single steps --------------------------------------------------------------------------- */

/* What a server answers in turn: {records, new, total}, and what must follow. */
typedef struct step {
    size_t n_records;
    uint64_t n_new;
    int64_t total;
    slice_next want;
    uint32_t page; /* asked for next */
} step;

static void play(const char *name, const step *steps, size_t n, unsigned passes_left)
{
    slice s = slice_plan(INSTANT_MIN, INSTANT_MIN, 0, (instant){0, 0}, 10);
    for (size_t i = 0; i < n; i++) {
        const char *why = NULL;
        slice_page p = {steps[i].n_records, steps[i].n_new, steps[i].total, INSTANT_MIN};
        bool foreseen;
        slice_next next = feed(&s, &p, passes_left, &why, &foreseen);
        if (next != steps[i].want || (next != SLICE_FINISHED && s.page != steps[i].page))
            fail_msg("%s, step %zu: %d, page %u", name, i + 1, (int)next, s.page);
        assert_non_null(why);
        assert_int_equal(*why != 0, next == SLICE_AGAIN || next == SLICE_GIVE_UP);
    }
}
#define PLAY(name, passes_left, ...)                                                               \
    play(name, (const step[]){__VA_ARGS__}, sizeof((const step[]){__VA_ARGS__}) / sizeof(step),    \
         passes_left)

/* matrix: 9, 10, 11 */
static void test_steps(void **state)
{
    (void)state;
    PLAY("nothing there", 2, {0, 0, 0, SLICE_FINISHED, 0});
    PLAY("a short page", 2, {7, 7, 7, SLICE_FINISHED, 0});
    PLAY("two pages", 2, {10, 10, 17, SLICE_MORE, 2}, {7, 7, 17, SLICE_FINISHED, 0});
    PLAY("a full last page is followed by a look", 2, {10, 10, 10, SLICE_MORE, 2},
         {0, 0, 10, SLICE_FINISHED, 0});
    PLAY("the last page repeated", 2, {10, 10, 10, SLICE_MORE, 2}, {10, 0, 10, SLICE_FINISHED, 0});
    PLAY("more than it counts", 1, {10, 10, 10, SLICE_MORE, 2}, {4, 4, 10, SLICE_MORE, 3},
         {0, 0, 10, SLICE_MORE, 4}, {0, 0, 10, SLICE_MORE, 5}, {0, 0, 10, SLICE_AGAIN, 1});
    PLAY("an empty page in the middle", 2, {10, 10, 24, SLICE_MORE, 2}, {0, 0, 24, SLICE_MORE, 3},
         {10, 10, 24, SLICE_MORE, 4}, {4, 4, 24, SLICE_FINISHED, 0});
    PLAY("a short page in the middle", 2, {10, 10, 24, SLICE_MORE, 2}, {4, 4, 24, SLICE_MORE, 3},
         {10, 10, 24, SLICE_MORE, 4}, {0, 0, 24, SLICE_FINISHED, 0});
    PLAY("the page number ignored", 0, {10, 10, 24, SLICE_MORE, 2}, {10, 0, 24, SLICE_MORE, 3},
         {10, 0, 24, SLICE_MORE, 4}, {10, 0, 24, SLICE_MORE, 1}, {10, 0, 24, SLICE_MORE, 2},
         {10, 0, 24, SLICE_MORE, 3}, {10, 0, 24, SLICE_GIVE_UP, 1});
    PLAY("no count", 2, {10, 10, -1, SLICE_MORE, 2}, {3, 3, -1, SLICE_MORE, 3},
         {0, 0, -1, SLICE_FINISHED, 0});
    PLAY("no count, pages repeated", 1, {10, 10, -1, SLICE_MORE, 2}, {10, 0, -1, SLICE_MORE, 3},
         {10, 0, -1, SLICE_MORE, 4}, {10, 0, -1, SLICE_AGAIN, 1});
    PLAY("a count on the first page only", 2, {10, 10, 13, SLICE_MORE, 2},
         {3, 3, -1, SLICE_MORE, 3}, {0, 0, -1, SLICE_FINISHED, 0});
    PLAY("a count on the first page only, rows missing", 1, {10, 10, 14, SLICE_MORE, 2},
         {3, 3, -1, SLICE_MORE, 3}, {0, 0, -1, SLICE_MORE, 4}, {0, 0, -1, SLICE_MORE, 5},
         {0, 0, -1, SLICE_MORE, 1}, {10, 0, -1, SLICE_MORE, 2}, {3, 0, -1, SLICE_AGAIN, 1});
    PLAY("counts zero but gives rows", 1, {10, 10, 0, SLICE_MORE, 2}, {2, 2, 0, SLICE_MORE, 3},
         {0, 0, 0, SLICE_MORE, 4}, {0, 0, 0, SLICE_MORE, 5}, {0, 0, 0, SLICE_AGAIN, 1});
    PLAY("the count fell", 1, {10, 10, 14, SLICE_MORE, 2}, {3, 3, 13, SLICE_MORE, 3},
         {0, 0, 13, SLICE_MORE, 4}, {0, 0, 13, SLICE_MORE, 5}, {0, 0, 13, SLICE_AGAIN, 1});
    PLAY("the count fell and rose", 0, {10, 10, 24, SLICE_MORE, 2}, {10, 10, 23, SLICE_MORE, 3},
         {4, 4, 24, SLICE_MORE, 4}, {0, 0, 24, SLICE_MORE, 5}, {0, 0, 24, SLICE_MORE, 6},
         {0, 0, 24, SLICE_GIVE_UP, 1});
    PLAY("rows at the head meanwhile", 2, {10, 10, 14, SLICE_MORE, 2}, {6, 4, 16, SLICE_MORE, 1},
         {10, 2, 16, SLICE_FINISHED, 0});
    PLAY("and more while the head is read", 2, {10, 10, 14, SLICE_MORE, 2},
         {6, 4, 26, SLICE_MORE, 1}, {10, 10, 26, SLICE_MORE, 2}, {10, 2, 27, SLICE_MORE, 3},
         {7, 0, 27, SLICE_MORE, 1}, {10, 1, 27, SLICE_FINISHED, 0});
    PLAY("a count that grows for nothing", 1, {10, 10, 14, SLICE_MORE, 2},
         {4, 4, 15, SLICE_MORE, 1}, {10, 0, 16, SLICE_MORE, 2}, {4, 0, 17, SLICE_AGAIN, 1});
    PLAY("rows came and others expired in the same moments", 2, {10, 10, 14, SLICE_MORE, 2},
         {4, 3, 14, SLICE_MORE, 3}, {0, 0, 14, SLICE_MORE, 4}, {0, 0, 14, SLICE_MORE, 5},
         {0, 0, 14, SLICE_MORE, 1}, {10, 1, 14, SLICE_FINISHED, 0});
    PLAY("a late row, not quite at the head", 2, {10, 10, 24, SLICE_MORE, 2},
         {10, 10, 24, SLICE_MORE, 3}, {5, 4, 25, SLICE_MORE, 1}, {10, 0, 25, SLICE_MORE, 2},
         {10, 1, 25, SLICE_FINISHED, 0});
}

/* A server that never ends is left, whatever it counts. */
/* matrix: 10 */
static void test_endless(void **state)
{
    (void)state;
    static const int64_t totals[] = {0, 5, 100};
    for (int kind = 0; kind < 6; kind++) {
        slice s = slice_plan(INSTANT_MIN, INSTANT_MIN, 0, (instant){0, 0}, 10);
        const char *why = "";
        slice_next next = SLICE_MORE;
        long requests = 0;
        for (; next == SLICE_MORE && requests < 1000000; requests++) {
            /* the first three count constantly, the others ever more */
            int64_t total = totals[kind % 3] + (kind >= 3 ? 11 * requests : 0);
            slice_page p = {10, kind == 5 ? 1 : 10, total, INSTANT_MIN};
            next = slice_feed(&s, &p, 2, &why);
        }
        assert_int_equal(next, SLICE_GIVE_UP);
        assert_true(requests < 20000);
        assert_true(*why);
    }
}

/* matrix: 9 */
static void test_a_huge_count_ends(void **state)
{
    (void)state;
    slice s = slice_plan(INSTANT_MIN, INSTANT_MIN, 0, (instant){0, 0}, 10);
    const char *why;
    slice_page some = {10, 10, INT64_MAX, INSTANT_MIN}, none = {0, 0, INT64_MAX, INSTANT_MIN};
    assert_int_equal(slice_feed(&s, &some, 1, &why), SLICE_MORE);
    int idle = 0;
    while (slice_feed(&s, &none, 1, &why) == SLICE_MORE) assert_true(++idle < 20);
    assert_int_equal(s.pass, 2);
    assert_int_equal(s.page, 1);
    s.page = UINT32_MAX;
    assert_int_equal(slice_feed(&s, &some, 1, &why), SLICE_GIVE_UP);
}

static void test_plan(void **state)
{
    (void)state;
    instant hi = {5000, 0}, since = {1000, 999999999}, newest = {3000, 0};
    slice s = slice_plan(INSTANT_MIN, INSTANT_MIN, 600, hi, 200);
    assert_int_equal(instant_cmp(s.lo, INSTANT_MIN), 0);
    assert_int_equal(instant_cmp(s.hi, hi), 0);
    assert_int_equal(instant_cmp(s.newest, INSTANT_MIN), 0);
    assert_int_equal(s.page, 1);
    assert_int_equal(s.pass, 1);
    assert_int_equal(s.page_size, 200);
    assert_int_equal(s.total_first, -1);
    assert_int_equal(s.state, SLICE_OPEN);
    s = slice_plan(INSTANT_MIN, since, 600, hi, 200);
    assert_int_equal(instant_cmp(s.lo, since), 0);
    s = slice_plan(newest, INSTANT_MIN, 600.5, hi, 200);
    assert_int_equal(s.lo.s, 2399);
    assert_int_equal(s.lo.ns, 499999999);
    s = slice_plan(newest, since, 600, hi, 200);
    assert_int_equal(s.lo.s, 2399);
    assert_int_equal(s.lo.ns, 999999999);
    s = slice_plan(newest, since, 2500, hi, 200);
    assert_int_equal(instant_cmp(s.lo, since), 0);
    s = slice_plan(newest, (instant){3000, 1}, 600, hi, 200); /* leaves nothing out */
    assert_int_equal(s.lo.s, 2399);
    s = slice_plan(newest, INSTANT_MIN, 1e300, hi, 200);
    assert_int_equal(instant_cmp(s.lo, INSTANT_MIN), 0);
}

/* The newest row scanned moves forwards only, and outlives a restart. */
/* matrix: 7, 13 */
static void test_newest(void **state)
{
    (void)state;
    slice s = slice_plan(INSTANT_MIN, INSTANT_MIN, 0, (instant){50, 0}, 2);
    const char *why;
    slice_page p = {2, 2, 6, {40, 0}};
    assert_int_equal(slice_feed(&s, &p, 1, &why), SLICE_MORE);
    p.newest = (instant){30, 0};
    assert_int_equal(slice_feed(&s, &p, 1, &why), SLICE_MORE);
    assert_int_equal(s.newest.s, 40);
    p.newest = INSTANT_MIN;
    assert_int_equal(slice_feed(&s, &p, 1, &why), SLICE_MORE);
    slice_restart(&s, 3);
    assert_int_equal(s.newest.s, 40);
    assert_int_equal(s.page_size, 3);
    assert_int_equal(s.pass, 2);
}

/* The parts of a slice hold all of it, however often it is cut; each question, too. */
/* matrix: 12 */
static void test_split(void **state)
{
    (void)state;
    static const instant los[] = {
        {INT64_MIN, 0}, {0, 0}, {1767225600, 123456789}, {-62135596800, 0}};
    for (size_t i = 0; i < sizeof los / sizeof *los; i++) {
        for (unsigned path = 0; path < 64; path++) {
            slice s = slice_plan(INSTANT_MIN, los[i], 0, (instant){1770000000, 987654321}, 10),
                  upper;
            int cuts = 0;
            s.id = 7;
            for (slice whole = s; slice_split(&s, &upper); whole = s, cuts++) {
                assert_true(s.bounded && upper.bounded == whole.bounded && s.id == 7 && !upper.id);
                assert_int_equal(instant_cmp(s.lo, whole.lo), 0);
                assert_int_equal(instant_cmp(s.hi, upper.lo), 0);
                assert_int_equal(instant_cmp(upper.hi, whole.hi), 0);
                assert_true(instant_cmp(s.lo, s.hi) < 0 && instant_cmp(upper.lo, upper.hi) < 0);
                assert_true(instant_cmp(slice_before(&s), upper.lo) > 0);
                assert_int_equal(upper.pass, 1);
                if (path >> cuts % 6 & 1) {
                    s = upper;
                    s.id = 7;
                }
                assert_true(cuts < 60);
            }
            assert_true(cuts > 25);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_newest),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_endless),
        cmocka_unit_test(test_a_huge_count_ends),
        cmocka_unit_test(test_the_model_can_find_losses),
        cmocka_unit_test(test_still),
        cmocka_unit_test(test_rows_come),
        cmocka_unit_test(test_rows_go),
        cmocka_unit_test(test_everything_at_once),
    };
    return cmocka_run_group_tests_name("slices", tests, NULL, NULL);
}
