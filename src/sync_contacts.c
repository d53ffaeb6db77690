/* sync_contacts.c - a scroll of contacts, the messages of each that is new or has changed.
 *
 * When a scroll is complete is judged as for pages of interactions (slices.c): by the count that
 * comes with each page.  The token of the next page is kept with the progress; one that the
 * service does not know any more begins the scroll anew.  Messages are asked for before the
 * transaction that keeps them, so nothing is locked while the network is waited for.  A contact
 * whose own record is as the store has it is not asked for its messages again: contacts that are
 * read are closed.
 *
 * One contact whose messages the service fails to give, try after try, holds up no other: it is
 * passed over, and from its time on all contacts are read again in the next sync, and in each
 * until its messages come.  Such a sync is incomplete.  Several, one after the other, are no such
 * contacts but a service that fails. */
#include "sync_contacts.h"

#include <stdio.h>

#include "base/sha256.h"
#include "reshape.h"
#include "source/slices.h"

enum { CONTACTS_PAGE = 25, ODD_IN_A_ROW = 3 };

typedef struct reading {
    source *source;
    const sync_options *o;
    buf name; /* what the slices are filed under */
    buf key;  /* what the token is kept under */
    buf hole_key;
    slice slice;
    unsigned passes_left;
    buf token, next; /* of this page, and of the one behind it; empty: none */
    source_page page;
    part *parts; /* contacts and messages of the page, in memory */
    size_t n_parts, cap_parts;
    arena memory; /* of the page */
    gathering gathering;
    instant hole; /* of the oldest contact passed over since the slice was planned; INSTANT_MAX */
    instant owed, cursor; /* the hole, and how far was read, when it was planned */
    unsigned n_passed, n_in_a_row;
    buf passed;      /* the id of the first, in this run */
    buf page_passed; /* ids of those of the page, each in a line */
} reading;

/* --- a page ---------------------------------------------------------------------------------- */

static status add_part(reading *r, str raw, bool is_head, str contact, err *e)
{
    if (r->n_parts == r->cap_parts) {
        size_t cap = r->cap_parts ? r->cap_parts * 2 : 64;
        part *more = arena_alloc(&r->memory, cap, sizeof *more);
        if (!more) return err_nomem(e, "reading contacts");
        if (r->n_parts) memcpy(more, r->parts, r->n_parts * sizeof *more);
        r->parts = more;
        r->cap_parts = cap;
    }
    r->parts[r->n_parts++] = (part){.raw = raw, .is_head = is_head, .conversation = contact};
    return ST_OK;
}

/* Whether the store has this contact, just so; as received, where it is to be redacted, is not. */
static status is_known(reading *r, str contact, str raw, bool *known, err *e)
{
    buf record = {0};
    bool found;
    status st = store_find(r->gathering.store, contact, &record, &found, e);
    str received = found ? raw_member(buf_view(&record), "received") : (str){0};
    *known = st == ST_OK && !r->gathering.redactor && received.n &&
             str_eq(raw_member(received, "head"), raw);
    buf_release(&record);
    return st;
}

static status tell_several(str contact, instant at, err *e)
{
    char last[ERR_CAP], time[INSTANT_TEXT];
    snprintf(last, sizeof last, "%s", e->msg);
    instant_format(at, time);
    return err_set(e, e->code,
                   "%.600s; the messages of %d contacts, one after the other, do not come (the "
                   "last %.*s, of %s): if others do come, a source.since later than that does "
                   "without these",
                   last, ODD_IN_A_ROW, STR_FMT(contact), time);
}

/* Goes on without a contact whose messages do not come. */
static status pass_over(reading *r, str contact, instant at, err *e)
{
    bool is_wanted = instant_cmp(at, r->o->since) > 0; /* or left out since, or not asked for */
    if (is_wanted && ++r->n_in_a_row == ODD_IN_A_ROW) return tell_several(contact, at, e);
    log_say(r->o->log, LOG_INFO, "contact %.*s: %.800s", STR_FMT(contact), e->msg);
    if (!is_wanted) return ST_OK;
    if (!r->n_passed++) buf_str(&r->passed, contact);
    buf_str(&r->page_passed, contact);
    buf_char(&r->page_passed, '\n');
    if (instant_cmp(at, r->hole) < 0) r->hole = at;
    bool ok = buf_ok(&r->passed) && buf_ok(&r->page_passed);
    return ok ? ST_OK : err_nomem(e, "reading contacts");
}

/* A contact, and its messages if it is new or has changed, and was not forgotten. */
static status take_contact(reading *r, str raw, err *e)
{
    err why = {0};
    piece read;
    part p = {.raw = raw, .is_head = true};
    str *messages;
    size_t n;
    bool known, forgotten;
    messages_end how;
    if (compose_read(r->gathering.shape, &p, &r->memory, &read, &why))
        return add_part(r, raw, true, (str){0}, e);          /* to be rejected */
    if (instant_cmp(read.at, r->slice.hi) > 0) return ST_OK; /* left to the next sync */
    status st = store_is_forgotten(r->gathering.store, p.conversation, &forgotten, e);
    if (st) return st;
    if (forgotten) return add_part(r, raw, true, p.conversation, e); /* counted, and no more */
    st = is_known(r, p.conversation, raw, &known, e);
    if (known) r->n_in_a_row = 0; /* its messages came, some time */
    if (st || known) return st;
    st = source_get_messages(r->source, p.conversation, &r->memory, &messages, &n, &how, e);
    if (how == MESSAGES_ODD) return pass_over(r, p.conversation, read.at, e);
    if (how == MESSAGES_CAME) r->n_in_a_row = 0;
    if (how != MESSAGES_CAME) return st;
    st = add_part(r, raw, true, p.conversation, e);
    for (size_t i = 0; st == ST_OK && i < n; i++)
        st = add_part(r, messages[i], false, p.conversation, e);
    return st;
}

/* Marks the contacts of the page as seen, and finds the newest. */
static status mark_contacts(reading *r, slice_page *b, err *e)
{
    for (size_t i = 0; i < r->page.n_records; i++) {
        err why = {0};
        piece read;
        bool is_new;
        part p = {.raw = r->page.records[i], .is_head = true};
        bool ok = compose_read(r->gathering.shape, &p, &r->memory, &read, &why) == ST_OK;
        unsigned char digest[SHA256_SIZE];
        if (!ok) sha256_of(p.raw, digest);
        str key = ok ? p.id : (str){(const char *)digest, sizeof digest};
        status st = store_mark_seen(r->gathering.store, r->slice.id, key, &is_new, e);
        if (st) return st;
        b->n_new += is_new;
        if (ok && instant_cmp(read.at, r->slice.hi) <= 0 && instant_cmp(read.at, b->newest) > 0)
            b->newest = read.at;
    }
    return ST_OK;
}

/* What the page means.  A scroll that has ended is followed by empty pages, which need not be
 * asked for. */
static slice_next feed(reading *r, slice_page *b, const char **why)
{
    slice_next next = slice_feed(&r->slice, b, r->passes_left, why);
    slice_page none = {.total = b->total, .newest = INSTANT_MIN};
    while (next == SLICE_MORE && r->slice.page > 1 && !r->next.n)
        next = slice_feed(&r->slice, &none, r->passes_left, why);
    return next;
}

static status save(reading *r, bool forget, err *e)
{
    store *s = r->gathering.store;
    bool goes_on = r->slice.state == SLICE_OPEN && r->slice.page > 1;
    status st = forget && r->slice.id ? store_forget_seen(s, r->slice.id, e) : ST_OK;
    if (st == ST_OK) st = store_save_slice(s, buf_view(&r->name), &r->slice, e);
    if (st == ST_OK) st = store_set(s, r->key.p, goes_on ? buf_view(&r->next) : STR(""), e);
    char hole[INSTANT_TEXT] = "";
    if (instant_cmp(r->hole, INSTANT_MAX) < 0) instant_format(r->hole, hole);
    return st ? st : store_set(s, r->hole_key.p, str_from(hole), e);
}

/* Keeps the page and the progress, in one transaction. */
static status commit_page(reading *r, slice_next *next, const char **why, err *e)
{
    store *s = r->gathering.store;
    slice_page b = {.n_records = r->page.n_records, .total = r->page.total, .newest = INSTANT_MIN};
    status st = store_begin(s, e);
    if (st == ST_OK) st = gather(&r->gathering, r->parts, r->n_parts, "contacts", e);
    if (st == ST_OK) st = mark_contacts(r, &b, e);
    if (st == ST_OK) *next = feed(r, &b, why);
    if (st == ST_OK) st = save(r, *next != SLICE_MORE, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s); /* no-op after a commit */
    return st;
}

/* Begins the scroll anew: its token is not known any more. */
static status start_over(reading *r, err *e)
{
    store *s = r->gathering.store;
    log_say(r->o->log, LOG_INFO, "the scroll of contacts has expired: reading it again");
    slice_restart(&r->slice, CONTACTS_PAGE);
    buf_clear(&r->next);
    status st = store_begin(s, e);
    if (st == ST_OK) st = save(r, true, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

/* A slice that ends before what was read already, for a clock is behind, may not find what is
 * owed: so it stays. */
static void keep_owed(reading *r)
{
    bool ends_before = instant_cmp(r->slice.hi, r->cursor) < 0;
    if (ends_before && instant_cmp(r->owed, r->hole) < 0) r->hole = r->owed;
}

static status read_page(reading *r, bool fresh, slice_next *next, const char **why, err *e)
{
    bool expired = false;
    bool first = r->slice.page == 1;
    contacts_query q = {.from = r->slice.lo,
                        .to = instant_add(r->slice.hi, 86400),
                        .token = first ? (str){0} : buf_view(&r->token),
                        .token_refused = &expired};
    *next = SLICE_MORE;
    if (!first && !r->token.n) return start_over(r, e);
    status st = source_get_contacts(r->source, &q, &r->page, &r->next, e);
    if (st) return st;
    if (expired) return start_over(r, e);
    instant settled = instant_add(r->page.server_date, -r->o->settle);
    if (fresh && r->page.has_server_date && instant_cmp(settled, r->slice.hi) < 0)
        r->slice.hi = settled;
    if (fresh) keep_owed(r);
    r->parts = NULL;
    r->n_parts = r->cap_parts = 0;
    buf_clear(&r->page_passed);
    for (size_t i = 0; st == ST_OK && i < r->page.n_records; i++)
        st = take_contact(r, r->page.records[i], e);
    if (st == ST_OK) st = commit_page(r, next, why, e);
    for (str rest = buf_view(&r->page_passed), id; st == ST_OK && str_cut(&rest, '\n', &id);)
        log_say(r->o->log, LOG_WARNING, "contact %.*s is passed over: its messages do not come",
                STR_FMT(id));
    arena_reset(&r->memory);
    gathering_rest(&r->gathering);
    return st;
}

/* --- a slice --------------------------------------------------------------------------------- */

static void passed_none(reading *r)
{
    r->n_passed = 0;
    buf_clear(&r->passed);
}

static status read_slice(reading *r, bool fresh, err *e)
{
    slice_next next = SLICE_MORE;
    const char *why = "";
    r->passes_left = SLICE_PASSES - 1;
    while (next == SLICE_MORE || next == SLICE_AGAIN) {
        uint32_t pass = r->slice.pass;
        status st = read_page(r, fresh, &next, &why, e);
        if (st) return st;
        fresh = false;
        log_progress(r->o->log, "fetching contacts", r->slice.seen,
                     r->slice.total_last > 0 ? (uint64_t)r->slice.total_last : 0);
        buf_clear(&r->token);
        buf_str(&r->token, buf_view(&r->next));
        if (!buf_ok(&r->token)) return err_nomem(e, "reading contacts");
        if (r->slice.pass == pass) continue;
        passed_none(r); /* all that are not stored are asked for again */
        if (next != SLICE_GIVE_UP && !r->passes_left--)
            return err_set(e, ST_INCOMPLETE,
                           "the scroll of contacts does not come to its end; what arrived is kept, "
                           "run again to go on");
    }
    if (next == SLICE_FINISHED) return ST_OK;
    return err_set(e, ST_INCOMPLETE,
                   "the contacts given do not agree with their number: %s; what arrived is kept, "
                   "run again to go on",
                   why);
}

static status recall_hole(reading *r, err *e)
{
    buf stored = {0};
    bool found;
    status st = store_get(r->gathering.store, r->hole_key.p, &stored, &found, e);
    if (!found || !instant_parse(buf_view(&stored), &r->hole)) r->hole = INSTANT_MAX;
    buf_release(&stored);
    return st;
}

/* Takes up what is unfinished, or plans what is to be read, up to now. */
static status begin(reading *r, bool *fresh, err *e)
{
    bool found, has_token;
    store *s = r->gathering.store;
    const sync_options *o = r->o;
    sync_known k = {.newest = INSTANT_MIN, .lowest = INSTANT_MIN};
    status st = store_open_slice(s, buf_view(&r->name), &r->slice, &found, e);
    if (st == ST_OK) st = recall_hole(r, e);
    if (st) return st;
    *fresh = !found;
    buf_clear(&r->token);
    if (found) return store_get(s, r->key.p, &r->token, &has_token, e);
    st = store_cursor(s, buf_view(&r->name), &k.newest, &k.lowest, &k.found, e);
    if (st) return st;
    r->slice = sync_plan(o, &k, instant_add(clock_now(), -o->settle), CONTACTS_PAGE);
    /* It is of the oldest: others may be owed that source.since does not leave out. */
    instant from = instant_cmp(r->hole, o->since) > 0 ? r->hole : o->since;
    if (instant_cmp(from, r->slice.lo) < 0) r->slice.lo = from;
    r->owed = r->hole;
    r->cursor = k.newest;
    r->hole = INSTANT_MAX; /* in this slice again */
    keep_owed(r);
    passed_none(r);
    buf_clear(&r->next);
    st = store_begin(s, e);
    if (st == ST_OK) st = save(r, false, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

static status tell_passed(const reading *r, err *e)
{
    const bool one = r->n_passed == 1;
    char oldest[INSTANT_TEXT];
    instant_format(r->hole, oldest);
    return err_set(
        e, ST_INCOMPLETE,
        "the messages of %u contact%s do not come (%.*s%s, of %s): all else is kept, and "
        "they are asked for in each sync; a source.since later than %s does without",
        r->n_passed, one ? "" : "s", STR_FMT(buf_view(&r->passed)), one ? "" : ", ...", oldest,
        one ? "that" : "they are");
}

status sync_contacts(store *s, source *src, const shape *form, const sync_options *o,
                     sync_counts *counts, err *e)
{
    reading r = {.source = src, .o = o};
    bool fresh = false;
    status st = ST_OK;
    r.gathering = (gathering){
        .store = s, .log = o->log, .counts = counts, .shape = form, .redactor = o->redactor};
    buf_fmt(&r.name, "%s#contacts", o->source_name);
    buf_fmt(&r.key, "scroll %s", o->source_name);
    buf_fmt(&r.hole_key, "hole %s", o->source_name);
    if (!buf_cstr(&r.name) || !buf_cstr(&r.key) || !buf_cstr(&r.hole_key))
        st = err_nomem(e, "reading contacts");
    if (st == ST_OK) st = reshape(&r.gathering, o->source_name, e);
    while (st == ST_OK && !fresh) { /* what was unfinished first, then up to now */
        st = begin(&r, &fresh, e);
        if (st == ST_OK) st = read_slice(&r, fresh, e);
    }
    if (st == ST_OK && r.n_passed) st = tell_passed(&r, e);
    log_progress_end(o->log, "fetching contacts", r.slice.seen);
    gathering_release(&r.gathering);
    source_page_release(&r.page);
    arena_release(&r.memory);
    buf_release(&r.name);
    buf_release(&r.key);
    buf_release(&r.hole_key);
    buf_release(&r.passed);
    buf_release(&r.page_passed);
    buf_release(&r.token);
    buf_release(&r.next);
    return st;
}
