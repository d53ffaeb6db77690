/* row_weights.c - gathers the removed turns of each row, in final order. */
#include "export/row_weights.h"

#include <stdlib.h>

void row_weights_release(row_weights *w)
{
    free(w->of);
    free(w->next);
    *w = (row_weights){0};
}

static void count_in(row_weight *w, const turn *t)
{
    if (!w->first || instant_cmp(t->of->at, w->first->at) < 0) w->first = t->of;
    if (!w->last || instant_cmp(t->of->at, w->last->at) > 0) w->last = t->of;
    w->ratings += t->rating * RATING_UNIT;
}

status row_weights_init(row_weights *w, const export_rows *rows, err *e)
{
    *w = (row_weights){.of = calloc(rows->n_turns + 1, sizeof *w->of),
                       .next = calloc(rows->n_turns + 1, sizeof *w->next)};
    uint32_t *last = calloc(rows->n_turns + 1, sizeof *last);
    if (!w->of || !w->next || !last) {
        free(last);
        return err_nomem(e, "writing the rows");
    }
    for (uint32_t i = 0; i < rows->n_turns; i++) {
        uint32_t keeper = rows->verdicts[i].kept_row;
        w->next[i] = w->of[i].member = NO_ROW;
        if (keeper == NO_ROW) {
            count_in(&w->of[i], &rows->turns[i]);
            continue;
        }
        row_weight *mine = &w->of[keeper];
        count_in(mine, &rows->turns[i]);
        if (mine->duplicates++)
            w->next[last[keeper]] = i;
        else
            mine->member = i;
        last[keeper] = i;
    }
    free(last);
    return ST_OK;
}
