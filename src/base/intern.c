/* intern.c - open addressing with linear probing, at most half full.
 *
 * The hash starts from a seed taken when the table is made, so that nobody can choose texts that
 * collide.  It lies beside the number: only a text that has it is looked at, and a table that
 * grows looks at none.  Numbers depend on the order of adding alone. */
#include "base/intern.h"

#include <stdlib.h>
#include <time.h>

struct intern_slot {
    uint32_t hash, number; /* plus 1; 0: free */
};

/* Both halves of the product: the bits of one depend on low bits, of the other on high ones. */
static uint64_t mix(uint64_t h, uint64_t eight)
{
    unsigned __int128 p = (unsigned __int128)(h ^ eight) * 0x9E3779B97F4A7C15u;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Eight bytes at a time, then the rest. */
static uint32_t hash(const intern *t, str s)
{
    uint64_t h = mix(t->seed, s.n), eight;
    for (; s.n >= sizeof eight; s.p += sizeof eight, s.n -= sizeof eight) {
        memcpy(&eight, s.p, sizeof eight);
        h = mix(h, eight);
    }
    eight = 0;
    if (s.n) memcpy(&eight, s.p, s.n);
    return (uint32_t)(mix(h, eight) >> 32);
}

void intern_release(intern *t)
{
    free(t->texts);
    free(t->slots);
    *t = (intern){0};
}

/* The slot where a text is, or would go.  There is always a free one. */
static struct intern_slot *probe(const intern *t, str text, uint32_t h)
{
    for (uint32_t at = h;; at++) {
        struct intern_slot *slot = &t->slots[at & (t->n_slots - 1)];
        if (!slot->number || (slot->hash == h && str_eq(t->texts[slot->number - 1], text)))
            return slot;
    }
}

/* Puts what another table holds where it goes in this one. */
static void take_slots(intern *t, const struct intern_slot *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = from[i].hash;
        if (!from[i].number) continue;
        while (t->slots[at & (t->n_slots - 1)].number) at++;
        t->slots[at & (t->n_slots - 1)] = from[i];
    }
}

static bool grow(intern *t)
{
    enum { FIRST = 1024 };
    uint32_t cap = t->cap ? t->cap * 2 : FIRST;
    if (cap > 1u << 30) return false;
    str *texts = realloc(t->texts, (size_t)cap * sizeof *texts);
    if (texts) t->texts = texts;
    struct intern_slot *old = t->slots, *slots = calloc((size_t)cap * 2, sizeof *slots);
    if (!texts || !slots) {
        free(slots);
        return false;
    }
    if (!t->cap) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        t->seed = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uintptr_t)slots;
    }
    const uint32_t n_old = t->n_slots;
    t->slots = slots;
    t->n_slots = cap * 2;
    t->cap = cap;
    take_slots(t, old, n_old);
    free(old);
    return true;
}

uint32_t intern_add(intern *t, str text)
{
    if (t->n == t->cap && !grow(t)) return INTERN_NONE;
    const uint32_t h = hash(t, text);
    struct intern_slot *slot = probe(t, text, h);
    if (!slot->number) {
        t->texts[t->n++] = text;
        *slot = (struct intern_slot){h, t->n};
    }
    return slot->number - 1;
}

uint32_t intern_find(const intern *t, str text)
{
    const uint32_t number = t->n ? probe(t, text, hash(t, text))->number : 0;
    return number ? number - 1 : INTERN_NONE;
}
