/* test_base.c - the ground: instants, durations, numbers as Python prints them, UTF-8,
 * SHA-256, interning, threads, files that are replaced whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/intern.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/number.h"
#include "base/pool.h"
#include "base/sha256_blocks.h"
#include "base/time.h"
#include "base/utf8.h"

static void test_instants(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s;
        int32_t ns;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0, 0},
        {"1970-01-01T00:00:00", 0, 0},
        {"1970-01-01", 0, 0},
        {"1970-01-01T01:00:00+01:00", 0, 0},
        {"1969-12-31T18:30:00-0530", 0, 0},
        {"1969-12-31T23:59:59.999999999Z", -1, 999999999},
        {"2023-10-05T14:22:10.000Z", 1696515730, 0},
        {"2023-10-05t14:22:10.5z", 1696515730, 500000000},
        {"2024-02-29T00:00:00Z", 1709164800, 0},
        {"2016-12-31T23:59:60Z", 1483228800, 0},
        {"9999-12-31T23:59:59Z", 253402300799, 0},
        {"0000-01-01T00:00:00Z", -62167219200, 0},
    };
    static const char *const bad[] = {
        "",
        "Z",
        "yesterday",
        "2023-13-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2023-01-32",
        "2023-01-01T24:00:00Z",
        "2023-01-01T00:60:00Z",
        "2023-01-01T00:00:61Z",
        "2023-01-01T00:00:00.1234567890Z",
        "2023-01-01T00:00:00Zjunk",
        "2023-1-1T00:00:00Z",
        "2023-01-01T00:00:00+1",
        "2023-01-01T00:00:00+25:00",
        "1900-02-29",
        "12345-01-01",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        instant t;
        assert_true(instant_parse(str_from(good[i].text), &t));
        assert_int_equal(t.s, good[i].s);
        assert_int_equal(t.ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        instant t;
        if (instant_parse(str_from(bad[i]), &t)) fail_msg("taken for an instant: %s", bad[i]);
    }
}

static void test_instants_move_and_print(void **state)
{
    (void)state;
    char text[INSTANT_TEXT];
    instant t = {1696515730, 999999999};
    instant_format(t, text);
    assert_string_equal(text, "2023-10-05T14:22:10.999Z"); /* cut, not rounded */
    instant_format(instant_add((instant){0, 0}, -1e-9), text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    assert_int_equal(instant_cmp(instant_add(INSTANT_MIN, -5), INSTANT_MIN), 0);
    assert_int_equal(instant_cmp(instant_add(INSTANT_MAX, 5), INSTANT_MAX), 0);
    instant moved = instant_add((instant){10, 500000000}, 0.75);
    assert_int_equal(moved.s, 11);
    assert_int_equal(moved.ns, 250000000);
    /* Every day of eight centuries goes out and comes back. */
    for (int64_t day = -150000; day < 150000; day += 7) {
        instant again, at = {day * 86400 + 3661, 0};
        instant_format(at, text);
        assert_true(instant_parse(str_from(text), &again));
        assert_int_equal(again.s, at.s);
    }
}

static void test_size(void **state)
{
    uint64_t n = 7;
    (void)state;
    assert_true(size_parse(STR("512M"), &n) && n == 512ull << 20);
    assert_true(size_parse(STR("2g"), &n) && n == 2ull << 30);
    assert_true(size_parse(STR("1.5G"), &n) && n == 3ull << 29);
    assert_true(size_parse(STR("3KiB"), &n) && n == 3072);
    assert_true(size_parse(STR("1TB"), &n) && n == 1ull << 40);
    assert_true(size_parse(STR("1048577"), &n) && n == 1048577);
    assert_true(size_parse(STR("10B"), &n) && n == 10);
    static const char *const bad[] = {"",    "M",     ".5M", "1e3",  "-1M",      "1 M", "1X",
                                      "1iB", "1MiBs", "1MM", "1..5", "9999999T", "+1M", "0x1M"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(size_parse(str_from(bad[i]), &n));
}

static void test_durations(void **state)
{
    (void)state;
    double s;
    assert_true(duration_parse(STR("500ms"), &s) && s == 0.5);
    assert_true(duration_parse(STR("0.5s"), &s) && s == 0.5);
    assert_true(duration_parse(STR("5m"), &s) && s == 300);
    assert_true(duration_parse(STR("7d"), &s) && s == 604800);
    assert_true(duration_parse(STR("0"), &s) && s == 0);
    assert_false(duration_parse(STR("5"), &s));
    assert_false(duration_parse(STR("-5s"), &s));
    assert_false(duration_parse(STR(""), &s));
    assert_false(duration_parse(STR("s"), &s));
    assert_false(duration_parse(STR("5 s"), &s));
    assert_false(duration_parse(STR("1e3s"), &s));
}

static void test_names_with_nul(void **state)
{
    (void)state;
    static const char line[] = "{\"\\u0000\" : {\"a\\\\u0000\": 1, \"a\\u0000\\u0000b\": 2},"
                               " \"v\": \"x\\u0000y\", \"w\": [\"\\u0000\"]}";
    js *root = NULL;
    err e = {0};
    assert_int_equal(js_parse((str){line, sizeof line - 1}, &root, &e), ST_OK);
    const js *inner = js_get(root, "\xef\xbf\xbd");
    assert_true(js_number(js_get(inner, "a\\u0000"), 0) == 1);
    assert_true(js_number(js_get(inner, "a\xef\xbf\xbd\xef\xbf\xbd"
                                        "b"),
                          0) == 2);
    assert_true(str_eq(js_string(js_get(root, "v")), (str){"x\0y", 3}));
    assert_true(str_eq(js_string(js_at(js_get(root, "w"), 0)), (str){"", 1}));
    js_free(root);
    for (size_t n = 1; n < sizeof line - 1; n++)
        assert_int_equal(js_parse((str){line, n}, &root, &e), ST_FAILED);
}

static void test_nul_is_no_json(void **state)
{
    (void)state;
    const str cases[] = {STR("1\0"),       STR("[1\0,2]"), STR("{\"a\":null\0}"),
                         STR("[true \0]"), STR("\0"),      STR("\"a\0b\""),
                         STR("[]\0")};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        js *root = NULL;
        err e = {0};
        if (js_parse(cases[i], &root, &e) != ST_FAILED) fail_msg("case %zu is taken", i);
        assert_non_null(strstr(e.msg, "not JSON"));
    }
}

/* Whatever the short way takes, the parser reads the same. */
static void test_the_only_member(void **state)
{
    (void)state;
    static const char line[] = " {\"text\" : \"ab \xc3\xa9\\n\x7f\"}\r\n";
    size_t n_taken = 0;
    for (size_t at = 0; at < sizeof line - 1; at++) {
        for (unsigned c = 0; c < 256; c++) {
            char changed[sizeof line];
            str value, text = {changed, sizeof line - 1};
            js *root;
            err e = {0};
            memcpy(changed, line, sizeof line);
            memcpy(changed + 17, at % 2 ? "xy" : "\\n", 2);
            changed[at] = (char)c;
            if (!js_only_member(text, "text", &value)) continue;
            n_taken++;
            assert_int_equal(js_parse(text, &root, &e), ST_OK);
            assert_int_equal(js_type(js_get(root, "text")), JS_STRING);
            assert_true(str_eq(js_string(js_get(root, "text")), value));
            js_free(root);
        }
    }
    assert_true(n_taken > 200);
    str value;
    assert_true(js_only_member(STR("{\"text\":\"\"}"), "text", &value) && value.n == 0);
    assert_false(js_only_member(STR("{\"text\":\"a\",\"text\":\"b\"}"), "text", &value));
    assert_false(js_only_member(STR("{\"text\":\"a\""), "text", &value));
    assert_false(js_only_member(STR("{\"text\":\"a"), "text", &value));
    assert_false(js_only_member(STR("{\"text\":"), "text", &value));
    assert_false(js_only_member(STR("{\"text"), "text", &value));
    assert_false(js_only_member(STR("{"), "text", &value));
    assert_false(js_only_member(STR(""), "text", &value));
}

static bool scan_takes(str text)
{
    js_scan s;
    str raw;
    return js_scan_begin(&s, text) && js_scan_value(&s, &raw) && js_scan_is_over(&s);
}

/* What the scan takes, the parser takes. */
static size_t scanned_and_parsed(str text)
{
    js *root = NULL;
    err e = {0};
    if (!scan_takes(text)) return 0;
    if (js_parse(text, &root, &e)) fail_msg("not JSON, and taken: %.*s", STR_FMT(text));
    js_free(root);
    return 1;
}

static void test_the_scan(void **state)
{
    (void)state;
    static const char line[] =
        " {\"ab\" : [\"x\xc3\xa9y\\n\\u00e9\\ud83d\\ude00 and\", -10.50, 0,\t"
        "true,false , null,[ ],{}],\"\":{\"c\":[\"\"]}}\r\n";
    static const char *const not_taken[] = {"",
                                            "[1,]",
                                            "[,1]",
                                            "{,}",
                                            "{\"a\":1,}",
                                            "[1 2]",
                                            "01",
                                            "-",
                                            "1.",
                                            ".5",
                                            "+1",
                                            "nul",
                                            "truex",
                                            "[tru]",
                                            "[1",
                                            "\"\\ud83d\"",
                                            "{\"a\"}",
                                            "{\"a\" 1}",
                                            "\"\\ud83d\\u0041\"",
                                            "\"\\x\"",
                                            "\"a\tb\"",
                                            "\"\\",
                                            "{]",
                                            "[}",
                                            "\"\xed\xa0\x80\"",
                                            "\"\\u12g4\""};
    char changed[sizeof line];
    size_t n_taken = 0, n = sizeof line - 1;
    assert_true(scan_takes(str_from(line)));
    for (size_t at = 0; at < n; at++) {
        for (unsigned c = 0; c < 256; c++) {
            memcpy(changed, line, sizeof line);
            changed[at] = (char)c;
            n_taken += scanned_and_parsed((str){changed, n});
        }
        memcpy(changed, line, at);
        memcpy(changed + at, line + at + 1, n - at - 1);
        n_taken += scanned_and_parsed((str){changed, n - 1});
    }
    assert_true(n_taken > 1000);
    for (size_t i = 0; i < sizeof not_taken / sizeof *not_taken; i++)
        if (scan_takes(str_from(not_taken[i]))) fail_msg("taken: %s", not_taken[i]);
    for (size_t depth = 1; depth <= JS_DEPTH + 1; depth++) {
        char nested[2 * JS_DEPTH + 2];
        memset(nested, '[', depth);
        memset(nested + depth, ']', depth);
        assert_int_equal(scan_takes((str){nested, 2 * depth}), depth <= JS_DEPTH);
    }
}

/* --- random documents: what the scan takes, it reads as the parser does --------------------- */

/* Whether an object in which the scan stands at a value has this key once more. */
static bool comes_again(js_scan s, str key)
{
    str next, raw;
    bool more;
    while (js_scan_value(&s, &raw) && js_scan_member(&s, &next, &more) && more)
        if (str_eq(next, key)) return true;
    return false;
}

/* Walks over both, of a text that the scan takes; false: not to the end. */
static bool walk(js_scan *s, const js *j, arena *a)
{
    str key, text;
    bool more = true;
    double number;
    size_t n = 0;
    const js_kind kind = js_scan_kind(s);
    if (kind == JS_STRING) {
        if (!js_scan_string(s, a, &text)) return false;
        assert_true(js_type(j) == kind && str_eq(text, js_string(j)));
        return true;
    }
    if (kind != JS_OBJECT && kind != JS_ARRAY) {
        if (!js_scan_value(s, &text)) return false;
        assert_true(js_type(j) == kind && js_true(j) == str_eq(text, STR("true")));
        if (kind == JS_NUMBER)
            assert_true(number_parse(text, &number) && number == js_number(j, 1e300));
        return true;
    }
    if (!js_scan_open(s, kind)) return false;
    assert_true(js_type(j) == kind);
    for (;; n++) {
        if (!(kind == JS_OBJECT ? js_scan_member(s, &key, &more) : js_scan_element(s, &more)))
            return false;
        if (!more) return true;
        if (kind == JS_OBJECT && comes_again(*s, key)) {
            if (!js_scan_value(s, &text)) return false;
        } else if (!walk(s, kind == JS_ARRAY ? js_at(j, n) : js_get(j, arena_str(a, key).p), a)) {
            return false;
        }
    }
}

static const char *any_of(unsigned *seed, const char *const *list, size_t n)
{
    return list[(unsigned)rand_r(seed) % n];
}

#define ANY(list) any_of(seed, list, sizeof list / sizeof *list)

static void write_random(buf *b, unsigned *seed, int depth)
{
    static const char *const blanks[] = {"", "", "", " ", "\t\r\n"};
    static const char *const scalars[] = {
        "0",    "-0",   "1.50", "1e2",   "1e400", "01",     "1.",  "-",     "123456789012345678901",
        "null", "true", "nul",  "false", "\"\"",  "5e-324", "\"a", "tru\"", "0.1"};
    static const char *const pieces[] = {"a",
                                         "\\b\\f\\n\\r\\t",
                                         "\\u00e9",
                                         "\xc3\xa9",
                                         "\\ud83d\\ude00",
                                         "\\ud83d",
                                         "\\\\",
                                         "\\\"",
                                         "\\/",
                                         "\xed\xa0\x80",
                                         "\x7f",
                                         "\\u0000",
                                         "{",
                                         "]",
                                         "\\u12g4",
                                         "\t",
                                         ":",
                                         "longer than eight bytes"};
    static const char *const keys[] = {"\"a\"", "\"b\"", "\"\"", "\"\\u0061\"", "\"\xc3\xa9\""};
    const int what = rand_r(seed) % 8;
    buf_z(b, ANY(blanks));
    if (depth && what < 4) {
        buf_char(b, what < 2 ? '{' : '[');
        for (int i = rand_r(seed) % 5; i > 0; i--) {
            if (what < 2) buf_z(b, ANY(keys)), buf_z(b, ANY(blanks)), buf_char(b, ':');
            write_random(b, seed, depth - 1);
            if (i > 1) buf_char(b, ',');
        }
        buf_char(b, what < 2 ? '}' : ']');
    } else if (what < 6) {
        buf_char(b, '"');
        for (int i = rand_r(seed) % 4; i > 0; i--) buf_z(b, ANY(pieces));
        buf_char(b, '"');
    } else {
        buf_z(b, ANY(scalars));
    }
    buf_z(b, ANY(blanks));
}

static void test_the_scan_on_random_documents(void **state)
{
    (void)state;
    unsigned seed = 20261129;
    size_t n_taken = 0, n_json = 0;
    for (int i = 0; i < 50000; i++) {
        buf b = {0};
        arena a = {0};
        js *root = NULL;
        js_scan s;
        err e = {0};
        write_random(&b, &seed, i % 4);
        if (i % 10 == 0) b.p[(unsigned)rand_r(&seed) % b.n] = (char)rand_r(&seed);
        const str text = buf_view(&b);
        n_json += js_parse(text, &root, &e) == ST_OK;
        if (scan_takes(text)) {
            n_taken++;
            assert_true(root && js_scan_begin(&s, text) && walk(&s, root, &a));
        }
        js_free(root);
        arena_release(&a);
        buf_release(&b);
    }
    assert_true(n_taken > 10000 && n_json > n_taken);
}

static void test_plain_runs(void **state)
{
    (void)state;
    char text[40];
    for (size_t at = 0; at < sizeof text; at++)
        for (unsigned c = 0; c < 256; c++) {
            bool stops = c < ' ' || c == '"' || c == '\\';
            memset(text, at % 2 ? 0x80 : '!', sizeof text);
            text[at] = (char)c;
            assert_int_equal(js_plain(text, sizeof text), stops ? at : sizeof text);
        }
}

static void test_numbers_print_as_in_python(void **state)
{
    (void)state;
    /* token, what print(json.loads(token)) gives */
    static const char *const cases[][2] = {
        {"5", "5"},
        {"4.5", "4.5"},
        {"1e1", "10.0"},
        {"5.0", "5.0"},
        {"-0", "0"},
        {"-0.0", "-0.0"},
        {"1e16", "1e+16"},
        {"123456789012345680.0", "1.2345678901234568e+17"},
        {"1e15", "1000000000000000.0"},
        {"0.0001", "0.0001"},
        {"0.00001", "1e-05"},
        {"0.1", "0.1"},
        {"1.10", "1.1"},
        {"12345678901234567890123", "12345678901234567890123"},
        {"1E400", ""},
        {"2.5e-3", "0.0025"},
        {"5e-324", "5e-324"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"100", "100"},
        {"3.14e2", "314.0"},
        {"7.1202363472230444e-307", "7.120236347223045e-307"}, /* 2^-1017 */
        {"-5.6843418860808015e-14", "-5.684341886080802e-14"}, /* -2^-44 */
        {"5.684341886080803e-14", "5.684341886080803e-14"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf b = {0};
        number_write_python(&b, str_from(cases[i][0]));
        assert_string_equal(buf_cstr(&b), cases[i][1]);
        buf_release(&b);
    }
    double v;
    char zeros[5000];
    memset(zeros, '0', sizeof zeros);
    memcpy(zeros, "4.5", 3);
    assert_true(number_parse((str){zeros, sizeof zeros}, &v) && v == 4.5);
    memcpy(zeros + sizeof zeros - 5, "e9999", 5);
    assert_false(number_parse((str){zeros, sizeof zeros}, &v));
    assert_false(number_parse(STR("nan"), &v));
    assert_false(number_parse(STR("0x10"), &v));
    assert_false(number_parse(STR(" 5"), &v));
    assert_false(number_parse(STR("5."), &v));
    assert_false(number_parse(STR(""), &v));
}

static void test_utf8(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF) continue;
        char bytes[4];
        size_t at = 0;
        str s = {bytes, utf8_put(bytes, c)};
        if (utf8_next(s, &at) != c || at != s.n) fail_msg("U+%04X does not come back", c);
    }
    /* What Python's bytes.decode("utf-8", "replace") makes of them. */
    static const char *const cases[][2] = {
        {"a\xFF"
         "b",
         "a\xEF\xBF\xBD"
         "b"},
        {"\xE2\x82", "\xEF\xBF\xBD"},
        {"\xE2\x82(", "\xEF\xBF\xBD("},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xF0\x9F\x98", "\xEF\xBF\xBD"},
        {"\xF5\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf b = {0};
        utf8_repair(&b, str_from(cases[i][0]));
        assert_string_equal(buf_cstr(&b), cases[i][1]);
        assert_false(utf8_valid(str_from(cases[i][0])));
        buf_release(&b);
    }
}

static void test_plain(void **state)
{
    static const char *const cases[][3] = {
        /* text, in place, written */
        {"caf\xC3\xA9 \xF0\x9F\x98\x80", "caf\xC3\xA9 \xF0\x9F\x98\x80",
         "caf\xC3\xA9 \xF0\x9F\x98\x80"},
        {"\x1b[2J\a\t\n\x7f.", "?[2J????.", " [2J    ."},
        {"\xC2\x9B\x33\xC2\xA0", "??3\xC2\xA0", " 3\xC2\xA0"},
        {"cut \xE2\x82", "cut ??", "cut \xE2\x82"},
        {"\x9B", "?", "\x9B"},
        {"", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char z[64];
        buf b = {0};
        strcpy(z, cases[i][0]);
        utf8_make_plain(z);
        assert_string_equal(z, cases[i][1]);
        utf8_write_plain(&b, str_from(cases[i][0]));
        assert_string_equal(buf_cstr(&b), cases[i][2]);
        buf_release(&b);
    }
}

static void test_strip(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"  a b \t\r\n", "a b"},
        {"\xC2\xA0\xE3\x80\x80x\xE2\x80\x83", "x"},
        {"\x1C\x1D\x1E\x1Fx\xC2\x85", "x"},
        {"\xE2\x80\x8Bx", "\xE2\x80\x8Bx"}, /* ZWSP is no space to Python */
        {" \n ", ""},
        {"x \x80\x80", "x \x80\x80"}, /* not well-formed: none of it goes */
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(str_eq(utf8_strip(str_from(cases[i][0])), str_from(cases[i][1])));
}

static void test_sha256(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char digest[SHA256_SIZE];
        char hex[SHA256_HEX];
        sha256_of(str_from(cases[i][0]), digest);
        sha256_hex(digest, hex);
        assert_string_equal(hex, cases[i][1]);
    }
    sha256 s; /* a million 'a', in pieces of uneven length */
    unsigned char digest[SHA256_SIZE];
    char hex[SHA256_HEX], piece[997];
    memset(piece, 'a', sizeof piece);
    sha256_init(&s);
    for (size_t left = 1000000; left;) {
        size_t n = left < sizeof piece ? left : sizeof piece;
        sha256_add(&s, piece, n);
        left -= n;
    }
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

#if defined(TAMIS_X86_64)
/* Any number of blocks from any state: the same by both ways. */
static void test_sha256_instructions(void **state)
{
    (void)state;
    unsigned char bytes[64 * 5 + 3];
    if (!sha256_has_ni()) skip();
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 167 + i / 5);
    uint32_t plain[8] = {1, 2, 3, 4, 5, 6, 7, 8}, ni[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (size_t n = 0; n <= 5; n++) {
        sha256_blocks_plain(plain, bytes + n % 4, n);
        sha256_blocks_ni(ni, bytes + n % 4, n);
        assert_memory_equal(plain, ni, sizeof plain);
    }
}
#endif

static void test_intern(void **state)
{
    (void)state;
    enum { N = 20000 };
    arena a = {0};
    intern t = {0};
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) {
            char text[16];
            int n = snprintf(text, sizeof text, "%d", i);
            str s = arena_str(&a, (str){text, (size_t)n});
            assert_int_equal(intern_add(&t, s), i);
        }
    assert_int_equal(t.n, N);
    assert_int_equal(intern_find(&t, STR("123")), 123);
    assert_int_equal(intern_find(&t, STR("absent")), INTERN_NONE);
    intern_release(&t);
    arena_release(&a);
}

static void add_one(void *ctx, size_t item, int worker)
{
    (void)worker;
    ((unsigned char *)ctx)[item]++;
}

static void test_pool_does_each_item_once(void **state)
{
    (void)state;
    enum { N = 10000 };
    static unsigned char done[N];
    for (int threads = 1; threads <= 7; threads += 3) {
        pool *p;
        err e = {0};
        assert_int_equal(pool_new(threads, &p, &e), ST_OK);
        assert_int_equal(pool_size(p), threads);
        memset(done, 0, sizeof done);
        for (int run = 0; run < 50; run++) pool_run(p, N - run, add_one, done);
        pool_run(p, 0, add_one, done);
        pool_free(p);
        for (int i = 0; i < N - 50; i++) assert_int_equal(done[i], 50);
    }
}

static void test_file_is_replaced_whole(void **state)
{
    (void)state;
    char dir[] = "/tmp/tamis-test-XXXXXX", path[64], hex[SHA256_HEX];
    err e = {0};
    buf b = {0};
    file_out f;
    struct stat s;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/out", dir);
    assert_int_equal(file_begin(&f, path, &e), ST_OK);
    assert_int_equal(file_write(&f, STR("first"), &e), ST_OK);
    assert_int_not_equal(access(path, F_OK), 0); /* not before it is whole */
    assert_int_equal(file_commit(&f, hex, &e), ST_OK);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(file_begin(&f, path, &e), ST_OK);
    assert_int_equal(file_write(&f, STR("second, given up"), &e), ST_OK);
    file_abort(&f);
    assert_int_equal(file_read(path, 100, &b, &e), ST_OK);
    assert_string_equal(buf_cstr(&b), "first");
    assert_int_equal(file_read(path, 3, &b, &e), ST_FAILED); /* the limit */
    buf_release(&b);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0); /* no temporary file is left */
    assert_int_equal(file_begin(&f, path, &e), ST_FAILED);
    assert_non_null(strstr(e.msg, path));
}

/* Of a killed run, that is: what somebody writes just now, or what is named otherwise, stays. */
static void test_leftovers_are_removed(void **state)
{
    (void)state;
    static const char *const names[] = {"out.~tamis-aB3dEf", "out.~tamis-short", "out.backup",
                                        "out.csv.~tamis-aB3dEf", "out.tamis-backup"};
    enum { N = sizeof names / sizeof *names };
    char dir[] = "/tmp/tamis-test-XXXXXX", path[N + 1][96], hex[SHA256_HEX];
    err e = {0};
    file_out f, g;
    assert_non_null(mkdtemp(dir));
    snprintf(path[N], sizeof *path, "%s/out", dir);
    assert_int_equal(file_begin(&g, path[N], &e), ST_OK); /* held, and so not left over */
    for (int i = 0; i < N; i++) {
        snprintf(path[i], sizeof *path, "%s/%s", dir, names[i]);
        FILE *made = fopen(path[i], "w");
        assert_non_null(made);
        assert_int_equal(fclose(made), 0);
    }
    assert_int_equal(file_begin(&f, path[N], &e), ST_OK);
    assert_int_equal(file_commit(&f, hex, &e), ST_OK);
    assert_int_equal(file_commit(&g, hex, &e), ST_OK);
    for (int i = 0; i < N; i++) assert_int_equal(unlink(path[i]), i ? 0 : -1);
    assert_int_equal(unlink(path[N]), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* RFC 4231, cases 1, 2 and 6. */
static void test_hmac(void **state)
{
    (void)state;
    static const struct {
        int key_byte, n_key;
        const char *key, *message, *want;
    } cases[] = {{0x0b, 20, NULL, "Hi There",
                  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
                 {0, 0, "Jefe", "what do ya want for nothing?",
                  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
                 {0xaa, 131, NULL, "Test Using Larger Than Block-Size Key - Hash Key First",
                  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char key[131], hex[SHA256_HEX];
        unsigned char digest[SHA256_SIZE];
        memset(key, cases[i].key_byte, sizeof key);
        str k = cases[i].key ? str_from(cases[i].key) : (str){key, (size_t)cases[i].n_key};
        hmac_sha256(k, str_from(cases[i].message), digest);
        sha256_hex(digest, hex);
        assert_string_equal(hex, cases[i].want);
    }
}

static void test_str_cut(void **state)
{
    str rest = STR("a,,b,"), part;
    const char *const want[] = {"a", "", "b"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(str_cut(&rest, ',', &part));
        assert_true(str_eq(part, str_from(want[i])));
    }
    assert_false(str_cut(&rest, ',', &part));
    assert_int_equal(part.n, 0);
    rest = (str){0};
    assert_false(str_cut(&rest, ',', &part));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str_cut),
        cmocka_unit_test(test_instants),
        cmocka_unit_test(test_instants_move_and_print),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_names_with_nul),
        cmocka_unit_test(test_nul_is_no_json),
        cmocka_unit_test(test_the_only_member),
        cmocka_unit_test(test_the_scan),
        cmocka_unit_test(test_the_scan_on_random_documents),
        cmocka_unit_test(test_plain_runs),
        cmocka_unit_test(test_numbers_print_as_in_python),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_strip),
        cmocka_unit_test(test_sha256),
#if defined(TAMIS_X86_64)
        cmocka_unit_test(test_sha256_instructions),
#endif
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_intern),
        cmocka_unit_test(test_pool_does_each_item_once),
        cmocka_unit_test(test_file_is_replaced_whole),
        cmocka_unit_test(test_leftovers_are_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
