/* cognigy.c - GET {base_url}/v2.4/{Sessions,Conversations}, OData in order of time.
 *
 * What is known of this API and guarded here: `$` stands in the address as it is (%24 was
 * rejected once); times in a filter are quoted in one half of the documentation and bare in the
 * other, so the form that is refused is given up for the other; after the last row it may answer
 * HTTP 500 in the place of an empty page.  That answer is not tried again at once but handed on as
 * `failed`, for the reader to find out whether it was the end. */
#include <stdio.h>

#include "source/adapter.h"
#include "source/complaint.h"
#include "source/compose.h"
#include "source/page.h"
#include "source/refusal.h"

static const source_list lists[] = {
    {"Sessions", "startedAt", true},
    {"Conversations", "timestamp", false},
    {NULL, NULL, false},
};

static void write_time(buf *b, instant t, bool bare)
{
    char text[INSTANT_TEXT];
    instant_format(t, text);
    buf_fmt(b, bare ? "%s" : "'%s'", text);
}

static status build_url(source *s, const list_query *q, err *e)
{
    buf filter = {0};
    bool from = instant_cmp(q->from, INSTANT_MIN) > 0, to = instant_cmp(q->before, INSTANT_MAX) < 0;
    if (from) {
        buf_fmt(&filter, "%s ge ", q->list->time_field);
        write_time(&filter, q->from, s->bare_times);
    }
    if (to) {
        buf_fmt(&filter, "%s%s lt ", from ? " and " : "", q->list->time_field);
        write_time(&filter, q->before, s->bare_times);
    }
    buf_clear(&s->url);
    buf_fmt(&s->url, "%s/v2.4/%s?$orderby=%s%%20%s&$top=%u&$count=true", s->talk.o.base_url,
            q->list->name, q->list->time_field, q->newest_first ? "desc" : "asc", q->top);
    if (q->skip) buf_fmt(&s->url, "&$skip=%u", q->skip);
    if (filter.n) {
        buf_z(&s->url, "&$filter=");
        http_encode(&s->url, buf_view(&filter));
    }
    bool ok = buf_ok(&filter) && buf_cstr(&s->url);
    buf_release(&filter);
    return ok ? ST_OK : err_nomem(e, "asking for a page");
}

static status explain(void *ctx, http_reply *r, const char *const *secrets, err *e)
{
    static const refusal_advice advice = {
        .denied = "the user whose API key this is needs the role \"odata\" (admin is not enough)",
        .missing = "source.base_url must be that of the OData service, such as "
                   "https://odata-trial.cognigy.ai"};
    source *s = ctx;
    bool refused = r->status == 400 || r->status == 422;
    status st = refusal_explain(&s->talk.o, s->url.p, r, secrets, &advice, e);
    if (refused && strstr(s->url.p, "$filter=")) s->filter_refused = true;
    if (r->status == 500 && s->page_failed) {
        *s->page_failed = true;
        r->again = false;
    }
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
    if (reply->status == 204 || page_cut_as(s->page, "value", "@odata.count", false, &why) == ST_OK)
        return ST_OK;
    reply->again = true;
    return err_set(e, ST_INCOMPLETE, "%.*s answers HTTP %ld but not with a page of OData: %s",
                   STR_FMT(http_where(s->url.p)), reply->status, why.msg);
}

static status get(source *s, const list_query *q, source_page *out, err *e)
{
    status st = build_url(s, q, e);
    talk_request r = {.url = s->url.p,
                      .key = "source.base_url",
                      .limit = SOURCE_PAGE_LIMIT,
                      .take = take_page,
                      .explain = explain,
                      .ctx = s};
    if (st) return st;
    s->page = out;
    s->filter_refused = false;
    s->page_failed = q->failed;
    out->n_records = 0;
    out->total = -1;
    return talk_get(&s->talk, &r, e);
}

/* Quoted times, or bare ones where those are refused. */
static status list(source *s, const list_query *q, source_page *out, err *e)
{
    status st = get(s, q, out, e);
    if (!st || !s->filter_refused) return st;
    err first = *e;
    s->bare_times = !s->bare_times;
    if (get(s, q, out, e) == ST_OK) return ST_OK;
    s->bare_times = !s->bare_times;
    if (s->filter_refused) *e = first;
    return e->code;
}

/* --- trials ---------------------------------------------------------------------------------- */

static bool instant_of(const source_page *p, instant *at)
{
    err unused = {0};
    js *root = NULL;
    bool ok = p->n_records && js_parse(p->records[0], &root, &unused) == ST_OK &&
              instant_parse(js_string(js_get(root, "timestamp")), at);
    js_free(root);
    return ok;
}

static status try(source *s, source_trial what, source_finding *out, err *e)
{
    source_page p = {0};
    char at[INSTANT_TEXT] = "";
    list_query q = {.list = &lists[1], .from = INSTANT_MIN, .before = INSTANT_MAX, .top = 1};
    q.newest_first = what == TRIAL_PAGE;
    if (what == TRIAL_FILTER) {
        q.before = instant_add(out->has_newest ? out->newest : clock_now(), 1);
        q.from = instant_add(q.before, -86400);
    }
    status st = list(s, &q, &p, e);
    if (st == ST_OK && p.has_server_date) out->has_date = true, out->date = p.server_date;
    if (st == ST_OK && what == TRIAL_PAGE) {
        out->total = p.total;
        out->has_newest = instant_of(&p, &out->newest);
        if (out->has_newest) instant_format(out->newest, at);
        snprintf(out->text, sizeof out->text, "Conversations, the newest message of %s",
                 *at ? at : "none");
    } else if (st == ST_OK && what == TRIAL_FILTER) {
        snprintf(out->text, sizeof out->text, "timestamp ge ... and timestamp lt ..., times %s",
                 s->bare_times ? "bare" : "quoted");
    } else if (st == ST_OK) {
        out->has_oldest = instant_of(&p, &out->oldest);
    }
    source_page_release(&p);
    return st;
}

const adapter cognigy_odata = {
    .type = "cognigy-odata",
    .try = try,
    .lists = lists,
    .list = list,
    .retention = 30 * 86400.0,
    .page_advice = "the user whose API key this is needs the role \"odata\"; source.base_url must "
                   "be that of the OData service",
};
