/* sync.c - joins source, slices and store: ask for a page, keep it, move on.
 *
 * The records of a page, the set of records seen and the slice's progress commit together,
 * so a killed run goes on where the last page ended and nothing is counted twice.  A row
 * that had not settled when the slice began (younger than source.settle) is counted but
 * left to the next sync; one from the future (a clock is wrong somewhere) is kept, but never
 * moves the cursor. */
#include "sync.h"

#include <stdio.h>

#include "base/sha256.h"
#include "source/file.h"
#include "source/slices.h"

/* --- one record ----------------------------------------------------------------------------- */

typedef struct keeping {
    store *store;
    const logger *log;
    sync_counts *counts;
    instant leave_from, leave_to; /* records in (from, to] are counted and left */
    const char *comfort;          /* what to add to the word that a record is rejected */
    arena scratch;
} keeping;

/* Keeps a raw record, or keeps it as rejected (named by a warning beginning with `where`).
 * *id is empty for a rejected one; it lives in the scratch. */
static status keep(keeping *k, str raw, const char *where, str *id, instant *at, err *e)
{
    err why = {0};
    interaction i;
    *id = (str){0};
    k->counts->received++;
    if (record_parse(raw, &k->scratch, &i, &why)) {
        bool is_new;
        k->counts->rejected++;
        log_say(k->log, LOG_WARNING, "%s rejected: %s%s", where, why.msg, k->comfort);
        return store_put_rejected(k->store, raw, why.msg, &is_new, e);
    }
    *id = i.id;
    *at = i.at;
    if (instant_cmp(i.at, k->leave_from) > 0 && instant_cmp(i.at, k->leave_to) <= 0) return ST_OK;
    put_result how;
    status st = store_put(k->store, i.id, i.at, raw, &how, e);
    if (st) return st;
    k->counts->added += how == PUT_NEW;
    k->counts->updated += how == PUT_UPDATED;
    return ST_OK;
}

/* --- the API -------------------------------------------------------------------------------- */

typedef struct reading {
    source *source;
    const sync_options *o;
    slice slice;
    bool fresh; /* the slice was planned by this run, up to now */
    unsigned passes_left;
    source_page page;
    keeping keeping;
} reading;

enum { SEEN_DIGEST = 16 }; /* bytes of a record's SHA-256 that tell it apart */

/* What a record counts as seen by: its id, so that a row that changes and is read again is
 * one.  But a server may hold two records of one id and count both: where passes did not add
 * up, the last one tells records apart by their bytes. */
static str seen_key(const reading *r, str id, str raw, unsigned char digest[SHA256_SIZE])
{
    if (id.n && r->passes_left) return id;
    sha256_of(raw, digest);
    return (str){(const char *)digest, SEEN_DIGEST};
}

static status keep_page(reading *r, slice_page *brought, err *e)
{
    for (size_t n = 0; n < r->page.n_records; n++) {
        char where[64];
        unsigned char digest[SHA256_SIZE];
        str raw = r->page.records[n], id;
        instant at;
        bool is_new;
        snprintf(where, sizeof where, "record %zu of page %u", n + 1, r->slice.page);
        status st = keep(&r->keeping, raw, where, &id, &at, e);
        if (st) return st;
        if (id.n && instant_cmp(at, r->slice.hi) <= 0 && instant_cmp(at, brought->newest) > 0)
            brought->newest = at;
        str key = seen_key(r, id, raw, digest);
        st = store_mark_seen(r->keeping.store, r->slice.id, key, &is_new, e);
        if (st) return st;
        brought->n_new += is_new;
    }
    return ST_OK;
}

/* Keeps the page and the slice's progress, in one transaction. */
static status commit_page(reading *r, slice_next *next, const char **why, err *e)
{
    store *s = r->keeping.store;
    slice_page brought = {
        .n_records = r->page.n_records, .total = r->page.total, .newest = INSTANT_MIN};
    status st = store_begin(s, e);
    if (st) goto done;
    st = keep_page(r, &brought, e);
    if (st) goto done;
    *next = slice_feed(&r->slice, &brought, r->passes_left, why);
    if (*next != SLICE_MORE) st = store_forget_seen(s, r->slice.id, e);
    if (st) goto done;
    st = store_save_slice(s, str_from(r->o->source_name), &r->slice, e);
    if (st) goto done;
    st = store_commit(s, e);
done:
    store_rollback(s); /* no-op after a commit */
    arena_reset(&r->keeping.scratch);
    return st;
}

/* The settled end of a slice that begins now, by the local clock. */
static instant settled(const reading *r, instant now)
{
    return instant_add(now, -r->o->settle);
}

/* The first page tells the server's clock: the earlier of the two counts. */
static void heed_server_clock(reading *r)
{
    if (!r->page.has_server_date) return;
    instant hi = settled(r, r->page.server_date);
    if (instant_cmp(hi, r->slice.hi) < 0) r->slice.hi = hi;
}

static void leave_unsettled(reading *r)
{
    r->keeping.leave_from = r->slice.hi;
    r->keeping.leave_to = instant_add(r->slice.hi, r->o->settle);
}

static status read_slice(reading *r, err *e)
{
    slice_next next = SLICE_MORE;
    const char *why = "";
    bool first = r->fresh;
    r->passes_left = SLICE_PASSES - 1;
    while (next == SLICE_MORE || next == SLICE_AGAIN) {
        source_query q = {r->slice.lo, r->slice.page, r->slice.page_size};
        status st = source_get(r->source, &q, &r->page, e);
        if (st) return st;
        if (first) heed_server_clock(r);
        first = false;
        leave_unsettled(r);
        st = commit_page(r, &next, &why, e);
        if (st) return st;
        log_progress(r->o->log, "fetching", r->slice.seen,
                     r->slice.total_last > 0 ? (uint64_t)r->slice.total_last : 0);
        if (next == SLICE_AGAIN) {
            r->passes_left--;
            log_say(r->o->log, LOG_INFO, "reading the slice again: %s", why);
        }
    }
    if (next == SLICE_FINISHED) return ST_OK;
    return err_set(e, ST_INCOMPLETE,
                   "the server's pages do not agree with its count: %s; what "
                   "arrived is kept, run again to go on",
                   why);
}

/* Takes up the oldest unfinished slice, or plans the one up to now. */
static status next_slice(reading *r, err *e)
{
    bool found;
    store *s = r->keeping.store;
    str name = str_from(r->o->source_name);
    instant newest = INSTANT_MIN, lowest = INSTANT_MIN, lo = r->o->since;
    status st = store_open_slice(s, name, &r->slice, &found, e);
    if (st) return st;
    r->fresh = !found;
    if (found && r->slice.page_size == r->o->page_size) return ST_OK;
    if (found) {
        slice_restart(&r->slice, r->o->page_size);
    } else {
        st = store_cursor(s, name, &newest, &lowest, &found, e);
        if (st) return st;
        /* A start moved back beyond what was ever read: from there again. */
        if (found && instant_cmp(lo, lowest) < 0) newest = INSTANT_MIN;
        r->slice = slice_plan(newest, lo, r->o->lookback, settled(r, clock_now()), r->o->page_size);
    }
    st = store_begin(s, e);
    if (st == ST_OK && r->slice.id) st = store_forget_seen(s, r->slice.id, e);
    if (st == ST_OK) st = store_save_slice(s, name, &r->slice, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

status sync_run(store *s, source *src, const sync_options *o, sync_counts *counts, err *e)
{
    reading r = {.source = src,
                 .o = o,
                 .keeping = {.store = s,
                             .log = o->log,
                             .counts = counts,
                             .comfort = "; it is kept as received (tamis status)"}};
    status st;
    do {
        st = next_slice(&r, e);
        if (st == ST_OK) st = read_slice(&r, e);
    } while (st == ST_OK && !r.fresh);
    log_progress_end(o->log, "fetching", counts->received);
    source_page_release(&r.page);
    arena_release(&r.keeping.scratch);
    return st;
}

/* --- files ---------------------------------------------------------------------------------- */

typedef struct importing {
    const char *path;
    uint64_t n;
    const stop_flag *stop;
    keeping keeping;
} importing;

enum { IMPORT_BATCH = 4096 }; /* records between two resets of the scratch */

static status import_record(void *ctx, str raw, err *e)
{
    importing *im = ctx;
    char where[ERR_CAP / 2];
    str id;
    instant at;
    if (im->stop && *im->stop)
        return err_set(e, ST_INCOMPLETE, "interrupted; run again to import all of %s", im->path);
    snprintf(where, sizeof where, "%s: record %llu", im->path, (unsigned long long)++im->n);
    status st = keep(&im->keeping, raw, where, &id, &at, e);
    if (st || im->n % IMPORT_BATCH) return st;
    arena_reset(&im->keeping.scratch);
    log_progress(im->keeping.log, "importing", im->n, 0);
    return ST_OK;
}

status sync_import(store *s, const char *path, const logger *log, const stop_flag *stop,
                   sync_counts *counts, err *e)
{
    importing im = {.path = strcmp(path, "-") ? path : "standard input",
                    .stop = stop,
                    .keeping = {.store = s,
                                .log = log,
                                .counts = counts,
                                .comfort = "", /* the whole file may yet be given back */
                                .leave_from = INSTANT_MAX,
                                .leave_to = INSTANT_MAX}};
    status st = store_begin(s, e);
    if (st == ST_OK) st = file_records(path, import_record, &im, e);
    if (st == ST_OK || st == ST_INCOMPLETE) {
        err late = {0};
        status kept = store_commit(s, &late);
        if (kept) {
            *e = late;
            st = kept;
        }
    }
    store_rollback(s);
    log_progress_end(log, "importing", im.n);
    arena_release(&im.keeping.scratch);
    return st;
}
