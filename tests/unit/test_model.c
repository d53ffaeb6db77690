/* test_model.c - damaged model files: an error or another model, never a crash.
 *
 * Every byte of the JSON files and of the safetensors header is changed in a few ways, and every
 * file is cut at many places.  What still opens is packed and used, so that the sanitizers see all
 * that a file can make the program do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "embed/embed.h"
#include "embed/model.h"
#include "tiny_model.h"

static const struct {
    const char *name, *text;
} extras[] = {
    {"modules.json",
     "[{\"type\":\"sentence_transformers.models.Transformer\",\"path\":\"\"},"
     "{\"type\":\"sentence_transformers.models.Pooling\",\"path\":\"1_Pooling\"},"
     "{\"type\":\"sentence_transformers.models.Normalize\",\"path\":\"2_Normalize\"}]"},
    {"1_Pooling/config.json", "{\"word_embedding_dimension\":32,\"pooling_mode_cls_token\":true,"
                              "\"pooling_mode_mean_tokens\":false}"},
    {"sentence_bert_config.json", "{\"max_seq_length\":24,\"do_lower_case\":false}"},
    {"tokenizer_config.json", "{\"strip_accents\":null,\"unk_token\":{\"content\":\"[UNK]\"},"
                              "\"tokenize_chinese_chars\":true,\"model_max_length\":64,"
                              "\"added_tokens_decoder\":{\"0\":{\"content\":\"[PAD]\"}}}"},
    {"tokenizer.json", "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
                       "\"lowercase\":true,\"handle_chinese_chars\":true}}"},
    {"config_sentence_transformers.json", "{\"prompts\":{},\"default_prompt_name\":null}"},
};
enum { N_EXTRAS = sizeof extras / sizeof *extras };

static size_t n_opened, n_refused;

/* Opens the model; what opens is used. */
static void try_model(const char *dir)
{
    static const str texts[] = {{"hello world", 11}, {"", 0}, {"zzz [MASK] ab", 13}};
    enum { N = sizeof texts / sizeof *texts };
    model *m;
    err e = {0};
    status st = model_open(dir, &m, &e);
    if (st) {
        assert_int_equal(st, ST_FAILED);
        assert_true(e.msg[0] && !strchr(e.msg, '\n'));
        assert_null(m);
        n_refused++;
        return;
    }
    pool *p;
    embedder *em;
    float *out = calloc(N, model_dim(m) * sizeof *out);
    assert_non_null(out);
    assert_int_equal(pool_new(1, &p, &e), ST_OK);
    st = embedder_new(m, ISA_SCALAR, p, &em, &e);
    if (st == ST_OK) st = embed_texts(em, texts, N, out, &(embed_options){0}, &e);
    assert_true(st == ST_OK || st == ST_FAILED);
    n_opened++;
    embedder_free(em);
    pool_free(p);
    free(out);
    model_free(m);
}

static void write_extras(const char *dir)
{
    char path[256];
    snprintf(path, sizeof path, "%s/1_Pooling", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < N_EXTRAS; i++)
        tiny_model_damage(dir, extras[i].name, -1, extras[i].text, strlen(extras[i].text));
}

static void remove_extras(const char *dir)
{
    char path[256];
    for (size_t i = 0; i < N_EXTRAS; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, extras[i].name);
        assert_int_equal(unlink(path), 0);
    }
    snprintf(path, sizeof path, "%s/1_Pooling", dir);
    assert_int_equal(rmdir(path), 0);
}

/* The first `most` bytes of a file, to be freed. */
static char *read_front(const char *dir, const char *name, size_t most, size_t *n)
{
    char path[256], *bytes = malloc(most);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_non_null(bytes);
    *n = fread(bytes, 1, most, f);
    assert_true(*n > 0);
    assert_int_equal(fclose(f), 0);
    return bytes;
}

/* Changes each byte from `from` on, every `step`th, and puts it back. */
static void flip_bytes(const char *dir, const char *name, size_t from, size_t most, size_t step)
{
    static const unsigned char flips[] = {0x01, 0x08, 0x80};
    size_t n;
    char *bytes = read_front(dir, name, most, &n);
    for (size_t at = from; at < n; at += step) {
        size_t k = at / step % sizeof flips;
        unsigned char c = (unsigned char)bytes[at] ^ flips[k];
        tiny_model_damage(dir, name, (long)at, (const char *)&c, 1);
        try_model(dir);
        tiny_model_damage(dir, name, (long)at, bytes + at, 1);
    }
    free(bytes);
}

static char *make(char *dir)
{
    tiny_model_write(dir);
    write_extras(dir);
    n_opened = n_refused = 0;
    try_model(dir);
    assert_int_equal(n_opened, 1); /* undamaged, all is well */
    return dir;
}

static void test_changed_bytes_of_json(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE;
    make(dir);
    flip_bytes(dir, "config.json", 0, 4096, 1);
    for (size_t i = 0; i < N_EXTRAS; i++) flip_bytes(dir, extras[i].name, 0, 4096, 1);
    flip_bytes(dir, "vocab.txt", 0, 4096, 1);
    assert_true(n_opened > 100 && n_refused > 300);
    remove_extras(dir);
    tiny_model_remove(dir);
}

static void test_changed_bytes_of_weights(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE;
    make(dir);
    flip_bytes(dir, "model.safetensors", 0, 1200, 1); /* the length, and the first of the header */
    flip_bytes(dir, "model.safetensors", 1200, 5000, 7);
    assert_true(n_opened > 20 && n_refused > 500);
    remove_extras(dir);
    tiny_model_remove(dir);
}

static void test_cut_json(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE;
    make(dir);
    for (size_t i = 0; i < N_EXTRAS; i++) {
        size_t n = strlen(extras[i].text);
        for (size_t k = 0; k < n; k++) {
            tiny_model_damage(dir, extras[i].name, -1, extras[i].text, k);
            try_model(dir);
        }
        tiny_model_damage(dir, extras[i].name, -1, extras[i].text, n);
    }
    assert_int_equal(n_opened, 1); /* JSON that is cut is no JSON */
    assert_true(n_refused > 500);
    remove_extras(dir);
    tiny_model_remove(dir);
}

/* Settings that change vectors change the fingerprint; files that say what is usual do not. */
static void test_the_fingerprint_knows_the_settings(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        bool same;
    } cases[] = {{"sentence_bert_config.json", "{\"max_seq_length\":64}", true},
                 {"sentence_bert_config.json", "{\"max_seq_length\":63}", false},
                 {"tokenizer_config.json", "{\"do_lower_case\":true}", true},
                 {"tokenizer_config.json", "{\"do_lower_case\":false}", false},
                 {"tokenizer_config.json", "{\"tokenize_chinese_chars\":false}", false}};
    char dir[] = TINY_MODEL_TEMPLATE, usual[SHA256_HEX], sum[SHA256_HEX], path[256];
    model *m;
    err e = {0};
    tiny_model_write(dir);
    assert_int_equal(model_open(dir, &m, &e), ST_OK);
    assert_int_equal(model_fingerprint(m, usual, &e), ST_OK);
    model_free(m);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tiny_model_damage(dir, cases[i].name, -1, cases[i].text, strlen(cases[i].text));
        assert_int_equal(model_open(dir, &m, &e), ST_OK);
        assert_int_equal(model_fingerprint(m, sum, &e), ST_OK);
        assert_int_equal(strcmp(usual, sum) == 0, cases[i].same);
        model_free(m);
        snprintf(path, sizeof path, "%s/%s", dir, cases[i].name);
        assert_int_equal(unlink(path), 0);
    }
    tiny_model_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changed_bytes_of_json),
        cmocka_unit_test(test_changed_bytes_of_weights),
        cmocka_unit_test(test_cut_json),
        cmocka_unit_test(test_the_fingerprint_knows_the_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
