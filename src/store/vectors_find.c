/* vectors_find.c - the vectors of texts, one or many.
 *
 * A vector lies under the hash of its text.  One is looked up by the index.  Of many it is quicker
 * to read the whole table as it lies there, one page after the other, and to look up its hashes
 * in memory: a look-up goes down two trees.  The table is dealt out to threads in parts, by the
 * numbers of its rows; each has a connection of its own, whose cache is small: what is read
 * once need not be kept. */
#include "store/vectors_find.h"

#include <stdlib.h>

#include "base/intern.h"
#include "base/sha256.h"

enum {
    ROWS_A_LOOK_UP = 4, /* so many rows are read in the time of a look-up, at least */
    PART = 2048         /* numbers that a thread takes at once */
};

_Static_assert(sizeof(float) == 4 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "vectors lie in the file as they lie in memory: float32, little-endian");

status vector_look_up(db *d, bool fast, str t, float *out, size_t dim, bool *found, err *e)
{
    rows *row;
    unsigned char hash[SHA256_SIZE];
    sha256_of(t, hash);
    value key = blob((str){(const char *)hash, SHA256_SIZE});
    status st = db_ask(d, fast ? Q_FAST_VECTOR : Q_VECTOR, VALUES(key), &row, e);
    str bytes = row ? row_str(row, 0) : (str){0};
    *found = row && bytes.n == dim * sizeof *out;
    if (*found) memcpy(out, bytes.p, bytes.n);
    db_release(row);
    return st;
}

static status look_up_each(db *d, const store_wanted *w, err *e)
{
    float *v = calloc(w->dim + 1, sizeof *v);
    status st = v ? ST_OK : err_nomem(e, "reading vectors");
    for (size_t i = 0; st == ST_OK && i < w->n; i++) {
        bool found;
        st = vector_look_up(d, w->fast, w->texts[i], v, w->dim, &found, e);
        if (st == ST_OK && found) st = w->fn(w->ctx, i, v, e);
    }
    free(v);
    return st;
}

/* --- all of them ---------------------------------------------------------------------------- */

typedef struct reader {
    db *d;    /* NULL: not opened yet */
    float *v; /* [dim] the one that is told: within a page it may lie anywhere */
    status st;
    err e;
} reader;

typedef struct finding {
    const store_wanted *w;
    const place *where;
    unsigned char (*hashes)[SHA256_SIZE]; /* [w->n] */
    intern numbers;                       /* of the hashes */
    reader *readers;                      /* one for each thread */
} finding;

static void hash_part(void *ctx, size_t item, int worker)
{
    const finding *f = ctx;
    (void)worker;
    for (size_t i = item * PART; i < f->w->n && i < (item + 1) * PART; i++)
        sha256_of(f->w->texts[i], f->hashes[i]);
}

static status begin(const finding *f, reader *r)
{
    if (!r->v) r->v = calloc(f->w->dim + 1, sizeof *r->v);
    if (!r->v) return err_nomem(&r->e, "reading vectors");
    return r->d ? ST_OK : db_open_beside(f->where->path, f->where->name, &r->d, &r->e);
}

static status read_rows(const finding *f, reader *r, int64_t from, int64_t to)
{
    const store_wanted *w = f->w;
    rows *q;
    status st = db_list(r->d, w->fast ? read_fast_vectors : read_vectors,
                        VALUES(integer(from), integer(to)), &q, &r->e);
    while (db_next(r->d, q, &st, &r->e)) {
        const uint32_t k = intern_find(&f->numbers, row_str(q, 0));
        if (k == INTERN_NONE) continue;
        const str v = row_str(q, 1);
        if (v.n != w->dim * sizeof *r->v) continue;
        memcpy(r->v, v.p, v.n);
        st = w->fn(w->ctx, k, r->v, &r->e);
    }
    db_end(q);
    return st;
}

static void read_part(void *ctx, size_t item, int worker)
{
    const finding *f = ctx;
    reader *r = &f->readers[worker];
    const int64_t from = (int64_t)item * PART + 1;
    if (r->st == ST_OK) r->st = begin(f, r);
    if (r->st == ST_OK) r->st = read_rows(f, r, from, from + PART - 1);
}

static void deal_out(pool *p, size_t n, void (*work)(void *ctx, size_t item, int worker),
                     finding *f)
{
    if (p)
        pool_run(p, (n + PART - 1) / PART, work, f);
    else
        for (size_t i = 0; i * PART < n; i++) work(f, i, 0);
}

static status number_hashes(finding *f, err *e)
{
    bool ok = true;
    deal_out(f->w->pool, f->w->n, hash_part, f);
    for (size_t i = 0; ok && i < f->w->n; i++) {
        const str hash = {(const char *)f->hashes[i], SHA256_SIZE};
        ok = intern_add(&f->numbers, hash) != INTERN_NONE;
    }
    return ok ? ST_OK : err_nomem(e, "reading vectors");
}

static status read_all(db *d, const place *where, const store_wanted *w, size_t last, err *e)
{
    pool *p = where ? w->pool : NULL;
    const int n_readers = p ? pool_size(p) : 1;
    finding f = {.w = w,
                 .where = where,
                 .hashes = calloc(w->n + 1, sizeof *f.hashes),
                 .readers = calloc((size_t)n_readers, sizeof *f.readers)};
    status st = f.hashes && f.readers ? number_hashes(&f, e) : err_nomem(e, "reading vectors");
    if (st == ST_OK) {
        if (!p) f.readers[0].d = d;
        deal_out(p, last, read_part, &f);
    }
    for (int i = 0; f.readers && i < n_readers; i++) {
        reader *r = &f.readers[i];
        if (st == ST_OK && r->st) *e = r->e;
        if (st == ST_OK) st = r->st;
        if (p) db_close(r->d);
        free(r->v);
    }
    intern_release(&f.numbers);
    free(f.readers);
    free(f.hashes);
    return st;
}

/* The number of the last row of the table: there may be fewer rows, where some were removed. */
static status last_number(db *d, bool fast, uint64_t *n, err *e)
{
    rows *row;
    status st = db_ask(d, fast ? Q_LAST_FAST_VECTOR : Q_LAST_VECTOR, NO_VALUES, &row, e);
    *n = row ? (uint64_t)row_int(row, 0) : 0;
    db_release(row);
    return st;
}

status vectors_find(db *d, const place *where, const store_wanted *w, err *e)
{
    uint64_t last = 0;
    status st = last_number(d, w->fast, &last, e);
    if (st || !last) return st;
    if (last / ROWS_A_LOOK_UP >= w->n) return look_up_each(d, w, e);
    return read_all(d, where, w, (size_t)last, e);
}
