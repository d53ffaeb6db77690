/* encoder.c - the model, top to bottom, in the canonical arithmetic.
 *
 * The vector of a text is one fixed sequence of IEEE float32 operations, whatever the tile, the
 * company, the thread or the instruction set:
 *
 *   words      h = normalize(word[id] + (position[p] + type[0]))
 *   attention  q, k, v = linear(h); the rows and biases of q are scaled by 1/sqrt(head) when packed
 *              s = linear(q, k), from 0;  e = exp(s - max s);
 *              context = linear(e, v), from 0, over the keys in order; times 1 / sum e
 *              h = normalize(linear(context) + h)
 *   forward    h = normalize(linear(gelu(linear(h))) + h)
 *   pooling    the sum over the tokens in order, or the first one (CLS), scaled to unit length
 *              (the mean points the same way as the sum)
 *
 * linear is one chain of fused multiply-adds for each output, k ascending, that starts at the
 * bias (base/gemm.h); a sum over a row is 16 strided partial sums and a fixed tree (kernels.h).
 *
 * A tile is a few sequences one after the other, without padding: what is the same for all
 * tokens runs over the tile, attention over each sequence.  It stays in the second cache while
 * the weights pass by once for it. */
#include "embed/encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct packed {
    float *weight; /* [n / 16][k][16] */
    float *bias;   /* [n] */
    size_t k, n;
} packed;

typedef struct packed_layer {
    packed qkv; /* hidden -> 3 hidden: q, k, v one behind the other */
    packed attention_output, intermediate, output;
    layer_norm attention_norm, output_norm;
} packed_layer;

struct encoder {
    const model *m;
    const kernels *k;
    gemm_fn gemm;
    float *memory;    /* all below lies in it */
    float *positions; /* [max tokens, hidden] position and type together */
    layer_norm words_norm;
    packed_layer layers[MODEL_LAYERS_MAX];
};

struct encoder_scratch {
    float *memory;
    float *hidden;  /* [tokens, hidden] */
    float *qkv;     /* [tokens, 3 hidden] */
    float *context; /* [tokens, hidden] */
    float *inner;   /* [tokens, inner] */
    float *sub;     /* [tokens, hidden] what a block adds to hidden */
    float *scores;  /* [max tokens, max tokens rounded up to 16] */
    float *keys;    /* one head of one sequence, packed */
    float *values;
};

static size_t round_up(size_t n)
{
    return (n + KERNEL_LANES - 1) / KERNEL_LANES * KERNEL_LANES;
}

/* --- packing -------------------------------------------------------------------------------- */

/* Hands out pieces of one block of memory: a first round measures (at NULL), a second gives. */
typedef struct carver {
    float *at;
    size_t used;
} carver;

static float *carve(carver *c, size_t n)
{
    float *p = c->at ? c->at + c->used : NULL;
    c->used += round_up(n); /* pieces begin on cache lines */
    return p;
}

static void carve_packed(carver *c, packed *p, size_t k, size_t n)
{
    *p = (packed){.weight = carve(c, k * n), .bias = carve(c, n), .k = k, .n = n};
}

static void carve_norm(carver *c, layer_norm *p, const model *m)
{
    p->gamma = carve(c, m->hidden);
    p->beta = carve(c, m->hidden);
    p->n = m->hidden;
    p->eps = m->norm_eps;
}

static void carve_encoder(carver *c, encoder *en)
{
    const model *m = en->m;
    const size_t h = m->hidden;
    en->positions = carve(c, model_max_tokens(m) * h);
    carve_norm(c, &en->words_norm, m);
    for (size_t i = 0; i < m->n_layers; i++) {
        packed_layer *l = &en->layers[i];
        carve_packed(c, &l->qkv, h, 3 * h);
        carve_packed(c, &l->attention_output, h, h);
        carve_packed(c, &l->intermediate, h, m->inner);
        carve_packed(c, &l->output, m->inner, h);
        carve_norm(c, &l->attention_norm, m);
        carve_norm(c, &l->output_norm, m);
    }
}

static float *carve_scratch(carver *c, encoder_scratch *s, const model *m)
{
    const size_t longest = model_max_tokens(m), head = m->hidden / m->n_heads;
    const size_t tokens = longest > ENCODER_TILE ? longest : ENCODER_TILE;
    s->hidden = carve(c, tokens * m->hidden);
    s->qkv = carve(c, tokens * 3 * m->hidden);
    s->context = carve(c, tokens * m->hidden);
    s->inner = carve(c, tokens * m->inner);
    s->sub = carve(c, tokens * m->hidden);
    s->scores = carve(c, longest * round_up(longest));
    s->keys = carve(c, round_up(longest) * head);
    s->values = carve(c, round_up(longest) * head);
    return s->hidden;
}

static float *new_floats(size_t n)
{
    void *p = NULL;
    return posix_memalign(&p, 64, n * sizeof(float)) ? NULL : p;
}

static float get(const tensor *t, size_t row, size_t col)
{
    float v;
    memcpy(&v, t->p + (row * t->cols + col) * sizeof v, sizeof v);
    return v;
}

/* Puts the outputs of `d` at columns from `column` on, each weight times `scale`. */
static bool pack_dense(packed *p, size_t column, const dense *d, float scale)
{
    bool finite = true;
    for (size_t o = 0; o < d->weight.rows; o++) {
        size_t at = column + o;
        float *panel = p->weight + at / KERNEL_LANES * p->k * KERNEL_LANES + at % KERNEL_LANES;
        for (size_t k = 0; k < p->k; k++) panel[k * KERNEL_LANES] = get(&d->weight, o, k) * scale;
        for (size_t k = 0; k < p->k; k++) finite = finite && isfinite(panel[k * KERNEL_LANES]);
        p->bias[at] = get(&d->bias, 0, o) * scale;
        finite = finite && isfinite(p->bias[at]);
    }
    return finite;
}

static bool pack_norm(const layer_norm *p, const norm_tensors *t)
{
    bool finite = true;
    memcpy((float *)p->gamma, t->gamma.p, p->n * sizeof(float));
    memcpy((float *)p->beta, t->beta.p, p->n * sizeof(float));
    for (size_t i = 0; i < p->n; i++) finite = finite && isfinite(p->gamma[i] + p->beta[i]);
    return finite;
}

static bool pack_layer(packed_layer *l, const layer_tensors *t, const model *m)
{
    const float scale = 1.0f / sqrtf((float)(m->hidden / m->n_heads));
    bool finite = pack_dense(&l->qkv, 0, &t->query, scale);
    finite = pack_dense(&l->qkv, m->hidden, &t->key, 1.0f) && finite;
    finite = pack_dense(&l->qkv, 2 * m->hidden, &t->value, 1.0f) && finite;
    finite = pack_dense(&l->attention_output, 0, &t->attention_output, 1.0f) && finite;
    finite = pack_dense(&l->intermediate, 0, &t->intermediate, 1.0f) && finite;
    finite = pack_dense(&l->output, 0, &t->output, 1.0f) && finite;
    finite = pack_norm(&l->attention_norm, &t->attention_norm) && finite;
    return pack_norm(&l->output_norm, &t->output_norm) && finite;
}

static void pack_positions(encoder *en)
{
    const model *m = en->m;
    size_t n = model_max_tokens(m) * m->hidden;
    memcpy(en->positions, m->positions.p, n * sizeof(float));
    for (size_t i = 0; i < n; i++) en->positions[i] += get(&m->types, 0, i % m->hidden);
}

static status pack(encoder *en, err *e)
{
    const model *m = en->m;
    bool finite = pack_norm(&en->words_norm, &m->words_norm);
    pack_positions(en);
    for (size_t i = 0; finite && i < m->n_layers; i++) {
        finite = pack_layer(&en->layers[i], &m->layers[i], m);
        file_map_cool(&m->weights.map); /* what is packed is not needed there as well */
    }
    if (finite) return ST_OK;
    return err_set(e, ST_FAILED, "%s/model.safetensors holds a weight that is not finite; %s",
                   m->dir, MODEL_REFETCH);
}

status encoder_new(const model *m, isa i, encoder **out, err *e)
{
    carver c = {0};
    *out = NULL;
    encoder *en = calloc(1, sizeof *en);
    if (!en) return err_nomem(e, "loading the model");
    en->m = m;
    en->k = kernels_for(i);
    en->gemm = gemm_for(i);
    carve_encoder(&c, en);
    en->memory = c.at = new_floats(c.used);
    c.used = 0;
    status st = ST_OK;
    if (en->memory) {
        carve_encoder(&c, en);
        st = pack(en, e);
    } else {
        st = err_nomem(e, "loading the model");
    }
    if (st) {
        encoder_free(en);
        return st;
    }
    *out = en;
    return ST_OK;
}

void encoder_free(encoder *en)
{
    if (!en) return;
    free(en->memory);
    free(en);
}

encoder_scratch *encoder_scratch_new(const encoder *en)
{
    carver c = {0};
    encoder_scratch *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    carve_scratch(&c, s, en->m);
    s->memory = c.at = new_floats(c.used);
    c.used = 0;
    if (!s->memory || !carve_scratch(&c, s, en->m)) {
        free(s);
        return NULL;
    }
    return s;
}

void encoder_scratch_free(encoder_scratch *s)
{
    if (!s) return;
    free(s->memory);
    free(s);
}

/* --- the way of a tile ---------------------------------------------------------------------- */

static void apply(const encoder *en, const packed *p, const float *x, size_t m, float *y)
{
    en->gemm(&(gemm_job){.x = x,
                         .ldx = p->k,
                         .m = m,
                         .k = p->k,
                         .w = p->weight,
                         .start = p->bias,
                         .y = y,
                         .ldy = p->n,
                         .n = p->n});
}

static void normalize_rows(const encoder *en, float *x, const float *more, const layer_norm *p,
                           size_t m)
{
    for (size_t i = 0; i < m; i++) en->k->normalize(x + i * p->n, more ? more + i * p->n : NULL, p);
}

static void embed_words(const encoder *en, const sequence *q, float *hidden)
{
    const size_t h = en->m->hidden;
    for (size_t t = 0; t < q->n; t++) {
        float *row = hidden + t * h;
        memcpy(row, en->m->words.p + (size_t)q->ids[t] * h * sizeof *row, h * sizeof *row);
        for (size_t i = 0; i < h; i++) row[i] += en->positions[t * h + i];
    }
}

/* keys: [n / 16][head][16], zeros behind the last; values: [head / 16][n][16]. */
static void pack_head(const float *k, const float *v, size_t n, const encoder *en,
                      encoder_scratch *s)
{
    const size_t h = en->m->hidden, head = h / en->m->n_heads;
    memset(s->keys, 0, round_up(n) * head * sizeof *s->keys);
    for (size_t t = 0; t < n; t++, k += 3 * h, v += 3 * h) {
        float *key = s->keys + t / KERNEL_LANES * head * KERNEL_LANES + t % KERNEL_LANES;
        for (size_t i = 0; i < head; i++) key[i * KERNEL_LANES] = k[i];
        for (size_t i = 0; i < head; i += KERNEL_LANES)
            memcpy(s->values + i * n + t * KERNEL_LANES, v + i, KERNEL_LANES * sizeof *v);
    }
}

/* One head of one sequence: qkv and context point at its first token and column. */
static void attend(const encoder *en, encoder_scratch *s, const float *qkv, size_t n,
                   float *context)
{
    const size_t h = en->m->hidden, head = h / en->m->n_heads, ld = round_up(n);
    pack_head(qkv + h, qkv + 2 * h, n, en, s);
    en->gemm(&(gemm_job){.x = qkv,
                         .ldx = 3 * h,
                         .m = n,
                         .k = head,
                         .w = s->keys,
                         .y = s->scores,
                         .ldy = ld,
                         .n = ld});
    float scale[MODEL_TOKENS];
    for (size_t t = 0; t < n; t++) scale[t] = en->k->softmax(s->scores + t * ld, n);
    en->gemm(&(gemm_job){.x = s->scores,
                         .ldx = ld,
                         .m = n,
                         .k = n,
                         .w = s->values,
                         .y = context,
                         .ldy = h,
                         .n = head});
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < head; i++) context[t * h + i] *= scale[t];
}

static void run_layer(const encoder *en, const packed_layer *l, encoder_scratch *s,
                      const sequence *sequences, size_t n_sequences, size_t tokens)
{
    const size_t h = en->m->hidden, head = h / en->m->n_heads;
    apply(en, &l->qkv, s->hidden, tokens, s->qkv);
    for (size_t q = 0, t = 0; q < n_sequences; t += sequences[q++].n)
        for (size_t column = 0; column < h; column += head)
            attend(en, s, s->qkv + t * 3 * h + column, sequences[q].n, s->context + t * h + column);
    apply(en, &l->attention_output, s->context, tokens, s->sub);
    normalize_rows(en, s->hidden, s->sub, &l->attention_norm, tokens);
    apply(en, &l->intermediate, s->hidden, tokens, s->inner);
    en->k->gelu(s->inner, tokens * en->m->inner);
    apply(en, &l->output, s->inner, tokens, s->sub);
    normalize_rows(en, s->hidden, s->sub, &l->output_norm, tokens);
}

/* False: not finite, or of no length. */
static bool pool_sequence(const encoder *en, const float *hidden, const sequence *q)
{
    const size_t h = en->m->hidden;
    const size_t n = en->m->pooling == POOLING_CLS ? 1 : q->n;
    memcpy(q->out, hidden, h * sizeof *hidden);
    for (size_t t = 1; t < n; t++)
        for (size_t i = 0; i < h; i++) q->out[i] += hidden[t * h + i];
    float squares = en->k->sum_squares(q->out, h);
    if (!(squares > 0.0f) || !isfinite(squares)) return false;
    float scale = 1.0f / sqrtf(squares);
    for (size_t i = 0; i < h; i++) q->out[i] *= scale;
    return true;
}

bool encoder_run(const encoder *en, encoder_scratch *s, const sequence *sequences, size_t n)
{
    const size_t h = en->m->hidden;
    size_t tokens = 0;
    bool finite = true;
    for (size_t q = 0; q < n; tokens += sequences[q++].n)
        embed_words(en, &sequences[q], s->hidden + tokens * h);
    normalize_rows(en, s->hidden, NULL, &en->words_norm, tokens);
    for (size_t i = 0; i < en->m->n_layers; i++)
        run_layer(en, &en->layers[i], s, sequences, n, tokens);
    for (size_t q = 0, t = 0; q < n; t += sequences[q++].n)
        finite = pool_sequence(en, s->hidden + t * h, &sequences[q]) && finite;
    return finite;
}
