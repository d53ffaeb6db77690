/* tamis.c - the public API: contexts, and the order in which the parts of a run are called.
 *
 * Inside, `status` and `err` are used; here they become tamis_status and tamis_error, whose
 * values are the same.  Every run is written into the store's list of runs, so that `status`
 * can tell of one that never ended. */
#include "tamis.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/json.h"
#include "curate/rating.h"
#include "embed/embed.h"
#include "insight.h"
#include "dedup_run.h"
#include "doctor.h"
#include "forget.h"
#include "model_files.h"
#include "outputs.h"
#include "pipeline.h"
#include "sync_source.h"
#include "verdicts.h"
#include "verify_run.h"
#include "views.h"

_Static_assert((int)TAMIS_BUSY == (int)ST_BUSY && (int)TAMIS_DENIED == (int)ST_DENIED &&
                   (int)TAMIS_INCOMPLETE == (int)ST_INCOMPLETE,
               "the public statuses are the inner ones");

struct tamis {
    config config;
    int n_threads;
    const stop_flag *stop;
    bool resync;
    instant resync_from;
    tamis_listener listener;
    logger log;
};

static tamis_status finish(status st, const err *e, tamis_error *error)
{
    if (st) {
        error->status = (tamis_status)st;
        memcpy(error->message, e->msg, sizeof error->message);
    }
    return (tamis_status)st;
}

_Static_assert(sizeof((tamis_error *)0)->message == ERR_CAP, "a message fits");

/* Hands a buffer's text to the caller. */
static status hand_out(buf *b, char **out, err *e)
{
    *out = (char *)buf_cstr(b);
    if (!*out) buf_release(b);
    return *out ? ST_OK : err_nomem(e, "writing the result");
}

const char *tamis_version(void)
{
    return TAMIS_VERSION;
}

/* --- the job -------------------------------------------------------------------------------- */

static void forward_line(void *ctx, log_level level, const char *line)
{
    const tamis *t = ctx;
    if (t->listener.say) t->listener.say(t->listener.ctx, (tamis_level)level, line);
}

static void forward_progress(void *ctx, const char *what, uint64_t done, uint64_t total,
                             int finished)
{
    const tamis *t = ctx;
    if (t->listener.progress) t->listener.progress(t->listener.ctx, what, done, total, finished);
}

tamis_status tamis_new(tamis **out, tamis_error *error)
{
    err e = {0};
    tamis *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t) return finish(err_nomem(&e, "starting"), &e, error);
    t->log = (logger){.say = forward_line, .progress = forward_progress, .ctx = t};
    status st = config_init(&t->config, &e);
    if (st)
        tamis_free(t);
    else
        *out = t;
    return finish(st, &e, error);
}

void tamis_free(tamis *t)
{
    if (!t) return;
    config_release(&t->config);
    free(t);
}

tamis_status tamis_load(tamis *t, const char *path, tamis_error *error)
{
    err e = {0};
    return finish(config_load(&t->config, path, &e), &e, error);
}

tamis_status tamis_set(tamis *t, const char *setting, tamis_error *error)
{
    err e = {0};
    return finish(config_set(&t->config, setting, &e), &e, error);
}

void tamis_set_threads(tamis *t, int n_threads)
{
    t->n_threads = n_threads;
}

void tamis_set_stop(tamis *t, const volatile sig_atomic_t *stop)
{
    t->stop = stop;
}

tamis_status tamis_set_resync(tamis *t, const char *from, tamis_error *error)
{
    err e = {0};
    instant at;
    if (!instant_parse(str_from(from), &at))
        return finish(err_set(&e, ST_USAGE,
                              "%s is not a time; it must be one such as 2026-01-31T00:00:00Z",
                              from),
                      &e, error);
    t->resync_from = instant_add(at, -1e-9); /* the bound of a slice is exclusive */
    t->resync = true;
    return TAMIS_OK;
}

void tamis_set_listener(tamis *t, const tamis_listener *l)
{
    t->listener = *l;
}

tamis_status tamis_template(char **out, tamis_error *error)
{
    err e = {0};
    buf b = {0};
    config_write_template(&b);
    return finish(hand_out(&b, out, &e), &e, error);
}

/* --- a run ---------------------------------------------------------------------------------- */

typedef struct running {
    tamis *t;
    store *store;
    int parts;
    const char *const *paths; /* files to import */
    size_t n_paths;
    redactor *redactor; /* NULL: none is needed */
    pin_file pins;      /* read once */
    forget_report forgotten;
    summary s;
} running;

static status count_stored(running *r, err *e)
{
    store_counts c;
    status st = store_count(r->store, &c, e);
    r->s.stored = st == ST_OK ? c.interactions : 0;
    return st;
}

static bool redacts_store(const config *c)
{
    return strcmp(c->redact.store, "yes") == 0;
}

static status part_sync(running *r, err *e)
{
    const config *c = &r->t->config;
    sync_job j = {.config = c,
                  .store = r->store,
                  .redactor = redacts_store(c) ? r->redactor : NULL,
                  .resync = r->t->resync ? &r->t->resync_from : NULL,
                  .n_threads = r->t->n_threads,
                  .log = &r->t->log,
                  .stop = r->t->stop};
    status st = sync_source(&j, &r->s.interactions, &r->s.http, e);
    r->s.synced = st != ST_USAGE;
    return st;
}

static status part_import(running *r, err *e)
{
    status st = ST_OK;
    const redactor *cleaner = redacts_store(&r->t->config) ? r->redactor : NULL;
    store_set_origin(r->store, ORIGIN_IMPORT);
    for (size_t i = 0; st == ST_OK && i < r->n_paths; i++)
        st = sync_import(r->store, r->paths[i], cleaner, &r->t->log, r->t->stop, &r->s.interactions,
                         e);
    r->s.synced = true;
    return st;
}

static status read_pins(running *r, err *e)
{
    const char *path = r->t->config.dedup.pins;
    return !*path || r->pins.path ? ST_OK : pin_file_read(path, &r->pins, e);
}

/* What a curation would find wrong with the configuration, before hours go into a sync. */
static status check_curation(running *r, err *e)
{
    arena a = {0};
    rating_map map;
    status st = rating_map_parse(str_from(r->t->config.filter.rating_map), &a, &map, e);
    arena_release(&a);
    return st ? st : read_pins(r, e);
}

/* The directory's name is in `dir`, to be released. */
static status make_job(running *r, buf *dir, job *j, err *e)
{
    status st = model_files_path(r->t->config.embed.model, dir, e);
    *j = (job){.config = &r->t->config,
               .redactor = r->redactor,
               .model_dir = st == ST_OK ? buf_cstr(dir) : NULL,
               .store = r->store,
               .n_threads = r->t->n_threads,
               .reembed = r->parts & TAMIS_REEMBED,
               .log = &r->t->log,
               .stop = r->t->stop};
    if (st == ST_OK && !j->model_dir) st = err_nomem(e, "curating");
    if (*j->config->dedup.pins) j->pins = &r->pins;
    return st ? st : read_pins(r, e);
}

static status part_forget(running *r, err *e)
{
    buf dir = {0};
    job j;
    status st = make_job(r, &dir, &j, e);
    j.scores = true; /* what becomes of duplicates is told */
    if (st == ST_OK) st = forget_run(&j, &r->forgotten, &r->s, e);
    buf_release(&dir);
    return st;
}

static status part_curate_export(running *r, err *e)
{
    dataset d = {0};
    buf dir = {0};
    job j;
    status st = make_job(r, &dir, &j, e);
    if (st == ST_OK) st = pipeline_curate(&j, &d, &r->s, e);
    if (st == ST_OK && (r->parts & TAMIS_EXPORT)) st = pipeline_export(&j, &d, &r->s, e);
    dataset_release(&d);
    buf_release(&dir);
    return st;
}

static status run_parts(running *r, err *e)
{
    status st = ST_OK, counted = ST_OK;
    double start = clock_monotonic();
    if (r->parts & TAMIS_SYNC) st = part_sync(r, e);
    if (st == ST_OK && r->n_paths) st = part_import(r, e);
    if (st == ST_OK && r->forgotten.n_ids) st = part_forget(r, e);
    r->s.seconds.sync = clock_monotonic() - start;
    if (r->s.synced && (st == ST_OK || st == ST_INCOMPLETE)) {
        err late = {0};
        counted = count_stored(r, &late);
        if (counted) {
            *e = late;
            st = counted;
        }
    }
    if (st == ST_OK && (r->parts & (TAMIS_CURATE | TAMIS_EXPORT))) st = part_curate_export(r, e);
    r->s.seconds.total = clock_monotonic() - start;
    return st;
}

/* The run between its two marks in the store. */
static status run_marked(running *r, const char *name, err *e)
{
    static const char *const states[] = {[ST_OK] = "complete", [ST_INCOMPLETE] = "incomplete"};
    int64_t id;
    buf result = {0};
    err late = {0};
    status st = store_begin_run(r->store, name, &id, e);
    if (st) return st;
    st = run_parts(r, e);
    r->s.end = st;
    if (st == ST_INCOMPLETE) memcpy(r->s.reason, e->msg, sizeof r->s.reason);
    summary_write_json(&r->s, &result);
    bool ended = st == ST_OK || st == ST_INCOMPLETE;
    status marked = store_end_run(r->store, id, ended ? states[st] : "failed",
                                  buf_ok(&result) ? buf_view(&result) : STR("{}"), &late);
    if (st == ST_OK && marked) {
        *e = late;
        st = marked;
    }
    buf_release(&result);
    return st;
}

static tamis_status run(running *r, const char *name, tamis_format format, char **out,
                        tamis_error *error)
{
    err e = {0}, late = {0};
    *out = NULL;
    const config *c = &r->t->config;
    bool curates = (r->parts & (TAMIS_CURATE | TAMIS_EXPORT)) || r->forgotten.n_ids;
    bool redacts = curates || redacts_store(c);
    bool exports = (r->parts & TAMIS_EXPORT) || r->forgotten.n_ids;
    status st = exports ? outputs_check(c, &e) : ST_OK;
    if (st == ST_OK && curates) st = check_curation(r, &e);
    if (st == ST_OK && redacts) st = redaction_open(c, &r->redactor, &e);
    if (st == ST_OK) st = store_open(c->store.url, STORE_WRITE, &r->store, &e);
    if (st == ST_OK) st = run_marked(r, name, &e);
    store_close(r->store);
    redactor_free(r->redactor);
    pin_file_release(&r->pins);
    /* Not before: the list of runs in the store names nothing that was forgotten. */
    if (r->forgotten.n_ids) r->s.forgotten = &r->forgotten;
    if (st == ST_OK || st == ST_INCOMPLETE) {
        buf b = {0};
        if (format == TAMIS_JSON)
            summary_write_json(&r->s, &b);
        else
            summary_write_text(&r->s, &b);
        status written = hand_out(&b, out, &late);
        if (written) {
            e = late;
            st = written;
        }
    }
    summary_release(&r->s);
    forget_report_release(&r->forgotten);
    return finish(st, &e, error);
}

tamis_status tamis_run(tamis *t, int parts, tamis_format format, char **out, tamis_error *error)
{
    running r = {.t = t, .parts = parts};
    bool all = (parts & TAMIS_RUN) == TAMIS_RUN;
    const char *name = all                    ? "run"
                       : parts & TAMIS_SYNC   ? "sync"
                       : parts & TAMIS_EXPORT ? "export"
                                              : "curate";
    return run(&r, name, format, out, error);
}

tamis_status tamis_import(tamis *t, const char *const *paths, size_t n_paths, tamis_format format,
                          char **out, tamis_error *error)
{
    running r = {.t = t, .paths = paths, .n_paths = n_paths};
    return run(&r, "import", format, out, error);
}

tamis_status tamis_forget(tamis *t, const char *const *ids, size_t n_ids, tamis_format format,
                          char **out, tamis_error *error)
{
    running r = {.t = t, .forgotten = {.ids = ids, .n_ids = n_ids}};
    return run(&r, "forget", format, out, error);
}

/* --- a second look at the curation ---------------------------------------------------------- */

typedef struct tuning {
    const tamis_tune_options *o; /* NULL: the report */
    bool json;
} tuning;

/* For writing, but a store that is not there is not made. */
static status open_existing(const char *url, store **out, err *e)
{
    status st = store_open(url, STORE_READ, out, e);
    store_close(*out);
    *out = NULL;
    return st ? st : store_open(url, STORE_WRITE, out, e);
}

static tamis_status look_again(tamis *t, const tuning *x, char **out, tamis_error *error)
{
    err e = {0};
    buf b = {0}, dir = {0};
    running r = {.t = t};
    job j;
    *out = NULL;
    status st = redaction_open(&t->config, &r.redactor, &e);
    if (st == ST_OK) st = open_existing(t->config.store.url, &r.store, &e);
    if (st == ST_OK) st = make_job(&r, &dir, &j, &e);
    j.scores = true;
    if (st == ST_OK)
        st = x->o ? insight_tune(&j, x->o->pairs, x->o->same_from, x->json, &b, &e)
                  : insight_report(&j, &b, &e);
    store_close(r.store);
    redactor_free(r.redactor);
    pin_file_release(&r.pins);
    buf_release(&dir);
    if (st == ST_OK)
        st = hand_out(&b, out, &e);
    else
        buf_release(&b);
    return finish(st, &e, error);
}

tamis_status tamis_tune(tamis *t, const tamis_tune_options *o, tamis_format format, char **out,
                        tamis_error *error)
{
    return look_again(t, &(tuning){o, format == TAMIS_JSON}, out, error);
}

tamis_status tamis_report(tamis *t, char **out, tamis_error *error)
{
    return look_again(t, &(tuning){0}, out, error);
}

/* --- the proof of an export ----------------------------------------------------------------- */

/* What is found is told by the exit status and a line of its own. */
static status judge_result(const verify_result *r, err *e)
{
    uint64_t n = verify_violations(r);
    if (!n) return ST_OK;
    return err_set(e, ST_VIOLATION,
                   "%llu violation%s: these files are not what the store and the configuration "
                   "give; %s",
                   (unsigned long long)n, n == 1 ? "" : "s",
                   r->d.n_turns ? "`tamis export` writes them anew"
                                : "with no row now, `tamis export` leaves files of rows as they "
                                  "are: remove them, then run it");
}

tamis_status tamis_verify(tamis *t, tamis_format format, char **out, tamis_error *error)
{
    err e = {0};
    buf dir = {0}, text = {0};
    verify_result result = {0};
    running r = {.t = t};
    job j;
    *out = NULL;
    status st = redaction_open(&t->config, &r.redactor, &e);
    if (st == ST_OK) st = store_open(t->config.store.url, STORE_READ, &r.store, &e);
    if (st == ST_OK) st = make_job(&r, &dir, &j, &e);
    if (st == ST_OK) st = verify_run(&j, &result, &e);
    if (st == ST_OK) {
        verify_write(&result, format == TAMIS_JSON, &text);
        st = hand_out(&text, out, &e);
    }
    if (st == ST_OK) st = judge_result(&result, &e);
    verify_result_release(&result);
    store_close(r.store);
    redactor_free(r.redactor);
    pin_file_release(&r.pins);
    buf_release(&dir);
    return finish(st, &e, error);
}

/* --- the deduplication alone ---------------------------------------------------------------- */

static status forward_write(void *ctx, str bytes, err *e)
{
    const tamis_dedup_options *o = ctx;
    if (o->write(o->ctx, bytes.p, bytes.n) == 0) return ST_OK;
    return err_sys(e, errno, "cannot write the rows");
}

tamis_status tamis_dedup(tamis *t, const tamis_dedup_options *o, tamis_format format, char **out,
                         tamis_error *error)
{
    err e = {0};
    buf dir = {0}, text = {0};
    dedup_summary s;
    dedup_job j = {.path = o->path,
                   .field = o->field ? o->field : "text",
                   .group = o->group,
                   .removed = o->removed,
                   .dim = o->dimension,
                   .threshold = t->config.dedup.threshold,
                   .memory = t->config.dedup.memory,
                   .n_threads = t->n_threads,
                   .log = &t->log,
                   .stop = t->stop,
                   .write = forward_write,
                   .ctx = (void *)o};
    *out = NULL;
    status st = j.dim ? ST_OK : model_files_path(t->config.embed.model, &dir, &e);
    j.model_dir = buf_cstr(&dir);
    if (st == ST_OK && !j.model_dir) st = err_nomem(&e, "deduplicating");
    if (st == ST_OK && j.dim > DEDUP_DIM_MAX)
        st = err_set(&e, ST_USAGE, "vectors of %zu floats: %d at most", j.dim, DEDUP_DIM_MAX);
    if (st == ST_OK && j.removed) st = outputs_check_removed(&t->config, j.removed, &e);
    if (st == ST_OK) st = dedup_run(&j, &s, &e);
    if (st == ST_OK) {
        dedup_summary_write(&s, format == TAMIS_JSON, &text);
        st = hand_out(&text, out, &e);
    }
    buf_release(&dir);
    return finish(st, &e, error);
}

/* --- looking at the store ------------------------------------------------------------------- */

/* Before an explanation: verdicts by screening have no scores yet. */
static status need_scores(tamis *t, err *e)
{
    running r = {.t = t};
    buf dir = {0};
    bool lack = false, are_there = false;
    job j;
    err busy = {0};
    status st = store_open(t->config.store.url, STORE_READ, &r.store, e);
    if (st == ST_OK) st = verdicts_lack_scores(r.store, &lack, e);
    store_close(r.store);
    r.store = NULL;
    if (st || !lack) return st;
    st = redaction_open(&t->config, &r.redactor, e);
    if (st == ST_OK && store_open(t->config.store.url, STORE_WRITE, &r.store, &busy)) {
        log_say(&t->log, LOG_WARNING, "cosines are left out: %s", busy.msg);
    } else if (st == ST_OK) {
        st = make_job(&r, &dir, &j, e);
        if (st == ST_OK) st = pipeline_add_scores(&j, &are_there, e);
        if (st == ST_OK && !are_there)
            log_say(&t->log, LOG_WARNING,
                    "cosines are left out: the last curation was made by screening, with another "
                    "configuration or before the last sync; `tamis curate` makes a new one");
    }
    store_close(r.store);
    redactor_free(r.redactor);
    pin_file_release(&r.pins);
    buf_release(&dir);
    return st;
}

static tamis_status view(tamis *t, const char *id, tamis_format format, char **out,
                         tamis_error *error)
{
    err e = {0};
    buf b = {0};
    store *s = NULL;
    redactor *cleaner = NULL;
    const char *url = t->config.store.url;
    *out = NULL;
    status st = id ? need_scores(t, &e) : ST_OK;
    if (st == ST_OK) st = store_open(url, STORE_READ, &s, &e);
    if (st == ST_OK && id) st = redaction_open(&t->config, &cleaner, &e);
    if (st == ST_OK)
        st = id ? view_explain(s, cleaner, str_from(id), format == TAMIS_JSON, &b, &e)
                : view_status(s, url, format == TAMIS_JSON, &b, &e);
    store_close(s);
    redactor_free(cleaner);
    if (st == ST_OK)
        st = hand_out(&b, out, &e);
    else
        buf_release(&b);
    return finish(st, &e, error);
}

tamis_status tamis_report_status(tamis *t, tamis_format format, char **out, tamis_error *error)
{
    return view(t, NULL, format, out, error);
}

tamis_status tamis_explain(tamis *t, const char *id, tamis_format format, char **out,
                           tamis_error *error)
{
    return view(t, id, format, out, error);
}

tamis_status tamis_doctor(tamis *t, const char *configuration, tamis_format format, char **out,
                          tamis_error *error)
{
    err e = {0};
    buf b = {0};
    diagnosis *d = calloc(1, sizeof *d);
    doctor_job j = {&t->config, configuration, &t->log, t->stop};
    *out = NULL;
    if (!d) return finish(err_nomem(&e, "examining"), &e, error);
    doctor_examine(&j, d);
    diagnosis_write(d, format == TAMIS_JSON, &b);
    status st = hand_out(&b, out, &e), found = diagnosis_status(d);
    if (st == ST_OK && found) st = err_set(&e, found, "something is not as a run needs it");
    free(d);
    return finish(st, &e, error);
}

/* --- the model ------------------------------------------------------------------------------ */

tamis_status tamis_model_path(tamis *t, char **out, tamis_error *error)
{
    err e = {0};
    buf b = {0};
    *out = NULL;
    status st = model_files_path(t->config.embed.model, &b, &e);
    if (st == ST_OK)
        st = hand_out(&b, out, &e);
    else
        buf_release(&b);
    return finish(st, &e, error);
}

tamis_status tamis_model_fetch(tamis *t, char **out, tamis_error *error)
{
    err e = {0};
    tamis_status got = tamis_model_path(t, out, error);
    if (got) return got;
    status st = model_files_fetch(*out, t->config.embed.model, &t->log, &e);
    if (st) {
        free(*out);
        *out = NULL;
    }
    return finish(st, &e, error);
}

struct tamis_model {
    model *model;
    pool *pool;
    isa isa;
    tamis_listener listener;
    pthread_mutex_t lock; /* of what follows */
    embedder *embedder;   /* made when the first text is embedded */
};

tamis_status tamis_model_open(const char *directory, int n_threads, tamis_model **out,
                              tamis_error *error)
{
    err e = {0};
    tamis_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return finish(err_nomem(&e, "opening the model"), &e, error);
    pthread_mutex_init(&m->lock, NULL);
    status st = isa_choose(&m->isa, &e);
    if (st == ST_OK) st = model_open(directory, &m->model, &e);
    if (st == ST_OK) st = pool_new(n_threads, &m->pool, &e);
    if (st)
        tamis_model_free(m);
    else
        *out = m;
    return finish(st, &e, error);
}

void tamis_model_free(tamis_model *m)
{
    if (!m) return;
    embedder_free(m->embedder);
    pool_free(m->pool);
    model_free(m->model);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void tamis_model_set_listener(tamis_model *m, const tamis_listener *l)
{
    m->listener = *l;
}

size_t tamis_model_dimension(const tamis_model *m)
{
    return model_dim(m->model);
}

size_t tamis_model_max_tokens(const tamis_model *m)
{
    return model_max_tokens(m->model);
}

size_t tamis_tokenize(const tamis_model *m, tamis_text text, int32_t *ids)
{
    return tokenizer_ids(model_tokenizer(m->model), (str){text.bytes, text.length}, ids,
                         model_max_tokens(m->model));
}

static status get_embedder(tamis_model *m, embedder **out, err *e)
{
    status st = ST_OK;
    pthread_mutex_lock(&m->lock);
    if (!m->embedder) st = embedder_new(m->model, m->isa, m->pool, &m->embedder, e);
    *out = m->embedder;
    pthread_mutex_unlock(&m->lock);
    return st;
}

tamis_status tamis_embed(tamis_model *m, const tamis_text *texts, size_t n, float *out,
                         const volatile sig_atomic_t *stop, tamis_error *error)
{
    err e = {0};
    logger log = {.progress = m->listener.progress, .ctx = m->listener.ctx};
    embed_options o = {.stop = stop, .log = &log};
    embedder *em = NULL;
    str *views = malloc((n + 1) * sizeof *views);
    status st = views ? get_embedder(m, &em, &e) : err_nomem(&e, "embedding");
    for (size_t i = 0; views && i < n; i++) views[i] = (str){texts[i].bytes, texts[i].length};
    if (st == ST_OK) st = embed_texts(em, views, n, out, &o, &e);
    free(views);
    return finish(st, &e, error);
}

tamis_status tamis_text_of_json(const char *line, size_t n, char **text, size_t *length,
                                tamis_error *error)
{
    err e = {0};
    js *root = NULL;
    buf scratch = {0}, b = {0};
    str found = {0};
    *text = NULL;
    status st = ST_OK;
    if (!js_only_member((str){line, n}, "text", &found)) {
        st = js_parse(js_mend((str){line, n}, &scratch), &root, &e);
        const js *value = js_get(root, "text");
        if (st == ST_OK && js_type(value) != JS_STRING)
            st = err_set(&e, ST_FAILED, "not an object with a \"text\" that is a string");
        found = js_string(value);
    }
    if (st == ST_OK) {
        buf_str(&b, found);
        *length = b.n;
        st = hand_out(&b, text, &e);
    }
    js_free(root);
    buf_release(&scratch);
    return finish(st, &e, error);
}
