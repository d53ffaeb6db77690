/* trie.c - a double array: all nodes in one, a child one addition away.
 *
 * Node s has a base b; its child by the byte c, if it has one, is cell b + c.  No two nodes
 * share a base, so a cell that bears the label c is the child of no other node than s, and
 * one comparison of a byte settles the step (the double array of Aoki, 1989, with labels in place
 * of parents).  A base leaves room for all 256 labels within the array, so no step leads out
 * of it.  Label 0 marks a free cell: tokens and words hold no NUL.
 *
 * Building looks for a place where a node's children fit among a few free cells, going on
 * where the last search ended, round and round; so it stays linear and fills the holes. */
#include "embed/trie.h"

#include <stdlib.h>

/* 8 bytes, so that a word's way touches few cache lines. */
struct trie_cell {
    uint32_t base_label; /* base << 8 | label; base 0: no children */
    int32_t id;          /* of the token that ends here, or TRIE_NONE */
};

enum { BASE_BITS = 24, LABELS = 256, TRIES = 16 };

/* The tokens below a node: they share its first `depth` bytes. */
typedef struct range {
    uint32_t from, to, depth, cell;
} range;

typedef struct builder {
    trie *t;
    uint32_t cap;
    uint32_t end;             /* all cells from here on are free */
    uint32_t *next;           /* [cap] the free cells as a ring through cell 0 */
    uint32_t *last;           /* [cap] the same backwards */
    uint32_t cursor;          /* a free cell, or 0: where the next search begins */
    unsigned char *base_used; /* [cap] */
    range *queue;             /* [n_queue] nodes by breadth */
    size_t n_queue;
    const trie_token *tokens;
} builder;

static int token_cmp(const void *a, const void *b)
{
    const trie_token *x = a, *y = b;
    int c = str_cmp(x->text, y->text);
    return c ? c : (x->id > y->id) - (x->id < y->id);
}

void trie_release(trie *t)
{
    free(t->cells);
    *t = (trie){0};
}

/* More cells, all free, at the end of the ring. */
static bool grow(builder *b)
{
    uint32_t cap = b->cap ? b->cap * 2 : 1 << 12;
    if (cap > 1u << BASE_BITS) return false;
    struct trie_cell *cells = realloc(b->t->cells, cap * sizeof *cells);
    if (cells) b->t->cells = cells;
    uint32_t *next = realloc(b->next, cap * sizeof *next);
    if (next) b->next = next;
    uint32_t *last = realloc(b->last, cap * sizeof *last);
    if (last) b->last = last;
    unsigned char *used = realloc(b->base_used, cap);
    if (used) b->base_used = used;
    if (!cells || !next || !last || !used) return false;
    memset(used + b->cap, 0, cap - b->cap);
    if (!b->cap) next[0] = last[0] = 0;
    for (uint32_t i = b->cap; i < cap; i++) {
        cells[i] = (struct trie_cell){0, TRIE_NONE};
        if (i < LABELS) continue; /* left out, so that no base is 0 */
        last[i] = last[0];
        next[last[0]] = i;
        next[i] = 0;
        last[0] = i;
    }
    b->cap = cap;
    return true;
}

static bool fits(const builder *b, uint32_t base, const unsigned char *labels, size_t n)
{
    if (b->base_used[base] || base + LABELS > b->cap) return false;
    for (size_t i = 1; i < n; i++)
        if (b->t->cells[base + labels[i]].base_label & 0xFF) return false;
    return true;
}

/* A base under which all the labels (ascending) find free cells; 0: no memory. */
static uint32_t find_base(builder *b, const unsigned char *labels, size_t n)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t cell = b->cursor ? b->cursor : b->next[0];
        if (!cell) break;
        if (fits(b, cell - labels[0], labels, n)) return cell - labels[0];
        b->cursor = b->next[cell];
    }
    /* Behind all that is used: the children lie in a row there. */
    while (b->end + LABELS > b->cap)
        if (!grow(b)) return 0;
    return b->end; /* not in use as a base: those are below the cells that they lead to */
}

static void take(builder *b, uint32_t cell, unsigned char label)
{
    if (b->cursor == cell) b->cursor = b->next[cell];
    b->next[b->last[cell]] = b->next[cell];
    b->last[b->next[cell]] = b->last[cell];
    b->t->cells[cell] = (struct trie_cell){label, TRIE_NONE};
    if (cell >= b->end) b->end = cell + 1;
}

/* Gives a node its id and its children. */
static bool expand(builder *b, range r)
{
    unsigned char labels[LABELS] = {0};
    size_t n = 0;
    while (r.from < r.to && b->tokens[r.from].text.n == r.depth)
        b->t->cells[r.cell].id = b->tokens[r.from++].id;
    if (r.from == r.to) return true;
    size_t first = b->n_queue;
    for (uint32_t i = r.from; i < r.to; i++) {
        unsigned char label = (unsigned char)b->tokens[i].text.p[r.depth];
        if (!n || labels[n - 1] != label) {
            labels[n++] = label;
            b->queue[b->n_queue++] = (range){i, i, r.depth + 1, 0};
        }
        b->queue[b->n_queue - 1].to = i + 1;
    }
    uint32_t base = find_base(b, labels, n);
    if (!base) return false;
    b->base_used[base] = 1;
    b->t->cells[r.cell].base_label |= base << 8;
    for (size_t i = 0; i < n; i++) {
        take(b, base + labels[i], labels[i]);
        b->queue[first + i].cell = base + labels[i];
    }
    return true;
}

status trie_build(trie *t, trie_token *tokens, size_t n, err *e)
{
    builder b = {.t = t, .tokens = tokens};
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += tokens[i].text.n;
    qsort(tokens, n, sizeof *tokens, token_cmp);
    b.queue = malloc((bytes + 1) * sizeof *b.queue); /* a node needs a byte of some token */
    bool ok = bytes < 1u << BASE_BITS && b.queue && grow(&b);
    if (ok) {
        b.end = LABELS;
        b.queue[b.n_queue++] = (range){0, (uint32_t)n, 0, 0};
    }
    for (size_t i = 0; ok && i < b.n_queue; i++) ok = expand(&b, b.queue[i]);
    if (!ok) trie_release(t);
    free(b.queue);
    free(b.next);
    free(b.last);
    free(b.base_used);
    return ok ? ST_OK : err_nomem(e, "reading the vocabulary");
}

int32_t trie_longest(const trie *t, str word, size_t *length)
{
    const struct trie_cell *cells = t->cells;
    uint32_t base = cells[0].base_label >> 8;
    int32_t best = TRIE_NONE;
    for (size_t i = 0; i < word.n && base; i++) {
        unsigned char c = (unsigned char)word.p[i];
        struct trie_cell cell = cells[base + c];
        if ((cell.base_label & 0xFF) != c) break;
        base = cell.base_label >> 8;
        if (cell.id == TRIE_NONE) continue;
        best = cell.id;
        *length = i + 1;
    }
    return best;
}
