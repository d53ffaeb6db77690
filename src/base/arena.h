/* arena.h - memory that lives and dies together.
 *
 * One owner, one thread.  Nothing is freed singly; arena_reset keeps the first
 * block for the next batch, arena_release gives everything back. */
#ifndef TAMIS_BASE_ARENA_H
#define TAMIS_BASE_ARENA_H

#include "base/err.h"
#include "base/str.h"

struct arena_block;

typedef struct arena {
    struct arena_block *head; /* newest first; NULL when empty */
    size_t used;              /* bytes used of the head */
} arena;

/* A zero-initialised arena is ready. */
void arena_reset(arena *a);
void arena_release(arena *a);

/* n objects of `size` bytes, zeroed, aligned for any type; NULL when memory is
 * out or the product overflows. */
void *arena_alloc(arena *a, size_t n, size_t size) MUST_USE;

/* A copy, with a NUL behind it (not counted); p == NULL when memory is out. */
str arena_str(arena *a, str s) MUST_USE;

#endif
