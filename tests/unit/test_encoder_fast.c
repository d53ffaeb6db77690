/* test_encoder_fast.c - the encoder that only screens: near the exact one, the same bits on every
 * instruction set and in any company. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "embed/encoder_fast.h"
#include "embed/encoder_parts.h"

/* Wider than a chunk of integers, and no multiple of it. */
enum { HIDDEN = 400, HEADS = 25, INNER = 800, LAYERS = 1, VOCAB = 50, TOKENS = 24, N = 14 };

static uint32_t state;

/* -1 to 1. */
static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) * 0x1p-23f - 1.0f;
}

static tensor make_tensor(size_t rows, size_t cols, float base, float spread)
{
    float *p = malloc(rows * cols * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < rows * cols; i++) p[i] = base + spread * draw();
    return (tensor){(const char *)p, rows, cols};
}

static dense make_dense(size_t out, size_t in, float spread)
{
    return (dense){make_tensor(out, in, 0, spread), make_tensor(1, out, 0, 0.1f)};
}

static norm_tensors make_norm(void)
{
    norm_tensors n = {make_tensor(1, HIDDEN, 1, 0.2f), make_tensor(1, HIDDEN, 0, 0.1f)};
    float *gamma = (float *)(uintptr_t)n.gamma.p;
    gamma[7] = 20; /* what real models have: a few large elements */
    return n;
}

static void make_model(model *m)
{
    state = 3;
    *m = (model){.hidden = HIDDEN,
                 .n_layers = LAYERS,
                 .n_heads = HEADS,
                 .inner = INNER,
                 .n_vocab = VOCAB,
                 .n_positions = TOKENS,
                 .max_tokens = TOKENS,
                 .norm_eps = 1e-12f,
                 .words = make_tensor(VOCAB, HIDDEN, 0, 1),
                 .positions = make_tensor(TOKENS, HIDDEN, 0, 0.2f),
                 .types = make_tensor(1, HIDDEN, 0, 0.2f),
                 .words_norm = make_norm()};
    for (size_t i = 0; i < LAYERS; i++)
        m->layers[i] = (layer_tensors){.query = make_dense(HIDDEN, HIDDEN, 0.1f),
                                       .key = make_dense(HIDDEN, HIDDEN, 0.1f),
                                       .value = make_dense(HIDDEN, HIDDEN, 0.1f),
                                       .attention_output = make_dense(HIDDEN, HIDDEN, 0.1f),
                                       .attention_norm = make_norm(),
                                       .intermediate = make_dense(INNER, HIDDEN, 0.1f),
                                       .output = make_dense(HIDDEN, INNER, 0.1f),
                                       .output_norm = make_norm()};
}

static void free_tensor(tensor t)
{
    free((void *)(uintptr_t)t.p);
}

static void free_dense(dense d)
{
    free_tensor(d.weight);
    free_tensor(d.bias);
}

static void free_norm(norm_tensors n)
{
    free_tensor(n.gamma);
    free_tensor(n.beta);
}

static void free_model(model *m)
{
    free_tensor(m->words);
    free_tensor(m->positions);
    free_tensor(m->types);
    free_norm(m->words_norm);
    for (size_t i = 0; i < LAYERS; i++) {
        const layer_tensors *l = &m->layers[i];
        const dense all[] = {l->query,        l->key,   l->value, l->attention_output,
                             l->intermediate, l->output};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) free_dense(all[k]);
        free_norm(l->attention_norm);
        free_norm(l->output_norm);
    }
}

typedef struct texts {
    int32_t ids[N][TOKENS];
    float out[N][HIDDEN];
    sequence sequences[N];
} texts;

static void make_texts(texts *t)
{
    state = 9;
    for (size_t i = 0; i < N; i++) {
        size_t n = 2 + i * (TOKENS - 2) / (N - 1);
        t->sequences[i] = (sequence){t->ids[i], n, t->out[i]};
        for (size_t k = 0; k < n; k++) t->ids[i][k] = (int32_t)((draw() + 1) * 24);
    }
}

/* Encodes all: exactly (k NULL) or with k; `together` sequences at a time, those of ENCODER_TILE
 * tokens at most. */
static void encode(const model *m, isa i, const int16_kernels *k, size_t together, texts *t)
{
    encoder *en;
    pool *p;
    fast_encoder *f = NULL;
    fast_scratch *own = NULL;
    err e = {0};
    memset(t->out, 0, sizeof t->out);
    assert_int_equal(pool_new(1, &p, &e), ST_OK);
    assert_int_equal(encoder_new(m, i, p, &en, &e), ST_OK);
    encoder_scratch *s = encoder_scratch_new(en);
    assert_non_null(s);
    if (k) {
        assert_int_equal(fast_encoder_new(encoder_weights(en), i, k, NULL, &f, &e), ST_OK);
        own = fast_scratch_new(f);
        assert_non_null(own);
    }
    for (size_t from = 0, to; from < N; from = to) {
        size_t tokens = t->sequences[from].n;
        for (to = from + 1; to < N && to - from < together; to++) {
            tokens += t->sequences[to].n;
            if (tokens > ENCODER_TILE) break;
        }
        const sequence *these = t->sequences + from;
        bool finite =
            k ? fast_encoder_run(f, own, these, to - from) : encoder_run(en, s, these, to - from);
        assert_true(finite);
    }
    fast_scratch_free(own);
    fast_encoder_free(f);
    encoder_scratch_free(s);
    encoder_free(en);
    pool_free(p);
}

static double cosine(const float *x, const float *y)
{
    double sum = 0;
    for (size_t i = 0; i < HIDDEN; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

static void test_it_is_near_the_exact_one(void **unused)
{
    static texts exact, fast;
    model m;
    double worst = 0;
    (void)unused;
    make_model(&m);
    make_texts(&exact);
    make_texts(&fast);
    encode(&m, ISA_SCALAR, NULL, N, &exact);
    encode(&m, ISA_SCALAR, &int16_scalar, N, &fast);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k <= i; k++) {
            double off = cosine(fast.out[i], fast.out[k]) - cosine(exact.out[i], exact.out[k]);
            worst = fmax(worst, fabs(off));
        }
    assert_true(worst < 5e-4);
    assert_true(worst > 0); /* else it is not the fast one */
    free_model(&m);
}

static void test_every_instruction_set_gives_the_same_bits(void **unused)
{
    static texts want, got;
    model m;
    (void)unused;
    make_model(&m);
    make_texts(&want);
    make_texts(&got);
    encode(&m, ISA_SCALAR, &int16_scalar, 1, &want);
    encode(&m, ISA_SCALAR, &int16_scalar, N, &got);
    assert_memory_equal(got.out, want.out, sizeof want.out);
    isa best;
    err e = {0};
    assert_int_equal(isa_choose(&best, &e), ST_OK);
    for (int i = ISA_AVX2; i <= (int)best; i++)
        for (size_t together = 1; together <= N; together += 4) {
            encode(&m, (isa)i, int16_kernels_for((isa)i), together, &got);
            assert_memory_equal(got.out, want.out, sizeof want.out);
        }
    free_model(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_near_the_exact_one),
        cmocka_unit_test(test_every_instruction_set_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
