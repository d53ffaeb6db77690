/* test_redact.c - redaction on texts that nobody would write: bounds, joins, doing it twice.
 * What is found in texts that people write is measured by tests/blackbox/test_redact.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/regex.h"
#include "base/utf8.h"
#include "curate/redact.h"
#include "curate/redact_record.h"

static redactor *make(redact_action action, const char *rules)
{
    static const redact_pattern patterns[] = {{"odd", "Q[0-9]*"}};
    redact_options o = {
        .rules = rules, .patterns = patterns, .n_patterns = 1, .action = action, .key = STR("k")};
    redactor *r;
    err e = {0};
    assert_int_equal(redactor_new(&o, &r, &e), ST_OK);
    return r;
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* A text of the characters that the scanners look at, with whole finds strewn in. */
static void random_text(uint32_t *seed, buf *out)
{
    static const char *const pieces[] = {"4111111111111111",
                                         "4111 1111 1111 1111",
                                         "DE89 3704 0044 0532 0130 00",
                                         "a.b@c.de",
                                         "+49 30 1234567",
                                         "(415) 555-2671",
                                         "536-90-4399",
                                         "10.0.0.1",
                                         "fe80::12:3",
                                         "ssn ",
                                         "tel ",
                                         "order ",
                                         "[CARD]",
                                         "[EMAIL:abcdefghijkl]",
                                         "[X:1]",
                                         "Q77",
                                         "\xc3\xa9",
                                         "\xe2\x80\x91"};
    static const char single[] = "0123456789  --..//:::@@()[]+*_QaefDEz\n";
    buf_clear(out);
    for (uint32_t n = next(seed) % 40; n; n--) {
        uint32_t k = next(seed);
        if (k % 4 == 0)
            buf_z(out, pieces[next(seed) % (sizeof pieces / sizeof *pieces)]);
        else
            buf_char(out, single[next(seed) % (sizeof single - 1)]);
    }
}

static void test_random_texts(void **state)
{
    (void)state;
    err e = {0};
    buf text = {0}, once = {0}, twice = {0};
    uint32_t seed = 5, n_found = 0;
    for (int action = REDACT_MASK; action <= REDACT_HASH; action++) {
        redactor *r = make((redact_action)action, "card,iban,email,phone,ssn,ip");
        for (int i = 0; i < 20000; i++) {
            spans s = {0};
            str a, b;
            random_text(&seed, &text);
            char *exact = malloc(text.n + 1); /* so that a byte beyond is seen by ASan */
            memcpy(exact, text.p ? text.p : "", text.n);
            str t = {realloc(exact, text.n ? text.n : 1), text.n};
            assert_int_equal(redact_find(r, t, &s, &e), ST_OK);
            for (size_t k = 0; k < s.n; k++) {
                assert_true(s.list[k].start < s.list[k].end && s.list[k].end <= t.n);
                assert_true(!k || s.list[k].start >= s.list[k - 1].end);
            }
            n_found += (uint32_t)s.n;
            assert_int_equal(redact_text(r, t, &once, &a, NULL, &e), ST_OK);
            assert_int_equal(a.p != t.p, s.n > 0);
            assert_true(utf8_valid(a));
            assert_int_equal(redact_text(r, a, &twice, &b, NULL, &e), ST_OK);
            if (!str_eq(a, b))
                fail_msg("\"%.*s\", then \"%.*s\", then \"%.*s\"", STR_FMT(t), STR_FMT(a),
                         STR_FMT(b));
            spans_release(&s);
            free((char *)t.p);
        }
        redactor_free(r);
    }
    assert_true(n_found > 50000);
    buf_release(&text);
    buf_release(&once);
    buf_release(&twice);
}

/* A megabyte of what makes a scanner look ahead: in time or not at all. */
static void test_long_texts(void **state)
{
    (void)state;
    static const char *const made_of[] = {
        "1",  "1 ", "a@", "@",    "a.", "1.",    "(",  "+1",       "00 ",
        "[A", "::", "a:", "DE89", "DE", "ssn 1", "-1", "\xc3\xa9@"};
    enum { LENGTH = 1 << 20 };
    redactor *r = make(REDACT_LABEL, "card,iban,email,phone,ssn,ip");
    for (size_t i = 0; i < sizeof made_of / sizeof *made_of; i++) {
        buf text = {0}, scratch = {0};
        err e = {0};
        str out;
        while (text.n < LENGTH) buf_z(&text, made_of[i]);
        assert_int_equal(redact_text(r, buf_view(&text), &scratch, &out, NULL, &e), ST_OK);
        buf_release(&text);
        buf_release(&scratch);
    }
    redactor_free(r);
}

static void test_overlaps(void **state)
{
    (void)state;
    spans s = {0};
    spans_add(&s, 10, 20, SCAN_IP);
    spans_add(&s, 0, 5, SCAN_PHONE);
    spans_add(&s, 15, 30, SCAN_CARD);
    spans_add(&s, 5, 6, SCAN_SSN);
    spans_add(&s, 16, 17, SCAN_RULES);
    spans_join(&s);
    assert_int_equal(s.n, 3);
    assert_true(s.list[1].start == 5 && s.list[1].rule == SCAN_SSN);
    assert_true(s.list[2].start == 10 && s.list[2].end == 30 && s.list[2].rule == SCAN_CARD);
    spans_release(&s);
}

static void test_records(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *want;
    } cases[] = {
        {" {\"id\": \"10.0.0.1\" , \"x\":[1.50,true,null,\"10.0.0.1\",{\"from\":\"10.0.0.1\"}] } ",
         " {\"id\": \"10.0.0.1\" , \"x\":[1.50,true,null,\"[IP]\",{\"from\":\"[IP]\"}] } "},
        {"{\"messages\":[{\"from\":\"10.0.0.1\",\"text\":\"a\\t10.0.0.1\"},\"10.0.0.1\"]}",
         "{\"messages\":[{\"from\":\"10.0.0.1\",\"text\":\"a\\t[IP]\"},\"[IP]\"]}"},
        {"{\"text\":\"\\u0031\\u0030.0.0.1\",\"r\\u0061ting\":\"10.0.0.1\",\"n\":4111111111111111}",
         "{\"text\":\"[IP]\",\"r\\u0061ting\":\"10.0.0.1\",\"n\":null}"},
        {"{\"text\":\"\xff 10.0.0.1\",\"other\":\"\xff\"}",
         "{\"text\":\"\xef\xbf\xbd [IP]\",\"other\":\"\xff\"}"},
        {"{\"a@b.de\":{\"10.0.0.1\" : {\"\\u0031\\u0030.0.0.1\":[{\"id\":1,\"10.0.0.1\":2}]}}}",
         "{\"a@b.de\":{\"[IP]\" : {\"[IP]\":[{\"id\":1,\"[IP]\":2}]}}}"},
        {"{\"messages\":[{\"10.0.0.1\":{\"10.0.0.1\":\"\"}}]}",
         "{\"messages\":[{\"10.0.0.1\":{\"[IP]\":\"\"}}]}"},
        {"{}", "{}"}};
    redactor *r = make(REDACT_LABEL, "ip,card");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf out = {0};
        err e = {0};
        assert_int_equal(redact_record(r, str_from(cases[i].raw), &out, &e), ST_OK);
        assert_string_equal(buf_cstr(&out), cases[i].want);
        buf_release(&out);
    }
    redactor_free(r);
}

static void test_regex(void **state)
{
    (void)state;
    err e = {0};
    regex *r;
    size_t start, end;
    assert_int_equal(regex_new(STR("a("), &r, &e), ST_FAILED);
    assert_non_null(strstr(e.msg, "byte 2"));
    assert_int_equal(regex_new(STR("\\Cx"), &r, &e), ST_FAILED);
    assert_int_equal(regex_new(STR("x*"), &r, &e), ST_OK);
    assert_int_equal(regex_search(r, STR("axxb"), 0, &start, &end), REGEX_FOUND);
    assert_true(start == 1 && end == 3);
    assert_int_equal(regex_search(r, STR("axxb"), 3, &start, &end), REGEX_NONE);
    regex_free(r);
    assert_int_equal(regex_new(STR("a\\Kb"), &r, &e), ST_OK);
    assert_int_equal(regex_search(r, STR("ab"), 0, &start, &end), REGEX_FOUND);
    assert_true(start == 1 && end == 2);
    regex_free(r);
    assert_int_equal(regex_new(STR("(a+)+[bc]"), &r, &e), ST_OK);
    assert_int_equal(regex_search(r, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"), 0,
                                  &start, &end),
                     REGEX_GAVE_UP);
    regex_free(r);
    /* 200 steps for each of so many bytes is more than 2^32 */
    const str large = {malloc(21474837), 21474837};
    assert_non_null(large.p);
    memset((char *)large.p, 'z', large.n);
    *(char *)large.p = 'x';
    assert_int_equal(regex_new(STR("x.*[yw]"), &r, &e), ST_OK);
    assert_int_equal(regex_search(r, large, 0, &start, &end), REGEX_NONE);
    regex_free(r);
    free((char *)large.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_texts), cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_overlaps),     cmocka_unit_test(test_records),
        cmocka_unit_test(test_regex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
