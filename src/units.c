/* units.c - a vector for each distinct text: from the store, or embedded now and kept there. */
#include "units.h"

#include <stdlib.h>
#include <sys/stat.h>

void units_release(units *u)
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

status units_check_model(const job *j, const model *m, char fingerprint[SHA256_HEX], err *e)
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
static status gather_cached(const job *j, const dataset *d, size_t dim, units *u, err *e)
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

status units_gather(const job *j, const dataset *d, const model *m, pool *p, isa set, units *u,
                    err *e)
{
    status st = gather_cached(j, d, model_dim(m), u, e);
    if (st == ST_OK && u->texts.n > u->n_cached) st = embed_missing(j, m, p, set, u, e);
    for (size_t i = 0; st == ST_OK && i < d->n_turns; i++) u->of[i] = u->place[u->of[i]];
    return st;
}
