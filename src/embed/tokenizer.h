/* tokenizer.h - text to WordPiece ids, as the model's fast (Rust) tokenizer gives them. */
#ifndef TAMIS_EMBED_TOKENIZER_H
#define TAMIS_EMBED_TOKENIZER_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef struct tokenizer tokenizer;

/* What the normalizer does to a text before it is cut, beside cleaning it. */
typedef struct tokenizer_options {
    bool uncased;           /* lowers, decomposes and strips accents */
    bool keeps_accents;     /* with `uncased`: lowers and does no more */
    bool spaces_ideographs; /* each ideograph is a word (tokenize_chinese_chars) */
} tokenizer_options;

/* vocab: the bytes of vocab.txt, one token a line; copied, not kept.  ST_FAILED: no [CLS],
 * [SEP] or [UNK], or not a vocabulary at all. */
status tokenizer_new(str vocab, const tokenizer_options *o, tokenizer **out, err *e) MUST_USE;
void tokenizer_free(tokenizer *t);

/* Writes the ids of a text, [CLS] and [SEP] included, at most `max` (>= 2) of them (the
 * text's own are cut, [SEP] stays last), and returns how many.  Ill-formed UTF-8 is read
 * as U+FFFD.  Never fails: no memory is allocated.  Any number of threads. */
size_t tokenizer_ids(const tokenizer *t, str text, int32_t *ids, size_t max);

size_t tokenizer_vocab_size(const tokenizer *t);

#endif
