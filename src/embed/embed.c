/* embed.c - the embed stage: which texts are encoded together, and by whom.
 *
 * Texts become token ids; equal ids are one sequence, encoded once.  Sequences are sorted by
 * length (longest first, so that threads end together) and cut into tiles of about the same
 * work; the tiles of a batch are shared out over the pool.  After each batch its texts are
 * reported, so that a caller can keep what is done.  None of this can be seen in a
 * vector: encoder.c sees to that.
 *
 * Several threads may call at once.  The pool serves one of them; the others do their tiles
 * themselves, so nobody waits.  Scratch is lent to a call and used again by later ones. */
#include "embed/embed.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/intern.h"
#include "embed/encoder_fast.h"
#include "embed/encoder_parts.h"

enum { TILES_PER_THREAD = 24 }; /* in a batch: one or two seconds of work */

/* What one worker works in; each is NULL until it is needed. */
typedef struct workplace {
    encoder_scratch *exact;
    fast_scratch *fast;
} workplace;

struct embedder {
    const model *m;
    pool *pool;
    encoder *encoder;
    isa isa;
    const int16_kernels *int16; /* NULL: no fast encoder here */
    pthread_mutex_t on_pool;    /* held by the call that the pool serves */
    pthread_mutex_t lock;       /* of what follows */
    fast_encoder *fast;         /* made when it is first asked for */
    workplace spare[POOL_MAX];
    int n_spare;
};

static void workplace_release(workplace *w)
{
    encoder_scratch_free(w->exact);
    fast_scratch_free(w->fast);
}

void embedder_free(embedder *em)
{
    if (!em) return;
    for (int i = 0; i < em->n_spare; i++) workplace_release(&em->spare[i]);
    fast_encoder_free(em->fast);
    encoder_free(em->encoder);
    pthread_mutex_destroy(&em->on_pool);
    pthread_mutex_destroy(&em->lock);
    free(em);
}

status embedder_new(model *m, isa i, pool *p, embedder **out, err *e)
{
    *out = NULL;
    embedder *em = calloc(1, sizeof *em);
    if (!em) return err_nomem(e, "loading the model");
    em->m = m;
    em->pool = p;
    em->isa = i;
    em->int16 = int16_kernels_for(i);
    pthread_mutex_init(&em->on_pool, NULL);
    pthread_mutex_init(&em->lock, NULL);
    status st = model_read_tokens(m, e);
    if (st == ST_OK) st = encoder_new(m, i, p, &em->encoder, e);
    if (st)
        embedder_free(em);
    else
        *out = em;
    return st;
}

bool embedder_has_fast(const embedder *em)
{
    return em->int16 != NULL;
}

void embedder_drop_fast(embedder *em)
{
    pthread_mutex_lock(&em->lock);
    fast_encoder_free(em->fast);
    em->fast = NULL;
    pthread_mutex_unlock(&em->lock);
}

static status need_fast(embedder *em, err *e)
{
    if (!em->int16) return err_set(e, ST_FAILED, "this machine has no fast encoder");
    pthread_mutex_lock(&em->lock);
    status st = ST_OK;
    if (!em->fast) {
        const bool on_pool = pthread_mutex_trylock(&em->on_pool) == 0;
        st = fast_encoder_new(encoder_weights(em->encoder), em->isa, em->int16,
                              on_pool ? em->pool : NULL, &em->fast, e);
        if (on_pool) pthread_mutex_unlock(&em->on_pool);
    }
    pthread_mutex_unlock(&em->lock);
    return st;
}

/* --- who does it ---------------------------------------------------------------------------- */

/* The workers of one call: those of the pool, or the caller alone. */
typedef struct crew {
    embedder *em;
    bool on_pool;
    int n;                     /* workers */
    workplace place[POOL_MAX]; /* [n] */
} crew;

/* False: no memory. */
static bool borrow(embedder *em, bool fast, workplace *w)
{
    *w = (workplace){0};
    pthread_mutex_lock(&em->lock);
    if (em->n_spare) *w = em->spare[--em->n_spare];
    pthread_mutex_unlock(&em->lock);
    if (fast && !w->fast) w->fast = fast_scratch_new(em->fast);
    if (!fast && !w->exact) w->exact = encoder_scratch_new(em->encoder);
    if (fast ? w->fast != NULL : w->exact != NULL) return true;
    workplace_release(w);
    return false;
}

static void give_back(embedder *em, workplace w)
{
    pthread_mutex_lock(&em->lock);
    bool kept = em->n_spare < POOL_MAX;
    if (kept) em->spare[em->n_spare++] = w;
    pthread_mutex_unlock(&em->lock);
    if (!kept) workplace_release(&w);
}

static void crew_release(crew *c)
{
    while (c->n) give_back(c->em, c->place[--c->n]);
    if (c->on_pool) pthread_mutex_unlock(&c->em->on_pool);
    c->on_pool = false;
}

/* n_tiles: what there is to do; one needs no pool. */
static status crew_init(crew *c, embedder *em, bool fast, size_t n_tiles, err *e)
{
    c->em = em;
    c->n = 0;
    c->on_pool = pool_size(em->pool) > 1 && n_tiles > 1 && pthread_mutex_trylock(&em->on_pool) == 0;
    int wanted = c->on_pool ? pool_size(em->pool) : 1;
    for (; c->n < wanted; c->n++)
        if (!borrow(em, fast, &c->place[c->n])) {
            crew_release(c);
            return err_nomem(e, "embedding");
        }
    return ST_OK;
}

static void crew_run(const crew *c, size_t n, void (*work)(void *ctx, size_t item, int worker),
                     void *ctx)
{
    if (c->on_pool)
        pool_run(c->em->pool, n, work, ctx);
    else
        for (size_t i = 0; i < n; i++) work(ctx, i, 0);
}

/* --- what there is to do -------------------------------------------------------------------- */

typedef struct job {
    const embedder *em;
    crew crew;
    bool fast;
    float *out;
    size_t n_texts;
    buf ids;               /* of all sequences, one behind the other */
    uint32_t *of;          /* [n_texts] the sequence of each text */
    struct planned *order; /* [n] sequences, longest first */
    size_t n;
    uint32_t *texts;     /* [n_texts] texts by sequence, in the order of `order` */
    size_t *first_text;  /* [n + 1] where in `texts` those of order[k] begin */
    sequence *sequences; /* [n] for the encoder, in that order */
    size_t *tiles;       /* [n_tiles + 1] first sequence of each */
    size_t n_tiles;
    size_t tiles_from;     /* of the batch that runs */
    unsigned char *failed; /* [n_tiles] */
} job;

struct planned {
    uint32_t sequence; /* in the order of first appearance */
    uint32_t n;        /* tokens */
    size_t at;         /* first id, in job.ids */
};

static void job_release(job *j)
{
    buf_release(&j->ids);
    free(j->of);
    free(j->order);
    free(j->texts);
    free(j->first_text);
    free(j->sequences);
    free(j->tiles);
    free(j->failed);
}

static int longest_first(const void *a, const void *b)
{
    const struct planned *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* Tokenizes all; equal ids get the same sequence.  The ids are kept as bytes: intern_add
 * borrows its texts, so they are all there before the first is added. */
static status tokenize(job *j, const str *texts, err *e)
{
    const tokenizer *t = model_tokenizer(j->em->m);
    const size_t max = model_max_tokens(j->em->m);
    size_t *end = malloc((j->n_texts + 1) * sizeof *end);
    intern seen = {0};
    status st = ST_OK;
    j->of = calloc(j->n_texts + 1, sizeof *j->of);
    j->order = calloc(j->n_texts + 1, sizeof *j->order);
    if (!end || !j->of || !j->order) goto nomem;
    for (size_t i = 0; i < j->n_texts; i++) {
        char *room = buf_reserve(&j->ids, max * sizeof(int32_t));
        if (!room) goto nomem;
        int32_t ids[MODEL_TOKENS];
        size_t n = tokenizer_ids(t, texts[i], ids, max);
        memcpy(room, ids, n * sizeof *ids);
        j->ids.n += n * sizeof *ids;
        end[i] = j->ids.n;
    }
    for (size_t i = 0; i < j->n_texts; i++) {
        size_t from = i ? end[i - 1] : 0;
        j->of[i] = intern_add(&seen, (str){j->ids.p + from, end[i] - from});
        if (j->of[i] == INTERN_NONE) goto nomem;
        if (j->of[i] < j->n) continue;
        uint32_t n = (uint32_t)((end[i] - from) / sizeof(int32_t));
        j->order[j->n++] = (struct planned){j->of[i], n, from / sizeof(int32_t)};
    }
    qsort(j->order, j->n, sizeof *j->order, longest_first);
    goto done;
nomem:
    st = err_nomem(e, "embedding");
done:
    intern_release(&seen);
    free(end);
    return st;
}

/* Lists the texts of each sequence, sequences in their new order. */
static status group_texts(job *j, err *e)
{
    uint32_t *rank = calloc(j->n + 1, sizeof *rank);
    j->first_text = calloc(j->n + 2, sizeof *j->first_text);
    j->texts = calloc(j->n_texts + 1, sizeof *j->texts);
    if (!rank || !j->first_text || !j->texts) {
        free(rank);
        return err_nomem(e, "embedding");
    }
    for (size_t k = 0; k < j->n; k++) rank[j->order[k].sequence] = (uint32_t)k;
    /* counting sort: first_text[k + 1] counts, then runs */
    for (size_t i = 0; i < j->n_texts; i++) j->first_text[rank[j->of[i]] + 2]++;
    for (size_t k = 2; k < j->n + 2; k++) j->first_text[k] += j->first_text[k - 1];
    for (size_t i = 0; i < j->n_texts; i++)
        j->texts[j->first_text[rank[j->of[i]] + 1]++] = (uint32_t)i;
    free(rank);
    return ST_OK;
}

static status cut_tiles(job *j, err *e)
{
    j->sequences = calloc(j->n + 1, sizeof *j->sequences);
    j->tiles = calloc(j->n + 1, sizeof *j->tiles);
    j->failed = calloc(j->n + 1, 1);
    if (!j->sequences || !j->tiles || !j->failed) return err_nomem(e, "embedding");
    const int32_t *ids = (const int32_t *)(const void *)j->ids.p;
    const size_t dim = model_dim(j->em->m);
    size_t tokens = 0;
    for (size_t k = 0; k < j->n; k++) {
        const struct planned *p = &j->order[k];
        size_t text = j->texts[j->first_text[k]];
        j->sequences[k] = (sequence){ids + p->at, p->n, j->out + text * dim};
        if (!k || tokens + p->n > ENCODER_TILE) {
            j->tiles[j->n_tiles++] = k;
            tokens = 0;
        }
        tokens += p->n;
    }
    j->tiles[j->n_tiles] = j->n;
    return ST_OK;
}

/* --- doing it ------------------------------------------------------------------------------- */

/* Texts with the same ids get copies of the first one's vector. */
static void copy_to_equals(const job *j, size_t k)
{
    const size_t dim = model_dim(j->em->m), first = j->texts[j->first_text[k]];
    for (size_t i = j->first_text[k] + 1; i < j->first_text[k + 1]; i++)
        memcpy(j->out + j->texts[i] * dim, j->out + first * dim, dim * sizeof *j->out);
}

static void run_tile(void *ctx, size_t item, int worker)
{
    job *j = ctx;
    size_t tile = j->tiles_from + item, from = j->tiles[tile], to = j->tiles[tile + 1];
    const workplace *w = &j->crew.place[worker];
    const sequence *these = j->sequences + from;
    bool finite = j->fast ? fast_encoder_run(j->em->fast, w->fast, these, to - from)
                          : encoder_run(j->em->encoder, w->exact, these, to - from);
    j->failed[tile] = !finite;
    for (size_t k = from; k < to; k++) copy_to_equals(j, k);
}

/* Hands on the positions of the texts of sequences [from, to). */
static status report(const job *j, size_t from, size_t to, const embed_options *o, err *e)
{
    size_t first = j->first_text[from], n = j->first_text[to] - first;
    if (!o->batch_done) return ST_OK;
    size_t *which = malloc((n + 1) * sizeof *which);
    if (!which) return err_nomem(e, "embedding");
    for (size_t i = 0; i < n; i++) which[i] = j->texts[first + i];
    status st = o->batch_done(o->ctx, which, n, e);
    free(which);
    return st;
}

static status run_batches(job *j, const embed_options *o, err *e)
{
    const size_t batch = (size_t)j->crew.n * TILES_PER_THREAD;
    const size_t total = o->total ? o->total : j->n_texts;
    for (; j->tiles_from < j->n_tiles; j->tiles_from += batch) {
        size_t left = j->n_tiles - j->tiles_from, n = left < batch ? left : batch;
        if (o->stop && *o->stop) return err_set(e, ST_INCOMPLETE, "interrupted while embedding");
        crew_run(&j->crew, n, run_tile, j);
        for (size_t i = 0; i < n; i++)
            if (j->failed[j->tiles_from + i])
                return err_set(e, ST_FAILED,
                               "the model in %s gives vectors that are not finite; %s",
                               j->em->m->dir, MODEL_REFETCH);
        size_t from = j->tiles[j->tiles_from], to = j->tiles[j->tiles_from + n];
        status st = report(j, from, to, o, e);
        if (st) return st;
        log_progress(o->log, "embedding", o->before + j->first_text[to], total);
    }
    if (o->before + j->n_texts == total) log_progress_end(o->log, "embedding", total);
    return ST_OK;
}

status embed_texts(embedder *em, const str *texts, size_t n_texts, float *out,
                   const embed_options *o, err *e)
{
    job j = {.em = em, .fast = o->fast, .out = out, .n_texts = n_texts};
    if (n_texts >= UINT32_MAX) return err_set(e, ST_FAILED, "more than %u texts", UINT32_MAX - 1);
    status st = o->fast ? need_fast(em, e) : ST_OK;
    if (st == ST_OK) st = tokenize(&j, texts, e);
    if (st == ST_OK) st = group_texts(&j, e);
    if (st == ST_OK) st = cut_tiles(&j, e);
    if (st == ST_OK) st = crew_init(&j.crew, em, j.fast, j.n_tiles, e);
    if (st == ST_OK) {
        st = run_batches(&j, o, e);
        crew_release(&j.crew);
    }
    job_release(&j);
    return st;
}
