/* weights.h - the weights of a model in the order in which the encoder reads them.
 *
 * A layer is worked on in parts of about 384 columns, so that all that a tile is at one time stays
 * in the second cache: attention a few heads at a time, the forward part a few inner columns at
 * a time, whose share of its output is added before the next ones are made. */
#ifndef TAMIS_EMBED_WEIGHTS_H
#define TAMIS_EMBED_WEIGHTS_H

#include "base/pool.h"
#include "embed/kernels.h"
#include "embed/model.h"

enum { WEIGHTS_PART = 384 }; /* columns; no more than base/gemm.h likes as k */

typedef struct packed {
    float *weight; /* [n / 16][k][16]; of layer.output: those of one part of k after the other */
    float *bias;   /* [n] */
    size_t k, n;
} packed;

typedef struct packed_layer {
    packed qkv; /* hidden -> 3 hidden: for each group of heads its q, its k, its v */
    packed attention_output, intermediate, output;
    layer_norm attention_norm, output_norm;
} packed_layer;

typedef struct weights {
    const model *m;
    float *memory;    /* all below lies in it */
    size_t group;     /* heads in a group; the last one may have fewer */
    float *positions; /* [max tokens, hidden] position and type together */
    layer_norm words_norm;
    packed_layer layers[MODEL_LAYERS_MAX];
} weights;

/* The rows and biases of q are scaled by 1 / sqrt(head).  The model outlives it; the work is
 * spread over the pool.  ST_FAILED: no memory, or a weight that is not finite. */
status weights_pack(weights *w, const model *m, pool *p, err *e) MUST_USE;
void weights_release(weights *w); /* also after a failure */

/* Hands out pieces of one block of memory: a first round measures (at NULL), a second gives. */
typedef struct carver {
    float *at;
    size_t used;
} carver;

float *carve(carver *c, size_t n); /* begins on a cache line */
float *new_floats(size_t n);       /* the block; NULL: no memory; goes with free */

#endif
