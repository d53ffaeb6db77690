/* prior.c - which rows of a list kept their order: a longest increasing subsequence of the places
 * where they stood, by patience sorting. */
#include "dedup/prior.h"

#include <stdlib.h>
#include <string.h>

#include "dedup/greedy.h"

/* tails[l]: the row that ends the best increasing run of length l + 1 so far. */
static size_t find_place(const uint32_t *tails, size_t n, const uint32_t *old_row, uint32_t place)
{
    size_t low = 0, high = n;
    if (n && old_row[tails[n - 1]] < place) return n; /* as good as always */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (old_row[tails[middle]] < place)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A verdict with its keeper's row in the new list; ROW_UNKNOWN if that is gone. */
static verdict renumber(verdict v, const uint32_t *new_row)
{
    if (v.kept_row == NO_ROW || v.kept_row == ROW_UNKNOWN) return v;
    v.kept_row = new_row[v.kept_row];
    return v.kept_row == NO_ROW ? (verdict){ROW_UNKNOWN, 0} : v;
}

/* With the nearest gone, the next one is the nearest. */
static void hand_on(verdict v, verdict second, verdict *out, verdict *out_second)
{
    if (v.kept_row == ROW_UNKNOWN && second.kept_row != NO_ROW) {
        v = second;
        second = (verdict){ROW_UNKNOWN, 0};
    }
    *out = v;
    *out_second = second;
}

status prior_translate(known_rows old, size_t n_old, const uint32_t *old_row, size_t n_rows,
                       known_rows out, err *e)
{
    status st = ST_OK;
    size_t n = 0;
    uint32_t *tails = calloc(n_rows + 1, sizeof *tails);
    uint32_t *before = calloc(n_rows + 1, sizeof *before);     /* the row before, in its run */
    uint32_t *new_row = malloc((n_old + 1) * sizeof *new_row); /* of each old row that is known */
    if (!tails || !before || !new_row) {
        st = err_nomem(e, "deduplicating");
        goto done;
    }
    memset(new_row, 0xFF, n_old * sizeof *new_row);
    for (size_t i = 0; i < n_rows; i++) {
        out.verdicts[i] = out.seconds[i] = (verdict){ROW_UNKNOWN, 0};
        if (old_row[i] == NO_ROW) continue;
        size_t at = find_place(tails, n, old_row, old_row[i]);
        before[i] = at ? tails[at - 1] : NO_ROW;
        tails[at] = (uint32_t)i;
        if (at == n) n++;
    }
    for (uint32_t i = n ? tails[n - 1] : NO_ROW; i != NO_ROW; i = before[i])
        new_row[old_row[i]] = i;
    for (size_t k = 0; k < n_old; k++) {
        const uint32_t i = new_row[k];
        if (i == NO_ROW) continue;
        hand_on(renumber(old.verdicts[k], new_row), renumber(old.seconds[k], new_row),
                &out.verdicts[i], &out.seconds[i]);
    }
done:
    free(tails);
    free(before);
    free(new_row);
    return st;
}
