/* test_page.c - cutting pages, honest and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/page.h"

#define BOM "\xEF\xBB\xBF"

static status cut(source_page *p, str body, err *e)
{
    /* Exactly as long as the text, so that a read behind it is found. */
    source_page_release(p);
    p->body = (buf){.p = malloc(body.n ? body.n : 1), .n = body.n, .cap = body.n};
    assert_non_null(p->body.p);
    if (body.n) memcpy(p->body.p, body.p, body.n);
    return page_cut(p, e);
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int64_t total;
        size_t n;
        const char *records[4];
    } cases[] = {
        {"{\"interactions\":[],\"totalCount\":0}", 0, 0, {0}},
        {"{\"interactions\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"totalCount\":1450}",
         1450,
         2,
         {"{\"id\":\"a\"}", "{\"id\":\"b\"}"}},
        {BOM " \r\n{ \"totalCount\" : \"17\" , \"interactions\" : [ 1 , \"]}\" ] } \n",
         17,
         2,
         {"1", "\"]}\""}},
        /* broken in themselves, but the brackets match */
        {"{\"interactions\":[{\"id\":nope},{id},{\"id\":\"b\"},{\"a\" 1,,}]}",
         -1,
         4,
         {"{\"id\":nope}", "{id}", "{\"id\":\"b\"}", "{\"a\" 1,,}"}},
        {"{\"interactions\":[{\"t\":\"\xFF\xFE\"},{\"t\":\"\\ud800\"}],\"totalCount\":2}",
         2,
         2,
         {"{\"t\":\"\xFF\xFE\"}", "{\"t\":\"\\ud800\"}"}},
        /* the last of equal keys */
        {"{\"interactions\":[1],\"totalCount\":1,\"interactions\":[2],\"totalCount\":3}",
         3,
         1,
         {"2"}},
        {"{\"\\u0069nteractions\":[5]}", -1, 1, {"5"}},
        {"{\"x\":{\"interactions\":[9]},\"interactions\":[8],\"y\":[]}", -1, 1, {"8"}},
        /* counts that are none */
        {"{\"interactions\":[],\"totalCount\":null}", -1, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":-1}", -1, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":1.5}", -1, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":\"many\"}", -1, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":\"\"}", -1, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":[3]}", -1, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":true}", -1, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":1e999}", -1, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":99999999999999999999}", -1, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":nan}", -1, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":12.0}", 12, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":1e3}", 1000, 0, {0}},
        {"{\"interactions\":[],\"totalCount\":-0}", 0, 0, {0}},
    };
    source_page p = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err e = {0};
        if (cut(&p, str_from(cases[i].body), &e)) fail_msg("%s: %s", cases[i].body, e.msg);
        assert_int_equal(p.total, cases[i].total);
        assert_int_equal(p.n_records, cases[i].n);
        for (size_t k = 0; k < p.n_records; k++)
            assert_true(str_eq(p.records[k], str_from(cases[i].records[k])));
    }
    source_page_release(&p);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        " ",
        BOM,
        "\xEF\xBB",
        "<!DOCTYPE html><html></html>",
        "null",
        "[]",
        "[{\"interactions\":[]}]",
        "\"interactions\"",
        "{}",
        "{\"totalCount\":5}",
        "{\"interactions\":null}",
        "{\"interactions\":{}}",
        "{\"interactions\":\"[]\"}",
        "{\"interactions\":[1],\"interactions\":null}",
        "{\"Interactions\":[]}",
        "{\"interactions\":[]",
        "{\"interactions\":[",
        "{\"interactions\":[{\"id\":\"a\"},{\"id\":\"b\"}",
        "{\"interactions\":[{\"id\":\"a\"},{\"id\":\"b",
        "{\"interactions\":[{\"id\":\"a\"}},{\"id\":\"b\"}]}",
        "{\"interactions\":[1,2}}",
        "{\"interactions\":[1,2]]",
        "{\"interactions\":[1 2]}",
        "{\"interactions\":[,]}",
        "{\"interactions\" []}",
        "{\"interactions\":}",
        "{interactions:[]}",
        "{\"interactions\":[]} trailing",
        "{\"interactions\":[]}{\"interactions\":[]}",
        "{\"interactions\":[]},",
        "{",
        "}",
        "{\"",
        "{\"interactions\":[\"\\",
    };
    source_page p = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err e = {0};
        if (cut(&p, str_from(cases[i]), &e) != ST_FAILED) fail_msg("taken: %s", cases[i]);
        assert_true(*e.msg);
    }
    err e = {0};
    assert_int_equal(cut(&p, (str){"{\"interactions\":[]}\0", 20}, &e), ST_FAILED);
    assert_int_equal(cut(&p, (str){"\0{\"interactions\":[]}", 20}, &e), ST_FAILED);
    source_page_release(&p);
}

/* No part of a page, however it is cut, passes for a page. */
static void test_every_cut(void **state)
{
    (void)state;
    static const char whole[] = BOM
        "{\"a\":[{}],\"interactions\":[{\"id\":\"a\",\"t\":\"x\\\"]}\"},[[]],2],\"totalCount\":3}";
    source_page p = {0};
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        err e = {0};
        if (cut(&p, (str){whole, n}, &e) == ST_OK) fail_msg("taken, cut after %zu bytes", n);
    }
    err e = {0};
    assert_int_equal(cut(&p, STR(whole), &e), ST_OK);
    assert_int_equal(p.n_records, 3);
    source_page_release(&p);
}

static void test_deep_and_many(void **state)
{
    (void)state;
    enum { DEEP = 1000000 };
    buf b = {0};
    err e = {0};
    source_page p = {0};
    buf_z(&b, "{\"interactions\":[");
    for (int i = 0; i < DEEP; i++) buf_char(&b, '[');
    for (int i = 0; i < DEEP; i++) buf_char(&b, ']');
    buf_z(&b, ",7]}");
    assert_true(buf_ok(&b));
    assert_int_equal(cut(&p, buf_view(&b), &e), ST_OK); /* rejected alone, later */
    assert_int_equal(p.n_records, 2);
    buf_clear(&b);
    buf_z(&b, "{\"interactions\":[");
    for (int i = 0; i < PAGE_RECORDS_LIMIT; i++) buf_z(&b, "1,");
    buf_z(&b, "1]}");
    assert_true(buf_ok(&b));
    assert_int_equal(cut(&p, buf_view(&b), &e), ST_FAILED);
    buf_release(&b);
    source_page_release(&p);
}

/* Random damage: never a crash, never a record outside of the body. */
static void test_damage(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"x\":[1,{\"y\":\"\\u00e9\"}],\"interactions\":[{\"id\":\"a\",\"m\":[{"
        "\"text\":\"he said \\\"hi\\\"\"}]},{\"id\":\"b\"}],\"totalCount\":2}";
    static const char marks[] = "{}[]\",:\\ \n0a\xFF";
    uint64_t dice = 88172645463325252u;
    source_page p = {0};
    for (int k = 0; k < 50000; k++) {
        char text[sizeof whole];
        memcpy(text, whole, sizeof whole);
        for (int d = k % 4; d >= 0; d--) {
            dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
            text[dice % (sizeof whole - 1)] = marks[(dice >> 40) % (sizeof marks - 1)];
        }
        err e = {0};
        if (cut(&p, (str){text, sizeof whole - 1}, &e)) continue;
        const char *last = p.body.p;
        for (size_t i = 0; i < p.n_records; i++) {
            assert_true(p.records[i].p > last && p.records[i].n > 0);
            last = p.records[i].p + p.records[i].n;
        }
        assert_true(last <= p.body.p + p.body.n);
    }
    source_page_release(&p);
}

/* A body of which no byte came has no memory either. */
static void test_nothing_came(void **state)
{
    (void)state;
    source_page p = {0};
    err e = {0};
    str list;
    assert_int_equal(page_cut(&p, &e), ST_FAILED);
    assert_string_equal(e.msg, "it is empty");
    assert_false(page_find((str){0}, &list));
    source_page_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_came),  cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),           cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_deep_and_many), cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
