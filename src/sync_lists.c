/* sync_lists.c - lists in order of time, page by page from where the last page ended.
 *
 * A page is asked for by time and not by number: all rows from the time of the last one that was
 * read, that time included, for others may share it.  Rows that were seen before are known by
 * their id.  If one time (to the millisecond) fills a whole page, and only then, rows are skipped
 * by number within it.  So rows that come or go below do not move those that are still to be read.
 *
 * The server's count, where it gives one, has the last word: a list ends when the rows asked for
 * are all that it counts, and a pass counts if at least as many rows were seen as it said at the
 * start; else the list is read again, three times at most.  Without a count, it ends where a page
 * that is not full brings nothing new and there is nothing behind its rows.
 *
 * A server may give fewer rows than it is asked for though there are more: then that many are a
 * page.
 *
 * Progress is kept as a slice (record.h): `newest` is the time that was reached, `page` counts the
 * pages asked for at that time.  Each list has slices of its own. */
#include "sync_lists.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/sha256.h"
#include "reshape.h"
#include "source/slices.h"

enum {
    IDLE_LIMIT = 3,   /* pages in a row that bring nothing new, before the end */
    MOST_ROWS = 10000 /* that are asked for at once */
};

typedef struct reading {
    source *source;
    const sync_options *o;
    const source_list *list;
    buf name; /* what the slices of the list are filed under */
    slice slice;
    unsigned passes_left;
    bool is_capped; /* the server gives no more rows than slice.page_size, or may do so */
    source_page page;
    part *parts; /* of the page */
    gathering gathering;
} reading;

/* --- asking ---------------------------------------------------------------------------------- */

static instant whole_ms(instant t)
{
    return (instant){t.s, t.ns / 1000000 * 1000000};
}

/* From where on rows are still to be read. */
static instant reached(const slice *s)
{
    return instant_cmp(s->newest, INSTANT_MIN) > 0 ? whole_ms(s->newest) : s->lo;
}

/* The next rows: by number within one time, or, where that did not add up or cannot be checked, all
 * of it with each question, since rows of one time have no promised order. */
static list_query question(const reading *r)
{
    const slice *s = &r->slice;
    list_query q = {.list = r->list,
                    .from = reached(s),
                    .before = whole_ms(s->hi),
                    .skip = (s->page - 1) * s->page_size,
                    .top = s->page_size};
    bool grows = r->passes_left < SLICE_PASSES - 1 || s->total_first < 0;
    if (grows && !r->is_capped && q.skip + q.top <= MOST_ROWS) {
        q.top += q.skip;
        q.skip = 0;
    }
    return q;
}

/* When the row that a question for one finds happened; *is_there false: there is none.  A row
 * whose time cannot be read is one all the same: then *at is such that nothing is held empty. */
static status ask_one(reading *r, const list_query *q, instant *at, bool *is_there, err *e)
{
    err unused = {0};
    js *root = NULL;
    status st = source_get_list(r->source, q, &r->page, e);
    if (st) return st;
    *is_there = r->page.n_records > 0;
    if (*is_there && (js_parse(r->page.records[0], &root, &unused) ||
                      !instant_parse(js_string(js_get(root, r->list->time_field)), at)))
        *at = q->newest_first ? INSTANT_MAX : INSTANT_MIN;
    js_free(root);
    return ST_OK;
}

/* Whether a span of time holds no row, asked so that no answer is empty: one that is may come as
 * HTTP 500.  newest: of all rows; INSTANT_MIN: there is none. */
static status is_empty(reading *r, instant newest, instant from, instant before, bool *empty,
                       err *e)
{
    list_query q = {.list = r->list, .from = from, .before = INSTANT_MAX, .top = 1};
    instant oldest;
    bool is_there;
    *empty = instant_cmp(newest, INSTANT_MIN) <= 0 || instant_cmp(newest, from) < 0;
    if (*empty || instant_cmp(newest, before) < 0) return ST_OK;
    status st = ask_one(r, &q, &oldest, &is_there, e);
    *empty = st == ST_OK && (!is_there || instant_cmp(oldest, before) >= 0);
    return st;
}

/* The newest row before a time; *newest INSTANT_MIN: there is none. */
static status ask_newest(reading *r, instant before, instant *newest, err *e)
{
    list_query q = {
        .list = r->list, .from = INSTANT_MIN, .before = before, .top = 1, .newest_first = true};
    bool is_there;
    status st = ask_one(r, &q, newest, &is_there, e);
    if (st == ST_OK && !is_there) *newest = INSTANT_MIN;
    return st;
}

/* HTTP 500 where a page was asked for: is it an odd way to say that there is nothing more?  What
 * else the server has decides; if it answers that with 500 too, it fails. */
static status is_end(reading *r, bool *end, err *e)
{
    instant newest, from = reached(&r->slice), before = whole_ms(r->slice.hi);
    bool skips = question(r).skip > 0;
    status st = ask_newest(r, skips ? before : INSTANT_MAX, &newest, e);
    *end = false;
    if (st) return st;
    if (!skips) return is_empty(r, newest, from, before, end, e);
    *end = instant_cmp(whole_ms(newest), from) <= 0; /* all rows of that time were read */
    return ST_OK;
}

/* The next page; *end: the server says in its way that there is none. */
static status get_page(reading *r, bool *end, err *e)
{
    bool failed = false;
    list_query q = question(r);
    *end = false;
    q.failed = &failed;
    status st = source_get_list(r->source, &q, &r->page, e);
    if (!failed) return st;
    st = is_end(r, end, e);
    if (st || *end) return st;
    q.failed = NULL;
    return source_get_list(r->source, &q, &r->page, e);
}

/* --- keeping --------------------------------------------------------------------------------- */

/* What a page brought. */
typedef struct brought {
    uint64_t n_new;
    instant last; /* time of its last row; INSTANT_MIN: none can be read */
    bool sorted;
} brought;

/* What a row counts as seen by; see sync.c. */
static str seen_key(const reading *r, const part *p, unsigned char digest[SHA256_SIZE])
{
    if (p->id.n && r->passes_left) return p->id;
    sha256_of(p->raw, digest);
    return (str){(const char *)digest, SHA256_SIZE};
}

static status mark_rows(reading *r, brought *b, err *e)
{
    for (size_t i = 0; i < r->page.n_records; i++) {
        unsigned char digest[SHA256_SIZE];
        bool is_new;
        str key = seen_key(r, &r->parts[i], digest);
        status st = store_mark_seen(r->gathering.store, r->slice.id, key, &is_new, e);
        if (st) return st;
        b->n_new += is_new;
    }
    return ST_OK;
}

/* The times of the rows, which must rise. */
static void note_times(const reading *r, brought *b)
{
    b->sorted = true;
    for (size_t i = 0; i < r->page.n_records; i++) {
        err unused = {0};
        js *root = NULL;
        instant at;
        if (js_parse(r->page.records[i], &root, &unused) == ST_OK &&
            instant_parse(js_string(js_get(root, r->list->time_field)), &at)) {
            if (instant_cmp(at, b->last) < 0) b->sorted = false;
            b->last = at;
        }
        js_free(root);
    }
}

static status keep_rows(reading *r, brought *b, err *e)
{
    size_t n = r->page.n_records;
    char where[96];
    free(r->parts);
    r->parts = calloc(n + 1, sizeof *r->parts);
    if (!r->parts) return err_nomem(e, "keeping a page");
    for (size_t i = 0; i < n; i++)
        r->parts[i] = (part){.raw = r->page.records[i], .is_head = r->list->is_heads};
    snprintf(where, sizeof where, "%s", r->list->name);
    note_times(r, b);
    status st = gather(&r->gathering, r->parts, n, where, e);
    return st ? st : mark_rows(r, b, e);
}

/* Begins the list anew. */
static void restart(slice *s, uint32_t page_size)
{
    slice_restart(s, page_size);
    s->newest = INSTANT_MIN;
}

/* Whether the rows of the page are the last. */
static bool ended(const reading *r, const list_query *q, const brought *b)
{
    size_t n = r->page.n_records;
    if (r->page.total >= 0) return q->skip + n >= (uint64_t)r->page.total;
    return n < q->top && !b->n_new && (r->is_capped || !n);
}

/* Of a page that is not the last, as far as is known: if it is not full, more is looked for behind
 * its rows. */
static void note_cap(reading *r, const list_query *q, const brought *b)
{
    const size_t n = r->page.n_records;
    if (!n || n >= q->top || (r->page.total < 0 && b->n_new)) return;
    r->slice.page_size = (uint32_t)n;
    r->slice.page = (uint32_t)(q->skip / n + 1);
    r->is_capped = true;
}

/* Moves on by a page that is not the last. */
static void move_on(slice *s, const brought *b)
{
    bool later =
        instant_cmp(b->last, INSTANT_MIN) > 0 && instant_cmp(whole_ms(b->last), reached(s)) > 0;
    s->idle_pages = b->n_new ? 0 : s->idle_pages + 1;
    s->page = later ? 1 : s->page + 1;
    if (later) s->newest = b->last;
}

typedef enum { LIST_MORE, LIST_DONE, LIST_AGAIN } list_next;

/* What a page means for the progress of the list. */
static list_next feed(reading *r, const list_query *q, const brought *b, bool end)
{
    slice *s = &r->slice;
    bool first = instant_cmp(s->newest, INSTANT_MIN) <= 0 && s->page == 1;
    s->seen += b->n_new;
    if (r->page.total >= 0) s->total_last = r->page.total;
    if (first && s->total_first < 0) s->total_first = r->page.total;
    if (!end && !ended(r, q, b)) {
        note_cap(r, q, b);
        move_on(s, b);
        if (s->idle_pages < IDLE_LIMIT) return LIST_MORE;
        restart(s, s->page_size);
        return LIST_AGAIN;
    }
    if (s->total_first < 0 || s->seen >= (uint64_t)s->total_first) {
        if (instant_cmp(b->last, s->newest) > 0) s->newest = b->last;
        /* Who does not heed the end of the question gives rows of the future too. */
        if (instant_cmp(s->newest, s->hi) > 0) s->newest = s->hi;
        s->total_last = s->total_first; /* for `status`: of all rows */
        s->state = SLICE_DONE;
        return LIST_DONE;
    }
    restart(s, s->page_size);
    return LIST_AGAIN;
}

static status save(reading *r, bool forget, err *e)
{
    store *s = r->gathering.store;
    status st = forget && r->slice.id ? store_forget_seen(s, r->slice.id, e) : ST_OK;
    return st ? st : store_save_slice(s, buf_view(&r->name), &r->slice, e);
}

/* Keeps the page and the progress, in one transaction. */
static status commit_page(reading *r, bool end, list_next *next, err *e)
{
    store *s = r->gathering.store;
    list_query q = question(r);
    brought b = {.last = INSTANT_MIN, .sorted = true};
    status st = store_begin(s, e);
    if (st == ST_OK && !end) st = keep_rows(r, &b, e);
    if (st == ST_OK && !b.sorted)
        st = err_set(e, ST_FAILED,
                     "%s does not come in the order of %s: is source.base_url the right service?",
                     r->list->name, r->list->time_field);
    if (st == ST_OK) *next = feed(r, &q, &b, end);
    if (st == ST_OK) st = save(r, *next != LIST_MORE, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s); /* no-op after a commit */
    gathering_rest(&r->gathering);
    return st;
}

/* --- a list ---------------------------------------------------------------------------------- */

static void warn_of_retention(const reading *r, instant from, bool is_gap)
{
    double keeps = source_retention(r->source);
    if (keeps <= 0 || instant_cmp(from, INSTANT_MIN) <= 0 || r->list->is_heads) return;
    if (instant_cmp(from, instant_add(clock_now(), -keeps)) >= 0) return;
    char at[INSTANT_TEXT];
    instant_format(instant_add(from, is_gap ? 0 : 1e-9), at); /* since is kept exclusive */
    log_say(r->o->log, LOG_WARNING,
            "%s %s, but this API keeps %.0f days as a rule: what is older, and not in the store "
            "yet, is gone",
            is_gap ? "the last sync ended at" : "source.since is", at, keeps / 86400);
}

/* The settled end of a list that is begun now: by the earlier of the two clocks. */
static instant settled(const reading *r)
{
    instant now = clock_now();
    if (r->page.has_server_date && instant_cmp(r->page.server_date, now) < 0)
        now = r->page.server_date;
    return instant_add(now, -r->o->settle);
}

/* Plans what is to be read, up to now.  The newest row is asked for first: for the server's clock,
 * and because a list with nothing in it may answer HTTP 500. */
static status plan(reading *r, bool *none, err *e)
{
    const sync_options *o = r->o;
    sync_known k = {.newest = INSTANT_MIN, .lowest = INSTANT_MIN};
    instant newest;
    status st =
        store_cursor(r->gathering.store, buf_view(&r->name), &k.newest, &k.lowest, &k.found, e);
    if (st) return st;
    warn_of_retention(r, k.found ? k.newest : o->since, k.found);
    st = ask_newest(r, INSTANT_MAX, &newest, e);
    if (st) return st;
    r->slice = sync_plan(o, &k, settled(r), o->page_size);
    return is_empty(r, newest, r->slice.lo, whole_ms(r->slice.hi), none, e);
}

/* Takes up what is unfinished, or plans anew.  *none: there is nothing to read. */
static status begin(reading *r, bool *fresh, bool *none, err *e)
{
    bool found;
    store *s = r->gathering.store;
    *none = false;
    status st = store_open_slice(s, buf_view(&r->name), &r->slice, &found, e);
    if (st) return st;
    *fresh = !found;
    bool anew = found && r->slice.pass > 1; /* what was seen may be told apart in another way */
    if (found && !anew && r->slice.page_size == r->o->page_size) return ST_OK;
    if (anew) {
        restart(&r->slice, r->o->page_size);
    } else if (found) {
        r->slice.page_size = r->o->page_size;
        r->slice.page = 1; /* skipping counts in pages */
    } else {
        st = plan(r, none, e);
    }
    if (st || *none) return st;
    st = store_begin(s, e);
    if (st == ST_OK) st = save(r, !found || anew, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

static status read_slice(reading *r, err *e)
{
    list_next next = LIST_MORE;
    r->passes_left = SLICE_PASSES - 1;
    r->is_capped = false;
    while (next != LIST_DONE) {
        bool end;
        status st = get_page(r, &end, e);
        if (st == ST_OK) st = commit_page(r, end, &next, e);
        if (st) return st;
        log_progress(r->o->log, r->list->name, r->slice.seen,
                     r->slice.total_first > 0 ? (uint64_t)r->slice.total_first : 0);
        if (next != LIST_AGAIN) continue;
        if (!r->passes_left--)
            return err_set(e, ST_INCOMPLETE,
                           "the server's pages of %s do not agree with its count, or repeat; what "
                           "arrived is kept, run again to go on",
                           r->list->name);
        log_say(r->o->log, LOG_INFO, "reading %s again: rows lack", r->list->name);
    }
    return ST_OK;
}

static status read_list(reading *r, err *e)
{
    bool fresh = false, none = false;
    status st = ST_OK;
    buf_clear(&r->name);
    buf_fmt(&r->name, "%s#%s", r->o->source_name, r->list->name);
    if (!buf_cstr(&r->name)) return err_nomem(e, "reading a list");
    while (st == ST_OK && !fresh) { /* what was unfinished first, then up to now */
        st = begin(r, &fresh, &none, e);
        if (st == ST_OK && !none) st = read_slice(r, e);
    }
    log_progress_end(r->o->log, r->list->name, r->slice.seen);
    return st;
}

status sync_lists(store *s, source *src, const shape *form, const sync_options *o,
                  sync_counts *counts, err *e)
{
    reading r = {.source = src, .o = o};
    r.gathering = (gathering){
        .store = s, .log = o->log, .counts = counts, .shape = form, .redactor = o->redactor};
    status st = reshape(&r.gathering, o->source_name, e);
    for (r.list = source_lists(src); st == ST_OK && r.list->name; r.list++) st = read_list(&r, e);
    gathering_release(&r.gathering);
    source_page_release(&r.page);
    buf_release(&r.name);
    free(r.parts);
    return st;
}
