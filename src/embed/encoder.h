/* encoder.h - token ids in, unit vectors out: one tile of sequences on one thread. */
#ifndef TAMIS_EMBED_ENCODER_H
#define TAMIS_EMBED_ENCODER_H

#include "base/pool.h"
#include "embed/model.h"

/* The weights, packed for the kernels; read by any number of threads. */
typedef struct encoder encoder;

/* The model outlives it; the pool is needed here alone.  ST_FAILED: no memory, or a weight that is
 * not finite. */
status encoder_new(const model *m, isa i, pool *p, encoder **out, err *e) MUST_USE;
void encoder_free(encoder *en);

/* Sequences of 2 to model_max_tokens ids, all together at most ENCODER_TILE tokens, or one. */
enum { ENCODER_TILE = 216 };

/* What one thread works in. */
typedef struct encoder_scratch encoder_scratch;
encoder_scratch *encoder_scratch_new(const encoder *en); /* NULL: no memory */
void encoder_scratch_free(encoder_scratch *s);

typedef struct sequence {
    const int32_t *ids; /* [n], each below the model's n_vocab */
    size_t n;
    float *out; /* [hidden] */
} sequence;

/* Writes the unit vector of each.  False: one of them is not finite (then its out is
 * undefined). */
bool encoder_run(const encoder *en, encoder_scratch *s, const sequence *sequences, size_t n);

#endif
