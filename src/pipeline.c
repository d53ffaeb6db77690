/* pipeline.c - the one file that names all the stages, in order.
 *
 *   store  ->  curate  ->  embed  ->  dedup  ->  store (verdicts)  ->  export
 *
 * The data set is a function of the interactions in the store and the configuration: every
 * curation starts from all raw records.  What is costly is cached in the store under what it
 * depends on: a vector under its text and the model, the verdicts under the interactions'
 * generation, the configuration and the model.  Memory is linear in the turns that pass the
 * rating; the records themselves are parsed one at a time. */
#include "pipeline.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/intern.h"
#include "base/utf8.h"
#include "curate/rating.h"
#include "curate/turns.h"
#include "dedup/greedy.h"

void dataset_release(dataset *d)
{
    free(d->turns);
    free(d->verdicts);
    free(d->dropped);
    arena_release(&d->texts);
    *d = (dataset){0};
}

/* Room for `more` objects behind the n there are; false: no memory. */
static bool grow(void **array, size_t *cap, size_t n, size_t more, size_t size)
{
    if (*cap - n >= more) return true;
    size_t want = *cap * 2 > n + more ? *cap * 2 : n + more;
    void *p = reallocarray(*array, want, size);
    if (!p) return false;
    *array = p;
    *cap = want;
    return true;
}

/* --- store -> curate ------------------------------------------------------------------------ */

typedef struct loading {
    const job *job;
    dataset *d;
    summary *s;
    rating_map map;
    arena scratch, settings;
    uint64_t n_rated, n_below;
    double lowest, highest; /* ratings seen */
} loading;

static bool bot_selected(const char *list, str bot)
{
    if (!*list) return true;
    for (str rest = str_from(list); rest.n;) {
        const char *comma = memchr(rest.p, ',', rest.n);
        str one = {rest.p, comma ? (size_t)(comma - rest.p) : rest.n};
        if (str_eq(utf8_strip(one), bot)) return true;
        rest = (str){one.p + one.n + (comma != NULL), rest.n - one.n - (comma != NULL)};
    }
    return false;
}

static status drop(loading *l, str id, rule why, err *e)
{
    dataset *d = l->d;
    str copy = arena_str(&d->texts, id);
    if (!copy.p ||
        !grow((void **)&d->dropped, &d->cap_dropped, d->n_dropped, 1, sizeof *d->dropped))
        return err_nomem(e, "curating");
    d->dropped[d->n_dropped++] = (dropped_interaction){copy, why};
    return ST_OK;
}

/* What the data set keeps of an interaction: all but its messages. */
static const interaction *keep_head(arena *a, const interaction *i)
{
    interaction *kept = arena_alloc(a, 1, sizeof *kept);
    if (!kept) return NULL;
    *kept = (interaction){.id = arena_str(a, i->id),
                          .timestamp = arena_str(a, i->timestamp),
                          .at = i->at,
                          .bot_id = arena_str(a, i->bot_id),
                          .rating = arena_str(a, i->rating)};
    bool ok = kept->id.p && kept->timestamp.p && kept->bot_id.p && kept->rating.p;
    return ok ? kept : NULL;
}

static status keep_turns(loading *l, const interaction *i, const rating *r, err *e)
{
    dataset *d = l->d;
    size_t not_text = 0;
    if (!grow((void **)&d->turns, &d->cap_turns, d->n_turns, turns_limit(i), sizeof *d->turns))
        return err_nomem(e, "curating");
    size_t n = turns_pair(i, d->turns + d->n_turns, &not_text);
    l->s->turns.not_text += not_text;
    if (!n) return drop(l, i->id, RULE_NO_TURNS, e);
    const interaction *head = keep_head(&d->texts, i);
    str rating_text = arena_str(&d->texts, r->text);
    if (!head || !rating_text.p) return err_nomem(e, "curating");
    l->s->turns.interactions++;
    for (size_t k = 0; k < n; k++) {
        turn *t = &d->turns[d->n_turns++];
        t->of = head;
        t->rating = r->value;
        t->rating_text = rating_text;
        t->user_utterance = arena_str(&d->texts, t->user_utterance);
        t->bot_response = arena_str(&d->texts, t->bot_response);
        if (!t->user_utterance.p || !t->bot_response.p) return err_nomem(e, "curating");
    }
    if (d->n_turns >= NO_ROW) return err_set(e, ST_FAILED, "more than %u turns", NO_ROW - 1);
    return ST_OK;
}

static void note_rating(loading *l, double value, double minimum)
{
    if (!l->n_rated || value < l->lowest) l->lowest = value;
    if (!l->n_rated || value > l->highest) l->highest = value;
    l->n_rated++;
    l->n_below += value < minimum;
}

static status load_record(void *ctx, str id, str raw, err *e)
{
    loading *l = ctx;
    const config *c = l->job->config;
    interaction i;
    rating r;
    arena_reset(&l->scratch);
    if (l->job->stop && *l->job->stop)
        return err_set(e, ST_INCOMPLETE, "interrupted while curating; run again");
    status st = record_parse(raw, &l->scratch, &i, e);
    if (st) return st; /* it was read before it was stored: the store is damaged */
    st = rating_read(i.rating, &l->map, &l->scratch, &r, e);
    if (st) return st;
    if (!bot_selected(c->filter.bots, i.bot_id)) return drop(l, id, RULE_BOT_NOT_SELECTED, e);
    if (!r.is_rated) return drop(l, id, RULE_UNRATED, e);
    note_rating(l, r.value, c->filter.min_rating);
    if (r.value < c->filter.min_rating) return drop(l, id, RULE_RATING_BELOW_MINIMUM, e);
    return keep_turns(l, &i, &r, e);
}

static status load_turns(const job *j, dataset *d, summary *s, err *e)
{
    loading l = {.job = j, .d = d, .s = s};
    status st = rating_map_parse(str_from(j->config->filter.rating_map), &l.settings, &l.map, e);
    if (st == ST_OK) st = store_each(j->store, load_record, &l, e);
    if (st == ST_OK && l.n_rated && l.n_below == l.n_rated)
        log_say(j->log, LOG_WARNING,
                "every one of the %llu rated interactions is below filter.min_rating = %g (ratings "
                "go from %g to %g): is their scale another one? See filter.rating_map",
                (unsigned long long)l.n_rated, j->config->filter.min_rating, l.lowest, l.highest);
    s->turns.rated = d->n_turns;
    arena_release(&l.scratch);
    arena_release(&l.settings);
    return st;
}

/* --- order: which of several near-duplicates comes first, and so stays ---------------------- */

static int by_number(const turn *a, const turn *b)
{
    return (a->number > b->number) - (a->number < b->number);
}

static int newest_first(const void *pa, const void *pb)
{
    const turn *a = pa, *b = pb;
    int c = interaction_cmp(a->of, b->of);
    return c ? c : by_number(a, b);
}

static int oldest_first(const void *pa, const void *pb)
{
    const turn *a = pa, *b = pb;
    int c = instant_cmp(a->of->at, b->of->at);
    if (!c) c = str_cmp(a->of->id, b->of->id);
    return c ? c : by_number(a, b);
}

static int best_rated_first(const void *pa, const void *pb)
{
    const turn *a = pa, *b = pb;
    if (a->rating != b->rating) return a->rating > b->rating ? -1 : 1;
    return newest_first(pa, pb);
}

static void order_turns(const job *j, dataset *d)
{
    const char *keep = j->config->dedup.keep;
    int (*cmp)(const void *, const void *) = strcmp(keep, "oldest") == 0       ? oldest_first
                                             : strcmp(keep, "best-rated") == 0 ? best_rated_first
                                                                               : newest_first;
    if (d->n_turns) qsort(d->turns, d->n_turns, sizeof *d->turns, cmp);
}

/* --- embed ---------------------------------------------------------------------------------- */

/* The vectors of the distinct texts.  Units whose vector the store had come first, so that
 * the new ones lie together for the embedder. */
typedef struct units {
    intern texts;    /* number of a text -> text */
    uint32_t *place; /* [texts.n] where the vector of a text is */
    uint32_t *of;    /* [n_turns] where the vector of a turn is */
    float *vectors;  /* [texts.n, dim] */
    size_t dim, n_cached;
} units;

static void units_release(units *u)
{
    intern_release(&u->texts);
    free(u->place);
    free(u->of);
    free(u->vectors);
}

/* Names what makes the model's files these files: cheap to see, so that the 90 MB are hashed
 * once and not at every run (as git's index does it). */
static void model_signature(const char *dir, buf *out)
{
    static const char *const files[] = {"config.json", "vocab.txt", "model.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct stat s = {0};
        buf path = {0};
        buf_fmt(&path, "%s/%s", dir, files[i]);
        const char *z = buf_cstr(&path);
        if (z && stat(z, &s) == 0)
            buf_fmt(out, "%s %lld %lld.%09ld %llu\n", z, (long long)s.st_size,
                    (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec, (unsigned long long)s.st_ino);
        buf_release(&path);
    }
}

static status set_pair(store *s, const char *ka, str a, const char *kb, str b, err *e)
{
    status st = store_begin(s, e);
    if (st == ST_OK) st = store_set(s, ka, a, e);
    if (st == ST_OK) st = store_set(s, kb, b, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

/* The vectors in the store are of another model than the one at hand. */
static status other_model(const job *j, str stored, const char *fingerprint, err *e)
{
    if (!j->reembed)
        return err_set(
            e, ST_USAGE,
            "%s holds vectors of another model (%.12s...) than the one in %s (%.12s...): "
            "point embed.model at that one, or run `tamis curate --reembed` to embed "
            "all texts again",
            j->config->store.url, stored.p, j->model_dir, fingerprint);
    status st = store_begin(j->store, e);
    if (st == ST_OK) st = store_drop_vectors(j->store, e);
    if (st == ST_OK) st = store_commit(j->store, e);
    store_rollback(j->store);
    return st;
}

/* The model's fingerprint, from the store if the files have not changed; refuses a model
 * that is not the one of the vectors there. */
static status check_model(const job *j, const model *m, char fingerprint[SHA256_HEX], err *e)
{
    buf signature = {0}, old_signature = {0}, stored = {0};
    bool has_signature, has_model;
    model_signature(j->model_dir, &signature);
    status st = store_get(j->store, "model.signature", &old_signature, &has_signature, e);
    if (st == ST_OK) st = store_get(j->store, "model", &stored, &has_model, e);
    if (st == ST_OK && (!buf_ok(&signature) || !buf_cstr(&stored))) st = err_nomem(e, "embedding");
    if (st) goto done;
    if (has_model && has_signature && stored.n == SHA256_HEX - 1 &&
        str_eq(buf_view(&signature), buf_view(&old_signature))) {
        memcpy(fingerprint, stored.p, SHA256_HEX);
        goto done;
    }
    st = model_fingerprint(m, fingerprint, e);
    if (st) goto done;
    if (has_model && !str_eq(buf_view(&stored), str_from(fingerprint)))
        st = other_model(j, buf_view(&stored), fingerprint, e);
    if (st == ST_OK)
        st = set_pair(j->store, "model", str_from(fingerprint), "model.signature",
                      buf_view(&signature), e);
done:
    buf_release(&signature);
    buf_release(&old_signature);
    buf_release(&stored);
    return st;
}

/* Numbers the distinct texts and takes the vectors that the store has. */
static status gather_units(const job *j, const dataset *d, size_t dim, units *u, err *e)
{
    *u = (units){.dim = dim, .of = malloc((d->n_turns + 1) * sizeof *u->of)};
    if (!u->of) return err_nomem(e, "embedding");
    for (size_t i = 0; i < d->n_turns; i++) {
        u->of[i] = intern_add(&u->texts, d->turns[i].user_utterance);
        if (u->of[i] == INTERN_NONE) return err_nomem(e, "embedding");
    }
    u->place = calloc((size_t)u->texts.n + 1, sizeof *u->place);
    u->vectors = reallocarray(NULL, (size_t)u->texts.n + 1, dim * sizeof *u->vectors);
    if (!u->place || !u->vectors) return err_nomem(e, "embedding");
    for (uint32_t k = 0; k < u->texts.n; k++) {
        bool found;
        float *v = u->vectors + u->n_cached * dim;
        status st = store_vector(j->store, u->texts.texts[k], v, dim, &found, e);
        if (st) return st;
        u->place[k] = found ? (uint32_t)u->n_cached++ : NO_ROW;
    }
    return ST_OK;
}

typedef struct fresh_vectors {
    const job *job;
    const str *texts;     /* [n] to embed */
    const float *vectors; /* [n, dim] */
    size_t dim;
} fresh_vectors;

static status keep_vectors(void *ctx, const size_t *which, size_t n, err *e)
{
    const fresh_vectors *f = ctx;
    store *s = f->job->store;
    status st = store_begin(s, e);
    for (size_t i = 0; st == ST_OK && i < n; i++)
        st = store_put_vector(s, f->texts[which[i]], f->vectors + which[i] * f->dim, f->dim, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

/* Embeds the texts that have no vector yet, keeping each batch in the store as it comes. */
static status embed_missing(const job *j, const model *m, pool *p, isa set, units *u, err *e)
{
    size_t n = 0;
    embedder *em = NULL;
    str *texts = malloc((u->texts.n - u->n_cached + 1) * sizeof *texts);
    if (!texts) return err_nomem(e, "embedding");
    for (uint32_t k = 0; k < u->texts.n; k++) {
        if (u->place[k] != NO_ROW) continue;
        u->place[k] = (uint32_t)(u->n_cached + n);
        texts[n++] = u->texts.texts[k];
    }
    float *out = u->vectors + u->n_cached * u->dim;
    fresh_vectors fresh = {j, texts, out, u->dim};
    embed_options o = {.log = j->log, .stop = j->stop, .batch_done = keep_vectors, .ctx = &fresh};
    status st = embedder_new(m, set, p, &em, e);
    if (st == ST_OK) st = embed_texts(em, texts, n, out, &o, e);
    embedder_free(em);
    free(texts);
    return st;
}

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

static status dedup_turns(const job *j, dataset *d, const units *u, pool *p, isa set, err *e)
{
    uint32_t *group = NULL;
    status st = ST_OK;
    if (strcmp(j->config->dedup.domain, "bot") == 0) st = group_by_bot(d, &group, e);
    greedy_input in = {.vectors = u->vectors,
                       .n_vectors = u->texts.n,
                       .dim = u->dim,
                       .unit = u->of,
                       .group = group,
                       .n_rows = d->n_turns,
                       .threshold = j->config->dedup.threshold};
    greedy_options o = {.isa = set, .pool = p, .log = j->log, .stop = j->stop};
    if (st == ST_OK) st = greedy_run(&in, &o, d->verdicts, e);
    free(group);
    return st;
}

/* --- verdicts in the store ------------------------------------------------------------------ */

/* A text that differs whenever the verdicts might. */
static status curation_key(const job *j, const char *fingerprint, buf *key, err *e)
{
    uint64_t generation;
    status st = store_generation(j->store, &generation, e);
    if (st) return st;
    config_describe_curation(j->config, key);
    buf_fmt(key, "model=%s\ngeneration=%llu\nformat=1\n", fingerprint,
            (unsigned long long)generation);
    return buf_ok(key) ? ST_OK : err_nomem(e, "curating");
}

static status store_verdicts(const job *j, const dataset *d, str key, err *e)
{
    store *s = j->store;
    status st = store_begin(s, e);
    if (st == ST_OK) st = store_clear_verdicts(s, e);
    for (size_t i = 0; st == ST_OK && i < d->n_dropped; i++) {
        stored_verdict v = {.interaction_id = d->dropped[i].id,
                            .turn = -1,
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
    uint64_t row = r->first_row[k] + (uint64_t)number;
    bool same = row < r->d->n_turns && str_eq(r->d->turns[row].of->id, id);
    return same ? (uint32_t)row : NO_ROW;
}

static status recall_verdict(void *ctx, const stored_verdict *v, err *e)
{
    recalling *r = ctx;
    (void)e;
    if (v->turn < 0) return ST_OK;
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

/* Takes the verdicts from the store if they were made under this key. */
static status recall_verdicts(const job *j, dataset *d, str key, bool *current, err *e)
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

/* --- the stages in order -------------------------------------------------------------------- */

static status embed_and_dedup(const job *j, const model *m, dataset *d, summary *s, err *e)
{
    units u = {0};
    pool *p = NULL;
    isa set;
    double start = clock_monotonic();
    status st = isa_choose(&set, e);
    if (st == ST_OK) st = pool_new(j->n_threads, &p, e);
    if (st == ST_OK) st = gather_units(j, d, model_dim(m), &u, e);
    if (st == ST_OK) s->turns.embedded = u.texts.n - u.n_cached;
    if (st == ST_OK && u.texts.n > u.n_cached) st = embed_missing(j, m, p, set, &u, e);
    s->seconds.embed = clock_monotonic() - start;
    start = clock_monotonic();
    for (size_t i = 0; st == ST_OK && i < d->n_turns; i++) u.of[i] = u.place[u.of[i]];
    if (st == ST_OK) st = dedup_turns(j, d, &u, p, set, e);
    s->seconds.dedup = clock_monotonic() - start;
    units_release(&u);
    pool_free(p);
    return st;
}

static status judge(const job *j, dataset *d, summary *s, err *e)
{
    model *m = NULL;
    buf key = {0};
    bool current = false;
    char fingerprint[SHA256_HEX] = "none needed";
    status st = ST_OK;
    if (d->n_turns) st = model_open(j->model_dir, &m, e);
    if (st == ST_OK && m) st = check_model(j, m, fingerprint, e);
    if (st == ST_OK) st = curation_key(j, fingerprint, &key, e);
    if (st == ST_OK) st = recall_verdicts(j, d, buf_view(&key), &current, e);
    if (st == ST_OK && !current) {
        if (m) st = embed_and_dedup(j, m, d, s, e);
        if (st == ST_OK) st = store_verdicts(j, d, buf_view(&key), e);
    }
    buf_release(&key);
    model_free(m);
    return st;
}

static status count_turns(const dataset *d, summary *s, err *e)
{
    intern texts = {0};
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < d->n_turns; i++) {
        if (intern_add(&texts, d->turns[i].user_utterance) == INTERN_NONE)
            st = err_nomem(e, "counting");
        s->turns.kept += d->verdicts[i].kept_row == NO_ROW;
    }
    s->turns.distinct_texts = texts.n;
    s->turns.duplicates = d->n_turns - s->turns.kept;
    intern_release(&texts);
    return st;
}

status pipeline_curate(const job *j, dataset *d, summary *s, err *e)
{
    if (*j->config->redact.rules)
        return err_set(e, ST_USAGE, "redact.rules: this version cannot redact yet; leave it empty");
    status st = load_turns(j, d, s, e);
    if (st) return st;
    order_turns(j, d);
    d->verdicts = calloc(d->n_turns + 1, sizeof *d->verdicts);
    if (!d->verdicts) return err_nomem(e, "curating");
    st = judge(j, d, s, e);
    if (st == ST_OK) st = count_turns(d, s, e);
    s->curated = st == ST_OK;
    return st;
}

static status export_one(const job *j, out_file which, const char *path, const dataset *d,
                         summary *s, err *e)
{
    static const export_format formats[OUT_REMOVED] = {
        [OUT_CSV] = EXPORT_CSV, [OUT_JSONL] = EXPORT_JSONL, [OUT_CHAT] = EXPORT_CHAT};
    export_rows rows = {d->turns, d->verdicts, d->n_turns};
    if (!*path) return ST_OK;
    if (!s->turns.kept && which != OUT_REMOVED) {
        log_say(j->log, LOG_WARNING, "no row to export: %s is left as it was", path);
        return ST_OK;
    }
    export_result *out = &s->files[which].result;
    status st = which == OUT_REMOVED ? export_removed(path, &rows, d->dropped, d->n_dropped, out, e)
                                     : export_file(formats[which], path, &rows, out, e);
    if (st == ST_OK) s->files[which].path = path;
    return st;
}

status pipeline_export(const job *j, const dataset *d, summary *s, err *e)
{
    const config *c = j->config;
    const char *paths[OUT_COUNT] = {[OUT_CSV] = c->export.csv,
                                    [OUT_JSONL] = c->export.jsonl,
                                    [OUT_CHAT] = c->export.chat,
                                    [OUT_REMOVED] = c->export.removed};
    double start = clock_monotonic();
    status st = ST_OK;
    for (out_file i = OUT_CSV; st == ST_OK && i < OUT_COUNT; i++)
        st = export_one(j, i, paths[i], d, s, e);
    s->seconds.export = clock_monotonic() - start;
    return st;
}
