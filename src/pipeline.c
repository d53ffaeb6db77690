/* pipeline.c - the one file that names all the stages, in order.
 *
 *   store  ->  curate  ->  embed  ->  dedup  ->  store (verdicts)  ->  export
 *
 * The data set is a function of the interactions in the store and the configuration.  What is
 * costly is cached in the store under what it depends on: a vector under its text and the model
 * (units.c), the verdicts under the interactions' generation, the configuration and the model
 * (verdicts.c). */
#include "pipeline.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "report_view.h"
#include "conflicts.h"
#include "dedup/forced.h"
#include "manifest.h"
#include "outputs.h"
#include "screen.h"
#include "splits.h"
#include "units.h"
#include "verdicts.h"

/* --- dedup ---------------------------------------------------------------------------------- */

/* *out: [n_turns] the number of each turn's bot, to be freed. */
static status group_by_bot(const dataset *d, uint32_t **out, err *e)
{
    intern bots = {0};
    uint32_t *group = calloc(d->n_turns + 1, sizeof *group);
    bool ok = group != NULL;
    for (size_t i = 0; ok && i < d->n_turns; i++) {
        group[i] = intern_add(&bots, d->turns[i].of->bot_id);
        ok = group[i] != INTERN_NONE;
    }
    intern_release(&bots);
    *out = group;
    return ok ? ST_OK : err_nomem(e, "deduplicating");
}

/* The vectors of a data set; those of answers only where they matter. */
typedef struct compared {
    units questions, answers;
} compared;

static void compared_release(compared *c)
{
    units_release(&c->questions);
    units_release(&c->answers);
}

/* What the dedup stage compares; in->group is to be freed. */
static status dedup_input(const job *j, const dataset *d, const compared *c, greedy_input *in,
                          err *e)
{
    const units *u = &c->questions;
    uint32_t *group = NULL;
    status st = ST_OK;
    if (strcmp(j->config->dedup.domain, "bot") == 0) st = group_by_bot(d, &group, e);
    *in = (greedy_input){.vectors = u->vectors,
                         .n_vectors = u->texts.n,
                         .dim = u->dim,
                         .unit = u->of,
                         .group = group,
                         .n_rows = d->n_turns,
                         .threshold = j->config->dedup.threshold,
                         .answers = c->answers.vectors,
                         .answer = c->answers.of};
    return st;
}

/* What embeds and compares. */
typedef struct workshop {
    isa isa;
    pool *pool;
    embedder *embedder; /* NULL before it is needed */
} workshop;

static status dedup_turns(const job *j, dataset *d, const compared *c, const char *fingerprint,
                          const workshop *w, err *e)
{
    greedy_input in;
    known_rows prior = {0};
    greedy_options o = {.isa = w->isa, .pool = w->pool, .log = j->log, .stop = j->stop};
    status st = dedup_input(j, d, c, &in, e);
    /* Verdicts that pins had a part in say nothing of what the cosines alone would make. */
    if (st == ST_OK && !j->pins) {
        st = verdicts_review(j, d, fingerprint, &prior, e);
        free(d->seconds);
        d->seconds = calloc(d->n_turns + 1, sizeof *d->seconds);
        if (st == ST_OK && !d->seconds) st = err_nomem(e, "deduplicating");
    }
    in.prior = prior.verdicts;
    in.prior_second = prior.seconds;
    o.second = d->seconds;
    if (st == ST_OK) st = forced_run(&in, d->n_pinned, &o, d->verdicts, e);
    free(prior.verdicts);
    free(prior.seconds);
    free((void *)in.group);
    return st;
}

/* --- precision = fast ----------------------------------------------------------------------- */

typedef struct screened {
    const job *job;
    const units *u;
} screened;

static status keep_exact(void *ctx, const size_t *which, size_t n, err *e)
{
    const screened *x = ctx;
    return units_keep(x->job, x->u, which, n, e);
}

static status screen_turns(const job *j, dataset *d, const compared *c, const workshop *w, err *e)
{
    const units *u = &c->questions;
    greedy_input g;
    screen_result r;
    screened x = {j, u};
    screen_options o = screen_defaults();
    o.isa = w->isa;
    o.pool = w->pool;
    o.log = j->log;
    o.stop = j->stop;
    embedder_drop_fast(w->embedder); /* from here on texts are embedded exactly */
    status st = dedup_input(j, d, c, &g, e);
    screen_input in = {.em = w->embedder,
                       .texts = u->text_at,
                       .vectors = u->vectors,
                       .is_fast = u->is_fast,
                       .n = u->texts.n,
                       .dim = u->dim,
                       .unit = g.unit,
                       .group = g.group,
                       .n_rows = g.n_rows,
                       .threshold = g.threshold,
                       .made_exact = keep_exact,
                       .ctx = &x};
    if (st == ST_OK) st = screen_run(&in, &o, d->verdicts, &r, e);
    if (st == ST_OK)
        log_say(j->log, LOG_INFO,
                "fast: %u distinct texts, %zu of them embedded again exactly, %u passes; off by "
                "%.2g at most, margin %.2g",
                u->texts.n, r.again, r.passes, (double)r.worst, (double)r.margin);
    free((void *)g.group);
    return st;
}

/* Says what speaks against it.  Beyond that threshold even equal vectors may be in doubt. */
static bool can_screen(const job *j, const dataset *d, const workshop *w)
{
    const char *shows = job_needs_scores(j), *against = NULL;
    if (!embedder_has_fast(w->embedder))
        against = "this machine has no faster encoder";
    else if (d->n_pinned)
        against = "there are pins";
    else if (job_compares_answers(j))
        against = "dedup.answers = distinct compares answers, too";
    else if (j->config->dedup.threshold > 0.999)
        against = "the threshold is too near to 1";
    if (against)
        log_say(j->log, LOG_INFO, "embed.precision = fast: exact is used, %s", against);
    else if (shows)
        log_say(j->log, LOG_INFO,
                "embed.precision = fast: exact is used, %s shows what each duplicate is nearest to",
                shows);
    return !against && !shows;
}

/* --- the stages in order -------------------------------------------------------------------- */

/* Fewer texts that have no exact vector are not worth their while: they are embedded exactly. */
enum { FAST_LEAST = 256 };

static status gather_questions(const job *j, model *m, const dataset *d, workshop *w, units *u,
                               err *e)
{
    if (strcmp(j->config->embed.precision, "fast") != 0)
        return units_gather(j, d, m, w->pool, w->isa, u, e);
    status st = embedder_new(m, w->isa, w->pool, &w->embedder, e);
    if (st) return st;
    size_t least = can_screen(j, d, w) ? FAST_LEAST : 0;
    return units_gather_with(j, d, w->embedder, w->pool, model_dim(m), least, u, e);
}

static status gather(const job *j, model *m, const dataset *d, workshop *w, compared *c, err *e)
{
    status st = gather_questions(j, m, d, w, &c->questions, e);
    if (st || !job_compares_answers(j)) return st;
    return units_gather_answers(j, d, m, w->pool, w->isa, &c->questions, &c->answers, e);
}

static bool any_fast(const units *u)
{
    return memchr(u->is_fast, 1, u->texts.n) != NULL;
}

static status embed_and_dedup(const job *j, model *m, const char *fingerprint, dataset *d,
                              summary *s, err *e)
{
    compared c = {0};
    workshop w = {0};
    double start = clock_monotonic();
    status st = isa_choose(&w.isa, e);
    if (st == ST_OK) st = pool_new(j->n_threads, &w.pool, e);
    if (st == ST_OK) st = gather(j, m, d, &w, &c, e);
    if (st == ST_OK) s->turns.embedded = c.questions.texts.n - c.questions.n_cached;
    s->seconds.embed = clock_monotonic() - start;
    start = clock_monotonic();
    if (st == ST_OK)
        st = any_fast(&c.questions) ? screen_turns(j, d, &c, &w, e)
                                    : dedup_turns(j, d, &c, fingerprint, &w, e);
    s->seconds.dedup = clock_monotonic() - start;
    compared_release(&c);
    embedder_free(w.embedder);
    pool_free(w.pool);
    return st;
}

/* --- the guard ------------------------------------------------------------------------------ */

static void tell_losses(const job *j, const guard_result *g)
{
    const char *whose = g->options.by_rating ? "turns rated" : "bot";
    for (size_t i = 0; i < g->n_groups; i++) {
        const guard_group *mine = &g->groups[i];
        if (!mine->is_over) continue;
        log_say(j->log, LOG_WARNING,
                "%s %.*s: %llu of %llu well-rated turns went as near-duplicates, more than "
                "guard.max_loss = %g allows; %llu given back",
                whose, STR_FMT(mine->name), (unsigned long long)(mine->n_turns - mine->n_kept),
                (unsigned long long)mine->n_turns, g->options.max_loss,
                (unsigned long long)mine->n_given);
    }
}

/* Says who lost too much, and marks what is given back; the verdicts stay as they are. */
static status guard_turns(const job *j, dataset *d, summary *s, err *e)
{
    const guard_options o = job_guard(j);
    s->guard.options = o;
    if (o.max_loss >= 1) return ST_OK;
    unsigned char *is_kept = calloc(d->n_turns + 1, 1);
    d->guarded = calloc(d->n_turns + 1, 1);
    status st = is_kept && d->guarded ? ST_OK : err_nomem(e, "guarding");
    for (size_t i = 0; st == ST_OK && i < d->n_turns; i++)
        is_kept[i] = d->verdicts[i].kept_row == NO_ROW;
    if (st == ST_OK) st = guard_find(d->turns, is_kept, d->n_turns, &o, &s->guard, d->guarded, e);
    if (st == ST_OK) tell_losses(j, &s->guard);
    free(is_kept);
    if (guard_gives(&o)) return st;
    free(d->guarded);
    d->guarded = NULL;
    return st;
}

/* --- all of it ------------------------------------------------------------------------------ */

static status count_texts(dataset *d, err *e)
{
    intern texts = {0};
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < d->n_turns; i++)
        if (intern_add(&texts, d->turns[i].user_utterance) == INTERN_NONE)
            st = err_nomem(e, "counting");
    d->n_distinct = texts.n;
    intern_release(&texts);
    return st;
}

static status judge(const job *j, dataset *d, summary *s, err *e)
{
    model *m = NULL;
    buf key = {0};
    bool current = false;
    isa unused;
    char fingerprint[SHA256_HEX] = "none needed";
    status st = isa_choose(&unused, e); /* a wrong TAMIS_ISA is told whatever is cached */
    if (st == ST_OK && d->n_turns) st = model_look(j->model_dir, &m, e);
    if (st == ST_OK && m) st = units_check_model(j, m, fingerprint, e);
    if (st == ST_OK) st = verdicts_key(j, fingerprint, &key, e);
    if (st == ST_OK) st = verdicts_recall(j, d, buf_view(&key), &current, e);
    if (st == ST_OK && !d->n_distinct) st = count_texts(d, e);
    if (st == ST_OK && !current && m) st = embed_and_dedup(j, m, fingerprint, d, s, e);
    if (st == ST_OK) st = guard_turns(j, d, s, e);
    if (st == ST_OK && !current) st = verdicts_store(j, d, fingerprint, buf_view(&key), e);
    for (size_t i = 0; st == ST_OK && d->guarded && i < d->n_turns; i++)
        if (d->guarded[i]) d->verdicts[i] = (verdict){NO_ROW, 1};
    buf_release(&key);
    model_free(m);
    return st;
}

status pipeline_sweep(const job *j, const dataset *d, sweep *out, err *e)
{
    compared c = {0};
    greedy_input in = {0};
    model *m = NULL;
    workshop w = {0};
    *out = (sweep){0};
    if (!d->n_turns) return ST_OK;
    status st = isa_choose(&w.isa, e);
    if (st == ST_OK) st = pool_new(j->n_threads, &w.pool, e);
    if (st == ST_OK) st = model_look(j->model_dir, &m, e);
    if (st == ST_OK) st = units_gather(j, d, m, w.pool, w.isa, &c.questions, e);
    if (st == ST_OK && job_compares_answers(j))
        st = units_gather_answers(j, d, m, w.pool, w.isa, &c.questions, &c.answers, e);
    if (st == ST_OK) st = dedup_input(j, d, &c, &in, e);
    greedy_options o = {.isa = w.isa, .pool = w.pool, .log = j->log, .stop = j->stop};
    if (st == ST_OK) st = sweep_run(&in, d->n_pinned, &o, out, e);
    free((void *)in.group);
    compared_release(&c);
    model_free(m);
    pool_free(w.pool);
    return st;
}

static void count_turns(const dataset *d, summary *s)
{
    for (size_t i = 0; i < d->n_turns; i++) s->turns.kept += d->verdicts[i].kept_row == NO_ROW;
    s->turns.distinct_texts = d->n_distinct;
    s->turns.duplicates = d->n_turns - s->turns.kept;
}

status pipeline_curate(const job *j, dataset *d, summary *s, err *e)
{
    status st = dataset_load(j, d, s, e);
    if (st == ST_OK) st = judge(j, d, s, e);
    if (st == ST_OK) count_turns(d, s);
    s->curated = st == ST_OK;
    return st;
}

status pipeline_add_scores(const job *j, bool *are_there, err *e)
{
    model *m = NULL;
    buf key = {0};
    char fingerprint[SHA256_HEX];
    status st = model_look(j->model_dir, &m, e);
    if (st == ST_OK) st = units_check_model(j, m, fingerprint, e);
    if (st == ST_OK) st = verdicts_key(j, fingerprint, &key, e);
    if (st == ST_OK) st = verdicts_are_current(j, buf_view(&key), are_there, e);
    buf_release(&key);
    model_free(m);
    if (st || !*are_there) return st;
    job again = *j;
    dataset d = {0};
    summary s = {0};
    again.scores = true;
    st = pipeline_curate(&again, &d, &s, e);
    summary_release(&s);
    dataset_release(&d);
    return st;
}

/* The page of `tamis report`, as a file. */
static status export_report(const job *j, const char *path, const dataset *d, const summary *s,
                            export_result *out, err *e)
{
    sweep sw;
    buf page = {0};
    file_out f = {0};
    status st = pipeline_sweep(j, d, &sw, e);
    if (st == ST_OK) st = report_view(j, d, s, &sw, &page, e);
    if (st == ST_OK) st = file_begin(&f, path, e);
    if (st == ST_OK) st = file_write(&f, buf_view(&page), e);
    if (st == ST_OK) st = file_commit(&f, out->sha256, e);
    file_abort(&f);
    buf_release(&page);
    out->rows = s->turns.kept;
    return st;
}

static status export_one(const job *j, out_file which, const char *path, const dataset *d,
                         summary *s, err *e)
{
    static const export_format formats[OUT_REMOVED] = {[OUT_CSV] = EXPORT_CSV,
                                                       [OUT_JSONL] = EXPORT_JSONL,
                                                       [OUT_CHAT] = EXPORT_CHAT,
                                                       [OUT_RASA] = EXPORT_RASA,
                                                       [OUT_COGNIGY] = EXPORT_COGNIGY};
    bool all = strcmp(j->config->export.columns, "all") == 0;
    export_rows rows = {d->turns,    d->verdicts, d->n_turns, d->split,
                        split_names, -1,          all,        d->guarded};
    if (which >= OUT_TRAIN && which <= OUT_TEST) rows.only = (int)(which - OUT_TRAIN);
    if (!*path) return ST_OK;
    if (!s->turns.kept && which < OUT_REMOVED && !(j->writes_empty && access(path, F_OK) == 0)) {
        log_say(j->log, LOG_WARNING, "no row to export: %s is left as it was", path);
        return ST_OK;
    }
    export_result *out = &s->files[which].result;
    status st;
    if (which == OUT_REMOVED)
        st = export_removed(path, &rows, d->dropped, d->n_dropped, out, e);
    else if (which == OUT_REPORT)
        st = export_report(j, path, d, s, out, e);
    else if (which == OUT_CONFLICTS)
        st = conflicts_write(j, d, path, out, e);
    else if (which == OUT_MANIFEST)
        st = manifest_write(j, d, s, path, out, e);
    else if (which == OUT_RASA || which == OUT_COGNIGY)
        st = export_intents(formats[which], path, &rows, out, e);
    else if (rows.only >= 0)
        st = export_file(strcmp(j->config->split.format, "jsonl") == 0 ? EXPORT_JSONL : EXPORT_CHAT,
                         path, &rows, out, e);
    else
        st = export_file(formats[which], path, &rows, out, e);
    if (st == ST_OK) s->files[which].path = path;
    return st;
}

status pipeline_export(const job *j, dataset *d, summary *s, err *e)
{
    const config *c = j->config;
    const char *paths[OUT_COUNT];
    outputs_paths(c, paths);
    double start = clock_monotonic();
    status st = outputs_can_write(c, e);
    if (st == ST_OK && splits_wanted(c)) st = splits_make(j, d, s, e);
    for (out_file i = OUT_CSV; st == ST_OK && i < OUT_COUNT; i++)
        st = export_one(j, i, paths[i], d, s, e);
    s->seconds.export = clock_monotonic() - start;
    return st;
}
