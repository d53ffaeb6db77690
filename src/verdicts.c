/* verdicts.c - the verdicts of the last curation, kept in the store under what they depend on. */
#include "verdicts.h"

#include <stdlib.h>

#include "base/intern.h"

status verdicts_key(const job *j, const char *fingerprint, buf *key, err *e)
{
    uint64_t generation;
    status st = store_generation(j->store, &generation, e);
    if (st) return st;
    config_describe_curation(j->config, key);
    if (j->redactor) redactor_key_mark(j->redactor, key);
    buf_fmt(key, "model=%s\ngeneration=%llu\nformat=1\n", fingerprint,
            (unsigned long long)generation);
    return buf_ok(key) ? ST_OK : err_nomem(e, "curating");
}

status verdicts_store(const job *j, const dataset *d, str key, err *e)
{
    store *s = j->store;
    status st = store_begin(s, e);
    if (st == ST_OK) st = store_clear_verdicts(s, e);
    for (size_t i = 0; st == ST_OK && i < d->n_dropped; i++) {
        stored_verdict v = {.interaction_id = d->dropped[i].id,
                            .turn = d->dropped[i].turn,
                            .rule = d->dropped[i].rule,
                            .kept_turn = -1,
                            .order = -1};
        st = store_add_verdict(s, &v, e);
    }
    for (size_t i = 0; st == ST_OK && i < d->n_turns; i++) {
        const turn *t = &d->turns[i];
        stored_verdict v = {.interaction_id = t->of->id,
                            .turn = t->number,
                            .rule = RULE_KEPT,
                            .kept_turn = -1,
                            .score = d->verdicts[i].score,
                            .order = (int64_t)i};
        if (d->verdicts[i].kept_row != NO_ROW) {
            const turn *kept = &d->turns[d->verdicts[i].kept_row];
            v.rule = RULE_DUPLICATE;
            v.kept_interaction_id = kept->of->id;
            v.kept_turn = kept->number;
        }
        st = store_add_verdict(s, &v, e);
    }
    if (st == ST_OK) st = store_set(s, "curation", key, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

typedef struct recalling {
    dataset *d;
    intern ids;          /* interactions with turns, in final order */
    uint32_t *first_row; /* [ids.n] */
    size_t n;            /* turns recalled */
    bool fits;
} recalling;

/* The row of a turn, NO_ROW if there is none such. */
static uint32_t row_of(const recalling *r, str id, int64_t number)
{
    uint32_t k = intern_find(&r->ids, id);
    if (k == INTERN_NONE || number < 0) return NO_ROW;
    const turn *turns = r->d->turns, *first = &turns[r->first_row[k]];
    for (const turn *t = first; t < turns + r->d->n_turns && t->of == first->of; t++)
        if (t->number == number) return (uint32_t)(t - turns);
    return NO_ROW;
}

static status recall_verdict(void *ctx, const stored_verdict *v, err *e)
{
    recalling *r = ctx;
    (void)e;
    if (v->rule != RULE_KEPT && v->rule != RULE_DUPLICATE) return ST_OK;
    uint32_t row = row_of(r, v->interaction_id, v->turn), kept = NO_ROW;
    if (v->rule == RULE_DUPLICATE) kept = row_of(r, v->kept_interaction_id, v->kept_turn);
    if (row == NO_ROW || (v->rule == RULE_DUPLICATE && kept == NO_ROW)) {
        r->fits = false;
        return ST_OK;
    }
    r->d->verdicts[row] = (verdict){kept, v->score};
    r->n++;
    return ST_OK;
}

status verdicts_recall(const job *j, dataset *d, str key, bool *current, err *e)
{
    buf stored = {0};
    recalling r = {.d = d, .fits = true};
    status st = store_get(j->store, "curation", &stored, current, e);
    *current = st == ST_OK && *current && str_eq(buf_view(&stored), key);
    buf_release(&stored);
    if (!*current) return st;
    r.first_row = calloc(d->n_turns + 1, sizeof *r.first_row);
    if (!r.first_row) st = err_nomem(e, "curating");
    for (size_t i = 0; st == ST_OK && i < d->n_turns; i++) {
        if (i && d->turns[i].of == d->turns[i - 1].of) continue;
        uint32_t k = intern_add(&r.ids, d->turns[i].of->id);
        if (k == INTERN_NONE)
            st = err_nomem(e, "curating");
        else
            r.first_row[k] = (uint32_t)i;
    }
    if (st == ST_OK) st = store_each_verdict(j->store, recall_verdict, &r, e);
    *current = r.fits && r.n == d->n_turns;
    intern_release(&r.ids);
    free(r.first_row);
    return st;
}
