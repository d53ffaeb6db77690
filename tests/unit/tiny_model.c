/* tiny_model.c - writes the model, and computes it the plainest way. */
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <unistd.h>

static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhe\nhello\n##llo\n##l\n##o\n"
                            "world\n!\nstrasse\n\xe4\xbd\xa0\ni\n##i\n"
                            "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab\nab\n##ba\n";

static const char config[] =
    "{\"model_type\":\"bert\",\"hidden_act\":\"gelu\",\"hidden_size\":32,\"num_hidden_layers\":2,"
    "\"num_attention_heads\":2,\"intermediate_size\":64,\"vocab_size\":19,"
    "\"max_position_embeddings\":64,\"layer_norm_eps\":1e-12}\n";

/* --- writing -------------------------------------------------------------------------------- */

typedef struct writing {
    buf header, data;
    const char *offsets; /* a lie for embeddings.LayerNorm.weight, or NULL */
    uint32_t state;
} writing;

/* cols == 0: a vector.  Values base + [-1, 1) * 2^-shift. */
static void add_tensor(writing *w, const char *name, int rows, int cols, float base, int shift)
{
    size_t from = w->data.n, n = (size_t)rows * (size_t)(cols ? cols : 1);
    for (size_t i = 0; i < n; i++) {
        w->state = w->state * 1664525u + 1013904223u;
        float v = base + ((float)(w->state >> 16) / 32768.0f - 1.0f) / (float)(1 << shift);
        buf_add(&w->data, &v, sizeof v);
    }
    buf_fmt(&w->header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%d", w->header.n > 1 ? "," : "",
            name, rows);
    if (cols) buf_fmt(&w->header, ",%d", cols);
    if (w->offsets && strcmp(name, "embeddings.LayerNorm.weight") == 0)
        buf_fmt(&w->header, "],\"data_offsets\":%s}", w->offsets);
    else
        buf_fmt(&w->header, "],\"data_offsets\":[%zu,%zu]}", from, w->data.n);
}

static void add_layer(writing *w, int number)
{
    static const struct {
        const char *name;
        int rows, cols;
        float base;
        int shift;
    } parts[] = {
        {"attention.self.query", 32, 32, 0, 1},      {"attention.self.key", 32, 32, 0, 1},
        {"attention.self.value", 32, 32, 0, 2},      {"attention.output.dense", 32, 32, 0, 2},
        {"attention.output.LayerNorm", 32, 0, 1, 3}, {"intermediate.dense", 64, 32, 0, 1},
        {"output.LayerNorm", 32, 0, 1, 3},           {"output.dense", 32, 64, 0, 2}};
    char name[96];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(name, sizeof name, "encoder.layer.%d.%s.bias", number, parts[i].name);
        add_tensor(w, name, parts[i].rows, 0, 0, 4);
        snprintf(name, sizeof name, "encoder.layer.%d.%s.weight", number, parts[i].name);
        add_tensor(w, name, parts[i].rows, parts[i].cols, parts[i].base, parts[i].shift);
    }
}

static void write_file(const char *dir, const char *name, str bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    assert_int_equal(fclose(f), 0);
}

static void write_weights(const char *dir, const char *offsets)
{
    writing w = {.offsets = offsets, .state = 7};
    buf all = {0};
    buf_char(&w.header, '{');
    add_tensor(&w, "embeddings.word_embeddings.weight", TINY_VOCAB, TINY_HIDDEN, 0, 0);
    add_tensor(&w, "embeddings.position_embeddings.weight", TINY_POSITIONS, TINY_HIDDEN, 0, 2);
    add_tensor(&w, "embeddings.token_type_embeddings.weight", 2, TINY_HIDDEN, 0, 2);
    add_tensor(&w, "embeddings.LayerNorm.weight", TINY_HIDDEN, 0, 1, 3);
    add_tensor(&w, "embeddings.LayerNorm.bias", TINY_HIDDEN, 0, 0, 3);
    for (int i = 0; i < TINY_LAYERS; i++) add_layer(&w, i);
    buf_char(&w.header, '}');
    for (size_t i = 0; i < 8; i++) buf_char(&all, (char)(w.header.n >> 8 * i & 0xFF));
    buf_str(&all, buf_view(&w.header));
    buf_str(&all, buf_view(&w.data));
    assert_true(buf_ok(&all) && buf_ok(&w.header) && buf_ok(&w.data));
    write_file(dir, "model.safetensors", buf_view(&all));
    buf_release(&all);
    buf_release(&w.header);
    buf_release(&w.data);
}

void tiny_model_write_with(char *dir, const char *offsets)
{
    assert_non_null(mkdtemp(dir));
    write_file(dir, "config.json", STR(config));
    write_file(dir, "vocab.txt", STR(vocab));
    write_weights(dir, offsets);
}

void tiny_model_write(char *dir)
{
    tiny_model_write_with(dir, NULL);
}

void tiny_model_damage(const char *dir, const char *file, long at, const char *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, at < 0 ? "wb" : "r+b");
    assert_non_null(f);
    if (at > 0) assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void tiny_model_remove(const char *dir)
{
    static const char *const names[] = {"config.json", "vocab.txt", "model.safetensors"};
    char path[256];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* --- computing ------------------------------------------------------------------------------ */

typedef double row[TINY_HIDDEN];

static double get(const tensor *t, size_t r, size_t c)
{
    float v;
    memcpy(&v, t->p + (r * t->cols + c) * sizeof v, sizeof v);
    return (double)v;
}

static void linear(const dense *d, const double *x, double *y)
{
    for (size_t o = 0; o < d->weight.rows; o++) {
        y[o] = get(&d->bias, 0, o);
        for (size_t k = 0; k < d->weight.cols; k++) y[o] += x[k] * get(&d->weight, o, k);
    }
}

static void normalize(double *x, const norm_tensors *p)
{
    double mean = 0, variance = 0;
    for (int i = 0; i < TINY_HIDDEN; i++) mean += x[i] / TINY_HIDDEN;
    for (int i = 0; i < TINY_HIDDEN; i++) variance += (x[i] - mean) * (x[i] - mean) / TINY_HIDDEN;
    for (size_t i = 0; i < TINY_HIDDEN; i++)
        x[i] = (x[i] - mean) / sqrt(variance + 1e-12) * get(&p->gamma, 0, i) + get(&p->beta, 0, i);
}

static void attend(const layer_tensors *l, const row *h, size_t n, size_t token, double *context)
{
    enum { HEAD = TINY_HIDDEN / TINY_HEADS };
    row q, k, v;
    linear(&l->query, h[token], q);
    memset(context, 0, sizeof(row));
    for (size_t head = 0; head < TINY_HIDDEN; head += HEAD) {
        double sum = 0;
        for (size_t t = 0; t < n; t++) {
            double score = 0;
            linear(&l->key, h[t], k);
            linear(&l->value, h[t], v);
            for (size_t i = head; i < head + HEAD; i++) score += q[i] * k[i] / sqrt(HEAD);
            sum += exp(score);
            for (size_t i = head; i < head + HEAD; i++) context[i] += exp(score) * v[i];
        }
        for (size_t i = head; i < head + HEAD; i++) context[i] /= sum;
    }
}

static void run_layer(const layer_tensors *l, row *h, size_t n)
{
    static row after[TINY_POSITIONS];
    for (size_t t = 0; t < n; t++) {
        row context, sub;
        double inner[TINY_INNER];
        attend(l, (const row *)h, n, t, context);
        linear(&l->attention_output, context, after[t]);
        for (size_t i = 0; i < TINY_HIDDEN; i++) after[t][i] += h[t][i];
        normalize(after[t], &l->attention_norm);
        linear(&l->intermediate, after[t], inner);
        for (size_t i = 0; i < TINY_INNER; i++) inner[i] *= 0.5 * (1 + erf(inner[i] / sqrt(2)));
        linear(&l->output, inner, sub);
        for (size_t i = 0; i < TINY_HIDDEN; i++) after[t][i] += sub[i];
        normalize(after[t], &l->output_norm);
    }
    memcpy(h, after, n * sizeof *h);
}

void tiny_model_reference(const model *m, const int32_t *ids, size_t n, double *out)
{
    static row h[TINY_POSITIONS];
    double norm = 0;
    assert_true(n <= TINY_POSITIONS && m->hidden == TINY_HIDDEN);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < TINY_HIDDEN; i++)
            h[t][i] =
                get(&m->words, (size_t)ids[t], i) + get(&m->positions, t, i) + get(&m->types, 0, i);
        normalize(h[t], &m->words_norm);
    }
    for (size_t l = 0; l < m->n_layers; l++) run_layer(&m->layers[l], h, n);
    memset(out, 0, sizeof(row));
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < TINY_HIDDEN; i++) out[i] += h[t][i] / (double)n;
    for (size_t i = 0; i < TINY_HIDDEN; i++) norm += out[i] * out[i];
    for (size_t i = 0; i < TINY_HIDDEN; i++) out[i] /= sqrt(norm);
}
