/* test_file.c - the forms that a file of interactions comes in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/compress.h"
#include "record.h"
#include "source/file.h"

static char dir[] = "/tmp/tamis-file-XXXXXX", path[sizeof dir + 16];

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/f.jsonl", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void put(str bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    assert_int_equal(fclose(f), 0);
}

/* What came, each record in <>. */
typedef struct got {
    buf text;
    size_t n, stop_after;
} got;

static status take(void *ctx, str raw, err *e)
{
    got *g = ctx;
    if (g->stop_after && g->n == g->stop_after) return err_set(e, ST_INCOMPLETE, "enough");
    g->n++;
    buf_char(&g->text, '<');
    buf_str(&g->text, raw);
    buf_char(&g->text, '>');
    return ST_OK;
}

static void expect_records(const char *name, str want)
{
    got g = {0};
    err e = {0};
    if (file_records(path, NULL, take, &g, &e)) fail_msg("%s: %s", name, e.msg);
    if (!str_eq(buf_view(&g.text), want)) fail_msg("%s: %.*s", name, STR_FMT(buf_view(&g.text)));
    buf_release(&g.text);
}

static const struct {
    const char *bytes, *want;
} forms[] = {
    {"", ""},
    {"\n \r\n\t\n", ""},
    {"\xEF\xBB\xBF", ""},
    /* JSON lines */
    {"{\"id\":1}\n{\"id\":2}\n", "<{\"id\":1}><{\"id\":2}>"},
    {"{\"id\":1}\n{\"id\":2}", "<{\"id\":1}><{\"id\":2}>"},
    {"\xEF\xBB\xBF\r\n{\"id\":1}\r\n\r\n  {\"id\":2} \r\n", "<{\"id\":1}><{\"id\":2}>"},
    {"{\"id\":1}\nnot json\n{\"id\":\n[1]\n{\"id\":2}}\n7", /* each rejected alone, later */
     "<{\"id\":1}><not json><{\"id\":><[1]><{\"id\":2}}><7>"},
    {"not json\n{\"id\":1}\n", "<not json><{\"id\":1}>"},
    {"{\"id\":1} junk\n{\"id\":2}\n", "<{\"id\":1} junk><{\"id\":2}>"},
    {"{\"t\":\"cut off\n{\"id\":2}\n", "<{\"t\":\"cut off><{\"id\":2}>"},
    {"{\"id\":1,\n{\"id\":2}\n{\"id\":3}", "<{\"id\":1,><{\"id\":2}><{\"id\":3}>"},
    {"{\"id\":1}\n{\"interactions\":[{\"id\":2}]}\n",
     "<{\"id\":1}><{\"interactions\":[{\"id\":2}]}>"},
    {"{\"interactions\":5,\"id\":1}\n", "<{\"interactions\":5,\"id\":1}>"},
    /* pages */
    {"{\"interactions\":[{\"id\":1},{\"id\":2}],\"totalCount\":2}", "<{\"id\":1}><{\"id\":2}>"},
    {"{\"interactions\":[]}\n", ""},
    {"{\"totalCount\":9,\"interactions\":[{\"id\":nope},{\"id\":2}]}\n\n",
     "<{\"id\":nope}><{\"id\":2}>"},
    {"{\n \"interactions\": [\n  {\n   \"id\": 1\n  },\n  {\"id\": 2}\n ]\n}\n",
     "<{\n   \"id\": 1\n  }><{\"id\": 2}>"},
    {"{\"interactions\": [\n{\"id\":1}\n]}", "<{\"id\":1}>"},
    {"{\"interactions\":[{\"id\":1}]}\n{\"interactions\":[{\"id\":2}]}\n[{\"id\":3}]\n{\"id\":4}",
     "<{\"id\":1}><{\"id\":2}><{\"id\":3}><{\"id\":4}>"},
    {"{\n\"interactions\":[{\"id\":1}]}\n{\n\"interactions\":[{\"id\":2}]}\n",
     "<{\"id\":1}><{\"id\":2}>"},
    /* arrays */
    {"[]", ""},
    {" [ {\"id\":1} , {\"id\":2}, 3 ] ", "<{\"id\":1}><{\"id\":2}><3>"},
    {"[\n  {\"id\":1},\n  {\"id\":2}\n]\n", "<{\"id\":1}><{\"id\":2}>"},
    {"\xEF\xBB\xBF[\r\n{\"id\":1}\r\n]", "<{\"id\":1}>"},
    /* one interaction over several lines, and several of them */
    {"{\n  \"id\": 1,\n  \"messages\": []\n}\n", "<{\n  \"id\": 1,\n  \"messages\": []\n}>"},
    {"{\n\"id\":1\n}\n{\n\"id\":2\n}", "<{\n\"id\":1\n}><{\n\"id\":2\n}>"},
};

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        put(str_from(forms[i].bytes));
        expect_records(forms[i].bytes, str_from(forms[i].want));
    }
}

static void put_gz(const char *a, const char *b)
{
    gzFile f = gzopen(path, "wb");
    assert_true(f && gzputs(f, a) >= 0 && gzclose(f) == Z_OK);
    if (!b) return;
    f = gzopen(path, "ab"); /* a second member */
    assert_true(f && gzputs(f, b) >= 0 && gzclose(f) == Z_OK);
}

static void put_zst(const char *text)
{
    packer *p = NULL;
    buf out = {0};
    err e = {0};
    assert_int_equal(packer_new(&p, &e), ST_OK);
    assert_int_equal(packer_pack(p, str_from(text), &out, &e), ST_OK);
    put(buf_view(&out));
    buf_release(&out);
    packer_free(p);
}

static void test_compressed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        put_gz(forms[i].bytes, NULL);
        expect_records("gzip", str_from(forms[i].want));
        put_zst(forms[i].bytes);
        expect_records("zstd", str_from(forms[i].want));
    }
    put_gz("{\"id\":1}\n{\"id", "\":2}\n");
    expect_records("two members", STR("<{\"id\":1}><{\"id\":2}>"));
}

static void expect_failure(const char *name, const char *part)
{
    got g = {0};
    err e = {0};
    status st = file_records(path, NULL, take, &g, &e);
    if (st != ST_FAILED) fail_msg("%s: %d %.*s", name, (int)st, STR_FMT(buf_view(&g.text)));
    if (!strstr(e.msg, part) || !strstr(e.msg, path)) fail_msg("%s: %s", name, e.msg);
    buf_release(&g.text);
}

static void test_damaged(void **state)
{
    (void)state;
    static const char *const cut[] = {
        "[",
        "[{\"id\":1},",
        "{\"interactions\":[{\"id\":1},{\"id\":2}",
        "{\"interactions\":[\n{\"id\":1},\n{\"id\":2},\n",
        "{\n \"interactions\": [\n  {\n   \"id\": 1\n  },\n",
        "{\"id\":1,",
        "[{\"id\":1}}",
    };
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        put(str_from(cut[i]));
        expect_failure(cut[i], "cut short");
    }
    put(STR("{\"interactions\":[{\"id\":1}]} and more\n"));
    expect_failure("bytes behind a page", "line 1");
    put((str){"\xFF\xFE{\0\"\0", 6});
    expect_failure("UTF-16", "UTF-16");
    put_gz("{\"id\":1}\n{\"id\":2}\n", NULL);
    assert_int_equal(truncate(path, 20), 0);
    expect_failure("gzip cut short", "");
    unlink(path);
    expect_failure("no file", "");
}

static void test_the_end_is_passed_on(void **state)
{
    (void)state;
    static const char *const all[] = {"1\n2\n3\n", "[1,2,3]", "{\"interactions\":[1,2,3]}",
                                      "{\n\"interactions\":[1,2,3]}"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        got g = {.stop_after = 2};
        err e = {0};
        put(str_from(all[i]));
        assert_int_equal(file_records(path, NULL, take, &g, &e), ST_INCOMPLETE);
        assert_string_equal(e.msg, "enough");
        assert_true(str_eq(buf_view(&g.text), STR("<1><2>")));
        buf_release(&g.text);
    }
}

/* Records around the size of what is read at a time, so that they lie over its edges. */
static void test_long_lines(void **state)
{
    (void)state;
    buf file = {0}, want = {0};
    uint64_t dice = 2463534242u;
    for (int i = 0; i < 40; i++) {
        buf line = {0};
        dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
        size_t n = dice % 3 ? dice % 5000 : (256u << 10) - 20 + dice % 40;
        buf_fmt(&line, "{\"id\":%d,\"t\":\"", i);
        while (line.n < n) buf_char(&line, 'x');
        buf_z(&line, "\"}");
        buf_str(&file, buf_view(&line));
        buf_z(&file, i % 3 ? "\n" : "\r\n");
        buf_fmt(&want, "<%.*s>", STR_FMT(buf_view(&line)));
        buf_release(&line);
    }
    assert_true(buf_ok(&file) && buf_ok(&want));
    put(buf_view(&file));
    expect_records("long lines", buf_view(&want));
    buf_release(&file);
    buf_release(&want);
}

static status count(void *ctx, str raw, err *e)
{
    (void)e;
    *(size_t *)ctx += raw.n;
    return ST_OK;
}

/* front, n times x, back */
static void put_long(const char *front, size_t n, const char *back)
{
    buf b = {0};
    buf_z(&b, front);
    char *p = buf_reserve(&b, n);
    assert_non_null(p);
    memset(p, 'x', n);
    b.n += n;
    buf_z(&b, back);
    assert_true(buf_ok(&b));
    put(buf_view(&b));
    buf_release(&b);
}

static void test_limits(void **state)
{
    (void)state;
    size_t n = 0;
    err e = {0};
    put_long("1\n", RECORD_LIMIT, "\n2");
    assert_int_equal(file_records(path, NULL, count, &n, &e), ST_OK);
    assert_int_equal(n, (size_t)RECORD_LIMIT + 2);
    put_long("1\n", RECORD_LIMIT + 1, "\n2");
    expect_failure("a line too long", "line 2 is longer than 64 MiB");
    n = 0;
    put_long("[\"", RECORD_LIMIT - 2, "\"]");
    assert_int_equal(file_records(path, NULL, count, &n, &e), ST_OK);
    assert_int_equal(n, RECORD_LIMIT);
    put_long("[\"", RECORD_LIMIT - 1, "\"]");
    expect_failure("an element too long", "larger than 64 MiB");
    put_long("", RECORD_LIMIT + 1, "");
    expect_failure("a first line too long", "line 1 is longer than 64 MiB");
}

static void test_standard_input(void **state)
{
    (void)state;
    got g = {0};
    err e = {0};
    put(STR("{\"id\":1}\n{\"id\":2}\n"));
    assert_non_null(freopen(path, "rb", stdin));
    assert_int_equal(file_records("-", NULL, take, &g, &e), ST_OK);
    assert_true(str_eq(buf_view(&g.text), STR("<{\"id\":1}><{\"id\":2}>")));
    buf_release(&g.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),          cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_damaged),        cmocka_unit_test(test_the_end_is_passed_on),
        cmocka_unit_test(test_long_lines),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_standard_input),
    };
    return cmocka_run_group_tests_name("file", tests, make_dir, remove_dir);
}
