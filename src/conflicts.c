/* conflicts.c - near-duplicate questions with different answers.
 *
 * A removed turn takes its answer with it.  Where that answer says something else than the kept
 * one's, either the bot changed its mind or the questions only look alike: a person should see
 * both.  Only answers of groups in which they differ as text are embedded. */
#include "conflicts.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "dedup/greedy.h"
#include "units.h"

/* A kept turn and what was removed in its favour; [from, to) of `members`. */
typedef struct group {
    uint32_t kept, from, to;
    uint32_t n; /* members that conflict */
} group;

typedef struct finding {
    const job *job;
    const dataset *d;
    group *groups; /* [n_groups] */
    uint32_t *members;
    double *scores;   /* [n_turns] of a member's answer and the kept one's; above 1: no conflict */
    dataset answers;  /* turns whose utterances are the answers to embed */
    uint32_t *answer; /* [n_turns] which of them a turn's is */
    size_t n_groups;
} finding;

static void finding_release(finding *f)
{
    free(f->groups);
    free(f->members);
    free(f->scores);
    free(f->answer);
    free(f->answers.turns);
}

/* Members by their keeper, each list in final order. */
static status gather_groups(finding *f, err *e)
{
    const dataset *d = f->d;
    f->groups = calloc(d->n_turns + 1, sizeof *f->groups);
    f->members = calloc(d->n_turns + 1, sizeof *f->members);
    f->scores = calloc(d->n_turns + 1, sizeof *f->scores);
    f->answer = calloc(d->n_turns + 1, sizeof *f->answer);
    f->answers.turns = calloc(d->n_turns + 1, sizeof *f->answers.turns);
    uint32_t *count = calloc(d->n_turns + 1, sizeof *count), at = 0;
    bool ok = f->groups && f->members && f->scores && f->answer && f->answers.turns && count;
    for (size_t i = 0; ok && i < d->n_turns; i++)
        if (d->verdicts[i].kept_row != NO_ROW) count[d->verdicts[i].kept_row]++;
    for (uint32_t i = 0; ok && i < d->n_turns; i++) {
        if (!count[i]) continue;
        f->groups[f->n_groups] = (group){.kept = i, .from = at, .to = at};
        at += count[i];
        count[i] = (uint32_t)f->n_groups++;
    }
    for (uint32_t i = 0; ok && i < d->n_turns; i++)
        if (d->verdicts[i].kept_row != NO_ROW)
            f->members[f->groups[count[d->verdicts[i].kept_row]].to++] = i;
    free(count);
    return ok ? ST_OK : err_nomem(e, "looking for conflicts");
}

static bool differs(const finding *f, const group *g, uint32_t member)
{
    const turn *turns = f->d->turns;
    return !str_eq(turns[g->kept].bot_response, turns[member].bot_response);
}

static void want_answer(finding *f, uint32_t row)
{
    f->answer[row] = (uint32_t)f->answers.n_turns;
    f->answers.turns[f->answers.n_turns++] =
        (turn){.user_utterance = f->d->turns[row].bot_response};
}

static void list_answers(finding *f)
{
    for (size_t k = 0; k < f->n_groups; k++) {
        const group *g = &f->groups[k];
        bool any = false;
        for (uint32_t i = g->from; i < g->to; i++) {
            if (!differs(f, g, f->members[i])) continue;
            if (!any) want_answer(f, g->kept);
            any = true;
            want_answer(f, f->members[i]);
        }
    }
}

static void judge(finding *f, const units *u)
{
    float x[VECTORS_DIM], y[VECTORS_DIM];
    for (size_t k = 0; k < f->n_groups; k++) {
        group *g = &f->groups[k];
        for (uint32_t i = g->from; i < g->to; i++) {
            const uint32_t member = f->members[i];
            f->scores[member] = 2;
            if (!differs(f, g, member)) continue;
            const uint32_t a = u->of[f->answer[g->kept]], b = u->of[f->answer[member]];
            double cosine = cosine_exact(vectors_row(&u->vectors, u->dim, a, x),
                                         vectors_row(&u->vectors, u->dim, b, y), u->dim);
            if (cosine >= f->job->config->conflicts.below) continue;
            f->scores[member] = cosine;
            g->n++;
        }
    }
}

static status compare_answers(finding *f, err *e)
{
    model *m = NULL;
    pool *p = NULL;
    units u = {0};
    isa set;
    list_answers(f);
    if (!f->answers.n_turns) return ST_OK;
    status st = isa_choose(&set, e);
    if (st == ST_OK) st = pool_new(f->job->n_threads, &p, e);
    if (st == ST_OK) st = model_look(f->job->model_dir, &m, e);
    if (st == ST_OK) st = units_gather_beside(f->job, &f->answers, m, p, set, NULL, &u, e);
    if (st == ST_OK) judge(f, &u);
    if (st == ST_OK) st = vectors_check(&u.vectors, e);
    units_release(&u);
    model_free(m);
    pool_free(p);
    return st;
}

static int most_first(const void *pa, const void *pb)
{
    const group *a = pa, *b = pb;
    if (a->n != b->n) return a->n > b->n ? -1 : 1;
    return (a->kept > b->kept) - (a->kept < b->kept);
}

static void write_turn(buf *b, const turn *t)
{
    buf_z(b, "{\"interaction_id\": ");
    js_write_string(b, t->of->id);
    buf_fmt(b, ", \"turn\": %u, \"user_utterance\": ", t->number);
    js_write_string(b, t->user_utterance);
    buf_z(b, ", \"bot_response\": ");
    js_write_string(b, t->bot_response);
}

static void write_group(const dataset *d, const conflict_group *g, buf *b)
{
    const char *before = "";
    write_turn(b, &d->turns[g->kept]);
    buf_z(b, ", \"conflicts\": [");
    for (uint32_t i = 0; i < g->n; i++) {
        buf_z(b, before);
        write_turn(b, &d->turns[g->of[i].row]);
        buf_z(b, ", \"score\": ");
        js_write_fixed(b, d->verdicts[g->of[i].row].score, SCORE_DECIMALS);
        buf_z(b, ", \"answer_score\": ");
        js_write_fixed(b, g->of[i].score, SCORE_DECIMALS);
        buf_char(b, '}');
        before = ", ";
    }
    buf_z(b, "]}\n");
}

/* The groups that have conflicts, with those members that do. */
static status hand_out(const finding *f, conflicts *out, err *e)
{
    size_t n = 0;
    out->groups = calloc(f->n_groups + 1, sizeof *out->groups);
    out->all = calloc(f->d->n_turns + 1, sizeof *out->all);
    if (!out->groups || !out->all) return err_nomem(e, "looking for conflicts");
    for (size_t k = 0; k < f->n_groups && f->groups[k].n; k++) {
        const group *g = &f->groups[k];
        out->groups[out->n_groups++] = (conflict_group){g->kept, g->n, out->all + n};
        for (uint32_t i = g->from; i < g->to; i++) {
            const uint32_t row = f->members[i];
            if (f->scores[row] <= 1.5) out->all[n++] = (conflict){row, f->scores[row]};
        }
    }
    return ST_OK;
}

status conflicts_find(const job *j, const dataset *d, conflicts *out, err *e)
{
    finding f = {.job = j, .d = d};
    *out = (conflicts){0};
    status st = gather_groups(&f, e);
    if (st == ST_OK) st = compare_answers(&f, e);
    if (st == ST_OK) qsort(f.groups, f.n_groups, sizeof *f.groups, most_first);
    if (st == ST_OK) st = hand_out(&f, out, e);
    finding_release(&f);
    return st;
}

void conflicts_release(conflicts *c)
{
    free(c->groups);
    free(c->all);
    *c = (conflicts){0};
}

status conflicts_write(const job *j, const dataset *d, const char *path, export_result *out, err *e)
{
    conflicts c;
    file_out file = {0};
    buf b = {0};
    *out = (export_result){0};
    status st = conflicts_find(j, d, &c, e);
    if (st == ST_OK) st = file_begin(&file, path, e);
    for (; st == ST_OK && out->rows < c.n_groups; out->rows++) {
        b.n = 0;
        write_group(d, &c.groups[out->rows], &b);
        st = buf_ok(&b) ? file_write(&file, buf_view(&b), e) : err_nomem(e, "writing conflicts");
    }
    if (st == ST_OK) st = file_commit(&file, out->sha256, e);
    file_abort(&file);
    buf_release(&b);
    conflicts_release(&c);
    return st;
}
