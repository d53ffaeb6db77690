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
 * the weights pass by once for it: three blocks of [tokens, 384] and no more (weights.h). */
#include "embed/encoder.h"

#include <stdlib.h>

#include "embed/encoder_parts.h"

struct encoder {
    weights w;
    const kernels *k;
    gemm_fn gemm;
};

struct encoder_scratch {
    float *memory;
    float *hidden; /* [tokens, hidden] */
    float *part;   /* [tokens, columns of a part] */
    float *other;  /* [tokens, hidden] the context, and what a block adds to hidden */
    attention_room attention;
};

status encoder_new(const model *m, isa i, pool *p, encoder **out, err *e)
{
    *out = NULL;
    encoder *en = calloc(1, sizeof *en);
    if (!en) return err_nomem(e, "loading the model");
    en->k = kernels_for(i);
    en->gemm = gemm_for(i);
    status st = weights_pack(&en->w, m, p, e);
    if (st) {
        encoder_free(en);
        return st;
    }
    *out = en;
    return ST_OK;
}

const weights *encoder_weights(const encoder *en)
{
    return &en->w;
}

void encoder_free(encoder *en)
{
    if (!en) return;
    weights_release(&en->w);
    free(en);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void carve_scratch(carver *c, encoder_scratch *s, const weights *w)
{
    const model *m = w->m;
    const size_t longest = model_max_tokens(m), width = m->hidden / m->n_heads;
    const size_t tokens = larger(longest, ENCODER_TILE);
    const size_t columns = larger(larger(WEIGHTS_PART, 3 * w->group * width), m->hidden);
    s->hidden = carve(c, tokens * m->hidden);
    s->part = carve(c, tokens * columns);
    s->other = carve(c, tokens * m->hidden);
    attention_room_carve(&s->attention, c, longest, width);
}

encoder_scratch *encoder_scratch_new(const encoder *en)
{
    carver c = {0};
    encoder_scratch *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    carve_scratch(&c, s, &en->w);
    s->memory = c.at = new_floats(c.used);
    if (!s->memory) {
        free(s);
        return NULL;
    }
    c.used = 0;
    carve_scratch(&c, s, &en->w);
    return s;
}

void encoder_scratch_free(encoder_scratch *s)
{
    if (!s) return;
    free(s->memory);
    free(s);
}

/* --- the way of a tile ---------------------------------------------------------------------- */

typedef struct tile {
    const encoder *en;
    encoder_scratch *s;
    const sequence *sequences;
    size_t n, tokens;
} tile;

/* y = linear(x) for columns [from, from + n) of p, which are packed for all of k. */
static void apply(const tile *t, const packed *p, size_t from, size_t n, const float *x, float *y,
                  const float *next)
{
    t->en->gemm(&(gemm_job){.x = x,
                            .ldx = p->k,
                            .m = t->tokens,
                            .k = p->k,
                            .w = p->weight + from * p->k,
                            .start = p->bias + from,
                            .y = y,
                            .ldy = n,
                            .n = n,
                            .next = next});
}

/* The context of all heads, into s->other. */
static void run_attention(const tile *t, const packed_layer *l)
{
    const weights *w = &t->en->w;
    const size_t h = w->m->hidden, n_heads = w->m->n_heads, width = h / n_heads;
    for (size_t first = 0; first < n_heads; first += w->group) {
        size_t heads = n_heads - first < w->group ? n_heads - first : w->group;
        size_t columns = heads * width, ld = 3 * columns;
        bool last = first + heads == n_heads;
        const float *next =
            last ? l->attention_output.weight : l->qkv.weight + 3 * (first + heads) * width * h;
        apply(t, &l->qkv, 3 * first * width, ld, t->s->hidden, t->s->part, next);
        for (size_t q = 0, at = 0; q < t->n; at += t->sequences[q++].n)
            for (size_t i = 0; i < columns; i += width) {
                const float *from = t->s->part + at * ld + i;
                attend(t->en->k, t->en->gemm, &t->s->attention,
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

/* What the forward block adds, into s->other.  The chains of its output go on from one part of the
 * inner columns to the next. */
static void run_forward(const tile *t, const packed_layer *l, const float *next)
{
    const size_t h = l->output.n, inner = l->output.k;
    for (size_t from = 0, n; from < inner; from += n) {
        n = inner - from < WEIGHTS_PART ? inner - from : WEIGHTS_PART;
        const float *out = l->output.weight + from * h;
        apply(t, &l->intermediate, from, n, t->s->hidden, t->s->part, out);
        t->en->k->gelu(t->s->part, t->tokens * n);
        t->en->gemm(
            &(gemm_job){.x = t->s->part,
                        .ldx = n,
                        .m = t->tokens,
                        .k = n,
                        .w = out,
                        .start = l->output.bias,
                        .onto = from > 0,
                        .y = t->s->other,
                        .ldy = h,
                        .n = h,
                        .next = from + n < inner ? l->intermediate.weight + (from + n) * h : next});
    }
}

static void run_layer(const tile *t, size_t number)
{
    const weights *w = &t->en->w;
    const packed_layer *l = &w->layers[number];
    const size_t h = w->m->hidden;
    run_attention(t, l);
    apply(t, &l->attention_output, 0, h, t->s->other, t->s->part, l->intermediate.weight);
    normalize_rows(t->en->k, t->s->hidden, t->s->part, &l->attention_norm, t->tokens);
    run_forward(t, l, w->layers[(number + 1) % w->m->n_layers].qkv.weight);
    normalize_rows(t->en->k, t->s->hidden, t->s->other, &l->output_norm, t->tokens);
}

bool encoder_run(const encoder *en, encoder_scratch *s, const sequence *sequences, size_t n)
{
    const model *m = en->w.m;
    tile t = {.en = en, .s = s, .sequences = sequences, .n = n};
    bool finite = true;
    for (size_t q = 0; q < n; t.tokens += sequences[q++].n)
        embed_words(&en->w, en->k, &sequences[q], s->hidden + t.tokens * m->hidden);
    for (size_t i = 0; i < m->n_layers; i++) run_layer(&t, i);
    for (size_t q = 0, at = 0; q < n; at += sequences[q++].n)
        finite = pool_tokens(m, en->k, s->hidden + at * m->hidden, &sequences[q]) && finite;
    return finite;
}
