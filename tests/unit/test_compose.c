/* test_compose.c - the parts of a conversation, in any order and company, make one record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/compose.h"

#define ROW(id, at, who, text)                                                                     \
    "{\"id\":\"" id "\", \"sessionId\":\"s\",\"projectId\":\"p\",\"timestamp\":\"" at              \
    "\",\"source\":\"" who "\",\"inputText\":\"" text "\",\"other\":[1e1, {\"x\":null}]}"

static const char session[] = "{\"sessionId\":\"s\",\"startedAt\":\"2026-01-01T00:00:00Z\","
                              "\"rating\":1.0,\"ratingComment\":\"good\"}";
static const char *const rows[] = {
    ROW("a", "2026-01-01T00:00:01Z", "user", "one"),
    ROW("c", "2026-01-01T00:00:02.000Z", "bot", "three"),
    ROW("b", "2026-01-01T01:00:02+01:00", "bot", "two \\ud83d \\u0000"),
    ROW("d", "2026-01-01T00:00:03Z", "agent", " * ** "),
};
enum { N = sizeof rows / sizeof *rows };

/* Adds the parts whose bits are set to a record (which is replaced). */
static void add(buf *record, unsigned which, bool backwards)
{
    part parts[N + 1];
    size_t n = 0;
    arena a = {0};
    buf out = {0};
    err e = {0};
    piece read;
    for (unsigned k = 0; k <= N; k++) {
        unsigned i = backwards ? N - k : k;
        if (!(which >> i & 1)) continue;
        parts[n] = (part){.raw = str_from(i == N ? session : rows[i]), .is_head = i == N};
        assert_int_equal(compose_read(&cognigy_shape, &parts[n++], &a, &read, &e), ST_OK);
    }
    assert_int_equal(compose(&cognigy_shape, buf_view(record), parts, n, &a, &out, &e), ST_OK);
    buf_release(record);
    *record = out;
    arena_release(&a);
}

static void test_any_order(void **state)
{
    const unsigned all = (1u << (N + 1)) - 1;
    buf whole = {0};
    (void)state;
    add(&whole, all, false);
    for (unsigned first = 0; first <= all; first++) {
        buf b = {0};
        if (first) add(&b, first, first & 1);
        add(&b, all & ~first ? all & ~first : all, first & 2);
        assert_true(str_eq(buf_view(&b), buf_view(&whole)));
        add(&b, all, true); /* once more: nothing changes */
        assert_true(str_eq(buf_view(&b), buf_view(&whole)));
        buf_release(&b);
    }
    buf_release(&whole);
}

static void test_record(void **state)
{
    arena a = {0};
    buf b = {0};
    err e = {0};
    interaction i;
    (void)state;
    add(&b, (1u << (N + 1)) - 1, false);
    assert_int_equal(record_parse(buf_view(&b), &a, &i, &e), ST_OK);
    assert_true(str_eq(i.id, STR("s")) && str_eq(i.bot_id, STR("p")));
    assert_true(str_eq(i.timestamp, STR("2026-01-01T00:00:00Z")));
    assert_true(str_eq(i.rating, STR("1.0")));
    assert_int_equal(i.n_messages, N);
    assert_true(str_eq(i.messages[0].text, STR("one")));
    assert_true(str_eq(i.messages[1].text, STR("two \xEF\xBF\xBD \0")));
    assert_true(str_eq(i.messages[2].text, STR("three")));
    assert_true(str_eq(i.messages[3].from, STR("agent")));
    assert_true(i.messages[3].is_masked && !i.messages[0].is_masked);
    for (size_t k = 0; k < N; k++) /* every byte as received */
        assert_non_null(memmem(b.p, b.n, rows[k], strlen(rows[k])));
    assert_non_null(memmem(b.p, b.n, session, sizeof session - 1));
    buf_release(&b);
    arena_release(&a);
}

static void test_newer_version(void **state)
{
    static const char changed[] = ROW("a", "2026-01-01T00:00:01Z", "user", "changed");
    buf b = {0};
    arena a = {0};
    err e = {0};
    piece read;
    part p = {.raw = str_from(changed)};
    (void)state;
    add(&b, 1, false);
    buf out = {0};
    assert_int_equal(compose_read(&cognigy_shape, &p, &a, &read, &e), ST_OK);
    assert_int_equal(compose(&cognigy_shape, buf_view(&b), &p, 1, &a, &out, &e), ST_OK);
    assert_non_null(memmem(out.p, out.n, "changed", 7));
    assert_null(memmem(out.p, out.n, "one", 3));
    buf_release(&out);
    buf_release(&b);
    arena_release(&a);
}

static void test_written_reads_the_same(void **state)
{
    (void)state;
    for (unsigned k = 0; k <= N; k++) {
        arena a = {0};
        buf b = {0};
        err e = {0};
        piece first, second;
        part p = {.raw = str_from(k == N ? session : rows[k]), .is_head = k == N};
        assert_int_equal(compose_read(&cognigy_shape, &p, &a, &first, &e), ST_OK);
        cognigy_shape.write(&cognigy_shape, &first, p.is_head, &b);
        p = (part){.raw = buf_view(&b), .is_head = k == N};
        assert_int_equal(compose_read(&cognigy_shape, &p, &a, &second, &e), ST_OK);
        assert_true(str_eq(first.id, second.id) && str_eq(first.text, second.text));
        assert_true(str_eq(first.from, second.from) && str_eq(first.rating, second.rating));
        assert_true(str_eq(first.timestamp, second.timestamp) && str_eq(first.bot, second.bot));
        assert_null(memmem(b.p, b.n, "other", 5));
        assert_null(memmem(b.p, b.n, "good", 4));
        buf_release(&b);
        arena_release(&a);
    }
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{\"id\":\"a\",\"timestamp\":\"2026-01-01\"}",
        "{\"sessionId\":\"s\",\"timestamp\":\"2026-01-01\"}",
        "{\"id\":\"a\",\"sessionId\":\"s\",\"timestamp\":\"yesterday\"}",
        "{\"id\":7,\"sessionId\":\"s\",\"timestamp\":\"2026-01-01\"}"};
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        arena a = {0};
        err e = {0};
        piece read;
        part p = {.raw = str_from(bad[k])};
        assert_int_equal(compose_read(&cognigy_shape, &p, &a, &read, &e), ST_FAILED);
        assert_true(*e.msg != 0);
        arena_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order),     cmocka_unit_test(test_record),
        cmocka_unit_test(test_newer_version), cmocka_unit_test(test_written_reads_the_same),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
