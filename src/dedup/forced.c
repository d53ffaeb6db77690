/* forced.c - forced rows on top of greedy.c, which knows nothing of them.
 *
 * Forced rows come first, so greedy_run keeps each of them that no other forced one is near to:
 * mostly all, and then its verdicts are right.  If it drops some ("odd" ones), the rows near to an
 * odd one fall too.  Nothing else changes by the odd ones, so what is left of the list
 * without both is decided by greedy_run alone.  The rows that fell get their nearest kept row by
 * plain search: they are few. */
#include "dedup/forced.h"

#include <stdlib.h>
#include <string.h>

typedef struct forcing {
    const greedy_input *in;
    const greedy_options *o;
    verdict *out;
    uint32_t *odd;    /* [n_odd] forced rows near to an earlier forced one */
    uint32_t *fallen; /* [n_fallen] other rows near to an odd one */
    uint32_t *left;   /* [n_left] all the rest */
    unsigned char *is_fallen;
    size_t n_forced, n_odd, n_fallen, n_left;
} forcing;

static bool near(const greedy_input *in, uint32_t a, uint32_t b, double *cosine)
{
    if (in->group && in->group[a] != in->group[b]) return false;
    float room[2][VECTORS_DIM];
    const float *x = vectors_row(&in->vectors, in->dim, in->unit[a], room[0]);
    const float *y = vectors_row(&in->vectors, in->dim, in->unit[b], room[1]);
    if (in->answer && answers_cosine(in, in->answer[a], in->answer[b]) < in->threshold)
        return false;
    *cosine = cosine_exact(x, y, in->dim);
    return *cosine >= in->threshold || memcmp(x, y, in->dim * sizeof *x) == 0;
}

static void mark_fallen(void *ctx, size_t item, int worker)
{
    forcing *f = ctx;
    double cosine;
    (void)worker;
    if (item < f->n_forced) return;
    for (size_t k = 0; k < f->n_odd && !f->is_fallen[item]; k++)
        f->is_fallen[item] = near(f->in, f->odd[k], (uint32_t)item, &cosine);
}

/* The kept row before a fallen one that is nearest to it, ties to the earliest. */
static void find_keeper(void *ctx, size_t item, int worker)
{
    forcing *f = ctx;
    const uint32_t row = f->fallen[item];
    verdict *v = &f->out[row];
    (void)worker;
    *v = (verdict){NO_ROW, -2};
    for (uint32_t k = 0; k < row; k++) {
        double cosine = -2;
        if (f->is_fallen[k] || f->out[k].kept_row != NO_ROW) continue;
        near(f->in, k, row, &cosine);
        if (cosine > v->score) *v = (verdict){k, cosine};
    }
}

static status decide_left(forcing *f, err *e)
{
    uint32_t *unit = calloc(f->n_left + 1, sizeof *unit);
    uint32_t *group = calloc(f->n_left + 1, sizeof *group);
    uint32_t *answer = calloc(f->n_left + 1, sizeof *answer);
    verdict *v = calloc(f->n_left + 1, sizeof *v);
    status st = unit && group && answer && v ? ST_OK : err_nomem(e, "deduplicating");
    for (size_t i = 0; st == ST_OK && i < f->n_left; i++) {
        unit[i] = f->in->unit[f->left[i]];
        group[i] = f->in->group ? f->in->group[f->left[i]] : 0;
        answer[i] = f->in->answer ? f->in->answer[f->left[i]] : 0;
    }
    greedy_input in = *f->in;
    in.unit = unit;
    in.group = group;
    if (in.answer) in.answer = answer;
    in.n_rows = f->n_left;
    greedy_options o = *f->o;
    o.second = NULL;
    if (st == ST_OK) st = greedy_run(&in, &o, v, e);
    for (size_t i = 0; st == ST_OK && i < f->n_left; i++) {
        f->out[f->left[i]] = v[i];
        if (v[i].kept_row != NO_ROW) f->out[f->left[i]].kept_row = f->left[v[i].kept_row];
    }
    for (size_t k = 0; k < f->n_odd; k++) f->out[f->odd[k]] = (verdict){NO_ROW, 1};
    for (size_t i = 0; f->o->second && i < f->in->n_rows; i++)
        f->o->second[i] = (verdict){ROW_UNKNOWN, 0};
    free(unit);
    free(group);
    free(answer);
    free(v);
    return st;
}

static status decide_odd(forcing *f, err *e)
{
    size_t n = f->in->n_rows;
    f->is_fallen = calloc(n + 1, 1);
    f->odd = calloc(n + 1, sizeof *f->odd);
    f->fallen = calloc(n + 1, sizeof *f->fallen);
    f->left = calloc(n + 1, sizeof *f->left);
    if (!f->is_fallen || !f->odd || !f->fallen || !f->left) return err_nomem(e, "deduplicating");
    for (uint32_t i = 0; i < f->n_forced; i++)
        if (f->out[i].kept_row != NO_ROW) f->odd[f->n_odd++] = i;
    pool_run(f->o->pool, n, mark_fallen, f);
    for (uint32_t i = 0; i < n; i++) {
        bool odd = i < f->n_forced && f->out[i].kept_row != NO_ROW;
        if (f->is_fallen[i])
            f->fallen[f->n_fallen++] = i;
        else if (!odd)
            f->left[f->n_left++] = i;
    }
    status st = decide_left(f, e);
    if (st == ST_OK) pool_run(f->o->pool, f->n_fallen, find_keeper, f);
    if (st == ST_OK) st = vectors_check(&f->in->vectors, e);
    return st == ST_OK && f->in->answer ? vectors_check(&f->in->answers, e) : st;
}

status forced_run(const greedy_input *in, size_t n_forced, const greedy_options *o, verdict *out,
                  err *e)
{
    forcing f = {.in = in, .o = o, .out = out, .n_forced = n_forced};
    bool odd = false;
    status st = greedy_run(in, o, out, e);
    for (size_t i = 0; st == ST_OK && i < n_forced; i++) odd |= out[i].kept_row != NO_ROW;
    if (st == ST_OK && odd) st = decide_odd(&f, e);
    free(f.is_fallen);
    free(f.odd);
    free(f.fallen);
    free(f.left);
    return st;
}
