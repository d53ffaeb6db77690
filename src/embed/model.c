/* model.c - reads a model directory of the published layout.
 *
 * model_config.c says what kind of model it is, vocab.txt has the tokens, model.safetensors the
 * weights.  Nothing in the files is believed: every offset is checked against the map, every shape
 * against config.json (and every weight for being finite, when encoder.c packs it), so a damaged
 * file is an error that names it, never a crash.
 *
 * Left out: tensors of other types than F32, F16 and BF16, other activations than the erf form of
 * GELU, relative positions, weights in several files. */
#include "embed/model.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/sha256.h"
#include "embed/model_config.h"

enum { VOCAB_LIMIT = 64 << 20 };

static const char refetch[] = MODEL_REFETCH;

typedef struct reader {
    model *m;
    const char *prefix;
    err *e;
} reader;

static bool is_there(const model *m, const char *name)
{
    buf path = {0};
    buf_fmt(&path, "%s/%s", m->dir, name);
    const char *z = buf_cstr(&path);
    bool yes = z && access(z, F_OK) == 0;
    buf_release(&path);
    return yes;
}

static status in_dir(const model *m, const char *name, buf *path, err *e)
{
    buf_clear(path);
    buf_fmt(path, "%s/%s", m->dir, name);
    if (!buf_cstr(path)) return err_nomem(e, "opening the model");
    if (access(path->p, F_OK) == 0) return ST_OK;
    if (is_there(m, "config.json") && is_there(m, "vocab.txt") &&
        (is_there(m, "pytorch_model.bin") || is_there(m, "model.safetensors.index.json")))
        return err_set(e, ST_FAILED,
                       "%s: the weights are in another form than one model.safetensors; save the "
                       "model again with safetensors, in one file",
                       m->dir);
    return err_set(e, ST_FAILED,
                   "no model in %s (%s is not there): get it with `tamis model fetch`, or set "
                   "embed.model or TAMIS_MODEL_DIR to where it is",
                   m->dir, name);
}

/* --- vocab.txt ------------------------------------------------------------------------------ */

/* Uncased vocabularies hold no capital letter as a word. */
static bool is_cased(str vocab)
{
    return vocab.n >= 3 && memmem(vocab.p, vocab.n, "\nA\n", 3) != NULL;
}

static status read_vocab(model *m, buf *path, err *e)
{
    status st = in_dir(m, "vocab.txt", path, e);
    if (st == ST_OK) st = file_read(path->p, VOCAB_LIMIT, &m->vocab, e);
    if (st) return st;
    m->vocab_uncased = !is_cased(buf_view(&m->vocab));
    if (!m->case_known) m->tokens_as.uncased = m->vocab_uncased;
    return ST_OK;
}

status model_read_tokens(model *m, err *e)
{
    err why = {0};
    if (m->tokenizer) return ST_OK;
    status st = tokenizer_new(buf_view(&m->vocab), &m->tokens_as, &m->tokenizer, &why);
    if (st) return err_set(e, ST_FAILED, "%s/vocab.txt: %s; %s", m->dir, why.msg, refetch);
    size_t n = tokenizer_vocab_size(m->tokenizer);
    if (n <= m->n_vocab) {
        buf_release(&m->vocab);
        return ST_OK;
    }
    tokenizer_free(m->tokenizer);
    m->tokenizer = NULL;
    return err_set(e, ST_FAILED,
                   "%s/vocab.txt: %zu tokens, but config.json says vocab_size %zu; %s", m->dir, n,
                   m->n_vocab, refetch);
}

/* --- model.safetensors ---------------------------------------------------------------------- */

static status get_vector(reader *r, const char *name, const char *part, size_t n, tensor *out)
{
    char full[160];
    snprintf(full, sizeof full, "%s%s.%s", r->prefix, name, part);
    return safetensors_vector(&r->m->weights, full, n, out, r->e);
}

/* rows == 0: any number of rows, at least one. */
static status get_matrix(reader *r, const char *name, size_t rows, size_t cols, tensor *out)
{
    char full[160];
    snprintf(full, sizeof full, "%s%s.weight", r->prefix, name);
    return safetensors_matrix(&r->m->weights, full, rows, cols, out, r->e);
}

static status get_dense(reader *r, const char *name, size_t out_n, size_t in_n, dense *out)
{
    status st = get_matrix(r, name, out_n, in_n, &out->weight);
    return st ? st : get_vector(r, name, "bias", out_n, &out->bias);
}

/* Old files call the two gamma and beta. */
static status get_norm(reader *r, const char *name, norm_tensors *out)
{
    char gamma[160];
    snprintf(gamma, sizeof gamma, "%s%s.gamma", r->prefix, name);
    bool old = safetensors_has(&r->m->weights, gamma);
    status st = get_vector(r, name, old ? "gamma" : "weight", r->m->hidden, &out->gamma);
    return st ? st : get_vector(r, name, old ? "beta" : "bias", r->m->hidden, &out->beta);
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
    r->prefix =
        safetensors_has(&m->weights, "bert.embeddings.word_embeddings.weight") ? "bert." : "";
    status st = get_matrix(r, "embeddings.word_embeddings", m->n_vocab, m->hidden, &m->words);
    if (st == ST_OK)
        st = get_matrix(r, "embeddings.position_embeddings", m->n_positions, m->hidden,
                        &m->positions);
    if (st == ST_OK)
        st = get_matrix(r, "embeddings.token_type_embeddings", 0, m->hidden, &m->types);
    if (st == ST_OK) st = get_norm(r, "embeddings.LayerNorm", &m->words_norm);
    for (size_t i = 0; st == ST_OK && i < m->n_layers; i++) st = get_layer(r, i, &m->layers[i]);
    return st;
}

static status read_weights(model *m, buf *path, err *e)
{
    err why = {0};
    reader r = {.m = m, .e = &why};
    status st = in_dir(m, "model.safetensors", path, e);
    if (st) return st;
    st = safetensors_open(&m->weights, path->p, &why);
    if (st == ST_OK) st = get_tensors(&r);
    safetensors_forget(&m->weights);
    return st ? err_set(e, st, "%s; %s", why.msg, refetch) : ST_OK;
}

/* --- public --------------------------------------------------------------------------------- */

static status open_model(const char *dir, bool tokens, model **out, err *e)
{
    buf path = {0};
    *out = NULL;
    model *m = calloc(1, sizeof *m);
    if (!m) return err_nomem(e, "opening the model");
    m->dir = strdup(dir);
    status st = m->dir ? ST_OK : err_nomem(e, "opening the model");
    if (st == ST_OK) st = in_dir(m, "config.json", &path, e);
    if (st == ST_OK) st = model_config_read(m, e);
    if (st == ST_OK) st = read_vocab(m, &path, e);
    if (st == ST_OK && tokens) st = model_read_tokens(m, e);
    if (st == ST_OK) st = read_weights(m, &path, e);
    buf_release(&path);
    if (st) {
        model_free(m);
        return st;
    }
    *out = m;
    return ST_OK;
}

status model_open(const char *dir, model **out, err *e)
{
    return open_model(dir, true, out, e);
}

status model_look(const char *dir, model **out, err *e)
{
    return open_model(dir, false, out, e);
}

void model_free(model *m)
{
    if (!m) return;
    safetensors_release(&m->weights);
    tokenizer_free(m->tokenizer);
    buf_release(&m->vocab);
    free(m->dir);
    free(m);
}

size_t model_dim(const model *m)
{
    return m->hidden;
}

size_t model_max_tokens(const model *m)
{
    return m->max_tokens;
}

const tokenizer *model_tokenizer(const model *m)
{
    return m->tokenizer;
}

void model_settings(const model *m, buf *out)
{
    enum { USUAL = 256 };
    size_t usual = m->n_positions < USUAL ? m->n_positions : USUAL;
    if (m->pooling != POOLING_MEAN) buf_z(out, "pooling=cls ");
    if (m->max_tokens != usual) buf_fmt(out, "tokens=%zu ", m->max_tokens);
    if (m->case_known && m->tokens_as.uncased != m->vocab_uncased)
        buf_fmt(out, "uncased=%d ", m->tokens_as.uncased);
    if (m->tokens_as.keeps_accents) buf_z(out, "accents=kept ");
    if (!m->tokens_as.spaces_ideographs) buf_z(out, "ideographs=letters ");
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
    buf_clear(&path);
    model_settings(m, &path);
    if (buf_ok(&path))
        sha256_add(&all, path.p, path.n);
    else if (st == ST_OK)
        st = err_nomem(e, "opening the model");
    unsigned char digest[SHA256_SIZE];
    sha256_end(&all, digest);
    sha256_hex(digest, out);
    buf_release(&path);
    return st;
}
