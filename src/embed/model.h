/* model.h - the tensors of a BERT-type sentence model, as they lie in its files. */
#ifndef TAMIS_EMBED_MODEL_H
#define TAMIS_EMBED_MODEL_H

#include "embed/embed.h"
#include "embed/safetensors.h"

/* y = x W^T + b */
typedef struct dense {
    tensor weight; /* [out, in] */
    tensor bias;   /* [1, out] */
} dense;

typedef struct norm_tensors {
    tensor gamma, beta; /* [1, hidden] */
} norm_tensors;

typedef struct layer_tensors {
    dense query, key, value; /* [hidden, hidden] */
    dense attention_output;  /* [hidden, hidden] */
    norm_tensors attention_norm;
    dense intermediate; /* [inner, hidden] */
    dense output;       /* [hidden, inner] */
    norm_tensors output_norm;
} layer_tensors;

#define MODEL_REFETCH "get the model again (tamis model fetch) or set embed.model"

enum { MODEL_LAYERS_MAX = 48, MODEL_TOKENS = 512 };

/* Which token vectors make the vector of a text. */
typedef enum { POOLING_MEAN, POOLING_CLS } pooling;

struct model {
    char *dir;
    size_t hidden;   /* a multiple of 16 */
    size_t n_layers; /* up to MODEL_LAYERS_MAX */
    size_t n_heads;  /* hidden / n_heads is a multiple of 16 */
    size_t inner;    /* of the feed-forward part; a multiple of 16 */
    size_t n_vocab, n_positions;
    float norm_eps;
    pooling pooling;
    size_t max_tokens; /* 2 to n_positions and MODEL_TOKENS */
    tokenizer_options tokens_as;
    bool case_known;    /* tokens_as.uncased is said by the model's files */
    bool vocab_uncased; /* what it would be if they did not say */
    buf vocab;            /* vocab.txt, until its tokens are read */
    tokenizer *tokenizer; /* NULL before that */
    safetensors weights;
    tensor words;            /* [n_vocab, hidden] */
    tensor positions;        /* [n_positions, hidden] */
    tensor types;            /* [>= 1, hidden] */
    norm_tensors words_norm; /* after the sum of the three */
    layer_tensors layers[MODEL_LAYERS_MAX];
};

#endif
