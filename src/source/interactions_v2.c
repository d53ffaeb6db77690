/* interactions_v2.c - GET {base_url}/api/v2/interactions, page by page.
 *
 * One call of source_get is one page; nothing but a whole page is ever handed on. */
#include <stdio.h>

#include "record.h"
#include "source/adapter.h"
#include "source/complaint.h"
#include "source/page.h"
#include "source/refusal.h"

/* The question as a filter; empty: everything. */
static void write_filter(const source_query *q, char *out, size_t cap)
{
    char after[INSTANT_TEXT] = "0001-01-01T00:00:00.000Z", before[INSTANT_TEXT];
    bool from_start = instant_cmp(q->after, INSTANT_MIN) <= 0;
    if (!from_start) instant_format(q->after, after); /* cut downwards to milliseconds */
    instant_format(q->before, before);
    if (q->is_range)
        snprintf(out, cap, "timestamp ge '%s' and timestamp lt '%s'", after, before);
    else if (!from_start)
        snprintf(out, cap, "timestamp gt '%s'", after);
    else
        *out = 0;
}

static status build_url(source *s, const source_query *q, err *e)
{
    char filter[2 * INSTANT_TEXT + 48];
    buf_clear(&s->url);
    buf_fmt(&s->url,
            "%s/api/v2/interactions?pageSize=%u&page=%u&sort=timestamp%%20desc"
            "&returnCount=true",
            s->talk.o.base_url, q->page_size, q->page);
    write_filter(q, filter, sizeof filter);
    if (*filter) {
        buf_z(&s->url, "&filter=");
        http_encode(&s->url, str_from(filter));
    }
    return buf_cstr(&s->url) ? ST_OK : err_nomem(e, "asking for a page");
}

/* Whether an answer may mean that this filter is not understood. */
static bool refuses_filter(long code)
{
    return code == 400 || code == 422 || code == 501;
}

static void take_refusal(source_page *out)
{
    buf_clear(&out->body);
    out->n_records = 0;
    out->total = -1;
    out->refused = true;
}

static status explain(void *ctx, http_reply *r, const char *const *secrets, err *e)
{
    static const refusal_advice advice = {
        .denied = "add interactions:read to the allowed scopes of the OAuth client (and to "
                  "source.scope), and give its role the permission \"View Interaction Logs\"",
        .missing = "check source.instance or source.base_url"};
    const source *s = ctx;
    char words[COMPLAINT_CAP];
    if (s->asks_range && refuses_filter(r->status)) take_refusal(s->page);
    complaint_words(buf_view(&r->body), secrets, words);
    if (r->status != 400 || !strcasestr(words, "filter"))
        return refusal_explain(&s->talk.o, s->url.p, r, secrets, &advice, e);
    return err_set(e, ST_FAILED,
                   "%.*s: filter rejected (HTTP 400%s); tamis asks for timestamp gt "
                   "'YYYY-MM-DDTHH:MM:SS.mmmZ': does this API take that?",
                   STR_FMT(http_where(s->url.p)), words);
}

static status take_page(void *ctx, http_reply *reply, err *e)
{
    source *s = ctx;
    source_page *out = s->page;
    err why = {0};
    out->refused = false;
    buf body = out->body;
    out->body = reply->body;
    reply->body = body;
    out->has_server_date = http_date_parse(str_from(reply->date), &out->server_date);
    out->n_records = 0;
    out->total = -1;
    if (reply->status == 204) return ST_OK;
    if (page_cut(out, &why) == ST_OK) return ST_OK;
    if (err_is_nomem(&why)) return err_set(e, ST_FAILED, "%s", why.msg);
    reply->again = true;
    return err_set(e, ST_INCOMPLETE,
                   "%.*s answers HTTP %ld but not with a page of interactions: %s",
                   STR_FMT(http_where(s->url.p)), reply->status, why.msg);
}

/* The question, by the address that was built. */
static talk_request request(source *s)
{
    return (talk_request){.url = s->url.p,
                          .key = "source.base_url",
                          .limit = SOURCE_PAGE_LIMIT,
                          .take = take_page,
                          .explain = explain,
                          .ctx = s};
}

void source_ask_ahead(source *s, const source_query *q)
{
    err unused = {0};
    if (build_url(s, q, &unused)) return;
    talk_request r = request(s);
    talk_begin(&s->talk, &r);
}

status source_get(source *s, const source_query *q, source_page *out, err *e)
{
    status st = build_url(s, q, e);
    if (st) return st;
    talk_request r = request(s);
    s->page = out;
    s->asks_range = q->is_range;
    out->refused = false;
    st = talk_get(&s->talk, &r, e);
    return out->refused ? ST_OK : st;
}

/* --- trials ---------------------------------------------------------------------------------- */

/* When the n-th record of a page happened; false: that cannot be told. */
static bool instant_of(const source_page *p, size_t n, instant *at)
{
    err unused = {0};
    arena a = {0};
    interaction i;
    bool ok = n < p->n_records && record_parse(p->records[n], &a, &i, &unused) == ST_OK;
    if (ok) *at = i.at;
    arena_release(&a);
    return ok;
}

static void describe_page(const source_page *p, source_finding *out)
{
    char at[INSTANT_TEXT];
    out->total = p->total;
    out->has_newest = instant_of(p, 0, &out->newest);
    if (p->has_server_date) out->has_date = true, out->date = p->server_date;
    if (out->has_newest) instant_format(out->newest, at);
    if (p->total >= 0)
        snprintf(out->text, sizeof out->text, "%lld interactions%s%s", (long long)p->total,
                 out->has_newest ? ", the newest of " : "", out->has_newest ? at : "");
    else
        snprintf(out->text, sizeof out->text, "a page, but no totalCount");
}

static status try(source *s, source_trial what, source_finding *out, err *e)
{
    enum { PAGE = 50 };
    source_page p = {0};
    source_query q = {.after = INSTANT_MIN, .page = 1, .page_size = PAGE};
    char at[INSTANT_TEXT];
    if (what == TRIAL_FILTER)
        q.after = instant_add(out->has_newest ? out->newest : clock_now(), -86400);
    if (what == TRIAL_OLDEST) {
        if (out->total <= 0 || out->total > UINT32_MAX) return ST_OK;
        q.page = (uint32_t)((out->total + PAGE - 1) / PAGE);
    }
    status st = source_get(s, &q, &p, e);
    if (st == ST_OK && what == TRIAL_PAGE) {
        describe_page(&p, out);
    } else if (st == ST_OK && what == TRIAL_FILTER) {
        instant_format(q.after, at);
        snprintf(out->text, sizeof out->text, "timestamp gt '%s' is taken", at);
    } else if (st == ST_OK) {
        out->has_oldest = p.n_records > 0 && instant_of(&p, p.n_records - 1, &out->oldest);
    }
    source_page_release(&p);
    return st;
}

const adapter interactions_v2 = {
    .type = "interactions-v2",
    .try = try,
    .page_advice = "add interactions:read to the client's scopes and give its role \"View "
                   "Interaction Logs\"; source.base_url must be that of the API",
};
