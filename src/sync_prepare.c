/* sync_prepare.c - records are dealt out to a pool in small parts.
 *
 * Each worker has its own memory and its own packer.  Threads are started with the first page that
 * is large enough for them to be of use; where none can be started, the caller does all. */
#include "sync_prepare.h"

#include <stdlib.h>

#include "base/compress.h"
#include "base/pool.h"
#include "base/sha256.h"

enum {
    THREADS_MOST = 4, /* the store, which only one thread writes, cannot follow more */
    PART = 16,        /* records that a worker takes at once */
    MANY = 4 * PART   /* records for which threads are woken */
};

typedef struct worker {
    arena a;
    packer *packer;
    buf packed;
    status st;
    err e;
} worker;

struct preparer {
    pool *pool; /* NULL: not started yet */
    int n_threads;
    worker workers[THREADS_MOST];
    prepared *done; /* [cap] */
    size_t cap;
    /* of the run that goes on */
    const str *raws; /* [n] */
    size_t n;
    prepare_extent extent;
};

/* --- one record ----------------------------------------------------------------------------- */

status prepare_record(str raw, arena *a, prepared *out, err *e)
{
    err why = {0};
    *out = (prepared){0};
    if (record_parse(raw, a, &out->of, &why) == ST_OK) return ST_OK;
    if (!err_is_nomem(&why)) out->why = arena_str(a, str_from(why.msg)).p;
    return out->why ? ST_OK : err_nomem(e, "reading an interaction");
}

static status pack(worker *w, str raw, str *packed, err *e)
{
    if (!w->packer) {
        status st = packer_new(&w->packer, e);
        if (st) return st;
    }
    buf_clear(&w->packed);
    status st = packer_pack(w->packer, raw, &w->packed, e);
    if (st) return st;
    *packed = arena_str(&w->a, buf_view(&w->packed));
    return packed->p ? ST_OK : err_nomem(e, "packing");
}

static status prepare(worker *w, str raw, prepare_extent extent, prepared *out, err *e)
{
    status st = prepare_record(raw, &w->a, out, e);
    if (st || out->why || extent == PREPARE_READ) return st;
    out->has_form = true;
    sha256_of(raw, out->form.hash);
    return extent == PREPARE_PACK ? pack(w, raw, &out->form.packed, e) : ST_OK;
}

/* --- a page --------------------------------------------------------------------------------- */

status preparer_new(int n_threads, preparer **out, err *e)
{
    preparer *p = calloc(1, sizeof *p);
    *out = p;
    if (!p) return err_nomem(e, "starting a sync");
    p->n_threads = pool_threads(n_threads, THREADS_MOST);
    return ST_OK;
}

void preparer_free(preparer *p)
{
    if (!p) return;
    pool_free(p->pool);
    for (int k = 0; k < THREADS_MOST; k++) {
        arena_release(&p->workers[k].a);
        packer_free(p->workers[k].packer);
        buf_release(&p->workers[k].packed);
    }
    free(p->done);
    free(p);
}

static void prepare_part(void *ctx, size_t item, int number)
{
    preparer *p = ctx;
    worker *w = &p->workers[number];
    size_t end = (item + 1) * PART < p->n ? (item + 1) * PART : p->n;
    for (size_t i = item * PART; i < end && w->st == ST_OK; i++)
        w->st = prepare(w, p->raws[i], p->extent, &p->done[i], &w->e);
}

static status make_room(preparer *p, size_t n, err *e)
{
    if (n <= p->cap) return ST_OK;
    free(p->done);
    p->done = malloc(n * sizeof *p->done);
    p->cap = p->done ? n : 0;
    return p->done ? ST_OK : err_nomem(e, "reading a page");
}

static status start_threads(preparer *p, err *e)
{
    err unused = {0};
    if (p->pool || pool_new(p->n_threads, &p->pool, &unused) == ST_OK) return ST_OK;
    return pool_new(1, &p->pool, e);
}

status preparer_run(preparer *p, const str *raws, size_t n, prepare_extent extent,
                    const prepared **out, err *e)
{
    size_t parts = (n + PART - 1) / PART;
    status st = make_room(p, n, e);
    if (st == ST_OK && n >= MANY) st = start_threads(p, e);
    if (st) return st;
    p->raws = raws;
    p->n = n;
    p->extent = extent;
    for (int k = 0; k < THREADS_MOST; k++) {
        arena_reset(&p->workers[k].a);
        p->workers[k].st = ST_OK;
    }
    if (n >= MANY)
        pool_run(p->pool, parts, prepare_part, p);
    else
        for (size_t k = 0; k < parts; k++) prepare_part(p, k, 0);
    for (int k = 0; k < THREADS_MOST && st == ST_OK; k++) {
        st = p->workers[k].st;
        if (st) *e = p->workers[k].e;
    }
    *out = p->done;
    return st;
}
