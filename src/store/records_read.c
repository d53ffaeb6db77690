/* records_read.c - packed records, one or all of them.
 *
 * All of them go by in batches, three of which are under way: one is fetched from the table, the
 * one before it is unpacked and read, the one before that is taken.  A batch that is read is dealt
 * out in parts; fetching and taking, which must be done in order, are one piece of work beside
 * them.  Of the errors of a batch the first one is told, whatever the threads. */
#include "store/records_read.h"

#include <stdlib.h>

enum {
    ID_SHOWN = 200, /* bytes of an id in a message */
    PART = 16,      /* records that a thread reads at once */
    PARTS = STORE_BATCH / PART,
    UNDER_WAY = 3,        /* batches */
    BATCH_BYTES = 1 << 20 /* unpacked; a batch ends with the record that reaches it */
};

status record_unpack(packer *p, const record_name *name, str packed, buf *out, err *e)
{
    err why = {0};
    str id = name->id;
    status st = packer_unpack(p, packed, RECORD_BYTES, out, &why);
    if (st == ST_OK) return ST_OK;
    if (id.n > ID_SHOWN) id.n = ID_SHOWN;
    return err_set(e, st, "store %s: the record of %s %.*s: %s; put a backup in its place",
                   name->store, name->what, STR_FMT(id), why.msg);
}

origin column_origin(rows *r, int at)
{
    int64_t n = row_int(r, at);
    return n > ORIGIN_UNKNOWN && n < ORIGIN_COUNT ? (origin)n : ORIGIN_UNKNOWN;
}

/* --- all of them ---------------------------------------------------------------------------- */

typedef struct batch {
    buf bytes; /* of each record its id and then itself, packed */
    struct {
        size_t id, packed, end; /* where they begin and end */
        origin from;
    } records[STORE_BATCH];
    size_t n;
} batch;

typedef struct outcome {
    status st;
    err e;
} outcome;

typedef struct reader {
    packer *packer;
    buf raw;
} reader;

typedef struct reading {
    db *d;
    const char *store_name;
    const store_visit *v;
    rows *rows;
    bool over; /* there is no other row */
    batch batches[UNDER_WAY];
    size_t number;                    /* of the batch that is read */
    outcome take, part[PARTS], fetch; /* in the order of their records */
    reader *readers;                  /* [n_readers] */
    int n_readers;
} reading;

static batch *batch_at(reading *g, size_t number)
{
    return &g->batches[number % UNDER_WAY];
}

static size_t slot_of(size_t number, size_t i)
{
    return number % 2 * STORE_BATCH + i;
}

static str piece(const batch *b, size_t from, size_t to)
{
    return (str){b->bytes.p + from, to - from};
}

static status fetch(reading *g, batch *b, err *e)
{
    status st = ST_OK;
    size_t bytes = 0;
    b->n = 0;
    buf_clear(&b->bytes);
    while (b->n < STORE_BATCH && bytes < BATCH_BYTES && !g->over) {
        g->over = !db_next(g->d, g->rows, &st, e);
        if (g->over) break;
        const str packed = row_str(g->rows, 1);
        const size_t i = b->n++;
        b->records[i].id = b->bytes.n;
        buf_str(&b->bytes, row_str(g->rows, 0));
        b->records[i].packed = b->bytes.n;
        buf_str(&b->bytes, packed);
        b->records[i].end = b->bytes.n;
        b->records[i].from = column_origin(g->rows, 2);
        bytes += packed_size(packed);
    }
    return st || buf_ok(&b->bytes) ? st : err_nomem(e, "reading the store");
}

static status take(const reading *g, const batch *b, size_t number, err *e)
{
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < b->n; i++)
        st = g->v->take(g->v->ctx, slot_of(number, i),
                        piece(b, b->records[i].id, b->records[i].packed), e);
    return st;
}

static status read_part(const reading *g, reader *r, const batch *b, size_t part, err *e)
{
    status st = r->packer ? ST_OK : packer_new(&r->packer, e);
    for (size_t i = part * PART; st == ST_OK && i < b->n && i < (part + 1) * PART; i++) {
        const record_name name = {g->store_name, "interaction",
                                  piece(b, b->records[i].id, b->records[i].packed)};
        buf_clear(&r->raw);
        st = record_unpack(r->packer, &name, piece(b, b->records[i].packed, b->records[i].end),
                           &r->raw, e);
        if (st == ST_OK)
            st = g->v->read(g->v->ctx, slot_of(g->number, i), b->records[i].from, buf_view(&r->raw),
                            e);
    }
    return st;
}

/* Item 0 is what must be done in order, the others are the parts. */
static void work(void *ctx, size_t item, int worker)
{
    reading *g = ctx;
    if (item) {
        outcome *o = &g->part[item - 1];
        o->st = read_part(g, &g->readers[worker], batch_at(g, g->number), item - 1, &o->e);
        return;
    }
    if (g->number) g->take.st = take(g, batch_at(g, g->number - 1), g->number - 1, &g->take.e);
    if (g->take.st == ST_OK) g->fetch.st = fetch(g, batch_at(g, g->number + 1), &g->fetch.e);
}

static status first_error(const reading *g, size_t n_parts, err *e)
{
    const outcome *o = g->take.st ? &g->take : &g->fetch;
    for (size_t i = n_parts; !g->take.st && i--;)
        if (g->part[i].st) o = &g->part[i];
    if (o->st) *e = o->e;
    return o->st;
}

static status go_by(reading *g, err *e)
{
    status st = fetch(g, batch_at(g, 0), e);
    size_t n_parts = 0;
    for (bool any = true; st == ST_OK && any; g->number++) {
        const size_t n = batch_at(g, g->number)->n;
        n_parts = (n + PART - 1) / PART;
        any = n > 0; /* the round after the last batch takes it */
        if (g->v->pool)
            pool_run(g->v->pool, n_parts + 1, work, g);
        else
            for (size_t item = 0; item <= n_parts; item++) work(g, item, 0);
        st = first_error(g, n_parts, e);
    }
    return st;
}

status records_read(db *d, const char *store_name, const store_visit *v, err *e)
{
    reading *g = calloc(1, sizeof *g);
    if (!g) return err_nomem(e, "reading the store");
    *g = (reading){
        .d = d, .store_name = store_name, .v = v, .n_readers = v->pool ? pool_size(v->pool) : 1};
    g->readers = calloc((size_t)g->n_readers, sizeof *g->readers);
    status st = g->readers ? ST_OK : err_nomem(e, "reading the store");
    if (st == ST_OK) st = db_list(d, list_interactions, NO_VALUES, &g->rows, e);
    if (st == ST_OK) st = go_by(g, e);
    db_end(g->rows);
    for (int i = 0; g->readers && i < g->n_readers; i++) {
        packer_free(g->readers[i].packer);
        buf_release(&g->readers[i].raw);
    }
    for (size_t i = 0; i < UNDER_WAY; i++) buf_release(&g->batches[i].bytes);
    free(g->readers);
    free(g);
    return st;
}
