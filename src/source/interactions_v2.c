/* interactions_v2.c - GET {base_url}/api/v2/interactions, page by page.
 *
 * One call of source_get is one page: as many tries as the options allow, waits in between as the
 * server asks.  A token that is turned down (401) is renewed once a page and does not count as a
 * try; an answer of HTTP 200 that is no page (a sign-in page, JSON cut short) counts as
 * a failed try.  Nothing but a whole page is ever handed on. */
#include <stdio.h>
#include <stdlib.h>

#include "source/auth.h"
#include "source/complaint.h"
#include "source/http.h"
#include "source/page.h"
#include "source/retry.h"
#include "source/source.h"

enum { PAGE_LIMIT = 64 << 20 };

struct source {
    source_options o;
    http *http;
    auth auth;
    http_reply reply;
    buf url;
    retry_policy retry;
    source_stats stats;
    double last_answer; /* monotonic; 0: none yet */
};

static status check_options(const source_options *o, err *e)
{
    if (strcmp(o->type, "interactions-v2"))
        return err_set(e, ST_USAGE, "source.type = %s: only interactions-v2 is known", o->type);
    if (o->auth != AUTH_CLIENT_CREDENTIALS)
        return err_set(e, ST_USAGE, "source.auth: only client-credentials is known");
    if (!o->client_id || !*o->client_id)
        return err_set(e, ST_USAGE, "source.client_id is empty; it names the OAuth client");
    if (!o->client_secret || !*o->client_secret)
        return err_set(e, ST_USAGE,
                       "no client secret (source.client_secret_env or source.client_secret_file)");
    if (o->max_attempts < 1) return err_set(e, ST_USAGE, "source.max_attempts must be at least 1");
    if (!(o->timeout > 0)) return err_set(e, ST_USAGE, "source.timeout must be above 0");
    if (strpbrk(o->base_url, "?#"))
        return err_set(e, ST_USAGE, "source.base_url must end with host or path, without ? or #");
    status st = http_check_url("source.base_url", o->base_url, e);
    return st ? st : http_check_url("source.token_url", o->token_url, e);
}

status source_open(const source_options *o, source **out, err *e)
{
    *out = NULL;
    status st = check_options(o, e);
    if (st) return st;
    source *s = calloc(1, sizeof *s);
    if (!s) return err_nomem(e, "opening the source");
    s->o = *o;
    s->retry = (retry_policy){o->max_attempts, o->max_wait, retry_random, NULL};
    http_options h = {o->ca_file, o->timeout, o->stop, o->log};
    st = http_new(&h, &s->http, e);
    if (st) {
        free(s);
        return st;
    }
    auth_init(&s->auth, &s->o, s->http);
    *out = s;
    return ST_OK;
}

void source_close(source *s)
{
    if (!s) return;
    auth_release(&s->auth);
    http_free(s->http);
    http_wipe(&s->reply.body);
    buf_release(&s->reply.body);
    buf_release(&s->url);
    free(s);
}

source_stats source_statistics(const source *s)
{
    source_stats stats = s->stats;
    stats.requests = http_count(s->http);
    return stats;
}

static status build_url(source *s, const source_query *q, err *e)
{
    char at[INSTANT_TEXT], filter[INSTANT_TEXT + 32];
    buf_clear(&s->url);
    buf_fmt(&s->url,
            "%s/api/v2/interactions?pageSize=%u&page=%u&sort=timestamp%%20desc"
            "&returnCount=true",
            s->o.base_url, q->page_size, q->page);
    if (instant_cmp(q->after, INSTANT_MIN) > 0) {
        instant_format(q->after, at); /* cut downwards to milliseconds */
        snprintf(filter, sizeof filter, "timestamp gt '%s'", at);
        buf_z(&s->url, "&filter=");
        http_encode(&s->url, str_from(filter));
    }
    return buf_cstr(&s->url) ? ST_OK : err_nomem(e, "asking for a page");
}

/* An answer other than 200: what it means, and whether to try again. */
static status explain(source *s, const char *token, err *e)
{
    http_reply *r = &s->reply;
    str where = http_where(s->url.p);
    const char *const secrets[] = {s->o.client_secret, token, NULL};
    char words[COMPLAINT_CAP];
    complaint_words(buf_view(&r->body), secrets, words);
    r->again = retry_status(r->status);
    if (r->status == 429)
        return err_set(e, ST_INCOMPLETE, "%.*s: too many requests (HTTP 429%s)", STR_FMT(where),
                       words);
    if (r->again)
        return err_set(e, ST_INCOMPLETE, "%.*s answers HTTP %ld%s", STR_FMT(where), r->status,
                       words);
    if (r->status == 401)
        return err_set(e, ST_DENIED,
                       "%.*s turns down a token just issued (HTTP 401%s): source.client_id and the "
                       "secret must match the CXone administration console exactly, source.scope "
                       "must include interactions:read",
                       STR_FMT(where), words);
    if (r->status == 403)
        return err_set(e, ST_DENIED,
                       "%.*s is not allowed for this client (HTTP 403%s): add interactions:read to "
                       "the allowed scopes of the OAuth client (and to source.scope), and give its "
                       "role the permission \"View Interaction Logs\"",
                       STR_FMT(where), words);
    if (r->status == 404)
        return err_set(e, ST_FAILED,
                       "%.*s is not there (HTTP 404%s): check source.instance or source.base_url",
                       STR_FMT(where), words);
    if (r->status == 400 && strcasestr(words, "filter"))
        return err_set(e, ST_FAILED,
                       "%.*s: filter rejected (HTTP 400%s); tamis asks for timestamp gt "
                       "'YYYY-MM-DDTHH:MM:SS.mmmZ': does this API take that?",
                       STR_FMT(where), words);
    return err_set(e, ST_FAILED, "%.*s rejects the request (HTTP %ld%s)", STR_FMT(where), r->status,
                   words);
}

static status take_page(source *s, source_page *out, err *e)
{
    err why = {0};
    buf body = out->body;
    out->body = s->reply.body;
    s->reply.body = body;
    out->has_server_date = http_date_parse(str_from(s->reply.date), &out->server_date);
    if (page_cut(out, &why) == ST_OK) return ST_OK;
    s->reply.again = true;
    return err_set(e, ST_INCOMPLETE,
                   "%.*s answers HTTP %ld but not with a page of interactions: %s",
                   STR_FMT(http_where(s->url.p)), s->reply.status, why.msg);
}

/* One try: a token, if need be a new one, and the request. */
static status try_once(source *s, bool *renewed, source_page *out, err *e)
{
    for (;;) {
        const char *token;
        s->reply.again = false;
        status st = auth_token(&s->auth, &s->reply, &token, e);
        if (st) return st;
        http_request q = {
            .url = s->url.p, .key = "source.base_url", .bearer = token, .limit = PAGE_LIMIT};
        st = http_send(s->http, &q, &s->reply, e);
        if (st) return st;
        if (s->reply.status >= 200 && s->reply.status < 300) return take_page(s, out, e);
        if (s->reply.status != 401 || *renewed) return explain(s, token, e);
        *renewed = true;
        auth_forget(&s->auth);
        log_say(s->o.log, LOG_INFO, "the token is turned down (HTTP 401): asking for another");
    }
}

static status wait_for(source *s, double seconds, err *e)
{
    if (clock_sleep(seconds, s->o.stop)) return ST_OK;
    return err_set(e, ST_INCOMPLETE, "interrupted; what arrived is kept, run again to go on");
}

static status back_off(source *s, int tries, err *e)
{
    instant now;
    double seconds, began = clock_monotonic();
    char last[ERR_CAP];
    snprintf(last, sizeof last, "%s", e->msg);
    if (!http_date_parse(str_from(s->reply.date), &now)) now = clock_now();
    status st = retry_next(&s->retry, tries, str_from(s->reply.retry_after), now, &seconds, e);
    if (st) return st;
    log_say(s->o.log, LOG_INFO, "%s; waiting %.1f s (try %d of %d)", last, seconds, tries,
            s->o.max_attempts);
    st = wait_for(s, seconds, e);
    s->stats.seconds_waited += clock_monotonic() - began;
    if (st == ST_OK) s->stats.retries++;
    return st;
}

status source_get(source *s, const source_query *q, source_page *out, err *e)
{
    bool renewed = false;
    double delay = s->last_answer + s->o.page_delay - clock_monotonic();
    status st = build_url(s, q, e);
    if (st == ST_OK && s->last_answer > 0 && delay > 0) st = wait_for(s, delay, e);
    for (int tries = 1; st == ST_OK; tries++) {
        st = try_once(s, &renewed, out, e);
        if (st == ST_OK || !s->reply.again) break;
        st = back_off(s, tries, e);
    }
    s->last_answer = clock_monotonic();
    return st;
}
