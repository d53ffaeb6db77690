/* model.c - reads a model directory of the published layout.
 *
 * config.json says the shape, vocab.txt the tokens, model.safetensors the weights: 8 bytes
 * with the length of a JSON header (little-endian), the header, the data; the header gives each
 * tensor's type, shape and [from, to) within the data (huggingface.co/docs/safetensors).
 * Nothing in the files is believed: every offset is checked against the map, every shape
 * against config.json (and every weight for being finite, when encoder.c packs it), so a damaged
 * file is an error that names it, never a crash.
 *
 * Left out: tensors of other types than float32, other activations than the erf form of GELU,
 * relative positions. */
#include "embed/model.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/sha256.h"

enum {
    CONFIG_LIMIT = 1 << 20,
    VOCAB_LIMIT = 64 << 20,
    HEADER_LIMIT = 16 << 20,
    DIM_MAX = 4096,
    GRAIN = 16 /* kernels work on this many columns */
};

static const char refetch[] = MODEL_REFETCH;

typedef struct reader {
    model *m;
    js *header;
    str data; /* behind the header */
    const char *prefix;
    err *e;
} reader;

/* --- config.json ---------------------------------------------------------------------------- */

static status bad_config(const model *m, err *e, const char *what)
{
    return err_set(e, ST_FAILED, "%s/config.json: %s; %s", m->dir, what, refetch);
}

/* A whole number from 1 to `most`; 0 if it is not one. */
static size_t whole(const js *j, const char *key, size_t most)
{
    double v = js_number(js_get(j, key), 0);
    return v >= 1 && v <= (double)most && v == floor(v) ? (size_t)v : 0;
}

static bool says(const js *j, const char *key, const char *wanted)
{
    const js *value = js_get(j, key);
    return !value || str_eq(js_string(value), str_from(wanted));
}

static status check_config(model *m, const js *c, err *e)
{
    double eps = js_number(js_get(c, "layer_norm_eps"), 1e-12);
    m->hidden = whole(c, "hidden_size", DIM_MAX);
    m->n_layers = whole(c, "num_hidden_layers", MODEL_LAYERS_MAX);
    m->n_heads = whole(c, "num_attention_heads", DIM_MAX);
    m->inner = whole(c, "intermediate_size", 16 * DIM_MAX);
    m->n_vocab = whole(c, "vocab_size", INT32_MAX);
    m->n_positions = whole(c, "max_position_embeddings", INT32_MAX);
    m->norm_eps = (float)eps;
    if (!m->hidden || !m->n_layers || !m->n_heads || !m->inner || !m->n_vocab || !m->n_positions)
        return bad_config(m, e,
                          "a size (hidden_size, num_hidden_layers, num_attention_heads, "
                          "intermediate_size, vocab_size, max_position_embeddings) is missing or "
                          "out of range");
    if (!(eps > 0 && eps < 1)) return bad_config(m, e, "layer_norm_eps is not between 0 and 1");
    if (!says(c, "model_type", "bert")) return bad_config(m, e, "model_type is not \"bert\"");
    if (!says(c, "hidden_act", "gelu")) return bad_config(m, e, "hidden_act is not \"gelu\"");
    if (!says(c, "position_embedding_type", "absolute"))
        return bad_config(m, e, "position_embedding_type is not \"absolute\"");
    if (m->hidden % m->n_heads || m->hidden / m->n_heads % GRAIN || m->inner % GRAIN)
        return bad_config(m, e,
                          "the size of a head (hidden_size / num_attention_heads) and "
                          "intermediate_size must be multiples of 16");
    return m->n_positions < 2 ? bad_config(m, e, "max_position_embeddings is below 2") : ST_OK;
}

static status in_dir(const model *m, const char *name, buf *path, err *e)
{
    buf_clear(path);
    buf_fmt(path, "%s/%s", m->dir, name);
    if (!buf_cstr(path)) return err_nomem(e, "opening the model");
    if (access(path->p, F_OK) == 0) return ST_OK;
    return err_set(e, ST_FAILED,
                   "no model in %s (%s is not there): get it with `tamis model fetch`, or set "
                   "embed.model or TAMIS_MODEL_DIR to where it is",
                   m->dir, name);
}

static status read_config(model *m, buf *path, err *e)
{
    buf text = {0};
    js *c = NULL;
    err why = {0};
    status st = in_dir(m, "config.json", path, e);
    if (st == ST_OK) st = file_read(path->p, CONFIG_LIMIT, &text, e);
    if (st) goto done;
    if (js_parse(buf_view(&text), &c, &why) || js_type(c) != JS_OBJECT)
        st = err_set(e, ST_FAILED, "%s: not a JSON object%s%s; %s", path->p, *why.msg ? ": " : "",
                     why.msg, refetch);
    else
        st = check_config(m, c, e);
done:
    js_free(c);
    buf_release(&text);
    return st;
}

/* --- vocab.txt ------------------------------------------------------------------------------ */

/* Uncased vocabularies hold no capital letter as a word. */
static bool is_cased(str vocab)
{
    return vocab.n >= 3 && memmem(vocab.p, vocab.n, "\nA\n", 3) != NULL;
}

static status read_vocab(model *m, buf *path, err *e)
{
    buf text = {0};
    err why = {0};
    status st = in_dir(m, "vocab.txt", path, e);
    if (st == ST_OK) st = file_read(path->p, VOCAB_LIMIT, &text, e);
    if (st) goto done;
    st = tokenizer_new(buf_view(&text), &(tokenizer_options){!is_cased(buf_view(&text)), true},
                       &m->tokenizer, &why);
    if (st) {
        st = err_set(e, ST_FAILED, "%s: %s; %s", path->p, why.msg, refetch);
        goto done;
    }
    size_t n = tokenizer_vocab_size(m->tokenizer);
    if (n > m->n_vocab)
        st = err_set(e, ST_FAILED, "%s: %zu tokens, but config.json says vocab_size %zu; %s",
                     path->p, n, m->n_vocab, refetch);
done:
    buf_release(&text);
    return st;
}

/* --- model.safetensors ---------------------------------------------------------------------- */

static status bad_tensor(const reader *r, const char *name, const char *what)
{
    return err_set(r->e, ST_FAILED, "%s/model.safetensors: tensor %s %s; %s", r->m->dir, name, what,
                   refetch);
}

/* rows == 0: any number of rows, at least one. */
static status get_tensor(reader *r, const char *name, size_t rows, size_t cols, bool is_vector,
                         tensor *out)
{
    char full[160];
    snprintf(full, sizeof full, "%s%s", r->prefix, name);
    const js *t = js_get(r->header, full);
    if (js_type(t) != JS_OBJECT) return bad_tensor(r, full, "is missing");
    if (!str_eq(js_string(js_get(t, "dtype")), STR("F32")))
        return bad_tensor(r, full, "is not of type F32");
    const js *shape = js_get(t, "shape"), *offsets = js_get(t, "data_offsets");
    double from = js_number(js_at(offsets, 0), -1), to = js_number(js_at(offsets, 1), -1);
    double n_rows = is_vector ? 1 : js_number(js_at(shape, 0), 0);
    double n_cols = js_number(js_at(shape, is_vector ? 0 : 1), 0);
    if (js_size(shape) != (is_vector ? 1U : 2U) || n_cols != (double)cols || n_rows < 1 ||
        n_rows > INT32_MAX || n_rows != floor(n_rows) || (rows && n_rows != (double)rows))
        return bad_tensor(r, full, "has not the shape that config.json asks for");
    size_t n = (size_t)n_rows * cols;
    if (!(from >= 0) || from != floor(from) || to > (double)r->data.n ||
        to - from != (double)n * sizeof(float))
        return bad_tensor(r, full, "does not lie within the file (is it cut short?)");
    *out = (tensor){r->data.p + (size_t)from, (size_t)n_rows, cols};
    return ST_OK;
}

static status get_vector(reader *r, const char *name, size_t n, tensor *out)
{
    return get_tensor(r, name, 1, n, true, out);
}

static status get_dense(reader *r, const char *name, size_t out_n, size_t in_n, dense *out)
{
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    status st = get_tensor(r, full, out_n, in_n, false, &out->weight);
    snprintf(full, sizeof full, "%s.bias", name);
    return st ? st : get_vector(r, full, out_n, &out->bias);
}

static status get_norm(reader *r, const char *name, norm_tensors *out)
{
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    status st = get_vector(r, full, r->m->hidden, &out->gamma);
    snprintf(full, sizeof full, "%s.bias", name);
    return st ? st : get_vector(r, full, r->m->hidden, &out->beta);
}

static status get_layer(reader *r, size_t number, layer_tensors *l)
{
    const size_t h = r->m->hidden, inner = r->m->inner;
    struct {
        const char *name;
        dense *out;
        size_t n_out, n_in;
    } parts[] = {{"attention.self.query", &l->query, h, h},
                 {"attention.self.key", &l->key, h, h},
                 {"attention.self.value", &l->value, h, h},
                 {"attention.output.dense", &l->attention_output, h, h},
                 {"intermediate.dense", &l->intermediate, inner, h},
                 {"output.dense", &l->output, h, inner}};
    char name[96];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(name, sizeof name, "encoder.layer.%zu.%s", number, parts[i].name);
        status st = get_dense(r, name, parts[i].n_out, parts[i].n_in, parts[i].out);
        if (st) return st;
    }
    snprintf(name, sizeof name, "encoder.layer.%zu.attention.output.LayerNorm", number);
    status st = get_norm(r, name, &l->attention_norm);
    snprintf(name, sizeof name, "encoder.layer.%zu.output.LayerNorm", number);
    return st ? st : get_norm(r, name, &l->output_norm);
}

static status get_tensors(reader *r)
{
    model *m = r->m;
    r->prefix = js_get(r->header, "bert.embeddings.word_embeddings.weight") ? "bert." : "";
    status st =
        get_tensor(r, "embeddings.word_embeddings.weight", m->n_vocab, m->hidden, false, &m->words);
    if (st == ST_OK)
        st = get_tensor(r, "embeddings.position_embeddings.weight", m->n_positions, m->hidden,
                        false, &m->positions);
    if (st == ST_OK)
        st = get_tensor(r, "embeddings.token_type_embeddings.weight", 0, m->hidden, false,
                        &m->types);
    if (st == ST_OK) st = get_norm(r, "embeddings.LayerNorm", &m->words_norm);
    for (size_t i = 0; st == ST_OK && i < m->n_layers; i++) st = get_layer(r, i, &m->layers[i]);
    return st;
}

static status read_weights(model *m, buf *path, err *e)
{
    reader r = {.m = m, .e = e};
    err why = {0};
    unsigned char length[8];
    uint64_t n = 0;
    status st = in_dir(m, "model.safetensors", path, e);
    if (st == ST_OK) st = file_map_open(path->p, &m->map, e);
    if (st) return st;
    str all = m->map.bytes;
    if (all.n >= sizeof length) memcpy(length, all.p, sizeof length);
    for (size_t i = sizeof length; all.n >= sizeof length && i--;) n = n << 8 | length[i];
    if (all.n < sizeof length || !n || n > HEADER_LIMIT || n > all.n - sizeof length)
        return err_set(e, ST_FAILED, "%s: no safetensors header within its %zu bytes; %s", path->p,
                       all.n, refetch);
    r.data = (str){all.p + sizeof length + n, all.n - sizeof length - (size_t)n};
    if (js_parse((str){all.p + sizeof length, (size_t)n}, &r.header, &why) ||
        js_type(r.header) != JS_OBJECT)
        st = err_set(e, ST_FAILED, "%s: its header is not a JSON object%s%s; %s", path->p,
                     *why.msg ? ": " : "", why.msg, refetch);
    else
        st = get_tensors(&r);
    js_free(r.header);
    return st;
}

/* --- public --------------------------------------------------------------------------------- */

status model_open(const char *dir, model **out, err *e)
{
    buf path = {0};
    *out = NULL;
    model *m = calloc(1, sizeof *m);
    status st = ST_OK;
    if (m) m->dir = strdup(dir);
    if (!m || !m->dir) st = err_nomem(e, "opening the model");
    if (st == ST_OK) st = read_config(m, &path, e);
    if (st == ST_OK) st = read_vocab(m, &path, e);
    if (st == ST_OK) st = read_weights(m, &path, e);
    buf_release(&path);
    if (st) {
        model_free(m);
        return st;
    }
    *out = m;
    return ST_OK;
}

void model_free(model *m)
{
    if (!m) return;
    file_unmap(&m->map);
    tokenizer_free(m->tokenizer);
    free(m->dir);
    free(m);
}

size_t model_dim(const model *m)
{
    return m->hidden;
}

size_t model_max_tokens(const model *m)
{
    return m->n_positions < MODEL_TOKENS ? m->n_positions : MODEL_TOKENS;
}

const tokenizer *model_tokenizer(const model *m)
{
    return m->tokenizer;
}

status model_fingerprint(const model *m, char out[SHA256_HEX], err *e)
{
    static const char *const names[] = {"config.json", "vocab.txt", "model.safetensors"};
    buf path = {0};
    sha256 all;
    status st = ST_OK;
    sha256_init(&all);
    for (size_t i = 0; st == ST_OK && i < sizeof names / sizeof *names; i++) {
        char one[SHA256_HEX];
        st = in_dir(m, names[i], &path, e);
        if (st == ST_OK) st = file_sha256(path.p, one, e);
        if (st == ST_OK) sha256_add(&all, one, SHA256_HEX - 1);
    }
    unsigned char digest[SHA256_SIZE];
    sha256_end(&all, digest);
    sha256_hex(digest, out);
    buf_release(&path);
    return st;
}
