/* report_view.c - from a curated data set to the figures and texts of the report.
 *
 * Everything lives in one arena until the page is written.  Only so many groups, members and
 * pairs are taken that the page stays far below 2 MB. */
#include "report_view.h"

#include <stdlib.h>

#include "base/intern.h"
#include "conflicts.h"
#include "export/report.h"

enum { GROUPS_SHOWN = 25, MEMBERS_SHOWN = 12, RUNS_SHOWN = 20 };
enum { CONFLICTS_SHOWN = 20, ANSWERS_SHOWN = 6 };

typedef struct gathering {
    const job *job;
    const dataset *d;
    arena a;
    report r;
    size_t n_runs;
    report_run *runs; /* [RUNS_SHOWN] */
} gathering;

/* --- counts --------------------------------------------------------------------------------- */

static void add_count(report_counts *c, const char *name, uint64_t n)
{
    c->of[c->n++] = (report_count){str_from(name), n};
}

static status gather_counts(gathering *g, const summary *s, err *e)
{
    enum { FUNNEL_STEPS = 8 };
    uint64_t by_rule[RULE_COUNT] = {0};
    store_counts held;
    report *r = &g->r;
    status st = store_count(g->job->store, &held, e);
    if (st) return st;
    uint64_t left = held.interactions;
    r->funnel.of = arena_alloc(&g->a, FUNNEL_STEPS, sizeof *r->funnel.of);
    r->left_out.of = arena_alloc(&g->a, RULE_COUNT, sizeof *r->left_out.of);
    if (!r->funnel.of || !r->left_out.of) return err_nomem(e, "reporting");
    for (size_t i = 0; i < g->d->n_dropped; i++) by_rule[g->d->dropped[i].rule]++;
    add_count(&r->funnel, "interactions in the store", left);
    left -= by_rule[RULE_BOT_NOT_SELECTED];
    add_count(&r->funnel, "... of the bots selected", left);
    left -= by_rule[RULE_UNRATED];
    add_count(&r->funnel, "... rated", left);
    left -= by_rule[RULE_RATING_BELOW_MINIMUM];
    add_count(&r->funnel, "... well enough", left);
    add_count(&r->funnel, "... with a question and its answer", s->turns.interactions);
    add_count(&r->funnel, "turns in them", s->turns.rated);
    add_count(&r->funnel, "distinct utterances", s->turns.distinct_texts);
    add_count(&r->funnel, "rows kept", s->turns.kept);
    by_rule[RULE_DUPLICATE] += s->turns.duplicates;
    for (rule i = RULE_KEPT + 1; i < RULE_COUNT; i++)
        if (by_rule[i]) add_count(&r->left_out, rule_name(i), by_rule[i]);
    return ST_OK;
}

static status gather_redactions(gathering *g, const redaction_tally *t, err *e)
{
    report_counts *c = &g->r.redacted;
    c->of = arena_alloc(&g->a, t->n_rules + 1, sizeof *c->of);
    if (!c->of) return err_nomem(e, "reporting");
    for (size_t i = 0; i < t->n_rules; i++) {
        uint64_t n = 0;
        if (!t->names[i]) continue;
        for (size_t bot = 0; bot < t->bots.n; bot++) n += t->counts[bot * t->n_rules + i];
        add_count(c, t->names[i], n);
    }
    return ST_OK;
}

static int most_turns_first(const void *a, const void *b)
{
    const report_bot *x = a, *y = b;
    if (x->turns != y->turns) return x->turns > y->turns ? -1 : 1;
    return str_cmp(x->bot_id, y->bot_id);
}

static status gather_bots(gathering *g, err *e)
{
    intern names = {0};
    const dataset *d = g->d;
    report_bot *bots = arena_alloc(&g->a, d->n_turns + 1, sizeof *bots);
    status st = bots ? ST_OK : err_nomem(e, "reporting");
    for (size_t i = 0; st == ST_OK && i < d->n_turns; i++) {
        uint32_t k = intern_add(&names, d->turns[i].of->bot_id);
        if (k == INTERN_NONE) {
            st = err_nomem(e, "reporting");
            break;
        }
        bots[k].bot_id = d->turns[i].of->bot_id;
        bots[k].turns++;
        bots[k].kept += d->verdicts[i].kept_row == NO_ROW;
    }
    if (st == ST_OK && names.n) qsort(bots, names.n, sizeof *bots, most_turns_first);
    g->r.bots = bots;
    g->r.n_bots = names.n;
    intern_release(&names);
    return st;
}

static status gather_losses(gathering *g, const guard_result *from, err *e)
{
    report_loss *to = arena_alloc(&g->a, from->n_over + 1, sizeof *to);
    if (!to) return err_nomem(e, "reporting");
    g->r.max_loss = from->options.max_loss;
    g->r.by_rating = from->options.by_rating;
    g->r.losses = to;
    for (size_t i = 0; i < from->n_groups; i++) {
        const guard_group *x = &from->groups[i];
        if (!x->is_over) continue;
        to[g->r.n_losses++] = (report_loss){x->name, x->n_turns, x->n_kept, x->n_given};
    }
    return ST_OK;
}

/* --- groups --------------------------------------------------------------------------------- */

/* Puts a row among the largest so far, which stay in order: size, then row. */
static void offer(uint32_t *rows, size_t *n, const uint64_t *size, uint32_t row)
{
    size_t at = *n;
    while (at && size[rows[at - 1]] < size[row]) at--;
    if (at == GROUPS_SHOWN) return;
    if (*n < GROUPS_SHOWN) ++*n;
    memmove(rows + at + 1, rows + at, (*n - at - 1) * sizeof *rows);
    rows[at] = row;
}

/* Puts a member among those furthest from the keeper. */
static void offer_member(report_group *g, const turn *row, double score)
{
    report_pair *p = g->members.of;
    size_t at = g->members.n;
    while (at && p[at - 1].score > score) at--;
    if (at == MEMBERS_SHOWN) return;
    if (g->members.n < MEMBERS_SHOWN) g->members.n++;
    memmove(p + at + 1, p + at, (g->members.n - at - 1) * sizeof *p);
    p[at] = (report_pair){.row = row, .earlier = g->kept, .score = score};
}

static status gather_members(gathering *g, const uint32_t *rows, size_t n, const uint64_t *size,
                             err *e)
{
    const dataset *d = g->d;
    report_group *groups = arena_alloc(&g->a, GROUPS_SHOWN, sizeof *groups);
    uint32_t *group_of = calloc(d->n_turns + 1, sizeof *group_of); /* by row, plus 1 */
    status st = groups && group_of ? ST_OK : err_nomem(e, "reporting");
    for (size_t k = 0; st == ST_OK && k < n; k++) {
        groups[k] = (report_group){.kept = &d->turns[rows[k]], .n_members = size[rows[k]]};
        groups[k].members.of = arena_alloc(&g->a, MEMBERS_SHOWN, sizeof *groups[k].members.of);
        if (!groups[k].members.of) st = err_nomem(e, "reporting");
        group_of[rows[k]] = (uint32_t)k + 1;
    }
    for (size_t i = 0; st == ST_OK && i < d->n_turns; i++) {
        uint32_t kept = d->verdicts[i].kept_row, k = kept == NO_ROW ? 0 : group_of[kept];
        if (k) offer_member(&groups[k - 1], &d->turns[i], d->verdicts[i].score);
    }
    free(group_of);
    g->r.groups = groups;
    g->r.n_groups = n;
    return st;
}

static status gather_groups(gathering *g, err *e)
{
    const dataset *d = g->d;
    uint32_t rows[GROUPS_SHOWN + 1];
    size_t n = 0;
    uint64_t *size = calloc(d->n_turns + 1, sizeof *size);
    if (!size) return err_nomem(e, "reporting");
    for (size_t i = 0; i < d->n_turns; i++)
        if (d->verdicts[i].kept_row != NO_ROW) size[d->verdicts[i].kept_row]++;
    for (size_t i = 0; i < d->n_turns; i++)
        if (size[i]) offer(rows, &n, size, (uint32_t)i);
    status st = gather_members(g, rows, n, size, e);
    free(size);
    return st;
}

/* --- conflicts ------------------------------------------------------------------------------ */

static int most_given_first(const void *pa, const void *pb)
{
    const report_answer *a = pa, *b = pb;
    if (a->n != b->n) return a->n > b->n ? -1 : 1;
    return (a->first > b->first) - (a->first < b->first); /* turns of one array, in final order */
}

/* The different answers of a group, and how often each was given. */
static status gather_answers(gathering *g, const conflict_group *c, report_conflict *out, err *e)
{
    intern texts = {0};
    report_answer *answers = calloc(c->n, sizeof *answers);
    status st = answers ? ST_OK : err_nomem(e, "reporting");
    for (uint32_t i = 0; st == ST_OK && i < c->n; i++) {
        const turn *t = &g->d->turns[c->of[i].row];
        uint32_t k = intern_add(&texts, t->bot_response);
        if (k == INTERN_NONE)
            st = err_nomem(e, "reporting");
        else if (!answers[k].n++)
            answers[k] = (report_answer){t, 1, c->of[i].score};
    }
    if (st == ST_OK) qsort(answers, texts.n, sizeof *answers, most_given_first);
    *out = (report_conflict){.kept = &g->d->turns[c->kept],
                             .n = c->n,
                             .n_answers = texts.n,
                             .n_shown = texts.n < ANSWERS_SHOWN ? texts.n : ANSWERS_SHOWN};
    out->answers = arena_alloc(&g->a, ANSWERS_SHOWN, sizeof *out->answers);
    if (st == ST_OK && !out->answers) st = err_nomem(e, "reporting");
    if (st == ST_OK) memcpy(out->answers, answers, out->n_shown * sizeof *answers);
    intern_release(&texts);
    free(answers);
    return st;
}

static status take_conflicts(gathering *g, const conflicts *c, err *e)
{
    report *r = &g->r;
    status st = ST_OK;
    report_conflict *shown = arena_alloc(&g->a, CONFLICTS_SHOWN, sizeof *shown);
    if (!shown) return err_nomem(e, "reporting");
    r->n_conflicts = c->n_groups;
    for (size_t k = 0; k < c->n_groups; k++) r->n_conflict_turns += c->groups[k].n;
    while (st == ST_OK && r->n_conflicts_shown < c->n_groups &&
           r->n_conflicts_shown < CONFLICTS_SHOWN) {
        const size_t k = r->n_conflicts_shown++;
        st = gather_answers(g, &c->groups[k], &shown[k], e);
    }
    r->conflicts = shown;
    return st;
}

/* Answers are compared where that is asked for: it takes a vector for each that differs. */
static status gather_conflicts(gathering *g, err *e)
{
    conflicts c;
    g->r.conflicts_below = g->job->config->conflicts.below;
    g->r.asked_conflicts = *g->job->config->export.conflicts != 0;
    if (!g->r.asked_conflicts) return ST_OK;
    status st = conflicts_find(g->job, g->d, &c, e);
    if (st == ST_OK) st = take_conflicts(g, &c, e);
    conflicts_release(&c);
    return st;
}

/* --- pairs, charts, runs -------------------------------------------------------------------- */

static status take_pairs(gathering *g, const sweep_pair *p, size_t n, report_pairs *out, err *e)
{
    out->of = arena_alloc(&g->a, n + 1, sizeof *out->of);
    if (!out->of) return err_nomem(e, "reporting");
    for (out->n = 0; out->n < n; out->n++)
        out->of[out->n] = (report_pair){.row = &g->d->turns[p[out->n].row],
                                        .earlier = &g->d->turns[p[out->n].earlier],
                                        .score = p[out->n].score};
    return ST_OK;
}

static status gather_sweep(gathering *g, const sweep *sw, err *e)
{
    _Static_assert((int)SWEEP_STEPS == (int)REPORT_STEPS, "a column for each step");
    memcpy(g->r.nearest, sw->nearest, sizeof g->r.nearest);
    memcpy(g->r.kept_at, sw->kept, sizeof g->r.kept_at);
    g->r.n_apart = sw->apart;
    status st = take_pairs(g, sw->above, sw->n_above, &g->r.above, e);
    return st ? st : take_pairs(g, sw->below, sw->n_below, &g->r.below, e);
}

static str instant_text(arena *a, instant t)
{
    char text[INSTANT_TEXT] = "-";
    if (instant_cmp(t, INSTANT_MIN) != 0) instant_format(t, text);
    return arena_str(a, str_from(text));
}

static status take_run(void *ctx, const stored_run *run, err *e)
{
    gathering *g = ctx;
    report_run *r = &g->runs[g->n_runs++];
    *r = (report_run){.command = arena_str(&g->a, run->command),
                      .state = arena_str(&g->a, run->state),
                      .started = instant_text(&g->a, run->started),
                      .ended = instant_text(&g->a, run->ended)};
    bool ok = r->command.p && r->state.p && r->started.p && r->ended.p;
    return ok ? ST_OK : err_nomem(e, "reporting");
}

static status gather_runs(gathering *g, err *e)
{
    g->runs = arena_alloc(&g->a, RUNS_SHOWN, sizeof *g->runs);
    if (!g->runs) return err_nomem(e, "reporting");
    status st = store_each_run(g->job->store, RUNS_SHOWN, take_run, g, e);
    g->r.runs = g->runs;
    g->r.n_runs = g->n_runs;
    return st;
}

status report_view(const job *j, const dataset *d, const summary *s, const sweep *sw, buf *out,
                   err *e)
{
    gathering g = {.job = j, .d = d};
    buf settings = {0};
    g.r = (report){.version = STR(TAMIS_VERSION),
                   .store = str_from(j->config->store.url),
                   .threshold = j->config->dedup.threshold};
    config_write_settings(j->config, &settings);
    g.r.settings = buf_view(&settings);
    status st = gather_counts(&g, s, e);
    if (st == ST_OK) st = gather_redactions(&g, &s->redactions, e);
    if (st == ST_OK) st = gather_bots(&g, e);
    if (st == ST_OK) st = gather_losses(&g, &s->guard, e);
    if (st == ST_OK) st = gather_groups(&g, e);
    if (st == ST_OK) st = gather_conflicts(&g, e);
    if (st == ST_OK) st = gather_sweep(&g, sw, e);
    if (st == ST_OK) st = gather_runs(&g, e);
    if (st == ST_OK) {
        report_write(&g.r, out);
        if (!buf_ok(out) || !buf_ok(&settings)) st = err_nomem(e, "reporting");
    }
    buf_release(&settings);
    arena_release(&g.a);
    return st;
}
