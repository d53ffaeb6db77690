/* cuts.c - each pair of rows in different files, by the scan.
 *
 * Two files at a time: the rows of the smaller are to the scan what kept rows are, those of the
 * larger are looked for before them in order.  A row of the larger that something covers is near a
 * row of the other file.  If no pair is cut, no chain of pairs is. */
#include "verify/cuts.h"

#include <stdlib.h>

#include "verify/written.h"

typedef struct part {
    uint32_t *turns; /* [n] */
    size_t n;
} part;

void cuts_release(cuts *c)
{
    free(c->list);
    *c = (cuts){0};
}

static void add_cut(cuts *out, const cut *c)
{
    if (out->total++ < CUTS_MAX) out->list[out->n++] = *c;
}

static void cut_conversations(const cuts_input *in, cuts *out)
{
    const turn_index *x = in->turns;
    uint32_t first = NO_ROW;
    for (size_t k = 0; k < x->n; k++) {
        uint32_t i = x->by_id[k];
        if (in->part[i] == PART_NO_ROW) continue;
        bool same = first != NO_ROW && str_eq(x->turns[first].of->id, x->turns[i].of->id);
        if (!same)
            first = i;
        else if (in->part[first] != in->part[i])
            add_cut(out, &(cut){.a = first, .b = i, .is_of_conversation = true});
    }
}

static status cut_pairs(const cuts_input *in, const part *a, const part *b, const scan_options *o,
                        cuts *out, err *e)
{
    scan_result found = {0};
    scan_row *kept = calloc(a->n + 1, sizeof *kept), *others = calloc(b->n + 1, sizeof *others);
    status st = kept && others ? ST_OK : err_nomem(e, "verifying");
    for (uint32_t i = 0; st == ST_OK && i < a->n; i++)
        kept[i] = (scan_row){.unit = in->unit[a->turns[i]], .order = i};
    for (uint32_t i = 0; st == ST_OK && i < b->n; i++)
        others[i] = (scan_row){.unit = in->unit[b->turns[i]], .order = (uint32_t)a->n + i};
    scan_input scan = {.vectors = in->vectors,
                       .dim = in->dim,
                       .kept = kept,
                       .n_kept = a->n,
                       .dropped = others,
                       .n_dropped = b->n,
                       .n_groups = 1,
                       .threshold = in->threshold};
    if (st == ST_OK) st = scan_run(&scan, o, &found, e);
    for (size_t i = 0; st == ST_OK && i < b->n; i++) {
        const scan_nearest *n = &found.nearest[i];
        if (n->is_covered)
            add_cut(out, &(cut){.a = a->turns[n->kept], .b = b->turns[i], .score = n->score});
    }
    scan_result_release(&found);
    free(kept);
    free(others);
    return st;
}

status cuts_find(const cuts_input *in, const scan_options *o, cuts *out, err *e)
{
    part parts[N_PARTS + 1] = {0};
    status st = ST_OK;
    *out = (cuts){.list = calloc(CUTS_MAX, sizeof *out->list)};
    uint32_t *all = calloc(in->turns->n + 1, sizeof *all), n = 0;
    if (!out->list || !all) st = err_nomem(e, "verifying");
    for (unsigned char k = 0; st == ST_OK && k <= PART_OTHER; k++) {
        parts[k].turns = all + n;
        for (uint32_t i = 0; i < in->turns->n; i++)
            if (in->part[i] == k) all[n++] = i;
        parts[k].n = (size_t)(all + n - parts[k].turns);
    }
    if (st == ST_OK) cut_conversations(in, out);
    for (int a = 0; a <= PART_OTHER; a++)
        for (int b = a + 1; st == ST_OK && b <= PART_OTHER; b++) {
            bool a_is_smaller = parts[a].n < parts[b].n;
            const part *small = &parts[a_is_smaller ? a : b], *large = &parts[a_is_smaller ? b : a];
            if (small->n) st = cut_pairs(in, small, large, o, out, e);
        }
    free(all);
    return st;
}
