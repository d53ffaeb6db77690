/* screen.c - join, embed again what is in doubt, join again. */
#include "screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 4096,       /* vectors that are made exact at a time */
    AUDITED = 512,      /* of a piece, at most */
    SAMPLED = 8,        /* one in so many is in the sample */
    SAFETY = 2,         /* an error may be 1 / SAFETY of the margin */
    WIDER = 2 * SAFETY, /* a margin is made so many times the error that was too large */
};

typedef struct screening {
    const screen_input *in;
    const screen_options *o;
    screen_result *r;
    float *margin;           /* [n] */
    unsigned char *doubtful; /* [n] */
    size_t *list;            /* [n] */
    float *before, *fresh;   /* [PIECE, dim] */
    str *texts;              /* [PIECE] */
    float *sample;           /* [n_sample, dim] exact */
    size_t n_sample;
} screening;

screen_options screen_defaults(void)
{
    return (screen_options){.margin = 1.25e-3f, .limit = 1e-2f, .sample = 256, .passes = 12};
}

static void release(screening *s)
{
    free(s->margin);
    free(s->doubtful);
    free(s->list);
    free(s->before);
    free(s->fresh);
    free(s->texts);
    free(s->sample);
}

static status allocate(screening *s, err *e)
{
    const size_t n = s->in->n, dim = s->in->dim;
    s->margin = calloc(n + 1, sizeof *s->margin);
    s->doubtful = calloc(n + 1, 1);
    s->list = calloc(n + 1, sizeof *s->list);
    s->before = calloc(PIECE, dim * sizeof *s->before);
    s->fresh = calloc(PIECE, dim * sizeof *s->fresh);
    s->texts = calloc(PIECE, sizeof *s->texts);
    s->sample = calloc(s->o->sample + 1, dim * sizeof *s->sample);
    bool ok = s->margin && s->doubtful && s->list && s->before && s->fresh && s->texts && s->sample;
    return ok ? ST_OK : err_nomem(e, "screening");
}

/* --- the audit ------------------------------------------------------------------------------ */

/* What the error of a fast vector adds to cosines with the sample, at most. */
static double error_of(const screening *s, const float *fast, const float *exact)
{
    const size_t dim = s->in->dim;
    double worst = 0;
    for (size_t k = 0; k < s->n_sample; k++) {
        const float *v = s->sample + k * dim;
        worst = fmax(worst, fabs(cosine_exact(fast, v, dim) - cosine_exact(exact, v, dim)));
    }
    return worst;
}

/* n vectors were s->before and are s->fresh. */
static void audit(screening *s, size_t n)
{
    const size_t dim = s->in->dim, step = n / AUDITED + 1;
    double worst = 0;
    for (size_t i = 0; i < n; i += step)
        worst = fmax(worst, error_of(s, s->before + i * dim, s->fresh + i * dim));
    s->r->worst = fmaxf(s->r->worst, (float)worst);
    if (s->r->worst * SAFETY <= s->r->margin) return;
    float wider = s->r->worst * WIDER;
    if (wider <= s->o->limit)
        log_say(s->o->log, LOG_INFO,
                "fast: a cosine is off by %.2g, the margin is widened from %.2g to %.2g",
                (double)s->r->worst, (double)s->r->margin, (double)wider);
    s->r->margin = wider;
}

/* --- exact vectors -------------------------------------------------------------------------- */

/* A piece of the list. */
typedef struct piece {
    screening *s;
    const size_t *which;
} piece;

static status take_batch(void *ctx, const size_t *at, size_t n, err *e)
{
    const piece *p = ctx;
    const screening *s = p->s;
    const size_t dim = s->in->dim;
    size_t *which = malloc((n + 1) * sizeof *which);
    if (!which) return err_nomem(e, "screening");
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < n; i++) {
        which[i] = p->which[at[i]];
        st = vectors_put(&s->in->vectors, dim, which[i], 1, s->fresh + at[i] * dim, e);
        s->in->is_fast[which[i]] = 0;
    }
    if (st == ST_OK && s->in->made_exact) st = s->in->made_exact(s->in->ctx, which, n, e);
    free(which);
    return st;
}

/* The first n of s->list; is_sample: they are the sample, besides. */
static status make_exact(screening *s, size_t n, bool is_sample, err *e)
{
    const size_t dim = s->in->dim, row = dim * sizeof *s->fresh;
    status st = ST_OK;
    for (size_t from = 0, count; st == ST_OK && from < n; from += count) {
        count = n - from < PIECE ? n - from : PIECE;
        piece p = {s, s->list + from};
        embed_options o = {
            .log = s->o->log, .stop = s->o->stop, .batch_done = take_batch, .ctx = &p};
        for (size_t i = 0; i < count; i++) {
            s->texts[i] = s->in->texts[p.which[i]];
            float *to = s->before + i * dim;
            const float *v = vectors_row(&s->in->vectors, dim, p.which[i], to);
            if (v != to) memcpy(to, v, row);
        }
        st = embed_texts(s->in->em, s->texts, count, s->fresh, &o, e);
        if (st) break;
        if (is_sample) {
            memcpy(s->sample, s->fresh, count * row);
            s->n_sample = count;
        }
        audit(s, count);
        s->r->again += count;
    }
    return st;
}

/* Spread over all that is fast; the same ones for the same vectors. */
static status take_sample(screening *s, err *e)
{
    size_t n = 0, taken = 0;
    for (size_t i = 0; i < s->in->n; i++)
        if (s->in->is_fast[i]) s->list[n++] = i;
    size_t wanted = (n + SAMPLED - 1) / SAMPLED;
    if (wanted > s->o->sample) wanted = s->o->sample;
    if (wanted > PIECE) wanted = PIECE;
    for (uint32_t state = 1; taken < wanted; taken++) {
        size_t from = taken * n / wanted, width = (taken + 1) * n / wanted - from;
        state = state * 1664525u + 1013904223u;
        s->list[taken] = s->list[from + (state >> 8) % width];
    }
    return make_exact(s, taken, true, e);
}

static size_t count_fast(const screening *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->in->n; i++) n += s->in->is_fast[i];
    return n;
}

static status make_all_exact(screening *s, err *e)
{
    size_t n = 0;
    for (size_t i = 0; i < s->in->n; i++)
        if (s->in->is_fast[i]) s->list[n++] = i;
    return make_exact(s, n, false, e);
}

/* --- joining -------------------------------------------------------------------------------- */

static status join_once(screening *s, verdict *out, err *e)
{
    const screen_input *in = s->in;
    for (size_t i = 0; i < in->n; i++) s->margin[i] = in->is_fast[i] ? s->r->margin : 0;
    s->r->exact = count_fast(s) == 0;
    s->r->passes++;
    greedy_input g = {.vectors = in->vectors,
                      .n_vectors = in->n,
                      .dim = in->dim,
                      .unit = in->unit,
                      .group = in->group,
                      .n_rows = in->n_rows,
                      .threshold = in->threshold,
                      .margin = s->r->exact ? NULL : s->margin,
                      .doubtful = s->r->exact ? NULL : s->doubtful};
    greedy_options o = {.isa = s->o->isa, .pool = s->o->pool, .log = s->o->log, .stop = s->o->stop};
    return greedy_run(&g, &o, out, e);
}

/* Lists what is in doubt. */
static size_t list_doubtful(screening *s)
{
    size_t n = 0;
    for (size_t i = 0; !s->r->exact && i < s->in->n; i++)
        if (s->doubtful[i] && s->in->is_fast[i]) s->list[n++] = i;
    return n;
}

static status join_until_sure(screening *s, verdict *out, err *e)
{
    for (;;) {
        if (s->r->margin > s->o->limit) {
            log_say(s->o->log, LOG_INFO, "fast: a cosine is off by %.2g; exact is used",
                    (double)s->r->worst);
            status st = make_all_exact(s, e);
            if (st) return st;
            s->r->margin = 0; /* of no vector */
        }
        status st = join_once(s, out, e);
        if (st) return st;
        size_t n = list_doubtful(s);
        if (!n) return ST_OK;
        st = s->r->passes < s->o->passes ? make_exact(s, n, false, e) : make_all_exact(s, e);
        if (st) return st;
    }
}

status screen_run(const screen_input *in, const screen_options *o, verdict *out,
                  screen_result *result, err *e)
{
    *result = (screen_result){.margin = o->margin};
    screening s = {.in = in, .o = o, .r = result};
    status st = allocate(&s, e);
    if (st == ST_OK) st = take_sample(&s, e);
    if (st == ST_OK) st = join_until_sure(&s, out, e);
    for (size_t i = 0; st == ST_OK && !result->exact && i < in->n_rows; i++)
        if (out[i].kept_row != NO_ROW) out[i].score = SCORE_UNKNOWN;
    release(&s);
    return st;
}
