/* encoder_parts.h - the parts of an encoder that are float32 in every precision: the words, the
 * attention, the pooling.  encoder.c says what they compute. */
#ifndef TAMIS_EMBED_ENCODER_PARTS_H
#define TAMIS_EMBED_ENCODER_PARTS_H

#include "embed/encoder.h"
#include "embed/weights.h"

const weights *encoder_weights(const encoder *en);

/* What one thread needs for attention over up to `longest` tokens. */
typedef struct attention_room {
    float *scores; /* [longest, longest rounded up to 16] */
    float *keys, *values;
    float *factors; /* [longest] */
} attention_room;

void attention_room_carve(attention_room *r, carver *c, size_t longest, size_t width);

/* One head of one sequence: rows of q, k, v and out belong to tokens. */
typedef struct attention_head {
    const float *q, *k, *v; /* [n, width], rows ld apart; q is scaled already */
    size_t ld, n, width;    /* n from 1; width a multiple of 16 */
    float *out;             /* [n, width], rows ld_out apart */
    size_t ld_out;
} attention_head;

void attend(const kernels *k, gemm_fn gemm, const attention_room *r, const attention_head *head);

/* Rows of x, each normalized after the one of `more` (NULL: none) is added. */
void normalize_rows(const kernels *k, float *x, const float *more, const layer_norm *p, size_t m);

/* hidden: [n, hidden] */
void embed_words(const weights *w, const kernels *k, const sequence *q, float *hidden);

/* False: not finite, or of no length. */
bool pool_tokens(const model *m, const kernels *k, const float *hidden, const sequence *q);

#endif
