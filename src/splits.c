/* splits.c - joins the kept turns, their vectors, the components of near pairs and the rule that
 * gives each component its part. */
#include "splits.h"

#include <math.h>
#include <stdlib.h>

#include "curate/split.h"
#include "dedup/components.h"
#include "units.h"

bool splits_wanted(const config *c)
{
    return *c->export.train || *c->export.valid || *c->export.test;
}

typedef struct splitting {
    const job *job;
    dataset kept;  /* its turns are the rows */
    uint32_t *row; /* [n] turn of each */
    uint32_t *parent;
    str *ids;
    unsigned char *part;
} splitting;

static void splitting_release(splitting *x)
{
    free(x->kept.turns);
    free(x->row);
    free(x->parent);
    free(x->ids);
    free(x->part);
}

static status list_rows(splitting *x, const dataset *d, err *e)
{
    x->kept.turns = calloc(d->n_turns + 1, sizeof *x->kept.turns);
    x->row = calloc(d->n_turns + 1, sizeof *x->row);
    x->parent = calloc(d->n_turns + 1, sizeof *x->parent);
    x->ids = calloc(d->n_turns + 1, sizeof *x->ids);
    x->part = calloc(d->n_turns + 1, 1);
    if (!x->kept.turns || !x->row || !x->parent || !x->ids || !x->part)
        return err_nomem(e, "splitting");
    for (size_t i = 0; i < d->n_turns; i++) {
        if (d->verdicts[i].kept_row != NO_ROW) continue;
        x->row[x->kept.n_turns] = (uint32_t)i;
        x->ids[x->kept.n_turns] = d->turns[i].of->id;
        x->kept.turns[x->kept.n_turns++] = d->turns[i];
    }
    return ST_OK;
}

static status unite_interactions(splitting *x, err *e)
{
    intern ids = {0};
    status st = ST_OK;
    uint32_t *first = calloc(x->kept.n_turns + 1, sizeof *first);
    if (!first) st = err_nomem(e, "splitting");
    for (uint32_t i = 0; st == ST_OK && i < x->kept.n_turns; i++) {
        uint32_t n = ids.n, k = intern_add(&ids, x->ids[i]);
        if (k == INTERN_NONE) st = err_nomem(e, "splitting");
        if (k == n)
            first[k] = i;
        else if (st == ST_OK)
            forest_unite(x->parent, first[k], i);
    }
    free(first);
    intern_release(&ids);
    return st;
}

static status unite_near(splitting *x, err *e)
{
    model *m = NULL;
    pool *p = NULL;
    units u = {0};
    isa set;
    const job *j = x->job;
    status st = isa_choose(&set, e);
    if (st == ST_OK) st = pool_new(j->n_threads, &p, e);
    if (st == ST_OK) st = model_look(j->model_dir, &m, e);
    if (st == ST_OK) st = units_gather(j, &x->kept, m, p, set, &u, e);
    greedy_input in = {.vectors = u.vectors,
                       .n_vectors = u.texts.n,
                       .dim = u.dim,
                       .unit = u.of,
                       .n_rows = x->kept.n_turns,
                       .threshold = j->config->split.threshold};
    greedy_options o = {.isa = set, .pool = p, .log = j->log, .stop = j->stop};
    if (st == ST_OK) st = components_unite(&in, &o, x->parent, e);
    units_release(&u);
    model_free(m);
    pool_free(p);
    return st;
}

/* Says which part is not as large as it should be. */
static void tell_sizes(const job *j, const split_input *in, const split_sizes *sizes)
{
    for (int k = 0; k < SPLIT_NONE; k++) {
        double share = (double)sizes->rows[k] / (double)in->n;
        if (fabs(share - in->shares[k]) <= SPLIT_TOLERANCE) continue;
        log_say(j->log, LOG_WARNING,
                "split: %s has %.1f %% of the rows and not %.1f %%: %llu groups of rows must stay "
                "together, the largest of %llu rows",
                split_names[k], 100 * share, 100 * in->shares[k], (unsigned long long)sizes->groups,
                (unsigned long long)sizes->largest);
    }
}

status splits_make(const job *j, dataset *d, summary *s, err *e)
{
    const config *c = j->config;
    splitting x = {.job = j};
    double shares[] = {c->split.train, c->split.valid, c->split.test};
    status st = config_check(c, e);
    if (st == ST_OK) st = list_rows(&x, d, e);
    size_t n = x.kept.n_turns;
    if (st == ST_OK) forest_init(x.parent, n);
    if (st == ST_OK) st = unite_interactions(&x, e);
    if (st == ST_OK && n) st = unite_near(&x, e);
    for (uint32_t i = 0; st == ST_OK && i < n; i++) x.parent[i] = forest_root(x.parent, i);
    split_input in = {.ids = x.ids, .root = x.parent, .n = n};
    memcpy(in.shares, shares, sizeof shares);
    if (st == ST_OK) st = split_assign(&in, x.part, &s->split, e);
    free(d->split);
    d->split = calloc(d->n_turns + 1, 1);
    if (st == ST_OK && !d->split) st = err_nomem(e, "splitting");
    for (size_t i = 0; st == ST_OK && i < n; i++) d->split[x.row[i]] = x.part[i];
    if (st == ST_OK && n) tell_sizes(j, &in, &s->split);
    if (st == ST_OK) s->has_split = true;
    splitting_release(&x);
    return st;
}
