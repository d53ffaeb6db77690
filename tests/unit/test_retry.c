/* test_retry.c - whether to try again, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <math.h>

#include "source/auth.h"
#include "source/complaint.h"
#include "source/retry.h"

static void test_statuses(void **state)
{
    (void)state;
    static const long yes[] = {408, 429, 500, 502, 503, 504, 520, 529, 599};
    static const long no[] = {0,   100, 200, 204, 301, 304, 400, 401,
                              403, 404, 409, 410, 422, 501, 600};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) assert_true(retry_status(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) assert_false(retry_status(no[i]));
}

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s;
    } good[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199},
        {"Friday, 01-Jan-27 00:00:00 GMT", 1798761600},
    };
    static const char *const bad[] = {
        "",
        "soon",
        ",",
        "Sun, 06 Nov 1994",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT junk",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 31 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 1994 28:49:37 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994 and on",
        "2026-01-01T00:00:00Z",
        "Sun, 06 Nov 1994 08:49:37 GMT                                             x",
    };
    instant t;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!http_date_parse(str_from(good[i].text), &t)) fail_msg("refused: %s", good[i].text);
        assert_int_equal(t.s, good[i].s);
        assert_int_equal(t.ns, 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (http_date_parse(str_from(bad[i]), &t)) fail_msg("taken for a date: %s", bad[i]);
    assert_false(http_date_parse((str){"Sun, 06 Nov 1994\0 08:49:37 GMT", 30}, &t));
    assert_false(http_date_parse((str){0}, &t));
}

/* matrix: 14 */
static void test_retry_after(void **state)
{
    (void)state;
    const instant now = {784111777, 250000000}; /* Sun, 06 Nov 1994 08:49:37.25 GMT */
    static const struct {
        const char *field;
        double seconds; /* -1: none */
    } cases[] = {
        {"0", 0},
        {"1", 1},
        {" 120 ", 120},
        {"1.5", 2},
        {"1.0", 1},
        {"0.001", 1},
        {".5", 1},
        {"2.", 2},
        {"86400", 86400},
        {"99999999999", 99999999999.0},
        {"", -1},
        {"-5", -1},
        {"+5", -1},
        {"1e3", -1},
        {"0x10", -1},
        {"1.2.3", -1},
        {".", -1},
        {"nan", -1},
        {"inf", -1},
        {"5 s", -1},
        {"5, 6", -1},
        {"soon", -1},
        {"Sun, 06 Nov 1994 08:49:47 GMT", 10},
        {"Sunday, 06-Nov-94 08:50:37 GMT", 60},
        {"Sun Nov  6 08:49:38 1994", 1},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Sun, 06 Nov 1994 99:49:47 GMT", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double s = -1;
        bool got = retry_after_parse(str_from(cases[i].field), now, &s);
        if (got != (cases[i].seconds >= 0) || (got && s != cases[i].seconds))
            fail_msg("\"%s\": %s %g", cases[i].field, got ? "gives" : "gives nothing", s);
    }
    char nines[400];
    double s;
    memset(nines, '9', sizeof nines);
    assert_true(retry_after_parse((str){nines, sizeof nines}, now, &s) && isinf(s));
    assert_false(retry_after_parse((str){0}, now, &s));
}

static double always(void *ctx)
{
    return *(double *)ctx;
}

/* matrix: 14, 15 */
static void test_waits(void **state)
{
    (void)state;
    double dice = 1, wait;
    retry_policy p = {.max_attempts = 100, .max_wait = 60, .random = always, .ctx = &dice};
    const instant now = {784111777, 0};
    static const double most[] = {0.5, 1, 2, 4, 8, 16, 30, 30, 30};
    for (int tries = 1; tries <= 9; tries++) {
        err e = {ST_INCOMPLETE, "down"};
        dice = 1;
        assert_int_equal(retry_next(&p, tries, STR(""), now, &wait, &e), ST_OK);
        assert_true(wait == most[tries - 1]);
        dice = 0.25;
        assert_int_equal(retry_next(&p, tries, STR("nonsense"), now, &wait, &e), ST_OK);
        assert_true(wait == most[tries - 1] / 4);
        dice = 0;
        assert_int_equal(retry_next(&p, tries, STR("-1"), now, &wait, &e), ST_OK);
        assert_true(wait == 0);
        assert_int_equal(retry_next(&p, tries, STR("60"), now, &wait, &e), ST_OK);
        assert_true(wait == 60);
    }
    err e = {ST_INCOMPLETE, "down"};
    assert_int_equal(retry_next(&p, 99, STR(""), now, &wait, &e), ST_OK);
}

/* matrix: 14 */
static void test_ends(void **state)
{
    (void)state;
    double dice = 0.5, wait;
    retry_policy p = {.max_attempts = 3, .max_wait = 60, .random = always, .ctx = &dice};
    const instant now = {784111777, 0};
    err e = {ST_INCOMPLETE, "HTTP 503 from there"};
    assert_int_equal(retry_next(&p, 2, STR(""), now, &wait, &e), ST_OK);
    assert_int_equal(retry_next(&p, 3, STR("1"), now, &wait, &e), ST_INCOMPLETE);
    assert_non_null(strstr(e.msg, "HTTP 503 from there"));
    assert_non_null(strstr(e.msg, "3 tries"));
    assert_non_null(strstr(e.msg, "again to go on"));
    static const char *const too_long[] = {"61", "60.5", "86400", "99999999999",
                                           "Sun, 06 Nov 1994 08:50:38 GMT"};
    for (size_t i = 0; i < sizeof too_long / sizeof *too_long; i++) {
        e = (err){ST_INCOMPLETE, "HTTP 429 from there"};
        assert_int_equal(retry_next(&p, 1, str_from(too_long[i]), now, &wait, &e), ST_INCOMPLETE);
        assert_int_equal(e.code, ST_INCOMPLETE);
        assert_non_null(strstr(e.msg, "HTTP 429 from there"));
        assert_non_null(strstr(e.msg, "source.max_wait (60 s)"));
    }
    /* A last failure that fills the message leaves room for the rest. */
    memset(e.msg, 'x', sizeof e.msg - 1);
    assert_int_equal(retry_next(&p, 3, STR(""), now, &wait, &e), ST_INCOMPLETE);
    assert_non_null(strstr(e.msg, "again to go on"));
    p.max_attempts = 1;
    e = (err){ST_INCOMPLETE, "down"};
    assert_int_equal(retry_next(&p, 1, STR("0"), now, &wait, &e), ST_INCOMPLETE);
    assert_non_null(strstr(e.msg, "1 try"));
}

/* All waits of a run together have a limit too, whoever asks for them. */
/* matrix: 15 */
static void test_budget(void **state)
{
    (void)state;
    double dice = 1, wait;
    retry_policy p = {.max_attempts = 100, .max_wait = 60, .random = always, .ctx = &dice};
    const instant now = {784111777, 0};
    err e = {ST_INCOMPLETE, "HTTP 429 from there"};
    p.spent = 1e6;
    assert_int_equal(retry_next(&p, 1, STR("60"), now, &wait, &e), ST_OK); /* 0: no limit */
    p.budget = 100;
    p.spent = 40;
    assert_int_equal(retry_next(&p, 1, STR("60"), now, &wait, &e), ST_OK);
    assert_int_equal(retry_next(&p, 7, STR(""), now, &wait, &e), ST_OK);
    p.spent = 40.5;
    assert_int_equal(retry_next(&p, 1, STR("60"), now, &wait, &e), ST_INCOMPLETE);
    assert_non_null(strstr(e.msg, "HTTP 429 from there"));
    assert_non_null(strstr(e.msg, "source.wait_budget (100 s)"));
    p.spent = 80;
    e = (err){ST_INCOMPLETE, "HTTP 429 from there"};
    assert_int_equal(retry_next(&p, 7, STR(""), now, &wait, &e), ST_INCOMPLETE);
}

static void test_randomness(void **state)
{
    (void)state;
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        double r = retry_random(NULL);
        assert_true(r >= 0 && r < 1);
        sum += r;
    }
    assert_true(sum > 4700 && sum < 5300);
}

/* matrix: 18 */
static void test_token_lives(void **state)
{
    (void)state;
    static const double cases[][2] = {
        {3600, 3540}, {121, 61}, {120, 60}, {100, 50}, {61, 30.5},         {60, 30},
        {10, 5},      {1, 0.5},  {0, 240},  {-5, 240}, {(double)NAN, 240}, {(double)INFINITY, 240},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(auth_renew_after(cases[i][0]) == cases[i][1]);
}

static void test_complaints(void **state)
{
    (void)state;
    const char *const secrets[] = {"s3cr t/9", "tok.en", NULL};
    static const struct {
        const char *body, *code, *words;
    } cases[] = {
        {"", "", ""},
        {"<html>502</html>", "", ""},
        {"[1]", "", ""},
        {"{\"error\":\"invalid_client\"}", "invalid_client", ": invalid_client"},
        {"{\"error\":\"a\",\"error_description\":\"Filter  bad\\n\\u001b[31m\"}", "a",
         ": Filter  bad ?[31m"},
        {"{\"error\":{\"code\":7,\"message\":\"deep\"}}", "", ": deep"},
        {"{\"error\":\"two words\",\"message\":\"m\"}", "", ": m"},
        {"{\"message\":\"got s3cr t/9 from you\"}", "", ""},
        {"{\"message\":\"got s3cr%20t%2F9 from you\"}", "", ""},
        {"{\"message\":\"token tok.en expired\"}", "", ""},
        {"{\"message\":\"caf\\u00e9 \\u202Egnp.exe \\ud800\"}", "",
         ": caf\xC3\xA9 ?gnp.exe \xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char code[COMPLAINT_CODE], words[COMPLAINT_CAP];
        complaint_code(str_from(cases[i].body), code);
        complaint_words(str_from(cases[i].body), secrets, words);
        assert_string_equal(code, cases[i].code);
        assert_string_equal(words, cases[i].words);
    }
    char body[4096] = "{\"message\":\"", words[COMPLAINT_CAP];
    while (strlen(body) < 4000) strcat(body, "\xE2\x82\xAC");
    strcat(body, "\"}");
    complaint_words(str_from(body), secrets, words);
    assert_true(strlen(words) < 180);
    assert_string_equal(words + strlen(words) - 6, "\xE2\x82\xAC...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),    cmocka_unit_test(test_dates),
        cmocka_unit_test(test_retry_after), cmocka_unit_test(test_waits),
        cmocka_unit_test(test_ends),        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_randomness),  cmocka_unit_test(test_token_lives),
        cmocka_unit_test(test_complaints),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
