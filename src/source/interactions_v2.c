/* interactions_v2.c - GET {base_url}/api/v2/interactions, page by page.
 *
 * One call of source_get is one page; nothing but a whole page is ever handed on. */
#include <stdio.h>
#include <stdlib.h>

#include "source/complaint.h"
#include "source/page.h"
#include "source/talk.h"

enum { PAGE_LIMIT = 64 << 20 };

struct source {
    talk talk;
    buf url;
    source_page *out; /* of the call that is going on */
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
    st = talk_init(&s->talk, o, e);
    if (st)
        source_close(s);
    else
        *out = s;
    return st;
}

void source_close(source *s)
{
    if (!s) return;
    talk_release(&s->talk);
    buf_release(&s->url);
    free(s);
}

source_stats source_statistics(const source *s)
{
    return talk_statistics(&s->talk);
}

static status build_url(source *s, const source_query *q, err *e)
{
    char at[INSTANT_TEXT], filter[INSTANT_TEXT + 32];
    buf_clear(&s->url);
    buf_fmt(&s->url,
            "%s/api/v2/interactions?pageSize=%u&page=%u&sort=timestamp%%20desc"
            "&returnCount=true",
            s->talk.o.base_url, q->page_size, q->page);
    if (instant_cmp(q->after, INSTANT_MIN) > 0) {
        instant_format(q->after, at); /* cut downwards to milliseconds */
        snprintf(filter, sizeof filter, "timestamp gt '%s'", at);
        buf_z(&s->url, "&filter=");
        http_encode(&s->url, str_from(filter));
    }
    return buf_cstr(&s->url) ? ST_OK : err_nomem(e, "asking for a page");
}

/* An answer other than 200: what it means, and whether to try again. */
static status explain(void *ctx, http_reply *r, const char *const *secrets, err *e)
{
    const source *s = ctx;
    str where = http_where(s->url.p);
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

static status take_page(void *ctx, http_reply *reply, err *e)
{
    source *s = ctx;
    source_page *out = s->out;
    err why = {0};
    buf body = out->body;
    out->body = reply->body;
    reply->body = body;
    out->has_server_date = http_date_parse(str_from(reply->date), &out->server_date);
    if (page_cut(out, &why) == ST_OK) return ST_OK;
    reply->again = true;
    return err_set(e, ST_INCOMPLETE,
                   "%.*s answers HTTP %ld but not with a page of interactions: %s",
                   STR_FMT(http_where(s->url.p)), reply->status, why.msg);
}

status source_get(source *s, const source_query *q, source_page *out, err *e)
{
    status st = build_url(s, q, e);
    if (st) return st;
    talk_request r = {.url = s->url.p,
                      .key = "source.base_url",
                      .limit = PAGE_LIMIT,
                      .take = take_page,
                      .explain = explain,
                      .ctx = s};
    s->out = out;
    return talk_get(&s->talk, &r, e);
}
