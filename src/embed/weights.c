/* weights.c - packs the weights of a model for the matrix product.
 *
 * An item of work is a panel: 16 outputs, whose rows in the file become columns.  The memory of
 * the map is let go of after each layer, so that the weights are not there twice. */
#include "embed/weights.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/large.h"

/* --- memory --------------------------------------------------------------------------------- */

float *carve(carver *c, size_t n)
{
    float *p = c->at ? c->at + c->used : NULL;
    c->used += (n + KERNEL_LANES - 1) / KERNEL_LANES * KERNEL_LANES;
    return p;
}

float *new_floats(size_t n)
{
    return alloc_large(n, sizeof(float));
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

static void carve_weights(carver *c, weights *w)
{
    const model *m = w->m;
    const size_t h = m->hidden;
    w->positions = carve(c, model_max_tokens(m) * h);
    carve_norm(c, &w->words_norm, m);
    for (size_t i = 0; i < m->n_layers; i++) {
        packed_layer *l = &w->layers[i];
        carve_packed(c, &l->qkv, h, 3 * h);
        carve_packed(c, &l->attention_output, h, h);
        carve_packed(c, &l->intermediate, h, m->inner);
        carve_packed(c, &l->output, m->inner, h);
        carve_norm(c, &l->attention_norm, m);
        carve_norm(c, &l->output_norm, m);
    }
}

/* --- packing -------------------------------------------------------------------------------- */

/* 16 outputs of `from`, from row `row` on, each times `scale`, become the panel of `to` at column
 * `column`.  False: one of them is not finite. */
typedef struct panel {
    const dense *from;
    size_t row;
    const packed *to;
    size_t column;
    size_t part; /* k is cut in parts of so many */
    float scale;
} panel;

static bool pack_panel(const panel *p)
{
    enum { N = KERNEL_LANES };
    const size_t n_k = p->to->k;
    uint32_t most = 0; /* the largest bits without the sign: beyond all others if not finite */
    for (size_t part = 0; part < n_k; part += p->part) {
        size_t k_part = n_k - part < p->part ? n_k - part : p->part;
        float *to = p->to->weight + part * p->to->n + p->column * k_part;
        for (size_t k = 0; k < k_part; k += N, to += N * N)
            for (size_t o = 0; o < N; o++) {
                float v[N];
                uint32_t bits[N];
                memcpy(v, p->from->weight.p + ((p->row + o) * n_k + part + k) * sizeof *v,
                       sizeof v);
                memcpy(bits, v, sizeof v);
                for (size_t i = 0; i < N; i++) {
                    uint32_t b = bits[i] & 0x7fffffffU;
                    most = b > most ? b : most;
                    to[i * N + o] = v[i] * p->scale;
                }
            }
    }
    float bias[N];
    memcpy(bias, p->from->bias.p + p->row * sizeof *bias, sizeof bias);
    bool finite = most < 0x7f800000U;
    for (size_t o = 0; o < N; o++) {
        p->to->bias[p->column + o] = bias[o] * p->scale;
        finite = finite && isfinite(bias[o]);
    }
    return finite;
}

typedef struct packing {
    weights *w;
    size_t layer;
    atomic_bool bad;
} packing;

/* Where head number `head` of q (0), k (1) or v (2) stands among the columns of qkv. */
static size_t column_of(const weights *w, size_t which, size_t head)
{
    const size_t n_heads = w->m->n_heads, width = w->m->hidden / n_heads;
    size_t first = head / w->group * w->group; /* of its group */
    size_t in_group = n_heads - first < w->group ? n_heads - first : w->group;
    return (3 * first + which * in_group + head - first) * width;
}

/* Panel `i` of a layer, counted through its matrices. */
static panel layer_panel(const weights *w, size_t layer, size_t i)
{
    const layer_tensors *t = &w->m->layers[layer];
    const packed_layer *l = &w->layers[layer];
    const size_t h = w->m->hidden, width = h / w->m->n_heads;
    size_t row = i * KERNEL_LANES;
    panel p = {.part = SIZE_MAX, .scale = 1.0f};
    if (row < 3 * h) {
        const dense *qkv[] = {&t->query, &t->key, &t->value};
        size_t which = row / h, at = row % h;
        p.from = qkv[which];
        p.row = at;
        p.to = &l->qkv;
        p.column = column_of(w, which, at / width) + at % width;
        if (which == 0) p.scale = 1.0f / sqrtf((float)width);
        return p;
    }
    row -= 3 * h;
    if (row < h) {
        p.from = &t->attention_output;
        p.to = &l->attention_output;
    } else if (row - h < w->m->inner) {
        row -= h;
        p.from = &t->intermediate;
        p.to = &l->intermediate;
    } else {
        row -= h + w->m->inner;
        p.from = &t->output;
        p.to = &l->output;
        p.part = WEIGHTS_PART;
    }
    p.row = p.column = row;
    return p;
}

static void pack_item(void *ctx, size_t item, int worker)
{
    packing *p = ctx;
    (void)worker;
    panel one = layer_panel(p->w, p->layer, item);
    if (!pack_panel(&one)) atomic_store(&p->bad, true);
}

static bool pack_norm(const layer_norm *p, const norm_tensors *t)
{
    bool finite = true;
    memcpy((float *)p->gamma, t->gamma.p, p->n * sizeof(float));
    memcpy((float *)p->beta, t->beta.p, p->n * sizeof(float));
    for (size_t i = 0; i < p->n; i++) finite = finite && isfinite(p->gamma[i] + p->beta[i]);
    return finite;
}

static void pack_positions(weights *w)
{
    const size_t h = w->m->hidden, n = model_max_tokens(w->m) * h;
    memcpy(w->positions, w->m->positions.p, n * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        float type;
        memcpy(&type, w->m->types.p + i % h * sizeof type, sizeof type);
        w->positions[i] += type;
    }
}

static bool pack_all(weights *w, pool *p)
{
    const model *m = w->m;
    const size_t n_panels = (5 * m->hidden + m->inner) / KERNEL_LANES;
    bool finite = pack_norm(&w->words_norm, &m->words_norm);
    pack_positions(w);
    for (size_t i = 0; finite && i < m->n_layers; i++) {
        packing one = {.w = w, .layer = i};
        pool_run(p, n_panels, pack_item, &one);
        finite = !atomic_load(&one.bad);
        finite = pack_norm(&w->layers[i].attention_norm, &m->layers[i].attention_norm) && finite;
        finite = pack_norm(&w->layers[i].output_norm, &m->layers[i].output_norm) && finite;
        file_map_cool(&m->weights.map);
    }
    return finite;
}

status weights_pack(weights *w, const model *m, pool *p, err *e)
{
    carver c = {0};
    const size_t width = m->hidden / m->n_heads;
    *w = (weights){.m = m, .group = WEIGHTS_PART / 3 / width};
    if (w->group == 0) w->group = 1;
    carve_weights(&c, w);
    w->memory = c.at = new_floats(c.used);
    if (!w->memory) return err_nomem(e, "loading the model");
    c.used = 0;
    carve_weights(&c, w);
    if (pack_all(w, p)) return ST_OK;
    return err_set(e, ST_FAILED, "%s/model.safetensors holds a weight that is not finite; %s",
                   m->dir, MODEL_REFETCH);
}

void weights_release(weights *w)
{
    free(w->memory);
    w->memory = NULL;
}
