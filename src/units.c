/* units.c - a vector for each distinct text: from the store, or embedded now and kept there. */
#include "units.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "dedup/budget.h"

void units_release(units *u)
{
    intern_release(&u->texts);
    free(u->place);
    free(u->of);
    free(u->text_at);
    free(u->is_fast);
    vectors_release(&u->vectors);
}

/* Names what makes the model's files these files: cheap to see, so that the 90 MB are hashed
 * once and not at every run (as git's index does it).  The small ones were read: what they say. */
static void model_signature(const char *dir, const model *m, buf *out)
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
    model_settings(m, out);
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

status units_check_model(const job *j, model *m, char fingerprint[SHA256_HEX], err *e)
{
    buf signature = {0}, old_signature = {0}, stored = {0};
    bool has_signature, has_model;
    model_signature(j->model_dir, m, &signature);
    status st = store_get(j->store, "model.signature", &old_signature, &has_signature, e);
    if (st == ST_OK) st = store_get(j->store, "model", &stored, &has_model, e);
    if (st == ST_OK && (!buf_ok(&signature) || !buf_cstr(&stored))) st = err_nomem(e, "embedding");
    if (st) goto done;
    if (has_model && has_signature && stored.n == SHA256_HEX - 1 &&
        str_eq(buf_view(&signature), buf_view(&old_signature))) {
        memcpy(fingerprint, stored.p, SHA256_HEX);
        goto done;
    }
    st = model_read_tokens(m, e); /* or a damaged file would pass for another model */
    if (st == ST_OK) st = model_fingerprint(m, fingerprint, e);
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

/* --- where they are, under dedup.memory ------------------------------------------------------- */

/* How a gathering goes about it. */
typedef struct gathering {
    const job *job;
    pool *pool;
    bool joined;         /* the vectors are compared with each other */
    const units *beside; /* if not: whose memory_left there is; NULL: nobody's */
    bool fast;           /* vectors of the fast encoder will do */
} gathering;

/* Room for the vectors of the texts. */
static status make_room(const gathering *g, size_t n_rows, units *u, err *e)
{
    const job *j = g->job;
    const uint64_t limit = job_memory(j), row = u->dim * sizeof(float);
    const budget b = {u->texts.n, n_rows, u->dim, (uint64_t)pool_size(g->pool)};
    size_t here = budget_here(&b, limit);
    buf dir = {0};
    if (limit && g->joined) {
        if (limit < budget_least(&b))
            return budget_refuse(&b, j->config->dedup.memory, j->config->store.url, e);
        u->memory_left = limit - budget_least(&b) - here * row;
    } else if (limit) {
        const uint64_t most = (g->beside ? g->beside->memory_left : limit) / row;
        here = most < b.n_vectors ? (size_t)most : (size_t)b.n_vectors;
    }
    const char *where = here == VECTORS_ALL ? "" : job_memory_dir(j, &dir);
    if (where && limit && here < b.n_vectors)
        log_say(j->log, LOG_DEBUG,
                "dedup.memory = %s: %zu of %u vectors in memory, the others in a file in %s",
                j->config->dedup.memory, here, u->texts.n, where);
    status st = where ? vectors_new(u->texts.n, u->dim, here, where, &u->vectors, e)
                      : err_nomem(e, "embedding");
    buf_release(&dir);
    return st;
}

/* --- vectors that are there ------------------------------------------------------------------- */

typedef struct taking {
    units *u;
    bool fast;
    uint32_t *which; /* the texts that are asked for; NULL: all */
} taking;

/* Puts the vector of a text that the store has where it is if the store has all.  Any thread: it
 * touches nothing of other texts. */
static status take_cached(void *ctx, size_t i, const float *v, err *e)
{
    const taking *t = ctx;
    units *u = t->u;
    const uint32_t k = t->which ? t->which[i] : (uint32_t)i;
    u->is_fast[k] = t->fast;
    u->place[k] = k;
    return vectors_put(&u->vectors, u->dim, k, 1, v, e);
}

/* Those that were taken move to the front: in the order of the texts, as the rows that will look
 * them up. */
static status close_ranks(units *u, err *e)
{
    float room[VECTORS_DIM];
    status st = ST_OK;
    for (uint32_t k = 0; st == ST_OK && k < u->texts.n; k++) {
        const size_t at = u->n_cached;
        if (u->place[k] == NO_ROW) continue;
        u->text_at[at] = u->texts.texts[k];
        u->place[k] = (uint32_t)u->n_cached++;
        if (at == k) continue;
        u->is_fast[at] = u->is_fast[k];
        st = vectors_put(&u->vectors, u->dim, at, 1, vectors_row(&u->vectors, u->dim, k, room), e);
    }
    return st == ST_OK ? vectors_check(&u->vectors, e) : st;
}

/* Of the texts without an exact vector, those that have one of the fast encoder. */
static status take_cached_fast(const gathering *g, units *u, err *e)
{
    size_t n = 0;
    taking t = {u, true, calloc((size_t)u->texts.n + 1, sizeof *t.which)};
    str *texts = calloc((size_t)u->texts.n + 1, sizeof *texts);
    status st = t.which && texts ? ST_OK : err_nomem(e, "embedding");
    for (uint32_t k = 0; st == ST_OK && k < u->texts.n; k++) {
        if (u->place[k] != NO_ROW) continue;
        t.which[n] = k;
        texts[n++] = u->texts.texts[k];
    }
    const store_wanted w = {texts, n, u->dim, true, take_cached, &t, g->pool};
    if (st == ST_OK) st = store_vectors(g->job->store, &w, e);
    free(t.which);
    free(texts);
    return st;
}

/* Numbers the distinct texts and takes the vectors that the store has. */
static status gather_cached(const gathering *g, const dataset *d, size_t dim, units *u, err *e)
{
    const job *j = g->job;
    *u = (units){.dim = dim, .of = malloc((d->n_turns + 1) * sizeof *u->of)};
    if (!u->of) return err_nomem(e, "embedding");
    for (size_t i = 0; i < d->n_turns; i++) {
        u->of[i] = intern_add(&u->texts, d->turns[i].user_utterance);
        if (u->of[i] == INTERN_NONE) return err_nomem(e, "embedding");
    }
    u->place = calloc((size_t)u->texts.n + 1, sizeof *u->place);
    u->text_at = calloc((size_t)u->texts.n + 1, sizeof *u->text_at);
    u->is_fast = calloc((size_t)u->texts.n + 1, 1);
    if (!u->place || !u->text_at || !u->is_fast) return err_nomem(e, "embedding");
    for (uint32_t k = 0; k < u->texts.n; k++) u->place[k] = NO_ROW;
    taking t = {.u = u};
    const store_wanted w = {u->texts.texts, u->texts.n, dim, false, take_cached, &t, g->pool};
    status st = make_room(g, d->n_turns, u, e);
    if (st == ST_OK) st = store_begin_read(j->store, e);
    if (st == ST_OK) st = store_vectors(j->store, &w, e);
    if (st == ST_OK && g->fast) st = take_cached_fast(g, u, e);
    store_rollback(j->store);
    if (st == ST_OK) st = close_ranks(u, e);
    return st;
}

status units_keep(const job *j, const units *u, const size_t *which, size_t n, err *e)
{
    store *s = j->store;
    float room[VECTORS_DIM];
    status st = store_begin(s, e);
    for (size_t i = 0; st == ST_OK && i < n; i++) {
        const float *v = vectors_row(&u->vectors, u->dim, which[i], room);
        const str text = u->text_at[which[i]];
        st = u->is_fast[which[i]] ? store_put_fast_vector(s, text, v, u->dim, e)
                                  : store_put_vector(s, text, v, u->dim, e);
    }
    if (st == ST_OK) st = vectors_check(&u->vectors, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

/* --- vectors that are made -------------------------------------------------------------------- */

typedef struct fresh_vectors {
    const job *job;
    const units *u;
    size_t from;        /* the place of the first of them */
    const float *piece; /* [n, dim] they, if they are not in their place; else NULL */
} fresh_vectors;

/* which: counted from f->from. */
static status keep_fresh(void *ctx, const size_t *which, size_t n, err *e)
{
    const fresh_vectors *f = ctx;
    size_t *place = malloc((n + 1) * sizeof *place);
    if (!place) return err_nomem(e, "embedding");
    status st = ST_OK;
    const size_t dim = f->u->dim;
    for (size_t i = 0; st == ST_OK && i < n; i++) {
        place[i] = f->from + which[i];
        if (f->piece)
            st = vectors_put(&f->u->vectors, dim, place[i], 1, f->piece + which[i] * dim, e);
    }
    if (st == ST_OK) st = units_keep(f->job, f->u, place, n, e);
    free(place);
    return st;
}

/* Embeds the texts at [from, to). */
static status embed_part(fresh_vectors *f, embedder *em, bool fast, size_t from, size_t to,
                         float *out, err *e)
{
    const units *u = f->u;
    embed_options o = {.fast = fast,
                       .log = f->job->log,
                       .stop = f->job->stop,
                       .before = from - u->n_cached,
                       .total = u->texts.n - u->n_cached,
                       .batch_done = keep_fresh,
                       .ctx = f};
    f->from = from;
    return embed_texts(em, u->text_at + from, to - from, out, &o, e);
}

/* Embeds the texts that have no vector yet, keeping each batch in the store as it comes; a part
 * after the other where the vectors are in a file. */
static status embed_missing(const job *j, embedder *em, bool fast, units *u, err *e)
{
    enum { PART = 16384 };
    size_t n = u->n_cached;
    for (uint32_t k = 0; k < u->texts.n; k++) {
        if (u->place[k] != NO_ROW) continue;
        u->place[k] = (uint32_t)n;
        u->is_fast[n] = fast;
        u->text_at[n++] = u->texts.texts[k];
    }
    fresh_vectors fresh = {.job = j, .u = u};
    if (!u->vectors.file)
        return embed_part(&fresh, em, fast, u->n_cached, n, u->vectors.rows + u->n_cached * u->dim,
                          e);
    float *piece = reallocarray(NULL, PART, u->dim * sizeof *piece);
    status st = piece ? ST_OK : err_nomem(e, "embedding");
    fresh.piece = piece;
    for (size_t from = u->n_cached, to; st == ST_OK && from < n; from = to) {
        to = n - from < PART ? n : from + PART;
        st = embed_part(&fresh, em, fast, from, to, piece, e);
    }
    free(piece);
    return st;
}

static void point_turns(const dataset *d, units *u)
{
    for (size_t i = 0; i < d->n_turns; i++) u->of[i] = u->place[u->of[i]];
}

static status gather(const gathering *g, const dataset *d, model *m, isa set, units *u, err *e)
{
    embedder *em = NULL;
    status st = gather_cached(g, d, model_dim(m), u, e);
    if (st == ST_OK && u->texts.n > u->n_cached) {
        st = embedder_new(m, set, g->pool, &em, e);
        if (st == ST_OK) st = embed_missing(g->job, em, false, u, e);
    }
    if (st == ST_OK) point_turns(d, u);
    embedder_free(em);
    return st;
}

status units_gather(const job *j, const dataset *d, model *m, pool *p, isa set, units *u, err *e)
{
    return gather(&(gathering){.job = j, .pool = p, .joined = true}, d, m, set, u, e);
}

status units_gather_beside(const job *j, const dataset *d, model *m, pool *p, isa set,
                           const units *beside, units *u, err *e)
{
    return gather(&(gathering){.job = j, .pool = p, .beside = beside}, d, m, set, u, e);
}

status units_gather_answers(const job *j, const dataset *d, model *m, pool *p, isa set,
                            const units *questions, units *u, err *e)
{
    dataset answers = {.turns = calloc(d->n_turns + 1, sizeof *answers.turns),
                       .n_turns = d->n_turns};
    if (!answers.turns) return err_nomem(e, "embedding");
    for (size_t i = 0; i < d->n_turns; i++)
        answers.turns[i].user_utterance = d->turns[i].bot_response;
    status st = units_gather_beside(j, &answers, m, p, set, questions, u, e);
    free(answers.turns);
    return st;
}

static size_t count_exact(const units *u)
{
    size_t n = u->n_cached;
    for (size_t i = 0; i < u->n_cached; i++) n -= u->is_fast[i];
    return n;
}

status units_gather_with(const job *j, const dataset *d, embedder *em, pool *p, size_t dim,
                         size_t least, units *u, err *e)
{
    gathering g = {.job = j, .pool = p, .joined = true, .fast = least > 0};
    status st = gather_cached(&g, d, dim, u, e);
    if (st == ST_OK && g.fast && u->texts.n - count_exact(u) < least) {
        g.fast = false;
        units_release(u);
        st = gather_cached(&g, d, dim, u, e);
    }
    if (st == ST_OK) st = embed_missing(j, em, g.fast, u, e);
    if (st == ST_OK) point_turns(d, u);
    return st;
}
