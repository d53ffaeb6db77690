/* dfo.c - GET {base_url}/dfo/3.0/contacts, page by page of a scroll, and the messages of each.
 *
 * A page has 25 contacts; the next is asked for with the scrollToken of the last.  The dates of
 * the question are days; a service that ignores them gives more than was asked for, one that
 * refuses them is asked without.  Long
 * messages come reduced and are asked for again one by one.  Messages that are fewer than the
 * service counts are read again; then what came is all there is, and that is said. */
#include <stdio.h>

#include "base/json.h"
#include "record.h"
#include "source/adapter.h"
#include "source/page.h"
#include "source/refusal.h"

enum {
    MESSAGE_PAGES = 1000, /* of one contact */
    MESSAGE_READINGS = 2  /* of one contact, where fewer come than are counted */
};

static status explain(void *ctx, http_reply *r, const char *const *secrets, err *e)
{
    static const refusal_advice advice = {
        .denied = "the role of the access key's user must allow Digital Engagement, with its "
                  "contacts and messages",
        .missing = "source.base_url must be that of Digital Engagement, such as "
                   "https://api-de-na1.niceincontact.com"};
    source *s = ctx;
    status st = refusal_explain(&s->talk.o, s->url.p, r, secrets, &advice, e);
    s->not_found = r->status == 404 || r->status == 410;
    s->filter_refused = s->not_found || r->status == 400 || r->status == 422;
    return st;
}

static status take_page(void *ctx, http_reply *reply, err *e)
{
    source *s = ctx;
    err why = {0};
    buf body = s->page->body;
    s->page->body = reply->body;
    reply->body = body;
    s->page->has_server_date = http_date_parse(str_from(reply->date), &s->page->server_date);
    if (reply->status == 204) return ST_OK;
    status st = s->takes_one ? page_take_object(s->page, &why)
                             : page_cut_as(s->page, "data", "hits", true, &why);
    if (st == ST_OK) return ST_OK;
    reply->again = true;
    return err_set(e, ST_INCOMPLETE, "%.*s answers HTTP %ld but not with what was asked for: %s",
                   STR_FMT(http_where(s->url.p)), reply->status, why.msg);
}

/* Sends the request that s->url holds. */
static status get(source *s, bool one, source_page *out, err *e)
{
    talk_request r = {.url = buf_cstr(&s->url),
                      .key = "source.base_url",
                      .limit = SOURCE_PAGE_LIMIT,
                      .take = take_page,
                      .explain = explain,
                      .ctx = s};
    if (!r.url) return err_nomem(e, "asking for a page");
    s->page = out;
    s->takes_one = one;
    s->not_found = s->filter_refused = false;
    out->n_records = 0;
    out->total = -1;
    return talk_get(&s->talk, &r, e);
}

/* The scrollToken of an answer, appended; nothing if it has none. */
static void take_token(const source_page *p, buf *out)
{
    err unused = {0};
    js *root = NULL;
    str token = page_member(p, "scrollToken");
    if (token.n && js_parse(token, &root, &unused) == ST_OK) buf_str(out, js_string(root));
    js_free(root);
}

static void write_day(buf *b, const char *name, instant t)
{
    char text[INSTANT_TEXT];
    instant_format(t, text);
    buf_fmt(b, "&date%%5B%s%%5D=%.10s", name, text);
}

static void write_question(source *s, const contacts_query *q)
{
    buf *u = &s->url;
    buf_clear(u);
    buf_fmt(u, "%s/dfo/3.0/contacts?status%%5B%%5D=closed", s->talk.o.base_url);
    if (!s->no_dates) buf_z(u, "&sorting=createdAt&sortingType=asc");
    if (!s->no_dates && instant_cmp(q->from, INSTANT_MIN) > 0) write_day(u, "from", q->from);
    if (!s->no_dates && instant_cmp(q->to, INSTANT_MAX) < 0) write_day(u, "to", q->to);
    if (q->token.n) {
        buf_z(u, "&scrollToken=");
        http_encode(u, q->token);
    }
}

static status contacts(source *s, const contacts_query *q, source_page *out, buf *next, err *e)
{
    write_question(s, q);
    status st = get(s, false, out, e);
    if (st && s->filter_refused && !s->not_found && !q->token.n && !s->no_dates) {
        s->no_dates = true; /* NICE's specification has neither dates nor sorting */
        write_question(s, q);
        st = get(s, false, out, e);
        s->no_dates = st == ST_OK;
    }
    if (q->token_refused) *q->token_refused = st && q->token.n && s->filter_refused;
    buf_clear(next);
    if (st == ST_OK) take_token(out, next);
    return st && q->token_refused && *q->token_refused ? ST_OK : st;
}

/* In the place of a reduced message: the whole. */
static status complete(source *s, str *raw, arena *a, err *e)
{
    source_page p = {0};
    str id = page_value(*raw, "id");
    if (!str_eq(page_value(*raw, "hasAdditionalMessageContent"), STR("true")) || !id.n)
        return ST_OK;
    err why = {0};
    js *node = NULL;
    if (*id.p == '"' && js_parse(id, &node, &why) == ST_OK) id = js_string(node);
    if (err_is_nomem(&why)) return err_set(e, ST_FAILED, "%s", why.msg);
    buf_clear(&s->url);
    buf_fmt(&s->url, "%s/dfo/3.0/messages/", s->talk.o.base_url);
    http_encode(&s->url, id);
    js_free(node);
    status st = get(s, true, &p, e);
    if (st && s->not_found)
        st = ST_OK; /* gone meanwhile: what there is of it stays */
    else if (st == ST_OK && p.n_records)
        *raw = arena_str(a, p.records[0]);
    if (st == ST_OK && !raw->p) st = err_nomem(e, "reading a message");
    source_page_release(&p);
    return st;
}

/* Adds the bytes of the records to *bytes. */
static bool keep_raws(const source_page *p, arena *a, str **raws, size_t *n, size_t *bytes)
{
    str *all = arena_alloc(a, *n + p->n_records, sizeof *all);
    if (!all) return false;
    if (*n) memcpy(all, *raws, *n * sizeof *all);
    for (size_t i = 0; i < p->n_records; i++) {
        all[*n + i] = arena_str(a, p->records[i]);
        if (!all[*n + i].p) return false;
        *bytes += all[*n + i].n;
    }
    *raws = all;
    *n += p->n_records;
    return true;
}

/* One reading of them; *lacks: they are fewer than the service counts, or more than a record can
 * hold. */
static status read_messages(source *s, str contact, arena *a, str **raws, size_t *n, bool *lacks,
                            err *e)
{
    source_page p = {0};
    buf token = {0};
    status st = ST_OK;
    bool more = true;
    size_t bytes = 0;
    *raws = NULL;
    *n = 0;
    for (int page = 0; st == ST_OK && more && page < MESSAGE_PAGES; page++) {
        buf_clear(&s->url);
        buf_fmt(&s->url, "%s/dfo/3.0/contacts/", s->talk.o.base_url);
        http_encode(&s->url, contact);
        buf_z(&s->url, "/messages");
        if (token.n) buf_z(&s->url, "?scrollToken=");
        http_encode(&s->url, buf_view(&token));
        st = get(s, false, &p, e);
        if (st) break;
        if (!keep_raws(&p, a, raws, n, &bytes)) st = err_nomem(e, "reading messages");
        buf_clear(&token);
        take_token(&p, &token);
        *lacks = p.total >= 0 && *n < (uint64_t)p.total;
        more = token.n && p.n_records && (p.total < 0 || *lacks);
        if (more && (bytes > RECORD_LIMIT || page == MESSAGE_PAGES - 1))
            *lacks = true, more = false;
    }
    buf_release(&token);
    source_page_release(&p);
    return st;
}

/* Whether a failure may be this contact's own: not the client's, not one of waiting or of the
 * network. */
static bool is_odd(const source *s, status st, const err *e)
{
    const long answer = s->talk.reply.status;
    if ((st != ST_INCOMPLETE && st != ST_FAILED) || err_is_nomem(e)) return false;
    if (!s->talk.tried_all || (s->talk.o.stop && *s->talk.o.stop)) return false;
    return (answer >= 200 && answer < 300) || answer == 400 || answer == 422 || answer == 500 ||
           answer == 502 || answer == 504;
}

static status messages(source *s, str contact, arena *a, str **raws, size_t *n, messages_end *how,
                       err *e)
{
    status st = ST_OK;
    bool lacks = true;
    for (int k = 0; st == ST_OK && lacks && k < MESSAGE_READINGS; k++)
        st = read_messages(s, contact, a, raws, n, &lacks, e);
    const bool gone = st && s->not_found;
    if (st == ST_OK && lacks)
        log_say(s->talk.o.log, LOG_WARNING,
                "contact %.*s: not all of its messages came, only %zu; that is all that is kept",
                STR_FMT(contact), *n);
    for (size_t i = 0; st == ST_OK && i < *n; i++) st = complete(s, &(*raws)[i], a, e);
    *how = gone               ? MESSAGES_GONE
           : !st              ? MESSAGES_CAME
           : is_odd(s, st, e) ? MESSAGES_ODD
                              : MESSAGES_FAILED;
    return gone ? ST_OK : st;
}

/* --- trials ---------------------------------------------------------------------------------- */

static status try(source *s, source_trial what, source_finding *out, err *e)
{
    source_page p = {0};
    buf next = {0};
    contacts_query q = {.from = INSTANT_MIN, .to = INSTANT_MAX};
    if (what == TRIAL_FILTER) {
        q.from = instant_add(clock_now(), -86400);
        q.to = clock_now();
    }
    status st = contacts(s, &q, &p, &next, e);
    if (st == ST_OK && p.has_server_date) out->has_date = true, out->date = p.server_date;
    if (st == ST_OK && what == TRIAL_PAGE) {
        out->total = p.total;
        snprintf(out->text, sizeof out->text, "%lld closed contacts", (long long)p.total);
    } else if (st == ST_OK && what == TRIAL_FILTER) {
        snprintf(out->text, sizeof out->text, "date[from] and date[to] are %s",
                 s->no_dates ? "not known: each sync reads all contacts" : "taken");
    } else if (st == ST_OK && p.n_records) {
        js *root = NULL;
        err unused = {0};
        out->has_oldest = js_parse(p.records[0], &root, &unused) == ST_OK &&
                          instant_parse(js_string(js_get(root, "createdAt")), &out->oldest);
        js_free(root);
    }
    buf_release(&next);
    source_page_release(&p);
    return st;
}

const adapter dfo = {
    .type = "dfo",
    .try = try,
    .contacts = contacts,
    .messages = messages,
    .page_advice = "the role of the access key's user must allow Digital Engagement, with its "
                   "contacts and messages; source.base_url must be its address",
};
