/* test_record.c - JSON edges, raw records, ratings, pairing, and the rows they end up in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "curate/rating.h"
#include "curate/turns.h"
#include "export/export.h"
#include "two_readers.h"

static status parse(arena *a, const char *raw, interaction *out, err *e)
{
    return record_parse(str_from(raw), a, out, e);
}

static void test_cutting(void **state)
{
    (void)state;
    js_cutter c = {.text = STR(" [ {\"a\":\"]}\\\"\"} , 5,bad!, [1,[2]] , \"x,y\" ] ")};
    static const char *const want[] = {"{\"a\":\"]}\\\"\"}", "5", "bad!", "[1,[2]]", "\"x,y\""};
    str key, item;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_int_equal(js_cut(&c, &key, &item), JS_CUT_ITEM);
        assert_true(str_eq(item, str_from(want[i])));
    }
    assert_int_equal(js_cut(&c, &key, &item), JS_CUT_END);
    static const char *const broken[] = {"[1, {]",  "[1", "[\"a",  "{\"a\" 5}",
                                         "{\"a\":", "[",  "{5:1}", "[1 2]"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        js_cutter b = {.text = str_from(broken[i])};
        js_cut_result r;
        while ((r = js_cut(&b, &key, &item)) == JS_CUT_ITEM) {
        }
        if (r != JS_CUT_BROKEN) fail_msg("not seen as broken: %s", broken[i]);
    }
    assert_true(js_key_is(STR("r\\u0061ting"), "rating"));
    assert_false(js_key_is(STR("ratings"), "rating"));
}

static void test_record_fields(void **state)
{
    (void)state;
    arena a = {0};
    err e = {0};
    interaction i, other;
    assert_int_equal(parse(&a,
                           "{\"id\":\"old\",\"id\":\"i1\",\"timestamp\":\"2023-01-01T00:00:00Z\","
                           "\"botId\":null,\"rating\":1,\"r\\u0061ting\":4.50,\"more\":[1e3],"
                           "\"messages\":[{\"from\":\"user\",\"text\":\" hi\\u0000 \"},7,"
                           "{\"from\":3,\"text\":null},{\"from\":\"bot\",\"text\":5}]}",
                           &i, &e),
                     ST_OK);
    assert_true(str_eq(i.id, STR("i1")));
    assert_true(str_eq(i.rating, STR("4.50")));
    assert_int_equal(i.bot_id.n, 0);
    assert_int_equal(
        parse(&a, "{\"id\":\"i\",\"timestamp\":\"2023-01-01\",\"botId\":1,\"bot\\u0049d\":1e1}",
              &other, &e),
        ST_OK);
    assert_true(str_eq(other.bot_id, STR("10.0")));
    assert_int_equal(i.n_messages, 4);
    assert_true(str_eq(i.messages[0].text, ((str){" hi\0 ", 5})));
    assert_true(i.messages[2].is_text);
    assert_false(i.messages[3].is_text);
    arena_release(&a);
}

static void check_readers(str raw)
{
    if (!readers_agree(raw)) fail_msg("read otherwise by the tree: %.*s", STR_FMT(raw));
}

static void test_two_readers(void **state)
{
    (void)state;
    static const char record[] =
        "{\"id\":\"i\\u00e91\",\"timestamp\":\"2023-01-01T00:00:00Z\",\"botId\":null,"
        "\"rating\":-4.50,\"received\":{\"a\":[0]},\"messages\":[{\"from\":\"user\",\"text\":"
        "\"a\\nb\","
        "\"masked\":true},{\"from\":0,\"text\":null},{\"text\":5,\"text\":\"x\"},{}],\"id\":\"j\"}";
    char changed[sizeof record];
    size_t n = sizeof record - 1;
    check_readers(STR("{\"id\":\"i\",\"timestamp\":\"2023-01-01\",\"botId\":7,\"botId\":\"x\"}"));
    check_readers(STR("{\"id\":\"i\",\"timestamp\":\"2023-01-01\",\"botId\":\"x\",\"botId\":1e1}"));
    for (size_t at = 1; at < n; at++) {
        for (unsigned c = 1; c < 256; c++) {
            memcpy(changed, record, sizeof record);
            changed[at] = (char)c;
            check_readers((str){changed, n});
        }
        for (size_t cut = 1; cut < 20 && at + cut < n; cut++) {
            memcpy(changed, record, at);
            memcpy(changed + at, record + at + cut, n - at - cut);
            check_readers((str){changed, n - cut});
        }
    }
}

static void test_records_that_cannot_be_used(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "not JSON"},
        {"{\"id\":\"a\",\"timestamp\":\"2023-01-01T00:00:00Z\"", "not JSON"},
        {"[1]", "not a JSON object"},
        {"{\"timestamp\":\"2023-01-01T00:00:00Z\"}", "no id"},
        {"{\"id\":\"\",\"timestamp\":\"2023-01-01T00:00:00Z\"}", "no id"},
        {"{\"id\":7,\"timestamp\":\"2023-01-01T00:00:00Z\"}", "no id"},
        {"{\"id\":\"a\"}", "no usable timestamp"},
        {"{\"id\":\"a\",\"timestamp\":\"soon\"}", "no usable timestamp"},
        {"{\"id\":\"a\",\"timestamp\":\"2023-01-01T00:00:00Z\",\"x\":1e999}", "not JSON"},
        {"{\"id\":\"a\",\"timestamp\":\"2023-01-01T00:00:00Z\",\"x\":NaN}", "not JSON"},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        arena a = {0};
        err e = {0};
        interaction i;
        assert_int_equal(parse(&a, bad[k][0], &i, &e), ST_FAILED);
        if (!strstr(e.msg, bad[k][1])) fail_msg("%s: %s", bad[k][0], e.msg);
        arena_release(&a);
    }
}

/* A record whose member "x" is nested `depth` deep, itself included. */
static void nested(buf *b, int depth)
{
    buf_z(b, "{\"id\":\"a\",\"timestamp\":\"2023-01-01T00:00:00Z\",\"x\":");
    for (int i = 1; i < depth; i++) buf_char(b, '[');
    buf_z(b, "\"]]]\"");
    for (int i = 1; i < depth; i++) buf_char(b, ']');
    buf_char(b, '}');
}

static void test_depth_and_length(void **state)
{
    (void)state;
    arena a = {0};
    err e = {0};
    interaction i;
    buf b = {0};
    nested(&b, JS_DEPTH);
    assert_int_equal(parse(&a, buf_cstr(&b), &i, &e), ST_OK);
    buf_clear(&b);
    nested(&b, JS_DEPTH + 1);
    assert_int_equal(parse(&a, buf_cstr(&b), &i, &e), ST_FAILED);
    for (int over = 0; over <= 1; over++) {
        buf_clear(&b);
        buf_z(&b,
              "{\"id\":\"a\",\"timestamp\":\"2023-01-01T00:00:00Z\",\"messages\":[{\"text\":\"");
        for (int k = 0; k < TEXT_LIMIT + over; k++) buf_char(&b, 'x');
        buf_z(&b, "\"}]}");
        assert_int_equal(parse(&a, buf_cstr(&b), &i, &e), over ? ST_FAILED : ST_OK);
    }
    buf_release(&b);
    arena_release(&a);
}

static void test_mending(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"\\ud800 x", "\xEF\xBF\xBD x"},
        {"\\udc00\\ud83d\\ude00", "\xEF\xBF\xBD\xF0\x9F\x98\x80"},
        {"\\ud800\\ud83d\\ude00", "\xEF\xBF\xBD\xF0\x9F\x98\x80"},
        {"\\\\ud800", "\\ud800"},
        {"a\xFFz", "a\xEF\xBF\xBDz"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        arena a = {0};
        err e = {0};
        interaction i;
        buf b = {0};
        buf_fmt(&b,
                "{\"id\":\"a\",\"timestamp\":\"2023-01-01T00:00:00Z\","
                "\"messages\":[{\"from\":\"user\",\"text\":\"%s\"}]}",
                cases[k][0]);
        assert_int_equal(parse(&a, buf_cstr(&b), &i, &e), ST_OK);
        assert_true(str_eq(i.messages[0].text, str_from(cases[k][1])));
        buf_release(&b);
        arena_release(&a);
    }
}

static void test_ratings(void **state)
{
    (void)state;
    /* JSON, map, is rated, value, text in the CSV */
    static const struct {
        const char *json, *map;
        bool rated;
        double value;
        const char *text;
    } cases[] = {
        {"5", "", true, 5, "5"},
        {"4.5", "", true, 4.5, "4.5"},
        {"1e1", "", true, 10, "10.0"},
        {"\"4\"", "", true, 4, "4"},
        {"\" 04.50 \"", "", true, 4.5, " 04.50 "},
        {"\"five\"", "", false, 0, NULL},
        {"\"\"", "", false, 0, NULL},
        {"true", "", false, 0, NULL},
        {"false", "", false, 0, NULL},
        {"null", "", false, 0, NULL},
        {"{\"stars\":5}", "", false, 0, NULL},
        {"[5]", "", false, 0, NULL},
        {"", "", false, 0, NULL},
        {"1", "-1=1, 1=5", true, 5, "5"},
        {"-1", "-1=1,1=5", true, 1, "1"},
        {"\"1.0\"", "-1=1,1=5", true, 5, "5"},
        {"3", "-1=1,1=5", true, 3, "3"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        arena a = {0};
        err e = {0};
        rating_map map;
        rating r;
        assert_int_equal(rating_map_parse(str_from(cases[k].map), &a, &map, &e), ST_OK);
        assert_int_equal(rating_read(str_from(cases[k].json), &map, &a, &r, &e), ST_OK);
        assert_int_equal(r.is_rated, cases[k].rated);
        if (cases[k].rated) {
            assert_true(r.value == cases[k].value);
            assert_true(str_eq(r.text, str_from(cases[k].text)));
        }
        arena_release(&a);
    }
    static const char *const bad_maps[] = {"1", "a=1",   "1=b",     "1=2,3",
                                           "=", "1=2=3", "1=5,1=4", "-1=1,1=5,1.0=4"};
    for (size_t k = 0; k < sizeof bad_maps / sizeof *bad_maps; k++) {
        arena a = {0};
        err e = {0};
        rating_map map;
        assert_int_equal(rating_map_parse(str_from(bad_maps[k]), &a, &map, &e), ST_USAGE);
        arena_release(&a);
    }
}

static void test_pairing(void **state)
{
    (void)state;
    static const message script[] = {
        {STR("bot"), STR("Welcome!"), true, false},    {STR("user"), STR(" first "), true, false},
        {STR("user"), STR("second\n"), true, false},   {STR("system"), STR("lookup"), true, false},
        {STR("user"), STR("  "), true, false},         {STR("bot"), STR(""), true, false},
        {STR("bot"), STR("answer 2"), true, false},    {STR("bot"), STR("and more"), true, false},
        {STR("user"), STR("third"), true, false},      {STR("agent"), STR("hello"), true, false},
        {STR("user"), STR(""), false, false},          {STR("bot"), STR("answer 3"), true, true},
        {STR("user"), STR("left alone"), true, false},
    };
    message messages[sizeof script / sizeof *script];
    memcpy(messages, script, sizeof script);
    interaction i = {.messages = messages, .n_messages = sizeof script / sizeof *script};
    turn turns[sizeof script / sizeof *script];
    size_t not_text = 0;
    assert_int_equal(turns_pair(&i, turns, &not_text), 2);
    assert_int_equal(not_text, 1);
    assert_true(str_eq(turns[0].user_utterance, STR("second")));
    assert_true(str_eq(turns[0].bot_response, STR("answer 2")));
    assert_true(str_eq(turns[1].user_utterance, STR("third")));
    assert_int_equal(turns[1].number, 1);
}

static void test_csv_fields(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"a,b", "\"a,b\""},
        {"say \"hi\"", "\"say \"\"hi\"\"\""},
        {"two\nlines", "\"two\nlines\""},
        {"cr\rhere", "\"cr\rhere\""},
        {"'x' ; y", "'x' ; y"},
        {" lead", " lead"},
        {"=1+1", "=1+1"},
        {"\t", "\t"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        buf b = {0};
        csv_write_field(&b, str_from(cases[k][0]));
        assert_string_equal(buf_cstr(&b), cases[k][1]);
        buf_release(&b);
    }
}

static void test_files_that_come_out(void **state)
{
    (void)state;
    interaction head[2] = {
        {.id = STR("b"), .timestamp = STR("2023-01-02T00:00:00Z"), .bot_id = STR("bot")},
        {.id = STR("a"), .timestamp = STR("2023-01-01T00:00:00Z")}};
    turn turns[] = {{&head[0], 0, 4.5, STR("4.5"), STR("hi, \"you\""), STR("hello"), false, false},
                    {&head[0], 1, 4.5, STR("4.5"), STR("hi you"), STR("again"), false, false},
                    {&head[1], 0, 5, STR("5"), STR("bye"), STR("so long"), false, false}};
    verdict verdicts[] = {{NO_ROW, 1}, {0, 0.98765432}, {NO_ROW, 1}};
    dropped_interaction dropped[] = {{STR("c"), -1, RULE_UNRATED}, {STR("aa"), -1, RULE_NO_TURNS}};
    export_rows rows = {.turns = turns, .verdicts = verdicts, .n_turns = 3, .only = -1};
    static const struct {
        export_format format;
        uint64_t n;
        const char *text;
    } want[] = {
        {EXPORT_CSV, 2,
         "interaction_id,timestamp,bot_id,rating,user_utterance,bot_response,similarity_score,"
         "dedup_group\r\n"
         "b,2023-01-02T00:00:00Z,bot,4.5,\"hi, \"\"you\"\"\",hello,1.0,0\r\n"
         "a,2023-01-01T00:00:00Z,,5,bye,so long,1.0,1\r\n"},
        {EXPORT_CHAT, 2,
         "{\"messages\": [{\"role\": \"user\", \"content\": \"hi, \\\"you\\\"\"}, "
         "{\"role\": \"assistant\", \"content\": \"hello\"}]}\n"
         "{\"messages\": [{\"role\": \"user\", \"content\": \"bye\"}, "
         "{\"role\": \"assistant\", \"content\": \"so long\"}]}\n"},
    };
    char path[] = "/tmp/tamis-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    err e = {0};
    export_result r;
    buf b = {0};
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        buf_clear(&b);
        assert_int_equal(export_file(want[k].format, path, &rows, &r, &e), ST_OK);
        assert_int_equal(file_read(path, 1 << 20, &b, &e), ST_OK);
        assert_string_equal(buf_cstr(&b), want[k].text);
        assert_int_equal(r.rows, want[k].n);
    }
    buf_clear(&b);
    assert_int_equal(export_removed(path, &rows, dropped, 2, &r, &e), ST_OK);
    assert_int_equal(file_read(path, 1 << 20, &b, &e), ST_OK);
    assert_string_equal(buf_cstr(&b),
                        "{\"interaction_id\": \"aa\", \"turn\": null, \"rule\": \"no-turns\"}\n"
                        "{\"interaction_id\": \"b\", \"turn\": 1, \"rule\": \"duplicate\", "
                        "\"kept_interaction_id\": \"b\", \"kept_turn\": 0, \"score\": 0.987654}\n"
                        "{\"interaction_id\": \"c\", \"turn\": null, \"rule\": \"unrated\"}\n");
    buf_release(&b);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cutting),          cmocka_unit_test(test_record_fields),
        cmocka_unit_test(test_two_readers),      cmocka_unit_test(test_records_that_cannot_be_used),
        cmocka_unit_test(test_depth_and_length), cmocka_unit_test(test_mending),
        cmocka_unit_test(test_ratings),          cmocka_unit_test(test_pairing),
        cmocka_unit_test(test_csv_fields),       cmocka_unit_test(test_files_that_come_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
