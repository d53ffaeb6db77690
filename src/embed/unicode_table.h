/* unicode_table.h - what the tokenizer makes of each character, as a generated table.
 *
 * value = unicode_values[unicode_blocks[c / UNICODE_BLOCK] * UNICODE_BLOCK + c % UNICODE_BLOCK]
 *
 * Its low 14 bits say what an uncased model's normalizer and pre-tokenizer do (clean, space out
 * ideographs, decompose, drop accents, lower; split at blanks and punctuation), the two
 * above them what those of a cased model do (the same without the middle part). */
#ifndef TAMIS_EMBED_UNICODE_TABLE_H
#define TAMIS_EMBED_UNICODE_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum { UNICODE_BLOCK = 128, UNICODE_UNCASED_MASK = (1 << 14) - 1, UNICODE_CASED_SHIFT = 14 };

enum unicode_uncased {
    UNICODE_SELF,
    UNICODE_GONE,         /* dropped, as if it were not there */
    UNICODE_GONE_STARTER, /* dropped, but combining characters do not sort across it */
    UNICODE_SPACE,
    UNICODE_ALONE,  /* a word of its own */
    UNICODE_HANGUL, /* a syllable: two or three jamo by arithmetic */
    UNICODE_MARK,   /* itself; of non-zero combining class, see unicode_marks */
    UNICODE_FIRST_EXPANSION
};

enum unicode_cased {
    UNICODE_CASED_SELF,
    UNICODE_CASED_GONE,
    UNICODE_CASED_SPACE,
    UNICODE_CASED_ALONE
};

struct unicode_mark {
    uint32_t scalar;
    uint8_t combining_class;
};

extern const uint16_t unicode_blocks[];
extern const uint16_t unicode_values[];

/* Expansion k (value - UNICODE_FIRST_EXPANSION) is UTF-8, with a blank where words part:
 * bytes [at[k], at[k + 1]). */
extern const uint16_t unicode_expansion_at[];
extern const unsigned char unicode_expansions[];

/* What lowering alone, without decomposing, changes: in ascending order of scalar. */
struct unicode_lowered {
    uint32_t scalar;
    uint32_t to[2]; /* the second 0 if there is none */
};

extern const size_t unicode_n_lowered;
extern const struct unicode_lowered unicode_lowered[];

extern const size_t unicode_n_marks; /* in ascending order of scalar */
extern const struct unicode_mark unicode_marks[];

#endif
