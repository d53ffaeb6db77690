/* vectors_find.c - the vectors of texts, one or many.
 *
 * A vector lies under the hash of its text.  One is looked up by the index.  Of many it is quicker
 * to read the whole table as it lies there, one page after the other, and to look up its hashes
 * in memory: a look-up goes down two trees. */
#include "store/vectors_find.h"

#include <stdlib.h>

#include "base/intern.h"
#include "base/sha256.h"

/* So many rows are read in the time of a look-up, at least. */
enum { ROWS_A_LOOK_UP = 4 };

_Static_assert(sizeof(float) == 4 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "vectors lie in the file as they lie in memory: float32, little-endian");

typedef struct finding {
    db *d;
    bool fast;
    const str *texts; /* [n] */
    size_t n, dim;
    store_vector_fn fn;
    void *ctx;
    float *v; /* [dim] the one that is told: within a page it may lie anywhere */
} finding;

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

static status look_up_each(const finding *f, err *e)
{
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < f->n; i++) {
        bool found;
        st = vector_look_up(f->d, f->fast, f->texts[i], f->v, f->dim, &found, e);
        if (st == ST_OK && found) st = f->fn(f->ctx, i, f->v, e);
    }
    return st;
}

static status read_table(const finding *f, const intern *hashes, err *e)
{
    rows *r;
    status st = db_list(f->d, f->fast ? read_fast_vectors : read_vectors, NO_VALUES, &r, e);
    while (db_next(f->d, r, &st, e)) {
        const uint32_t k = intern_find(hashes, row_str(r, 0));
        if (k == INTERN_NONE) continue;
        const str v = row_str(r, 1);
        if (v.n != f->dim * sizeof *f->v) continue;
        memcpy(f->v, v.p, v.n);
        st = f->fn(f->ctx, k, f->v, e);
    }
    db_end(r);
    return st;
}

static status read_all(const finding *f, err *e)
{
    intern numbers = {0};
    unsigned char(*hashes)[SHA256_SIZE] = calloc(f->n + 1, sizeof *hashes);
    bool ok = hashes != NULL;
    for (size_t i = 0; ok && i < f->n; i++) {
        sha256_of(f->texts[i], hashes[i]);
        ok = intern_add(&numbers, (str){(const char *)hashes[i], SHA256_SIZE}) != INTERN_NONE;
    }
    status st = ok ? read_table(f, &numbers, e) : err_nomem(e, "reading vectors");
    intern_release(&numbers);
    free(hashes);
    return st;
}

/* Rows of the table, or more, where some were removed. */
static status count_rows(const finding *f, uint64_t *n, err *e)
{
    rows *row;
    status st = db_ask(f->d, f->fast ? Q_LAST_FAST_VECTOR : Q_LAST_VECTOR, NO_VALUES, &row, e);
    *n = row ? (uint64_t)row_int(row, 0) : 0;
    db_release(row);
    return st;
}

status vectors_find(db *d, bool fast, const str *texts, size_t n, size_t dim, store_vector_fn fn,
                    void *ctx, err *e)
{
    uint64_t there = 0;
    finding f = {d, fast, texts, n, dim, fn, ctx, calloc(dim + 1, sizeof *f.v)};
    status st = f.v ? count_rows(&f, &there, e) : err_nomem(e, "reading vectors");
    if (st == ST_OK && there)
        st = there / ROWS_A_LOOK_UP < n ? read_all(&f, e) : look_up_each(&f, e);
    free(f.v);
    return st;
}
