/* encoder_parts.c - words, attention and pooling. */
#include "embed/encoder_parts.h"

#include <math.h>
#include <string.h>

static size_t round_up(size_t n)
{
    return (n + KERNEL_LANES - 1) / KERNEL_LANES * KERNEL_LANES;
}

/* Loops of 16, so that a compiler that must not guess makes vectors of them; n is a multiple. */
static void add_to(float *restrict x, const float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i += KERNEL_LANES)
        for (size_t c = 0; c < KERNEL_LANES; c++) x[i + c] += y[i + c];
}

static void scale_by(float *x, float factor, size_t n)
{
    for (size_t i = 0; i < n; i += KERNEL_LANES)
        for (size_t c = 0; c < KERNEL_LANES; c++) x[i + c] *= factor;
}

void normalize_rows(const kernels *k, float *x, const float *more, const layer_norm *p, size_t m)
{
    for (size_t i = 0; i < m; i++) k->normalize(x + i * p->n, more ? more + i * p->n : NULL, p);
}

void embed_words(const weights *w, const kernels *k, const sequence *q, float *hidden)
{
    const size_t h = w->m->hidden;
    for (size_t t = 0; t < q->n; t++) {
        float *row = hidden + t * h;
        memcpy(row, w->m->words.p + (size_t)q->ids[t] * h * sizeof *row, h * sizeof *row);
        add_to(row, w->positions + t * h, h);
    }
    normalize_rows(k, hidden, NULL, &w->words_norm, q->n);
}

/* --- attention ------------------------------------------------------------------------------ */

void attention_room_carve(attention_room *r, carver *c, size_t longest, size_t width)
{
    r->scores = carve(c, longest * round_up(longest));
    r->keys = carve(c, round_up(longest) * width);
    r->values = carve(c, round_up(longest) * width);
    r->factors = carve(c, longest);
}

/* keys: [n / 16][width][16], zeros behind the last; values: [width / 16][n][16]. */
static void pack_head(const kernels *k, const attention_room *r, const attention_head *a)
{
    const size_t n = a->n, width = a->width;
    for (size_t t = 0; t < n; t += KERNEL_LANES) {
        size_t rows = n - t < KERNEL_LANES ? n - t : KERNEL_LANES;
        k->transpose(a->k + t * a->ld, a->ld, rows, width, r->keys + t * width);
    }
    for (size_t i = 0; i < width; i += KERNEL_LANES)
        for (size_t t = 0; t < n; t++)
            memcpy(r->values + i * n + t * KERNEL_LANES, a->v + t * a->ld + i,
                   KERNEL_LANES * sizeof(float));
}

void attend(const kernels *k, gemm_fn gemm, const attention_room *r, const attention_head *a)
{
    const size_t n = a->n, ld = round_up(n);
    pack_head(k, r, a);
    gemm(&(gemm_job){.x = a->q,
                     .ldx = a->ld,
                     .m = n,
                     .k = a->width,
                     .w = r->keys,
                     .y = r->scores,
                     .ldy = ld,
                     .n = ld});
    for (size_t t = 0; t < n; t++) r->factors[t] = k->softmax(r->scores + t * ld, n);
    gemm(&(gemm_job){.x = r->scores,
                     .ldx = ld,
                     .m = n,
                     .k = n,
                     .w = r->values,
                     .y = a->out,
                     .ldy = a->ld_out,
                     .n = a->width});
    for (size_t t = 0; t < n; t++) scale_by(a->out + t * a->ld_out, r->factors[t], a->width);
}

/* --- pooling -------------------------------------------------------------------------------- */

bool pool_tokens(const model *m, const kernels *k, const float *hidden, const sequence *q)
{
    const size_t h = m->hidden, n = m->pooling == POOLING_CLS ? 1 : q->n;
    memcpy(q->out, hidden, h * sizeof *hidden);
    for (size_t t = 1; t < n; t++) add_to(q->out, hidden + t * h, h);
    float squares = k->sum_squares(q->out, h);
    if (!(squares > 0.0f) || !isfinite(squares)) return false;
    float scale = 1.0f / sqrtf(squares);
    scale_by(q->out, scale, h);
    return true;
}
