/* sync.c - joins source, slices and store: ask for a page, keep it, move on.
 *
 * Where a page says by itself that another one follows (it is full, and the server counts more
 * rows than have been seen), that one is asked for while the page is kept.  Requests are the same,
 * in the same order, as without: what a page's rows can change is asked for after they are kept.
 *
 * The records of a page, the set of records seen and the slice's progress commit together,
 * so a killed run goes on where the last page ended and nothing is counted twice.  A row
 * that had not settled when the slice began (younger than source.settle) is counted but
 * left to the next sync; one from the future (a clock is wrong somewhere) is kept, but never
 * moves the cursor.
 *
 * Whether the server takes ranges is asked when it is first of use: a slice with more rows than
 * servers commonly give of one question, or one that twice ends short of the same count.  The
 * question has an answer that is known, the rows of the page just read, so that a server that
 * misunderstands it is not believed.  The answer is kept in the store.  A server that later
 * gives rows outside of a range, or refuses one, is asked for none any more. */
#include "sync.h"

#include <stdio.h>

#include "base/json.h"
#include "base/sha256.h"
#include "curate/redact_record.h"
#include "source/file.h"
#include "source/slices.h"
#include "sync_prepare.h"

/* --- one record ----------------------------------------------------------------------------- */

typedef struct keeping {
    store *store;
    const logger *log;
    sync_counts *counts;
    instant leave_from, leave_to; /* records in (from, to] are counted and left */
    const char *comfort;          /* what to add to the word that a record is rejected */
    const redactor *redactor;     /* NULL: records are kept as received */
    arena scratch;
    buf redacted;
} keeping;

static void keeping_release(keeping *k)
{
    arena_release(&k->scratch);
    buf_release(&k->redacted);
}

/* Of a record that cannot be read nobody knows where its texts are: with redact.store, what is
 * kept says no more than why. */
static status keep_rejected(keeping *k, str raw, err *why, err *e)
{
    bool is_new;
    if (k->redactor) {
        str clean;
        status st = redact_text(k->redactor, str_from(why->msg), &k->redacted, &clean, NULL, e);
        if (st) return st;
        char copy[ERR_CAP];
        snprintf(copy, sizeof copy, "%.*s", STR_FMT(clean));
        memcpy(why->msg, copy, sizeof copy);
        buf_clear(&k->redacted);
        buf_fmt(&k->redacted, "%zu bytes, not kept (redact.store = yes): %s", raw.n, why->msg);
        if (!buf_ok(&k->redacted)) return err_nomem(e, "redacting");
        raw = buf_view(&k->redacted);
    }
    return store_put_rejected(k->store, raw, why->msg, &is_new, e);
}

/* Rejects a record, named by a warning beginning with `where`; one that was forgotten (as far as
 * it has an id) is passed over. */
static status reject(keeping *k, str raw, str id, const char *where, err *why, err *e)
{
    bool forgotten = false;
    arena a = {0};
    status st = id.n ? ST_OK : record_id_of_broken(raw, &a, &id, e);
    if (st == ST_OK && id.n) st = store_is_forgotten(k->store, id, &forgotten, e);
    arena_release(&a);
    k->counts->forgotten += forgotten;
    if (st || forgotten) return st;
    st = keep_rejected(k, raw, why, e);
    k->counts->rejected++;
    log_say(k->log, LOG_WARNING, "%s rejected: %s%s", where, why->msg, k->comfort);
    return st;
}

/* The record redacted, in k->redacted.  A mark can be longer than what it stands for: what cannot
 * be read any more is not stored, or no curation could read the store.  *fits: it can; else
 * `why` says why not. */
static status redact(keeping *k, str raw, bool *fits, err *why, err *e)
{
    interaction i;
    err late = {0};
    buf_clear(&k->redacted);
    status st = redact_record(k->redactor, raw, &k->redacted, e);
    if (st) return st;
    *fits = record_parse(buf_view(&k->redacted), &k->scratch, &i, &late) == ST_OK;
    if (err_is_nomem(&late)) return err_set(e, ST_FAILED, "%s", late.msg);
    if (!*fits) err_set(why, ST_FAILED, "once redacted, %.900s", late.msg);
    return ST_OK;
}

/* Puts it into the store as it is, or redacted. */
static status put(keeping *k, str raw, const prepared *p, put_result *how, err *e)
{
    const interaction *i = &p->of;
    if (k->redactor) return store_put(k->store, i->id, i->at, buf_view(&k->redacted), how, e);
    if (p->has_form) return store_put_formed(k->store, i->id, i->at, raw, &p->form, how, e);
    return store_put(k->store, i->id, i->at, raw, how, e);
}

/* Keeps a raw record, or rejects it, or passes over one that was forgotten.  *id is empty for the
 * last two; it lives as long as what was prepared. */
static status keep(keeping *k, str raw, const prepared *p, const char *where, str *id, instant *at,
                   err *e)
{
    const interaction *i = &p->of;
    err why = {0};
    bool fits = true;
    put_result how;
    *id = (str){0};
    k->counts->received++;
    if (p->why) {
        err_set(&why, ST_FAILED, "%s", p->why);
        return reject(k, raw, i->id, where, &why, e);
    }
    *at = i->at;
    bool unsettled = instant_cmp(i->at, k->leave_from) > 0 && instant_cmp(i->at, k->leave_to) <= 0;
    status st = k->redactor && !unsettled ? redact(k, raw, &fits, &why, e) : ST_OK;
    if (st) return st;
    if (!fits) return reject(k, raw, i->id, where, &why, e);
    *id = i->id;
    if (unsettled) return ST_OK;
    st = put(k, raw, p, &how, e);
    if (st) return st;
    if (how == PUT_FORGOTTEN) *id = (str){0}; /* no word of it anywhere */
    k->counts->forgotten += how == PUT_FORGOTTEN;
    k->counts->added += how == PUT_NEW;
    k->counts->updated += how == PUT_UPDATED;
    return ST_OK;
}

/* --- the API -------------------------------------------------------------------------------- */

typedef enum { RANGES_UNKNOWN, RANGES_NO, RANGES_YES } ranges;

typedef struct reading {
    source *source;
    const sync_options *o;
    slice slice;
    bool planned; /* this run has planned the slice up to now */
    bool fresh;   /* ... and the slice is that one, not asked for yet */
    unsigned passes_left;
    ranges ranges;                 /* whether the server takes them */
    instant first, last;           /* oldest and newest row of the page; first > last: none */
    instant some_first, some_last; /* the same of the last page that had rows */
    uint64_t short_of;             /* rows that the last pass had when it lacked some */
    uint64_t cap; /* rows that the server seems to give at most; 0: nothing is known */
    source_page page;
    preparer *preparer;
    const prepared *prepared; /* [page.n_records] */
    bool mostly_new;          /* the last page was: the next one's records may as well be packed */
    keeping keeping;
} reading;

/* What a record counts as seen by: its id, so that a row that changes and is read again is
 * one.  But a server may hold two records of one id and count both: where passes did not add
 * up, every third one tells records apart by their bytes.  The number of the pass decides, so
 * that a run that takes a pass up goes on as the one before it began. */
static str seen_key(const reading *r, str id, str raw, unsigned char digest[SHA256_SIZE])
{
    if (id.n && r->slice.pass % SLICE_PASSES) return id;
    sha256_of(raw, digest);
    return (str){(const char *)digest, STORE_SEEN_DIGEST};
}

static void note_instant(reading *r, instant at)
{
    if (instant_cmp(at, r->first) < 0) r->first = at;
    if (instant_cmp(at, r->last) > 0) r->last = at;
}

static source_query question(const slice *s)
{
    source_query q = {.after = s->lo, .page = s->page, .page_size = s->page_size};
    q.is_range = s->bounded;
    if (s->bounded) q.before = slice_before(s);
    return q;
}

/* Whether the page has a row that a range does not hold.  The store keeps it all the same. */
static bool is_outside(const reading *r, const source_query *q)
{
    if (!q->is_range || instant_cmp(r->first, r->last) > 0) return false;
    instant lowest = instant_add(q->after, -0.001); /* the question is cut to milliseconds */
    return instant_cmp(r->last, q->before) >= 0 || instant_cmp(r->first, lowest) < 0;
}

static uint64_t stored(const reading *r)
{
    return r->keeping.counts->added + r->keeping.counts->updated;
}

static status keep_page(reading *r, slice_page *brought, err *e)
{
    uint64_t before = stored(r);
    r->first = INSTANT_MAX;
    r->last = INSTANT_MIN;
    for (size_t n = 0; n < r->page.n_records; n++) {
        char where[64];
        unsigned char digest[SHA256_SIZE];
        str raw = r->page.records[n], id;
        instant at;
        bool is_new;
        snprintf(where, sizeof where, "record %zu of page %u", n + 1, r->slice.page);
        status st = keep(&r->keeping, raw, &r->prepared[n], where, &id, &at, e);
        if (st) return st;
        if (id.n) note_instant(r, at);
        if (id.n && instant_cmp(at, r->slice.hi) <= 0 && instant_cmp(at, brought->newest) > 0)
            brought->newest = at;
        str key = seen_key(r, id, raw, digest);
        st = store_mark_seen(r->keeping.store, r->slice.id, key, &is_new, e);
        if (st) return st;
        brought->n_new += is_new;
    }
    r->mostly_new = 2 * (stored(r) - before) > r->page.n_records;
    if (instant_cmp(r->first, r->last) <= 0) {
        r->some_first = r->first;
        r->some_last = r->last;
    }
    return ST_OK;
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
    r->keeping.leave_to = instant_add(r->slice.hi, r->slice.bounded ? 0 : r->o->settle);
}

/* --- ranges --------------------------------------------------------------------------------- */

static void ranges_key(const reading *r, char out[ERR_CAP])
{
    snprintf(out, ERR_CAP, "ranges %s", r->o->source_name);
}

static status recall_ranges(reading *r, err *e)
{
    char key[ERR_CAP];
    buf known = {0};
    bool found;
    ranges_key(r, key);
    status st = store_get(r->keeping.store, key, &known, &found, e);
    if (st == ST_OK && found)
        r->ranges = str_eq(buf_view(&known), STR("yes")) ? RANGES_YES : RANGES_NO;
    buf_release(&known);
    return st;
}

static status remember_ranges(reading *r, ranges known, err *e)
{
    char key[ERR_CAP];
    ranges_key(r, key);
    r->ranges = known;
    return store_set(r->keeping.store, key, known == RANGES_YES ? STR("yes") : STR("no"), e);
}

/* Begins a slice anew that has been changed. */
static status save_anew(reading *r, slice *s, err *e)
{
    status st = store_forget_seen(r->keeping.store, s->id, e);
    return st ? st : store_save_slice(r->keeping.store, str_from(r->o->source_name), s, e);
}

/* The server took ranges and does not any more, or never really did. */
static status leave_ranges(reading *r, err *e)
{
    log_say(r->o->log, LOG_INFO, "the server does not keep to ranges: asking without");
    r->slice.bounded = false;
    slice_restart(&r->slice, r->slice.page_size);
    status st = remember_ranges(r, RANGES_NO, e);
    return st ? st : save_anew(r, &r->slice, e);
}

typedef struct counting {
    const source_query *q;
    arena scratch;
    uint64_t inside, outside;
} counting;

static void count_record(counting *c, str raw)
{
    err why = {0};
    interaction i;
    arena_reset(&c->scratch);
    if (record_parse(raw, &c->scratch, &i, &why)) return;
    bool is_in = instant_cmp(i.at, c->q->after) >= 0 && instant_cmp(i.at, c->q->before) < 0;
    c->inside += is_in;
    c->outside += !is_in;
}

/* Asks for the range of the rows of a page that was read, which must be there.  A server that is
 * at a loss (HTTP 500) may answer well without: this run goes on so, another one asks again. */
static status probe(reading *r, err *e)
{
    const slice of_page = {.lo = r->some_first,
                           .hi = r->some_last,
                           .bounded = true,
                           .page = 1,
                           .page_size = r->slice.page_size};
    source_query q = question(&of_page);
    counting c = {.q = &q};
    q.after.ns = q.after.ns / 1000000 * 1000000;
    status st = source_get(r->source, &q, &r->page, e);
    if (st == ST_INCOMPLETE) {
        log_say(r->o->log, LOG_INFO, "going on without ranges of time: %s", e->msg);
        r->ranges = RANGES_NO;
        return ST_OK;
    }
    if (st) return st;
    for (size_t n = 0; n < r->page.n_records; n++) count_record(&c, r->page.records[n]);
    arena_release(&c.scratch);
    bool good = !r->page.refused && c.inside && !c.outside;
    log_say(r->o->log, LOG_INFO, "the server takes %s of time", good ? "ranges" : "no ranges");
    st = store_begin(r->keeping.store, e);
    if (st == ST_OK) st = remember_ranges(r, good ? RANGES_YES : RANGES_NO, e);
    if (st == ST_OK) st = store_commit(r->keeping.store, e);
    store_rollback(r->keeping.store);
    return st;
}

/* Whether a pass that lacks rows looks like a server's cap: twice the same number of rows. */
static bool looks_capped(reading *r, uint64_t seen)
{
    bool again = seen && seen == r->short_of;
    r->short_of = seen;
    if (again && !r->cap) r->cap = seen;
    return r->cap && seen >= r->cap;
}

/* Cuts the slice in two where that is of use and the server takes ranges.  The lower part is
 * read first. */
static status cut(reading *r, bool *is_cut, err *e)
{
    slice upper;
    store *s = r->keeping.store;
    status st = ST_OK;
    *is_cut = false;
    if (r->ranges == RANGES_NO || instant_cmp(r->some_first, r->some_last) > 0) return ST_OK;
    if (r->ranges == RANGES_UNKNOWN) st = probe(r, e);
    if (st || r->ranges == RANGES_NO || !slice_split(&r->slice, &upper)) return st;
    *is_cut = true;
    st = store_begin(s, e);
    if (st == ST_OK) st = save_anew(r, &r->slice, e);
    if (st == ST_OK) st = store_save_slice(s, str_from(r->o->source_name), &upper, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

/* --- a slice -------------------------------------------------------------------------------- */

/* What a page does to the progress of its slice. */
typedef struct progress {
    slice_next next;
    const char *why;
    uint64_t seen; /* rows of the pass */
} progress;

/* Keeps the page and the slice's progress, in one transaction. */
static status commit_page(reading *r, const source_query *q, progress *p, err *e)
{
    store *s = r->keeping.store;
    slice_page brought = {
        .n_records = r->page.n_records, .total = r->page.total, .newest = INSTANT_MIN};
    *p = (progress){.next = SLICE_MORE, .why = ""};
    status st = store_begin(s, e);
    if (st == ST_OK) st = keep_page(r, &brought, e);
    if (st) goto done;
    if (r->page.refused || is_outside(r, q)) {
        st = leave_ranges(r, e);
    } else {
        p->seen = r->slice.seen + brought.n_new;
        p->next = slice_feed(&r->slice, &brought, r->passes_left, &p->why);
        if (p->next != SLICE_MORE) st = store_forget_seen(s, r->slice.id, e);
        if (st == ST_OK) st = store_save_slice(s, str_from(r->o->source_name), &r->slice, e);
    }
    if (st == ST_OK) st = store_commit(s, e);
done:
    store_rollback(s); /* no-op after a commit */
    arena_reset(&r->keeping.scratch);
    return st;
}

/* Whether a slice of so many rows is one to cut. */
static bool too_large(const reading *r, int64_t total)
{
    return total > (r->cap ? (int64_t)r->cap : RESULT_CAP);
}

/* Asks for the next page where nothing about the rows of this one can make it another. */
static void ask_ahead(reading *r)
{
    source_query q = question(&r->slice);
    if (r->page.refused || !slice_goes_on(&r->slice, r->page.n_records, r->page.total)) return;
    if (q.page == 1 && r->ranges != RANGES_NO && too_large(r, r->page.total)) return;
    r->first = INSTANT_MAX;
    r->last = INSTANT_MIN;
    for (size_t n = 0; q.is_range && n < r->page.n_records; n++)
        if (!r->prepared[n].why) note_instant(r, r->prepared[n].of.at);
    if (is_outside(r, &q)) return;
    q.page++;
    source_ask_ahead(r->source, &q);
}

static status prepare_page(reading *r, err *e)
{
    prepare_extent extent = r->o->redactor  ? PREPARE_READ
                            : r->mostly_new ? PREPARE_PACK
                                            : PREPARE_HASH;
    return preparer_run(r->preparer, r->page.records, r->page.n_records, extent, &r->prepared, e);
}

/* One page: asked for, kept, and the slice cut if it holds too much. */
static status read_page(reading *r, progress *p, err *e)
{
    source_query q = question(&r->slice);
    bool is_cut;
    status st = source_get(r->source, &q, &r->page, e);
    if (st == ST_OK) st = prepare_page(r, e);
    if (st) return st;
    if (r->fresh && !r->page.refused) heed_server_clock(r);
    r->fresh = false;
    ask_ahead(r);
    leave_unsettled(r);
    st = commit_page(r, &q, p, e);
    if (st) return st;
    bool too_many = q.page == 1 && p->next == SLICE_MORE && too_large(r, r->slice.total_last);
    bool capped = p->why == slice_lacks_rows && looks_capped(r, p->seen);
    if (!too_many && !capped) return ST_OK;
    st = cut(r, &is_cut, e);
    if (!is_cut) return st;
    p->next = SLICE_MORE;
    r->passes_left = SLICE_PASSES - 1;
    return st;
}

static status read_slice(reading *r, err *e)
{
    progress p = {.next = SLICE_MORE};
    r->passes_left = SLICE_PASSES - 1;
    r->short_of = 0;
    r->some_first = INSTANT_MAX;
    r->some_last = INSTANT_MIN;
    while (p.next == SLICE_MORE || p.next == SLICE_AGAIN) {
        status st = read_page(r, &p, e);
        if (st) return st;
        log_progress(r->o->log, "fetching", r->slice.seen,
                     r->slice.total_last > 0 ? (uint64_t)r->slice.total_last : 0);
        if (p.next == SLICE_AGAIN) {
            r->passes_left--;
            log_say(r->o->log, LOG_INFO, "reading the slice again: %s", p.why);
        }
    }
    if (p.next == SLICE_FINISHED) return ST_OK;
    return err_set(e, ST_INCOMPLETE,
                   "the server's pages do not agree with its count: %s; what "
                   "arrived is kept, run again to go on",
                   p.why);
}

slice sync_plan(const sync_options *o, const sync_known *k, instant hi, uint32_t page_size)
{
    /* A start moved back beyond what was ever read: from there again. */
    bool anew = !k->found || instant_cmp(o->since, k->lowest) < 0;
    slice s = slice_plan(anew ? INSTANT_MIN : k->newest, o->since, o->lookback, hi, page_size);
    /* What would be read anyway is: the next slice begins where this one ended. */
    if (o->resync && (!k->found || instant_cmp(*o->resync, s.lo) < 0)) s.lo = *o->resync;
    return s;
}

/* Plans the slice up to now. */
static status plan(reading *r, err *e)
{
    const sync_options *o = r->o;
    sync_known k = {.newest = INSTANT_MIN, .lowest = INSTANT_MIN};
    status st =
        store_cursor(r->keeping.store, str_from(o->source_name), &k.newest, &k.lowest, &k.found, e);
    if (st) return st;
    r->slice = sync_plan(o, &k, settled(r, clock_now()), o->page_size);
    r->planned = r->fresh = true;
    return ST_OK;
}

/* Takes up the oldest unfinished slice, or plans the one up to now; *none: this run has read
 * that already. */
static status next_slice(reading *r, bool *none, err *e)
{
    bool found;
    store *s = r->keeping.store;
    str name = str_from(r->o->source_name);
    status st = store_open_slice(s, name, &r->slice, &found, e);
    *none = st == ST_OK && !found && r->planned;
    if (st || *none) return st;
    if (found && r->slice.page_size == r->o->page_size) return ST_OK;
    if (found)
        slice_restart(&r->slice, r->o->page_size);
    else
        st = plan(r, e);
    if (st) return st;
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
                             .redactor = o->redactor,
                             .comfort = "; it is kept as received (tamis status)"}};
    bool none = false;
    status st = preparer_new(o->n_threads, &r.preparer, e);
    if (st == ST_OK) st = recall_ranges(&r, e);
    while (st == ST_OK && !none) {
        st = next_slice(&r, &none, e);
        if (st == ST_OK && !none) st = read_slice(&r, e);
    }
    source_drop_ahead(src);
    log_progress_end(o->log, "fetching", counts->received);
    source_page_release(&r.page);
    preparer_free(r.preparer);
    keeping_release(&r.keeping);
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
    prepared p;
    if (im->stop && *im->stop)
        return err_set(e, ST_INCOMPLETE, "interrupted; run again to import all of %s", im->path);
    snprintf(where, sizeof where, "%s: record %llu", im->path, (unsigned long long)++im->n);
    status st = prepare_record(raw, &im->keeping.scratch, &p, e);
    if (st == ST_OK) st = keep(&im->keeping, raw, &p, where, &id, &at, e);
    if (st || im->n % IMPORT_BATCH) return st;
    arena_reset(&im->keeping.scratch);
    log_progress(im->keeping.log, "importing", im->n, 0);
    return ST_OK;
}

status sync_import(store *s, const char *path, const redactor *cleaner, const logger *log,
                   const stop_flag *stop, sync_counts *counts, err *e)
{
    importing im = {.path = strcmp(path, "-") ? path : "standard input",
                    .stop = stop,
                    .keeping = {.store = s,
                                .log = log,
                                .counts = counts,
                                .redactor = cleaner,
                                .comfort = "", /* the whole file may yet be given back */
                                .leave_from = INSTANT_MAX,
                                .leave_to = INSTANT_MAX}};
    status st = store_begin(s, e);
    if (st == ST_OK) st = file_records(path, stop, import_record, &im, e);
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
    keeping_release(&im.keeping);
    return st;
}
