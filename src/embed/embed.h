/* embed.h - the embed stage: texts in, unit vectors out.
 *
 * The vector of a text depends on the text and the model alone: the same bits for any
 * company, order, number of threads and instruction set (the canonical arithmetic is
 * written down in encoder.c). */
#ifndef TAMIS_EMBED_EMBED_H
#define TAMIS_EMBED_EMBED_H

#include "base/buf.h"
#include "base/isa.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/sha256.h"
#include "base/str.h"
#include "base/time.h"
#include "embed/tokenizer.h"

typedef struct model model;

/* Reads a directory of the published layout: config.json, vocab.txt, model.safetensors
 * (mapped, bounds-checked), and what model_config.c lists.  ST_FAILED: a file missing or damaged,
 * or a model of a kind that is not supported: the message names the file, what is wrong and what to
 * do. */
status model_open(const char *dir, model **out, err *e) MUST_USE;

/* The same, but for the tokens of vocab.txt, most of the time that it takes: for who may find that
 * there is nothing to embed. */
status model_look(const char *dir, model **out, err *e) MUST_USE;

/* Reads the tokens, if that was not done.  Not from several threads at once. */
status model_read_tokens(model *m, err *e) MUST_USE;
void model_free(model *m);

size_t model_dim(const model *m);                 /* floats in a vector: 384 */
size_t model_max_tokens(const model *m);          /* [CLS] and [SEP] included: 256 */
const tokenizer *model_tokenizer(const model *m); /* NULL: its tokens were not read */

/* Appends what the files besides config.json, vocab.txt and model.safetensors say, where it is not
 * what they say when they are missing: so the sum of a model does not depend on files that change
 * nothing. */
void model_settings(const model *m, buf *out);

/* SHA-256 over the SHA-256s of config.json, vocab.txt and model.safetensors, and the settings,
 * in hex: what vectors of this model are filed under.  Reads the whole file (0.1
 * to 0.4 s). */
status model_fingerprint(const model *m, char out[SHA256_HEX], err *e) MUST_USE;

typedef struct embedder embedder;

/* Reads the model's tokens and packs the weights for the instruction set.  The model and the pool
 * outlive it.  Any number of threads may embed with it at once: the work of one is spread over the
 * pool, which nobody else may use meanwhile, the others work alone. */
status embedder_new(model *m, isa i, pool *p, embedder **out, err *e) MUST_USE;
void embedder_free(embedder *em);

/* Whether this instruction set has the encoder that only screens (encoder_fast.h). */
bool embedder_has_fast(const embedder *em);

/* Gives back what that encoder holds, half of an embedder's memory, until it is asked for again.
 * Not while it encodes. */
void embedder_drop_fast(embedder *em);

typedef struct embed_options {
    bool fast;             /* with that encoder: nearly the vectors, sooner */
    const logger *log;     /* progress "embedding", in texts; may be NULL */
    size_t before, total;  /* texts done before these, and in all; 0: these are all */
    const stop_flag *stop; /* may be NULL */
    /* Called, from the calling thread, as soon as a batch of texts is done, with the
     * positions of those texts in `texts`; may be NULL.  Not ST_OK ends the job. */
    status (*batch_done)(void *ctx, const size_t *which, size_t n, err *e);
    void *ctx;
} embed_options;

/* out: [n_texts, model_dim] unit vectors, row-major.  Texts with the same ids are encoded
 * once.  ST_INCOMPLETE: stopped. */
status embed_texts(embedder *em, const str *texts, size_t n_texts, float *out,
                   const embed_options *o, err *e) MUST_USE;

#endif
