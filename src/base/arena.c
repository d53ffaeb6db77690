/* arena.c - bump allocation in blocks that double up to 4 MiB.
 *
 * A request larger than a block gets a block of its own size.  Size arithmetic
 * is checked here so that nobody else needs to. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum { BLOCK_MIN = 16 << 10, BLOCK_MAX = 4 << 20 };

struct arena_block {
    struct arena_block *next;
    size_t cap;
    alignas(max_align_t) unsigned char data[];
};

static struct arena_block *block_new(size_t cap)
{
    if (cap > SIZE_MAX - sizeof(struct arena_block)) return NULL;
    struct arena_block *b = malloc(sizeof *b + cap);
    if (!b) return NULL;
    b->next = NULL;
    b->cap = cap;
    return b;
}

void arena_reset(arena *a)
{
    if (!a->head) return;
    struct arena_block *b = a->head->next;
    a->head->next = NULL;
    a->used = 0;
    while (b) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_release(arena *a)
{
    arena_reset(a);
    free(a->head);
    *a = (arena){0};
}

/* As arena_alloc, not zeroed. */
static void *take(arena *a, size_t n, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size && n > (SIZE_MAX - align) / size) return NULL;
    size_t want = (n * size + align - 1) / align * align;
    if (!a->head || a->head->cap - a->used < want) {
        size_t cap = a->head ? a->head->cap * 2 : BLOCK_MIN;
        if (cap > BLOCK_MAX) cap = BLOCK_MAX;
        if (cap < want) cap = want;
        struct arena_block *b = block_new(cap);
        if (!b) return NULL;
        b->next = a->head;
        a->head = b;
        a->used = 0;
    }
    void *p = a->head->data + a->used;
    a->used += want;
    return p;
}

void *arena_alloc(arena *a, size_t n, size_t size)
{
    void *p = take(a, n, size);
    return p ? memset(p, 0, n * size) : NULL;
}

str arena_str(arena *a, str s)
{
    if (s.n == SIZE_MAX) return (str){0};
    char *p = take(a, s.n + 1, 1);
    if (!p) return (str){0};
    if (s.n) memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return (str){p, s.n};
}
