/* test_embed.c - tokenizer, kernels, encoder: on a tiny model that is made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/utf8.h"
#include "embed/embed.h"
#include "embed/encoder.h"
#include "embed/kernels.h"

#include "tiny_model.h"

/* --- tokenizer ------------------------------------------------------------------------------ */

static const char tiny_vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
                                 "he\nhello\n##llo\n##l\n##o\nworld\n!\nstrasse\n\xe4\xbd\xa0\n"
                                 "i\n##i\n\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab\nab\n##ba\n";

enum {
    PAD,
    UNK,
    CLS,
    SEP,
    MASK,
    HE,
    HELLO,
    LLO,
    L,
    O,
    WORLD,
    BANG,
    STRASSE,
    NI,
    I,
    II,
    HAN,
    AB,
    BA
};

static const tokenizer_options uncased = {.uncased = true, .spaces_ideographs = true};

static void check_ids_of(const tokenizer_options *o, const char *text, size_t n_text,
                         const int32_t *want, size_t n)
{
    tokenizer *t;
    err e = {0};
    int32_t ids[256];
    assert_int_equal(tokenizer_new(STR(tiny_vocab), o, &t, &e), ST_OK);
    assert_int_equal(tokenizer_vocab_size(t), 19);
    size_t got = tokenizer_ids(t, (str){text, n_text}, ids, 256);
    if (got != n || memcmp(ids, want, n * sizeof *ids) != 0) {
        print_error("%s:", text);
        for (size_t i = 0; i < got; i++) print_error(" %d", ids[i]);
        print_error("\n");
        fail();
    }
    tokenizer_free(t);
}

#define check_tokens_of(options, text, ...)                                                        \
    check_ids_of(options, text, sizeof(text) - 1, (const int32_t[]){CLS, __VA_ARGS__, SEP},        \
                 sizeof((const int32_t[]){CLS, __VA_ARGS__, SEP}) / sizeof(int32_t))
#define check_tokens(text, ...) check_tokens_of(&uncased, text, __VA_ARGS__)

static void test_words_are_cut_greedily(void **state)
{
    (void)state;
    check_ids_of(&uncased, "", 0, (const int32_t[]){CLS, SEP}, 2);
    check_tokens("hello", HELLO);
    check_tokens("Hello  WORLD!", HELLO, WORLD, BANG);
    check_tokens("hello!world", HELLO, BANG, WORLD);
    check_tokens("hello world", HELLO, WORLD);
    check_tokens("helllo", HE, L, LLO); /* the longest piece that fits, from the left */
    check_tokens("hello7", UNK);        /* a part in no piece makes the whole word unknown */
    check_tokens("abbaba", AB, BA, BA);
    check_tokens("\t hello\r\n", HELLO);
}

static void test_characters_become_what_the_table_says(void **state)
{
    (void)state;
    check_tokens("H\xc3\x89LLO", HELLO);      /* precomposed accent, capital */
    check_tokens("he\xcc\x81llo", HELLO);     /* combining accent */
    check_tokens("he\xe2\x80\x8bllo", HELLO); /* zero width space is dropped */
    check_tokens("he\xc2\xa0llo", HE, UNK);   /* no-break space is a space */
    check_tokens("hello\xe4\xbd\xa0world", HELLO, NI, WORLD);
    check_tokens("\xed\x95\x9c", HAN); /* a Hangul syllable becomes its jamo */
    check_tokens("\xc4\xb0i", I, II);  /* dotted capital I */
    check_tokens("he\x00llo", HELLO);
    check_tokens("he\xff\xc0llo", HELLO); /* ill-formed: U+FFFD, dropped */
}

static void test_cased_and_ideographs_as_letters(void **state)
{
    (void)state;
    const tokenizer_options cased = {.spaces_ideographs = true}, letters = {.uncased = true};
    check_tokens_of(&cased, "hello Hello", HELLO, UNK);
    check_tokens_of(&cased, "h\xc3\xa9llo he\xcc\x81llo hello", UNK, UNK, HELLO);
    check_tokens_of(&cased, "hello\xe4\xbd\xa0!", HELLO, NI, BANG);
    check_tokens_of(&cased, "he\x01llo\tworld[SEP]", HELLO, WORLD, SEP);
    check_tokens_of(&letters, "\xe4\xbd\xa0 HELLO", NI, HELLO);
    check_tokens_of(&letters, "hello\xe4\xbd\xa0", UNK);
    check_tokens_of(&letters, "\xe4\xbd\xa0!\xe4\xbd\xa0", NI, BANG, NI);
}

static void test_special_tokens_in_the_text(void **state)
{
    (void)state;
    check_tokens("hello[SEP]world", HELLO, SEP, WORLD);
    check_tokens("[MASK]", MASK);
    check_tokens("he[PAD]llo", HE, PAD, UNK);
    check_tokens("[sep]", UNK, UNK, UNK);
}

static void test_long_words_and_long_texts(void **state)
{
    (void)state;
    char text[2002];
    tokenizer *t;
    err e = {0};
    int32_t ids[16];
    memset(text, 'b', sizeof text);
    for (size_t i = 0; i < sizeof text; i += 2) text[i] = 'a', text[i + 1] = 'b';
    memcpy(text, "ab", 2);
    for (size_t i = 2; i + 1 < sizeof text; i += 2) memcpy(text + i, "ba", 2);
    assert_int_equal(tokenizer_new(STR(tiny_vocab), &uncased, &t, &e), ST_OK);
    assert_int_equal(tokenizer_ids(t, (str){text, 100}, ids, 16), 16);
    assert_int_equal(ids[1], AB);
    assert_int_equal(ids[14], BA);
    assert_int_equal(ids[15], SEP);
    assert_int_equal(tokenizer_ids(t, (str){text, 102}, ids, 16), 3); /* 101 and 102 characters */
    assert_int_equal(ids[1], UNK);
    assert_int_equal(tokenizer_ids(t, (str){text, 100}, ids, 2), 2);
    assert_int_equal(ids[0], CLS);
    assert_int_equal(ids[1], SEP);
    tokenizer_free(t);
}

static void test_not_a_vocabulary(void **state)
{
    (void)state;
    tokenizer *t;
    err e = {0};
    assert_int_equal(tokenizer_new(STR("a\nb\n"), &uncased, &t, &e), ST_FAILED);
    assert_non_null(strstr(e.msg, "[UNK]"));
    assert_int_equal(tokenizer_new(STR("[UNK]\n[CLS]\n[SEP]\n\xff\n"), &uncased, &t, &e),
                     ST_FAILED);
    assert_int_equal(tokenizer_new(STR(""), &uncased, &t, &e), ST_FAILED);
    assert_null(t);
}

/* --- kernels -------------------------------------------------------------------------------- */

static uint64_t random_state = 1;

static float random_float(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(random_state >> 33) / (double)(1u << 30) - 1.0);
}

static float *random_floats(size_t n, float scale)
{
    float *p = malloc(n * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = random_float() * scale;
    return p;
}

/* Some of them are what arithmetic treats apart. */
static float *awkward_floats(size_t n)
{
    static const float rare[] = {0.0f,   -0.0f, 1e-45f, -3e-42f,  1e-38f,    3e38f,
                                 -3e38f, 1e19f, -1e19f, INFINITY, -INFINITY, NAN};
    float *p = random_floats(n, 6);
    for (size_t i = 0; i < n; i++)
        if (random_float() > 0.7f) p[i] = rare[(size_t)fabsf(random_float() * 11.99f)];
    return p;
}

static float *copy_of(const float *p, size_t n)
{
    float *q = malloc(n * sizeof *q);
    assert_non_null(q);
    memcpy(q, p, n * sizeof *q);
    return q;
}

static void assert_same_bits(const float *a, const float *b, size_t n)
{
    assert_memory_equal(a, b, n * sizeof *a);
}

/* Not a number is one value, whatever its bits. */
static void assert_same_values(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isnan(a[i]) || !isnan(b[i])) assert_same_bits(a + i, b + i, 1);
}

static void check_softmax(const kernels *k, float *x, size_t n)
{
    const size_t room = (n + 15) / 16 * 16;
    float *y = copy_of(x, room);
    float a = kernels_scalar.softmax(x, n), b = k->softmax(y, n);
    assert_same_values(&a, &b, 1);
    assert_same_values(x, y, room);
    for (size_t i = n; i < room; i++) assert_true(x[i] == 0.0f);
    free(x);
    free(y);
}

static void check_row_kernels(const kernels *k, float *x, float *more, size_t n)
{
    float *y = copy_of(x, n), *gamma = random_floats(n, 1), *beta = random_floats(n, 1);
    layer_norm p = {gamma, beta, n, 1e-12f};
    kernels_scalar.gelu(x, n);
    k->gelu(y, n);
    assert_same_values(x, y, n);
    float a = kernels_scalar.sum_squares(x, n), b = k->sum_squares(y, n);
    assert_same_values(&a, &b, 1);
    kernels_scalar.normalize(x, n % 32 ? more : NULL, &p);
    k->normalize(y, n % 32 ? more : NULL, &p);
    assert_same_values(x, y, n);
    free(x);
    free(y);
    free(more);
    free(gamma);
    free(beta);
}

static void check_transpose(const kernels *k, size_t rows, size_t n)
{
    const size_t ld = n + rows % 3;
    float *x = random_floats(rows * ld, 1), *got = random_floats(16 * n, 1);
    k->transpose(x, ld, rows, n, got);
    for (size_t c = 0; c < n; c++)
        for (size_t r = 0; r < 16; r++)
            assert_true(got[c * 16 + r] == (r < rows ? x[r * ld + c] : 0.0f));
    free(x);
    free(got);
}

static void test_kernels_agree(void **state)
{
    (void)state;
    for (isa i = ISA_SCALAR; i <= isa_best(); i++) {
        const kernels *k = kernels_for(i);
        for (size_t rows = 1; rows <= 16; rows++) check_transpose(k, rows, 16 + rows % 4 * 16);
        for (size_t n = 1; n <= 70; n++) {
            check_softmax(k, random_floats(80, 30), n);
            check_softmax(k, awkward_floats(80), n);
        }
        for (size_t n = 16; n <= 400; n += 16) {
            check_row_kernels(k, random_floats(n, 6), random_floats(n, 1), n);
            check_row_kernels(k, awkward_floats(n), random_floats(n, 1), n);
        }
    }
}

/* If one instruction set stood for another, the test above would not see what it should. */
static void test_each_set_has_its_own(void **state)
{
    (void)state;
    if (isa_best() >= ISA_AVX2) assert_true(kernels_for(ISA_AVX2) != kernels_for(ISA_SCALAR));
    if (isa_best() >= ISA_AVX512) assert_true(kernels_for(ISA_AVX512) != kernels_for(ISA_AVX2));
}

/* Against the C library in double precision, over all that can come. */
static void test_exp_and_erf_are_near(void **state)
{
    (void)state;
    double worst_exp = 0, worst_gelu = 0;
    for (int i = 0; i <= 200000; i++) {
        float x[16] = {0}, row[16] = {0, 0};
        x[0] = -8.0f + (float)i * 8e-5f;
        double want = (double)x[0] * 0.5 * (1.0 + erf((double)x[0] * sqrt(0.5)));
        kernels_scalar.gelu(x, 16);
        double error = fabs((double)x[0] - want);
        worst_gelu = error > worst_gelu ? error : worst_gelu;
        row[1] = -80.0f * (float)i / 200000.0f;
        want = exp((double)row[1]);
        kernels_scalar.softmax(row, 2);
        error = fabs((double)row[1] / want - 1.0);
        worst_exp = error > worst_exp ? error : worst_exp;
    }
    assert_true(worst_exp < 1.5e-7);
    assert_true(worst_gelu < 6e-7); /* an erf within 1.3e-7 times x up to 4, and rounding */
    assert_true(worst_exp > 0 && worst_gelu > 0);
}

/* --- model and encoder ---------------------------------------------------------------------- */

static const char *const texts[] = {
    "hello world", "hello",       "HELLO world!",      "he",        "abbaba hello!",     "",
    "i",           "Hello World", "ab ab ab ab ab ab", "strasse !", "\xe4\xbd\xa0 hello"};
enum { N_TEXTS = sizeof texts / sizeof *texts };

/* out: [n, dim], to be freed. */
static float *embed(model *m, int n_threads, isa set, const str *of, size_t n)
{
    pool *p;
    embedder *em;
    err e = {0};
    embed_options o = {0};
    float *out = calloc(n * model_dim(m) + 1, sizeof *out);
    assert_non_null(out);
    assert_int_equal(pool_new(n_threads, &p, &e), ST_OK);
    assert_int_equal(embedder_new(m, set, p, &em, &e), ST_OK);
    assert_int_equal(embed_texts(em, of, n, out, &o, &e), ST_OK);
    embedder_free(em);
    pool_free(p);
    return out;
}

static void fill(str *all, size_t n, size_t step)
{
    for (size_t i = 0; i < n; i++) all[i] = str_from(texts[i * step % N_TEXTS]);
}

static model *open_tiny(char *dir)
{
    model *m;
    err e = {0};
    tiny_model_write(dir);
    assert_int_equal(model_open(dir, &m, &e), ST_OK);
    return m;
}

static void test_vectors_are_of_unit_length_and_differ(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE;
    model *m = open_tiny(dir);
    str all[N_TEXTS];
    fill(all, N_TEXTS, 1);
    assert_int_equal(model_dim(m), TINY_HIDDEN);
    float *v = embed(m, 1, ISA_SCALAR, all, N_TEXTS);
    for (size_t i = 0; i < N_TEXTS; i++) {
        double norm = 0, apart = 0;
        for (size_t k = 0; k < TINY_HIDDEN; k++) {
            double x = (double)v[i * TINY_HIDDEN + k];
            norm += x * x;
            apart += fabs(x - (double)v[k]);
        }
        assert_true(fabs(sqrt(norm) - 1) < 1e-6);
        if (i == 7) assert_true(apart == 0); /* "Hello World": the ids of "hello world" */
        if (i && i != 7) assert_true(apart > 0.1);
    }
    free(v);
    model_free(m);
    tiny_model_remove(dir);
}

/* Any company, order, number of threads, instruction set: the same bits. */
static void test_the_same_bits(void **state)
{
    (void)state;
    enum { MANY = 700 };
    char dir[] = TINY_MODEL_TEMPLATE;
    model *m = open_tiny(dir);
    str all[MANY];
    fill(all, N_TEXTS, 1);
    float *want = embed(m, 1, ISA_SCALAR, all, N_TEXTS);
    for (int set = ISA_SCALAR; set <= (int)isa_best(); set++)
        for (int n_threads = 1; n_threads <= 7; n_threads += 3) {
            fill(all, MANY, 5);
            float *got = embed(m, n_threads, (isa)set, all, MANY);
            for (size_t i = 0; i < MANY; i++)
                assert_same_bits(got + i * TINY_HIDDEN, want + i * 5 % N_TEXTS * TINY_HIDDEN,
                                 TINY_HIDDEN);
            free(got);
        }
    for (size_t i = 0; i < N_TEXTS; i++) {
        all[0] = str_from(texts[i]);
        float *alone = embed(m, 2, isa_best(), all, 1);
        assert_same_bits(alone, want + i * TINY_HIDDEN, TINY_HIDDEN);
        free(alone);
    }
    free(want);
    model_free(m);
    tiny_model_remove(dir);
}

/* The bits themselves: what any machine must give. */
static void test_the_bits_that_were_written_down(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE, hex[SHA256_HEX];
    unsigned char digest[SHA256_SIZE];
    model *m = open_tiny(dir);
    buf stored = {0};
    err e = {0};
    str all[N_TEXTS];
    fill(all, N_TEXTS, 1);
    float *v = embed(m, 1, ISA_SCALAR, all, N_TEXTS);
    sha256_of((str){(const char *)v, N_TEXTS * TINY_HIDDEN * sizeof *v}, digest);
    sha256_hex(digest, hex);
    assert_int_equal(file_read("tests/vectors/tiny.sha256", 1000, &stored, &e), ST_OK);
    assert_true(stored.n >= SHA256_HEX - 1);
    stored.p[SHA256_HEX - 1] = 0;
    assert_string_equal(hex, stored.p);
    buf_release(&stored);
    free(v);
    model_free(m);
    tiny_model_remove(dir);
}

/* The plainest form of the model, in double precision, one text at a time. */
static void test_the_encoder_computes_the_model(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE;
    model *m = open_tiny(dir);
    str all[N_TEXTS];
    fill(all, N_TEXTS, 1);
    float *v = embed(m, 1, ISA_SCALAR, all, N_TEXTS);
    for (size_t i = 0; i < N_TEXTS; i++) {
        int32_t ids[MODEL_TOKENS];
        double want[TINY_HIDDEN];
        size_t n = tokenizer_ids(model_tokenizer(m), all[i], ids, model_max_tokens(m));
        tiny_model_reference(m, ids, n, want);
        for (size_t k = 0; k < TINY_HIDDEN; k++)
            assert_true(fabs(want[k] - (double)v[i * TINY_HIDDEN + k]) < 2e-6);
    }
    free(v);
    model_free(m);
    tiny_model_remove(dir);
}

typedef struct reported {
    unsigned char seen[2000];
    size_t n, calls, stop_after;
    stop_flag stop;
} reported;

static status note_batch(void *ctx, const size_t *which, size_t n, err *e)
{
    reported *r = ctx;
    (void)e;
    for (size_t i = 0; i < n; i++) r->seen[which[i]]++;
    r->n += n;
    r->calls++;
    if (r->calls == r->stop_after) r->stop = 1;
    return ST_OK;
}

static void test_batches_are_reported_and_can_be_stopped(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    char dir[] = TINY_MODEL_TEMPLATE;
    static char unique[MANY][64];
    static str all[MANY];
    static float out[MANY * TINY_HIDDEN];
    model *m = open_tiny(dir);
    pool *p;
    embedder *em;
    err e = {0};
    reported r = {0};
    embed_options o = {.batch_done = note_batch, .ctx = &r, .stop = &r.stop};
    for (size_t i = 0; i < MANY; i++) { /* distinct ids: i in binary, of "i" and "ab" */
        for (size_t b = 0; b < 11; b++) strcat(unique[i], i >> b & 1 ? "i " : "ab ");
        all[i] = str_from(unique[i]);
    }
    assert_int_equal(pool_new(1, &p, &e), ST_OK);
    assert_int_equal(embedder_new(m, ISA_SCALAR, p, &em, &e), ST_OK);
    assert_int_equal(embed_texts(em, all, MANY, out, &o, &e), ST_OK);
    assert_int_equal(r.n, MANY);
    assert_true(r.calls > 5);
    for (size_t i = 0; i < MANY; i++) assert_int_equal(r.seen[i], 1);
    r = (reported){.stop_after = 2};
    assert_int_equal(embed_texts(em, all, MANY, out, &o, &e), ST_INCOMPLETE);
    assert_int_equal(r.calls, 2);
    assert_int_equal(embed_texts(em, all, 0, out, &(embed_options){0}, &e), ST_OK);
    embedder_free(em);
    pool_free(p);
    model_free(m);
    tiny_model_remove(dir);
}

static void test_the_fingerprint_tells_models_apart(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE, a[SHA256_HEX], b[SHA256_HEX], c[SHA256_HEX];
    err e = {0};
    model *m = open_tiny(dir);
    assert_int_equal(model_fingerprint(m, a, &e), ST_OK);
    assert_int_equal(model_fingerprint(m, b, &e), ST_OK);
    tiny_model_damage(dir, "vocab.txt", -1, "x", 1);
    assert_int_equal(model_fingerprint(m, c, &e), ST_OK);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    model_free(m);
    tiny_model_remove(dir);
}

/* --- damaged files -------------------------------------------------------------------------- */

static void assert_refused(const char *dir, const char *word)
{
    model *m;
    err e = {0};
    status st = model_open(dir, &m, &e);
    if (st == ST_OK) { /* weights are looked at when they are packed */
        pool *p;
        embedder *em;
        assert_int_equal(pool_new(1, &p, &e), ST_OK);
        st = embedder_new(m, ISA_SCALAR, p, &em, &e);
        if (st == ST_OK) embedder_free(em);
        pool_free(p);
        model_free(m);
    }
    assert_int_equal(st, ST_FAILED);
    if (!strstr(e.msg, word)) fail_msg("no \"%s\" in: %s", word, e.msg);
    assert_null(strchr(e.msg, '\n'));
    assert_non_null(strstr(e.msg, "tamis model fetch"));
}

static void test_missing_files(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "vocab.txt", "model.safetensors"};
    for (size_t i = 0; i < 3; i++) {
        char dir[] = TINY_MODEL_TEMPLATE, path[128];
        tiny_model_write(dir);
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(unlink(path), 0);
        assert_refused(dir, names[i]);
        tiny_model_remove(dir);
    }
}

static void test_damaged_files(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        long at; /* -1: the file is replaced, -2: cut to what `bytes` counts */
        const char *bytes;
        const char *word;
    } cases[] = {
        {"config.json", -1, "", "not JSON"},
        {"config.json", -1, "[]", "not a JSON object"},
        {"config.json", -1, "{}", "hidden_size"},
        {"config.json", -1, "{\"hidden_size\": 1e99}", "hidden_size"},
        {"config.json", -1,
         "{\"hidden_size\":32,\"num_hidden_layers\":2,\"num_attention_heads\":3,"
         "\"intermediate_size\":64,\"vocab_size\":19,\"max_position_embeddings\":64}",
         "multiples of 16"},
        {"config.json", -1,
         "{\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":2,"
         "\"intermediate_size\":64,\"vocab_size\":19,\"max_position_embeddings\":64}",
         "shape"},
        {"config.json", -1,
         "{\"hidden_size\":32,\"num_hidden_layers\":3,\"num_attention_heads\":2,"
         "\"intermediate_size\":64,\"vocab_size\":19,\"max_position_embeddings\":64}",
         "encoder.layer.2.attention.self.query.weight is missing"},
        {"vocab.txt", -1, "a\n", "[UNK]"},
        {"vocab.txt", -1, "\xff\xfe", "UTF-8"},
        {"model.safetensors", -1, "", "header"},
        {"model.safetensors", -1, "1234567", "header"},
        {"model.safetensors", 0, "\xff\xff\xff\xff\xff\xff\xff\xff", "header"},
        {"model.safetensors", 0, "\x02\0\0\0\0\0\0\0", "not a JSON object"},
        {"model.safetensors", 8, "\x00", "not a JSON object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[] = TINY_MODEL_TEMPLATE;
        size_t n = cases[i].at == 0 ? 8 : cases[i].at == 8 ? 1 : strlen(cases[i].bytes);
        tiny_model_write(dir);
        tiny_model_damage(dir, cases[i].file, cases[i].at, cases[i].bytes, n);
        assert_refused(dir, cases[i].word);
        tiny_model_remove(dir);
    }
}

/* Cut anywhere: an error, never a crash. */
static void test_cut_short(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE, path[128];
    struct stat s;
    tiny_model_write(dir);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_int_equal(stat(path, &s), 0);
    for (long n = s.st_size - 1; n > 0; n -= n > 6000 ? 1009 : 53) {
        assert_int_equal(truncate(path, n), 0);
        assert_refused(dir, "model.safetensors");
    }
    tiny_model_remove(dir);
}

static void test_weights_that_are_not_finite(void **state)
{
    (void)state;
    char dir[] = TINY_MODEL_TEMPLATE;
    const unsigned char nan[4] = {0, 0, 0xC0, 0x7F};
    struct stat s;
    char path[128];
    tiny_model_write(dir);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_int_equal(stat(path, &s), 0);
    tiny_model_damage(dir, "model.safetensors", s.st_size - 4, (const char *)nan, 4);
    assert_refused(dir, "not finite");
    tiny_model_remove(dir);
}

/* A header that lies about one tensor's place. */
static void test_offsets_outside_the_file(void **state)
{
    (void)state;
    static const char *const lies[] = {"[0,99999999999]", "[-8,120]",    "[1e300,1e301]", "[8,4]",
                                       "\"x\"",           "[0.5,128.5]", "[null]"};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char dir[] = TINY_MODEL_TEMPLATE;
        tiny_model_write_with(dir, lies[i]);
        assert_refused(dir, "embeddings.LayerNorm.weight");
        tiny_model_remove(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_are_cut_greedily),
        cmocka_unit_test(test_characters_become_what_the_table_says),
        cmocka_unit_test(test_cased_and_ideographs_as_letters),
        cmocka_unit_test(test_special_tokens_in_the_text),
        cmocka_unit_test(test_long_words_and_long_texts),
        cmocka_unit_test(test_not_a_vocabulary),
        cmocka_unit_test(test_kernels_agree),
        cmocka_unit_test(test_each_set_has_its_own),
        cmocka_unit_test(test_exp_and_erf_are_near),
        cmocka_unit_test(test_vectors_are_of_unit_length_and_differ),
        cmocka_unit_test(test_the_same_bits),
        cmocka_unit_test(test_the_bits_that_were_written_down),
        cmocka_unit_test(test_the_encoder_computes_the_model),
        cmocka_unit_test(test_batches_are_reported_and_can_be_stopped),
        cmocka_unit_test(test_the_fingerprint_tells_models_apart),
        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_weights_that_are_not_finite),
        cmocka_unit_test(test_offsets_outside_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
