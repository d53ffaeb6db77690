/* encoder_fast.h - token ids in, nearly the unit vectors out: the encoder that only screens.
 *
 * Its linear layers multiply 16-bit integers (int16.h).  A vector is the same bits on every
 * instruction set, in any company, but not those of encoder.h: a cosine between two of
 * them is off by some 1e-4 (docs/FAST.md).  Where that matters, the caller encodes again. */
#ifndef TAMIS_EMBED_ENCODER_FAST_H
#define TAMIS_EMBED_ENCODER_FAST_H

#include "embed/encoder.h"
#include "embed/int16.h"
#include "embed/weights.h"

typedef struct fast_encoder fast_encoder;
typedef struct fast_scratch fast_scratch;

/* The weights outlive it.  `i` is for what is float32, `k` for the integers; the pool (NULL: the
 * caller alone packs) is needed here alone. */
status fast_encoder_new(const weights *w, isa i, const int16_kernels *k, pool *p,
                        fast_encoder **out, err *e) MUST_USE;
void fast_encoder_free(fast_encoder *f);
fast_scratch *fast_scratch_new(const fast_encoder *f); /* NULL: no memory */
void fast_scratch_free(fast_scratch *s);

/* As encoder_run. */
bool fast_encoder_run(const fast_encoder *f, fast_scratch *s, const sequence *sequences, size_t n);

#endif
