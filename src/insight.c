/* insight.c - curates (or takes the verdicts that are current), sweeps, and hands on to a view. */
#include "insight.h"

#include "labelled_pairs.h"
#include "pipeline.h"
#include "report_view.h"
#include "tune.h"

typedef struct looking {
    dataset d;
    summary s;
    sweep sweep;
} looking;

static void looking_release(looking *l)
{
    dataset_release(&l->d);
    summary_release(&l->s);
}

static status look(const job *j, looking *l, err *e)
{
    status st = pipeline_curate(j, &l->d, &l->s, e);
    return st ? st : pipeline_sweep(j, &l->d, &l->sweep, e);
}

static status judge_pairs(const job *j, const char *path, double same_from, labelled_pairs *out,
                          err *e)
{
    model *m = NULL;
    pool *p = NULL;
    embedder *em = NULL;
    isa set;
    status st = isa_choose(&set, e);
    if (st == ST_OK) st = model_open(j->model_dir, &m, e);
    if (st == ST_OK) st = pool_new(j->n_threads, &p, e);
    if (st == ST_OK) st = embedder_new(m, set, p, &em, e);
    if (st == ST_OK) st = labelled_pairs_read(path, same_from, em, model_dim(m), out, e);
    embedder_free(em);
    pool_free(p);
    model_free(m);
    return st;
}

status insight_tune(const job *j, const char *pairs, double same_from, bool json, buf *out, err *e)
{
    looking l = {0};
    labelled_pairs judged;
    status st = pairs ? judge_pairs(j, pairs, same_from, &judged, e) : ST_OK;
    if (st == ST_OK) st = look(j, &l, e);
    if (st == ST_OK)
        st = tune_write(&l.d, &l.sweep, j->config->dedup.threshold, pairs ? &judged : NULL, json,
                        out, e);
    looking_release(&l);
    return st;
}

status insight_report(const job *j, buf *out, err *e)
{
    looking l = {0};
    status st = look(j, &l, e);
    if (st == ST_OK) st = report_view(j, &l.d, &l.s, &l.sweep, out, e);
    looking_release(&l);
    return st;
}
