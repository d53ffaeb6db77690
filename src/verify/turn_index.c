/* turn_index.c - turns found by interaction and number. */
#include <stdlib.h>

#include "verify/rows.h"

static int turn_cmp(const turn *a, str id, int64_t number)
{
    int c = str_cmp(a->of->id, id);
    return c ? c : (a->number > number) - (a->number < number);
}

static int by_id(const void *pa, const void *pb, void *turns)
{
    const turn *b = (const turn *)turns + *(const uint32_t *)pb;
    return turn_cmp((const turn *)turns + *(const uint32_t *)pa, b->of->id, b->number);
}

status turn_index_init(turn_index *x, const turn *turns, size_t n, err *e)
{
    *x = (turn_index){.turns = turns, .n = n, .by_id = calloc(n + 1, sizeof *x->by_id)};
    if (!x->by_id) return err_nomem(e, "verifying");
    for (size_t i = 0; i < n; i++) x->by_id[i] = (uint32_t)i;
    qsort_r(x->by_id, n, sizeof *x->by_id, by_id, (void *)turns);
    return ST_OK;
}

void turn_index_release(turn_index *x)
{
    free(x->by_id);
    *x = (turn_index){0};
}

size_t turn_index_find(const turn_index *x, str id, int64_t number)
{
    size_t lo = 0, hi = x->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (turn_cmp(&x->turns[x->by_id[mid]], id, number) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint32_t turn_index_at(const turn_index *x, str id, int64_t number)
{
    size_t at = turn_index_find(x, id, number);
    bool same = at < x->n && turn_cmp(&x->turns[x->by_id[at]], id, number) == 0;
    return same ? x->by_id[at] : NO_ROW;
}
