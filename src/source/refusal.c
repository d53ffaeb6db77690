/* refusal.c - the statuses that mean the same in every API. */
#include "source/refusal.h"

#include "source/complaint.h"
#include "source/retry.h"

static status turned_down(const source_options *o, str where, const char *words, err *e)
{
    if (o->auth == AUTH_API_KEY)
        return err_set(e, ST_DENIED,
                       "%.*s does not take the API key (HTTP 401%s): the one in "
                       "source.client_secret_env or source.client_secret_file must be good, and "
                       "source.api_key_header the field that it belongs in",
                       STR_FMT(where), words);
    if (o->auth == AUTH_CLIENT_CREDENTIALS)
        return err_set(e, ST_DENIED,
                       "%.*s turns down a token just issued (HTTP 401%s): source.client_id and the "
                       "secret must match the CXone administration console exactly, source.scope "
                       "must include interactions:read",
                       STR_FMT(where), words);
    return err_set(e, ST_DENIED,
                   "%.*s turns down a token just issued (HTTP 401%s): source.access_key_id must be "
                   "of this tenant, and source.base_url its address",
                   STR_FMT(where), words);
}

status refusal_explain(const source_options *o, const char *url, http_reply *r,
                       const char *const *secrets, const refusal_advice *advice, err *e)
{
    str where = http_where(url);
    char words[COMPLAINT_CAP];
    complaint_words(buf_view(&r->body), secrets, words);
    r->again = retry_status(r->status);
    if (r->status == 429)
        return err_set(e, ST_INCOMPLETE, "%.*s: too many requests (HTTP 429%s)", STR_FMT(where),
                       words);
    if (r->again)
        return err_set(e, ST_INCOMPLETE, "%.*s answers HTTP %ld%s", STR_FMT(where), r->status,
                       words);
    if (r->status == 401) return turned_down(o, where, words, e);
    if (r->status == 403)
        return err_set(e, ST_DENIED, "%.*s is not allowed for this client (HTTP 403%s): %s",
                       STR_FMT(where), words, advice->denied);
    if (r->status == 404)
        return err_set(e, ST_FAILED, "%.*s is not there (HTTP 404%s): %s", STR_FMT(where), words,
                       advice->missing);
    return err_set(e, ST_FAILED, "%.*s rejects the request (HTTP %ld%s)", STR_FMT(where), r->status,
                   words);
}
