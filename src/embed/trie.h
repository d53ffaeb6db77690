/* trie.h - the longest of many byte strings that a text begins with. */
#ifndef TAMIS_EMBED_TRIE_H
#define TAMIS_EMBED_TRIE_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Embedded; released with trie_release.  Read by any number of threads. */
typedef struct trie {
    struct trie_cell *cells;
} trie;

typedef struct trie_token {
    str text; /* without NUL; not empty */
    int32_t id;
} trie_token;

enum { TRIE_NONE = -1 };

/* tokens: sorted here; of equal ones the highest id counts.  ST_FAILED: no memory, or more
 * than 16 million bytes of tokens. */
status trie_build(trie *t, trie_token *tokens, size_t n, err *e) MUST_USE;
void trie_release(trie *t);

/* The id of the longest token at the front of `word` (which holds no NUL), and its length;
 * TRIE_NONE: no token. */
int32_t trie_longest(const trie *t, str word, size_t *length);

#endif
