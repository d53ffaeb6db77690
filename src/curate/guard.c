/* guard.c - counts what each bot lost, and goes through the turns once more to give some back.
 *
 * What is given back stands for itself alone: the rows that the deduplication kept, and what each
 * of them stands for, stay as they are. */
#include "curate/guard.h"

#include <math.h>
#include <stdlib.h>

#include "base/intern.h"
#include "base/number.h"

typedef struct guarding {
    const turn *turns; /* [n] */
    const unsigned char *is_kept;
    size_t n;
    guard_result *g;
    intern names, texts, pairs;
    uint32_t *group;  /* [n] in the order of first occurrence */
    uint64_t *keys;   /* [n] a group and a text */
    uint64_t *n_said; /* [n_groups] distinct utterances of its rows */
} guarding;

void guard_release(guard_result *g)
{
    free(g->groups);
    arena_release(&g->names);
    *g = (guard_result){0};
}

/* The name of a turn's group. */
static str name_of(guarding *x, const turn *t)
{
    buf b = {0};
    if (!x->g->options.by_rating) return t->of->bot_id;
    number_write_json(&b, floor(t->rating) + 0.0); /* no -0 */
    str name = buf_ok(&b) ? arena_str(&x->g->names, buf_view(&b)) : (str){0};
    buf_release(&b);
    return name;
}

static status count_turns(guarding *x, err *e)
{
    guard_result *g = x->g;
    for (size_t i = 0; i < x->n; i++) {
        const str name = name_of(x, &x->turns[i]);
        const uint32_t k =
            name.p || !g->options.by_rating ? intern_add(&x->names, name) : INTERN_NONE;
        if (k == INTERN_NONE) return err_nomem(e, "guarding");
        g->groups[k].n_turns++;
        g->groups[k].n_kept += x->is_kept[i];
        x->group[i] = k;
    }
    g->n_groups = x->names.n;
    for (uint32_t k = 0; k < x->names.n; k++) {
        guard_group *mine = &g->groups[k];
        double lost = (double)(mine->n_turns - mine->n_kept);
        mine->name = arena_str(&g->names, x->names.texts[k]);
        /* The quotient rounds as the decimal in the file does: 29 of 50 are 0.58. */
        mine->is_over = lost / (double)mine->n_turns > g->options.max_loss;
        g->n_over += mine->is_over;
        if (!mine->name.p) return err_nomem(e, "guarding");
    }
    return ST_OK;
}

/* Notes the utterance of a row; *is_new: its group had none such. */
static status note_row(guarding *x, size_t i, bool *is_new, err *e)
{
    const uint32_t text = intern_add(&x->texts, x->turns[i].user_utterance), n = x->pairs.n;
    x->keys[i] = (uint64_t)x->group[i] << 32 | text;
    const uint32_t k = intern_add(&x->pairs, (str){(const char *)&x->keys[i], sizeof *x->keys});
    if (text == INTERN_NONE || k == INTERN_NONE) return err_nomem(e, "guarding");
    *is_new = k == n;
    x->n_said[x->group[i]] += *is_new;
    return ST_OK;
}

static status give_back(guarding *x, unsigned char *given, err *e)
{
    bool is_new = false;
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < x->n; i++)
        if (x->is_kept[i] && x->g->groups[x->group[i]].is_over) st = note_row(x, i, &is_new, e);
    for (size_t i = 0; st == ST_OK && i < x->n; i++) {
        guard_group *mine = &x->g->groups[x->group[i]];
        if (x->is_kept[i] || !mine->is_over) continue;
        if (x->n_said[x->group[i]] >= x->g->options.floor) continue;
        st = note_row(x, i, &is_new, e);
        if (st || !is_new) continue;
        given[i] = 1;
        mine->n_given++;
        x->g->n_given++;
    }
    return st;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const guard_group *)a)->name, ((const guard_group *)b)->name);
}

status guard_find(const turn *turns, const unsigned char *is_kept, size_t n, const guard_options *o,
                  guard_result *out, unsigned char *given, err *e)
{
    guarding x = {.turns = turns, .is_kept = is_kept, .n = n, .g = out};
    *out = (guard_result){.options = *o, .groups = calloc(n + 1, sizeof *out->groups)};
    memset(given, 0, n);
    x.group = calloc(n + 1, sizeof *x.group);
    x.keys = calloc(n + 1, sizeof *x.keys);
    x.n_said = calloc(n + 1, sizeof *x.n_said);
    bool ok = out->groups && x.group && x.keys && x.n_said;
    status st = ok ? count_turns(&x, e) : err_nomem(e, "guarding");
    if (st == ST_OK && guard_gives(o)) st = give_back(&x, given, e);
    if (st == ST_OK) qsort(out->groups, out->n_groups, sizeof *out->groups, by_name);
    intern_release(&x.names);
    intern_release(&x.texts);
    intern_release(&x.pairs);
    free(x.group);
    free(x.keys);
    free(x.n_said);
    return st;
}
