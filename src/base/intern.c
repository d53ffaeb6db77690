/* intern.c - open addressing with linear probing, at most half full.
 *
 * The hash is FNV-1a with a final mix, started from a seed taken when the table is made, so
 * that nobody can choose texts that collide.  Numbers depend on the order of adding alone. */
#include "base/intern.h"

#include <stdlib.h>
#include <time.h>

static uint32_t hash(const intern *t, str s)
{
    uint64_t h = 0xcbf29ce484222325u ^ t->seed;
    for (size_t i = 0; i < s.n; i++) h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    h ^= h >> 32;
    return (uint32_t)(h * 0x9E3779B97F4A7C15u >> 32);
}

void intern_release(intern *t)
{
    free(t->texts);
    free(t->slots);
    *t = (intern){0};
}

/* The slot where a text is, or would go.  There is always a free one. */
static uint32_t probe(const intern *t, str text)
{
    uint32_t at = hash(t, text) & (t->n_slots - 1);
    while (t->slots[at] && !str_eq(t->texts[t->slots[at] - 1], text))
        at = (at + 1) & (t->n_slots - 1);
    return at;
}

static bool grow(intern *t)
{
    enum { FIRST = 1024 };
    uint32_t cap = t->cap ? t->cap * 2 : FIRST;
    if (cap > 1u << 30) return false;
    str *texts = realloc(t->texts, (size_t)cap * sizeof *texts);
    if (texts) t->texts = texts;
    uint32_t *slots = calloc((size_t)cap * 2, sizeof *slots);
    if (!texts || !slots) {
        free(slots);
        return false;
    }
    if (!t->cap) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        t->seed = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uintptr_t)slots;
    }
    free(t->slots);
    t->slots = slots;
    t->n_slots = cap * 2;
    t->cap = cap;
    for (uint32_t i = 0; i < t->n; i++) t->slots[probe(t, t->texts[i])] = i + 1;
    return true;
}

uint32_t intern_add(intern *t, str text)
{
    if (t->n == t->cap && !grow(t)) return INTERN_NONE;
    uint32_t at = probe(t, text);
    if (!t->slots[at]) {
        t->texts[t->n++] = text;
        t->slots[at] = t->n;
    }
    return t->slots[at] - 1;
}

uint32_t intern_find(const intern *t, str text)
{
    if (!t->n) return INTERN_NONE;
    uint32_t at = probe(t, text);
    return t->slots[at] ? t->slots[at] - 1 : INTERN_NONE;
}
