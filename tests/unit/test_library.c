/* test_library.c - the public API of a model, from many threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <jansson.h>
#include <locale.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tamis.h"
#include "tiny_model.h"

enum { THREADS = 6, TEXTS = 300, ROUNDS = 3, MAX_WORDS = 12 };

static char sentences[TEXTS][MAX_WORDS * 8];
static tamis_text texts[TEXTS];

static void make_texts(void)
{
    static const char *const words[] = {"hello", "world", "he", "abba", "i", "strasse", "!", "zzz"};
    for (size_t i = 0; i < TEXTS; i++) {
        sentences[i][0] = 0;
        for (size_t k = 0; k < 1 + i % MAX_WORDS; k++) {
            strcat(sentences[i], words[(i * 7 + k * k + i / 8) % 8]);
            strcat(sentences[i], k % 2 ? " " : "");
        }
        texts[i] = (tamis_text){sentences[i], strlen(sentences[i])};
    }
}

typedef struct caller {
    tamis_model *m;
    size_t number;
    const float *want; /* [TEXTS, TINY_HIDDEN] */
    size_t n_wrong, n_failed;
} caller;

/* Each its own part of the texts, and its own size of call. */
static void *call_again_and_again(void *arg)
{
    caller *c = arg;
    float out[TEXTS * TINY_HIDDEN];
    int32_t ids[TINY_POSITIONS];
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t from = c->number * 13, n = round == 1 ? 1 : TEXTS - from;
        tamis_error e = {0};
        if (tamis_embed(c->m, texts + from, n, out, NULL, &e)) c->n_failed++;
        for (size_t i = 0; i < n * TINY_HIDDEN; i++)
            c->n_wrong += memcmp(&out[i], &c->want[from * TINY_HIDDEN + i], sizeof *out) != 0;
        c->n_failed += tamis_tokenize(c->m, texts[from], ids) < 3;
    }
    return NULL;
}

static void check_callers(const char *dir, int n_threads, const float *want)
{
    tamis_error e = {0};
    tamis_model *m;
    pthread_t threads[THREADS];
    caller callers[THREADS];
    assert_int_equal(tamis_model_open(dir, n_threads, &m, &e), TAMIS_OK);
    for (size_t i = 0; i < THREADS; i++) {
        callers[i] = (caller){.m = m, .number = i, .want = want};
        assert_int_equal(pthread_create(&threads[i], NULL, call_again_and_again, &callers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(callers[i].n_wrong, 0);
        assert_int_equal(callers[i].n_failed, 0);
    }
    tamis_model_free(m);
}

static void test_one_model_many_threads(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE;
    static float want[TEXTS * TINY_HIDDEN];
    tamis_error e = {0};
    tamis_model *m;
    make_texts();
    tiny_model_write(dir);
    assert_int_equal(tamis_model_open(dir, 1, &m, &e), TAMIS_OK);
    assert_int_equal(tamis_model_dimension(m), TINY_HIDDEN);
    for (size_t i = 0; i < TEXTS; i++) /* alone, one after the other */
        assert_int_equal(tamis_embed(m, &texts[i], 1, want + i * TINY_HIDDEN, NULL, &e), TAMIS_OK);
    tamis_model_free(m);
    assert_memory_not_equal(want, want + TINY_HIDDEN, TINY_HIDDEN * sizeof *want);
    check_callers(dir, 1, want);
    check_callers(dir, 3, want);
    tiny_model_remove(dir);
}

typedef struct heard {
    uint64_t last, total;
    int finished;
} heard;

static void hear(void *ctx, const char *what, uint64_t done, uint64_t total, int finished)
{
    heard *h = ctx;
    assert_string_equal(what, "embedding");
    assert_true(done >= h->last);
    *h = (heard){done, total ? total : h->total, finished};
}

static void test_progress_and_stopping(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE;
    float *out = calloc(TEXTS, TINY_HIDDEN * sizeof *out);
    tamis_error e = {0};
    tamis_model *m;
    heard h = {0};
    volatile sig_atomic_t stop = 1;
    assert_non_null(out);
    make_texts();
    tiny_model_write(dir);
    assert_int_equal(tamis_model_open(dir, 2, &m, &e), TAMIS_OK);
    tamis_model_set_listener(m, &(tamis_listener){.progress = hear, .ctx = &h});
    assert_int_equal(tamis_embed(m, texts, TEXTS, out, NULL, &e), TAMIS_OK);
    assert_int_equal(h.last, TEXTS);
    assert_int_equal(h.total, TEXTS);
    assert_true(h.finished);
    h = (heard){0};
    assert_int_equal(tamis_embed(m, texts, 0, out, NULL, &e), TAMIS_OK);
    assert_int_equal(tamis_embed(m, texts, TEXTS, out, &stop, &e), TAMIS_INCOMPLETE);
    tamis_model_free(m);
    tamis_model_free(NULL);
    tiny_model_remove(dir);
    free(out);
}

static void test_text_of_json(void **state)
{
    (void)state;
    static const struct {
        const char *line, *text; /* NULL: refused */
    } cases[] = {{"{\"text\": \"a b\"}", "a b"},
                 {"{\"text\":\"\"}", ""},
                 {" { \"text\" : \"x\" } \r", "x"},
                 {"{\"text\": \"a\\nb\\u00e9\"}", "a\nb\xc3\xa9"},
                 {"{\"text\": \"a\xff\"}", "a\xef\xbf\xbd"},
                 {"{\"text\": \"\\ud800\"}", "\xef\xbf\xbd"},
                 {"{\"text\": \"a\", \"text\": \"b\"}", "b"},
                 {"{\"t\": 1, \"text\": \"b\"}", "b"},
                 {"{\"text\": \"a\tb\"}", NULL},
                 {"{\"text\": \"a\"} x", NULL},
                 {"{\"text\": \"a\"", NULL},
                 {"{\"text\": \"a}", NULL},
                 {"{\"text\": 5}", NULL},
                 {"{\"text\"}", NULL},
                 {"{\"Text\": \"a\"}", NULL},
                 {"[\"text\"]", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = NULL;
        size_t n = 99;
        tamis_error e = {0};
        tamis_status st = tamis_text_of_json(cases[i].line, strlen(cases[i].line), &text, &n, &e);
        assert_int_equal(st, cases[i].text ? TAMIS_OK : TAMIS_FAILED);
        if (cases[i].text) assert_string_equal(text, cases[i].text);
        if (cases[i].text) assert_int_equal(n, strlen(cases[i].text));
        if (!cases[i].text) assert_true(e.message[0]);
        free(text);
    }
}

/* --- a host program with a locale of its own ------------------------------------------------ */

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Numbers get a comma, by a locale of our own: which ones a machine has, nobody knows.  False: its
 * C library reads locales of another form. */
static bool write_numbers_with_comma(const char *dir)
{
    char path[128];
    const uint32_t head[] = {0x20031115u ^ LC_NUMERIC, 6, 32, 34, 34, 36, 40, 44};
    char file[64] = {0};
    memcpy(file, head, sizeof head);
    file[32] = file[36] = ',';
    memcpy(file + 44, "UTF-8", 5);
    snprintf(path, sizeof path, "%s/comma", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/comma/LC_NUMERIC", dir);
    write_bytes(path, file, 50);
    assert_int_equal(setenv("LOCPATH", dir, 1), 0);
    return setlocale(LC_NUMERIC, "comma") != NULL;
}

static int take_rows(void *ctx, const char *bytes, size_t n)
{
    strncat(ctx, bytes ? bytes : "", n);
    return 0;
}

static void test_locale_of_the_host(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE, rows[64] = "", in[64], removed[64], line[128] = "", half[16];
    const float vectors[] = {1, 0, 1, 0.5F};
    char *figures = NULL;
    tamis_error e = {0};
    tamis *t;
    assert_non_null(mkdtemp(dir));
    snprintf(in, sizeof in, "%s/in", dir);
    snprintf(removed, sizeof removed, "%s/removed", dir);
    write_bytes(in, vectors, sizeof vectors);
    if (!write_numbers_with_comma(dir)) skip();
    snprintf(half, sizeof half, "%.1f", 0.5);
    assert_string_equal(half, "0,5");
    assert_int_equal(tamis_new(&t, &e), TAMIS_OK);
    assert_int_equal(tamis_set(t, "dedup.threshold=0.85", &e), TAMIS_OK);
    const tamis_dedup_options o = {
        .path = in, .dimension = 2, .removed = removed, .write = take_rows, .ctx = rows};
    assert_int_equal(tamis_dedup(t, &o, TAMIS_JSON, &figures, &e), TAMIS_OK);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(rows, "1\n");
    FILE *f = fopen(removed, "rb");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    assert_string_equal(line, "{\"line\": 2, \"kept_line\": 1, \"score\": 0.894427}\n");
    assert_non_null(strstr(figures, "\"read\": 0."));
    free(figures);
    tamis_free(t);
    static const char *const made[] = {"in", "removed", "comma/LC_NUMERIC", "comma", "."};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(in, sizeof in, "%s/%s", dir, made[i]);
        assert_int_equal(i < 4 ? remove(in) : rmdir(dir), 0);
    }
}

/* --- a host program with memory of its own for jansson --------------------------------------- */

static size_t n_blocks;

static void *get_block(size_t n)
{
    size_t *p = malloc(n + 2 * sizeof *p);
    n_blocks += p != NULL;
    return p ? p + 2 : NULL;
}

static void free_block(void *block)
{
    if (!block) return;
    n_blocks--;
    free((size_t *)block - 2);
}

/* The first test: later it cannot be set any more. */
static void test_jansson_of_the_host(void **state)
{
    (void)state;
    static const char line[] = "{\"t\": 1, \"text\": \"b\"}";
    char *text = NULL;
    size_t n;
    tamis_error e = {0};
    json_set_alloc_funcs(get_block, free_block);
    json_t *mine = json_pack("{s: [i, s]}", "a", 1, "b");
    assert_non_null(mine);
    assert_int_equal(tamis_text_of_json(line, sizeof line - 1, &text, &n, &e), TAMIS_OK);
    assert_string_equal(text, "b");
    free(text);
    json_decref(mine);
    assert_int_equal(n_blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jansson_of_the_host),   cmocka_unit_test(test_one_model_many_threads),
        cmocka_unit_test(test_progress_and_stopping), cmocka_unit_test(test_text_of_json),
        cmocka_unit_test(test_locale_of_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
