/* encoder_fast.c - the model with linear layers of 16-bit integers.
 *
 * The order of operations is encoder.c's; what differs:
 *
 *   linear     each row of x, in parts of INT16_CHUNK, is rounded to integers (int16.h); y = bias,
 *              then for each part y = fma(the exact integer sum, scale of x times scale of w, y)
 *   gelu       the shorter polynomial of int16.h
 *
 * The forward part goes by parts of its inner width: the first matrix gives a part, gelu and
 * rounding make it integers, the second adds its share; so the inner rows, the widest, never
 * leave the second cache.  The tile is the exact one's: for fewer tokens too much of the weights
 * would pass by, above all where seven sums are stored for each four of their blocks (int16.h). */
#include "embed/encoder_fast.h"

#include <stdlib.h>
#include <string.h>

#include "embed/encoder_parts.h"

_Static_assert((int)INT16_CHUNK == (int)WEIGHTS_PART, "parts of the forward block are chunks");

/* A linear layer. */
typedef struct linear16 {
    int16_weights *chunks; /* [n_chunks] */
    size_t n_chunks, n;
    const float *bias; /* [n] */
} linear16;

/* They lie in memory in the order in which they are read. */
typedef struct fast_layer {
    linear16 *qkv; /* [groups of heads] */
    linear16 attention_output;
    linear16 *intermediate; /* [parts of the inner width] */
    linear16 *output;       /* [parts of the inner width] of one chunk each */
} fast_layer;

/* Where a chunk's numbers are: its first panel and what lies from panel to panel. */
typedef struct source {
    const float *first;
    size_t pitch;
} source;

struct fast_encoder {
    const weights *w;
    const kernels *k;
    gemm_fn gemm;
    const int16_kernels *k16;
    int16_t *integers;
    float *scales;
    int16_weights *chunks;
    linear16 *parts;
    source *sources; /* of the chunks, while they are packed */
    fast_layer layers[MODEL_LAYERS_MAX];
};

struct fast_scratch {
    float *memory;
    float *hidden; /* [tokens, hidden] */
    float *part;   /* [tokens, columns of a part] */
    float *other;  /* [tokens, hidden] the context, and what a block adds to hidden */
    attention_room attention;
    int16_rows inner;   /* of a part of the inner columns */
    int16_rows input[]; /* [chunks] of hidden or of the context */
};

static size_t chunks_of(size_t k)
{
    return (k + INT16_CHUNK - 1) / INT16_CHUNK;
}

static size_t chunk_width(size_t k, size_t chunk)
{
    size_t left = k - chunk * INT16_CHUNK;
    return left < INT16_CHUNK ? left : INT16_CHUNK;
}

/* --- packing -------------------------------------------------------------------------------- */

/* Hands out pieces of the arrays: a first round measures (at NULL), a second gives. */
typedef struct cutter {
    const fast_encoder *f;
    size_t integers, scales, chunks, parts;
} cutter;

/* Columns [from, from + n) of p, k of its rows. */
typedef struct piece {
    const packed *p;
    size_t from, n, k;
    const float *weight; /* the first panel, where these rows begin */
    size_t pitch;        /* from panel to panel */
} piece;

static void pack_chunk(void *ctx, size_t item, int worker)
{
    const fast_encoder *f = ctx;
    const int16_weights *w = &f->chunks[item];
    const size_t pitch = f->sources[item].pitch;
    const float *first = f->sources[item].first;
    (void)worker;
    for (size_t n = 0; n < w->n; n += INT16_GROUP, first += 2 * pitch)
        f->k16->layout->pack(w, n / INT16_GROUP, first,
                             w->n - n > INT16_PANEL ? first + pitch : NULL, f->k16);
}

static void cut_piece(linear16 *l, const piece *a, cutter *c)
{
    const fast_encoder *f = c->f;
    const size_t n_chunks = chunks_of(a->k);
    int16_weights *chunks = f->chunks ? f->chunks + c->chunks : NULL;
    source *sources = f->sources ? f->sources + c->chunks : NULL;
    const float *first = a->weight + a->from / KERNEL_LANES * a->pitch;
    c->chunks += n_chunks;
    if (chunks)
        *l = (linear16){
            .chunks = chunks, .n_chunks = n_chunks, .n = a->n, .bias = a->p->bias + a->from};
    for (size_t i = 0; i < n_chunks; i++, first += INT16_CHUNK * KERNEL_LANES) {
        const size_t k = chunk_width(a->k, i);
        if (chunks) {
            chunks[i] = (int16_weights){f->integers + c->integers, f->scales + c->scales, k, a->n};
            sources[i] = (source){first, a->pitch};
        }
        c->integers += f->k16->layout->weights_size(k, a->n);
        c->scales += a->n;
    }
}

static void cut_columns(linear16 *l, const packed *p, size_t from, size_t n, cutter *c)
{
    cut_piece(l,
              &(piece){.p = p,
                       .from = from,
                       .n = n,
                       .k = p->k,
                       .weight = p->weight,
                       .pitch = p->k * KERNEL_LANES},
              c);
}

static linear16 *take_parts(cutter *c, size_t n)
{
    linear16 *p = c->f->parts ? c->f->parts + c->parts : NULL;
    c->parts += n;
    return p;
}

static void cut_layer(fast_layer *to, const packed_layer *l, cutter *c)
{
    const weights *w = c->f->w;
    const size_t parts = chunks_of(l->output.k);
    const size_t columns = 3 * w->group * (w->m->hidden / w->m->n_heads); /* of a group of heads */
    const size_t groups = (l->qkv.n + columns - 1) / columns;
    to->qkv = take_parts(c, groups);
    for (size_t i = 0, from = 0; i < groups; i++, from += columns)
        cut_columns(to->qkv + i, &l->qkv, from,
                    l->qkv.n - from < columns ? l->qkv.n - from : columns, c);
    cut_columns(&to->attention_output, &l->attention_output, 0, l->attention_output.n, c);
    to->intermediate = take_parts(c, parts);
    to->output = take_parts(c, parts);
    for (size_t i = 0; i < parts; i++) {
        const size_t width = chunk_width(l->output.k, i), first = i * INT16_CHUNK;
        cut_columns(to->intermediate + i, &l->intermediate, first, width, c);
        cut_piece(to->output + i,
                  &(piece){.p = &l->output,
                           .n = l->output.n,
                           .k = width,
                           .weight = l->output.weight + first * l->output.n,
                           .pitch = width * KERNEL_LANES},
                  c);
    }
}

static cutter cut_layers(fast_encoder *f)
{
    cutter c = {.f = f};
    for (size_t n = 0; n < f->w->m->n_layers; n++) cut_layer(&f->layers[n], &f->w->layers[n], &c);
    return c;
}

static status pack_layers(fast_encoder *f, pool *p, err *e)
{
    const cutter c = cut_layers(f);
    f->integers = (int16_t *)(void *)new_floats((c.integers + 1) / 2);
    f->scales = new_floats(c.scales);
    f->parts = calloc(c.parts + 1, sizeof *f->parts);
    f->chunks = calloc(c.chunks + 1, sizeof *f->chunks);
    f->sources = calloc(c.chunks + 1, sizeof *f->sources);
    bool ok = f->integers && f->scales && f->parts && f->chunks && f->sources;
    if (ok) {
        cut_layers(f);
        if (p)
            pool_run(p, c.chunks, pack_chunk, f);
        else
            for (size_t i = 0; i < c.chunks; i++) pack_chunk(f, i, 0);
    }
    free(f->sources);
    f->sources = NULL;
    return ok ? ST_OK : err_nomem(e, "loading the model");
}

status fast_encoder_new(const weights *w, isa i, const int16_kernels *k, pool *p,
                        fast_encoder **out, err *e)
{
    *out = NULL;
    fast_encoder *f = calloc(1, sizeof *f);
    if (!f) return err_nomem(e, "loading the model");
    f->w = w;
    f->k = kernels_for(i);
    f->gemm = gemm_for(i);
    f->k16 = k;
    status st = pack_layers(f, p, e);
    if (st)
        fast_encoder_free(f);
    else
        *out = f;
    return st;
}

void fast_encoder_free(fast_encoder *f)
{
    if (!f) return;
    free(f->integers);
    free(f->scales);
    free(f->chunks);
    free(f->parts);
    free(f);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void carve_rows(carver *c, int16_rows *r, size_t tokens, size_t k, const int16_layout *l)
{
    r->k = k;
    r->scale = carve(c, tokens);
    r->q = (int16_t *)(void *)carve(c, (l->rows_size(tokens, k) + 1) / 2);
}

static void carve_scratch(carver *c, fast_scratch *s, const fast_encoder *f)
{
    const weights *w = f->w;
    const int16_layout *l = f->k16->layout;
    const model *m = w->m;
    const size_t longest = model_max_tokens(m), width = m->hidden / m->n_heads;
    const size_t tokens = larger(longest, ENCODER_TILE);
    const size_t columns = larger(larger(WEIGHTS_PART, 3 * w->group * width), m->hidden);
    s->hidden = carve(c, tokens * m->hidden);
    s->part = carve(c, tokens * columns);
    s->other = carve(c, tokens * m->hidden);
    for (size_t i = 0; i < chunks_of(m->hidden); i++)
        carve_rows(c, &s->input[i], tokens, chunk_width(m->hidden, i), l);
    carve_rows(c, &s->inner, tokens, INT16_CHUNK, l);
    attention_room_carve(&s->attention, c, longest, width);
}

fast_scratch *fast_scratch_new(const fast_encoder *f)
{
    carver c = {0};
    fast_scratch *s = calloc(1, sizeof *s + chunks_of(f->w->m->hidden) * sizeof *s->input);
    if (!s) return NULL;
    carve_scratch(&c, s, f);
    s->memory = c.at = new_floats(c.used);
    if (!s->memory) {
        free(s);
        return NULL;
    }
    c.used = 0;
    carve_scratch(&c, s, f);
    return s;
}

void fast_scratch_free(fast_scratch *s)
{
    if (!s) return;
    free(s->memory);
    free(s);
}

/* --- the way of a tile ---------------------------------------------------------------------- */

typedef struct tile {
    const fast_encoder *f;
    fast_scratch *s;
    const sequence *sequences;
    size_t n, tokens;
} tile;

/* x [tokens, hidden] to s->input. */
static void round_rows(const tile *t, const float *x)
{
    const size_t k = t->f->w->m->hidden;
    for (size_t c = 0; c < chunks_of(k); c++) {
        t->s->input[c].m = t->tokens;
        t->f->k16->quantize_rows(x + c * INT16_CHUNK, k, &t->s->input[c]);
    }
}

/* y = a linear layer of what s->input holds. */
static void apply(const tile *t, const linear16 *l, float *y)
{
    for (size_t c = 0; c < l->n_chunks; c++)
        t->f->k16->multiply(&(int16_job){.x = &t->s->input[c],
                                         .w = &l->chunks[c],
                                         .start = c ? NULL : l->bias,
                                         .y = y,
                                         .ldy = l->n});
}

/* The context of all heads, into s->other. */
static void run_attention(const tile *t, const fast_layer *l)
{
    const weights *w = t->f->w;
    const size_t h = w->m->hidden, n_heads = w->m->n_heads, width = h / n_heads;
    for (size_t first = 0; first < n_heads; first += w->group) {
        size_t heads = n_heads - first < w->group ? n_heads - first : w->group;
        size_t columns = heads * width, ld = 3 * columns;
        apply(t, l->qkv + first / w->group, t->s->part);
        for (size_t q = 0, at = 0; q < t->n; at += t->sequences[q++].n)
            for (size_t i = 0; i < columns; i += width) {
                const float *from = t->s->part + at * ld + i;
                attend(t->f->k, t->f->gemm, &t->s->attention,
                       &(attention_head){.q = from,
                                         .k = from + columns,
                                         .v = from + 2 * columns,
                                         .ld = ld,
                                         .n = t->sequences[q].n,
                                         .width = width,
                                         .out = t->s->other + at * h + first * width + i,
                                         .ld_out = h});
            }
    }
}

/* What the forward block adds, into s->other. */
static void run_forward(const tile *t, const fast_layer *l)
{
    int16_rows *inner = &t->s->inner;
    inner->m = t->tokens;
    for (size_t c = 0; c < chunks_of(t->f->w->m->inner); c++) {
        const linear16 *out = &l->output[c];
        inner->k = out->chunks[0].k;
        apply(t, &l->intermediate[c], t->s->part);
        t->f->k16->gelu_rows(t->s->part, inner->k, inner);
        t->f->k16->multiply(&(int16_job){.x = inner,
                                         .w = &out->chunks[0],
                                         .start = c ? NULL : out->bias,
                                         .y = t->s->other,
                                         .ldy = out->n});
    }
}

static void run_layer(const tile *t, size_t number)
{
    const packed_layer *norms = &t->f->w->layers[number];
    const fast_layer *l = &t->f->layers[number];
    round_rows(t, t->s->hidden);
    run_attention(t, l);
    round_rows(t, t->s->other);
    apply(t, &l->attention_output, t->s->part);
    normalize_rows(t->f->k, t->s->hidden, t->s->part, &norms->attention_norm, t->tokens);
    round_rows(t, t->s->hidden);
    run_forward(t, l);
    normalize_rows(t->f->k, t->s->hidden, t->s->other, &norms->output_norm, t->tokens);
}

static bool run_tile(const tile *t)
{
    const weights *w = t->f->w;
    const size_t h = w->m->hidden;
    bool finite = true;
    for (size_t q = 0, at = 0; q < t->n; at += t->sequences[q++].n)
        embed_words(w, t->f->k, &t->sequences[q], t->s->hidden + at * h);
    for (size_t i = 0; i < w->m->n_layers; i++) run_layer(t, i);
    for (size_t q = 0, at = 0; q < t->n; at += t->sequences[q++].n)
        finite = pool_tokens(w->m, t->f->k, t->s->hidden + at * h, &t->sequences[q]) && finite;
    return finite;
}

bool fast_encoder_run(const fast_encoder *f, fast_scratch *s, const sequence *sequences, size_t n)
{
    bool finite = true;
    for (size_t from = 0, to; from < n; from = to) {
        tile t = {.f = f, .s = s, .sequences = sequences + from, .tokens = sequences[from].n};
        for (to = from + 1; to < n && t.tokens + sequences[to].n <= ENCODER_TILE; to++)
            t.tokens += sequences[to].n;
        t.n = to - from;
        finite = run_tile(&t) && finite;
    }
    return finite;
}
