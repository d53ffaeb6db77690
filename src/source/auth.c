/* auth.c - the life of a token.
 *
 * It is counted on the monotonic clock from before the token was asked for, so neither a slow
 * answer nor a clock that is set matters.  A lifetime that the server does not state, or states
 * as nonsense, must not make every request renew: it counts as some minutes. */
#include "source/auth.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/number.h"
#include "source/grant.h"

enum {
    EARLY = 60,            /* seconds before the end */
    LIFETIME_ASSUMED = 300 /* seconds */
};

/* --- options --------------------------------------------------------------------------------- */

static status check_client(const source_options *o, err *e)
{
    if (!o->client_id || !*o->client_id)
        return err_set(e, ST_USAGE, "source.client_id is empty; it names the OAuth client");
    if (!o->client_secret || !*o->client_secret)
        return err_set(e, ST_USAGE,
                       "no client secret (source.client_secret_env or source.client_secret_file)");
    return ST_OK;
}

static status check_access_key(const source_options *o, err *e)
{
    if (!o->access_key_id || !*o->access_key_id)
        return err_set(e, ST_USAGE,
                       "source.access_key_id is empty; it names the access key of a user");
    if (!o->access_key_secret || !*o->access_key_secret)
        return err_set(e, ST_USAGE,
                       "no access key secret (source.access_key_secret_env or "
                       "source.access_key_secret_file)");
    return ST_OK;
}

static status check_api_key(const source_options *o, err *e)
{
    if (!o->client_secret || !http_is_plain(str_from(o->client_secret)))
        return err_set(e, ST_USAGE,
                       "the API key is empty, or holds a blank or a character that is not ASCII "
                       "(source.client_secret_env or source.client_secret_file)");
    if (!http_is_plain(str_from(o->api_key_header)) || strpbrk(o->api_key_header, ":\"(),/;<=>"))
        return err_set(e, ST_USAGE, "source.api_key_header: not the name of a header field");
    return ST_OK;
}

status auth_check(const source_options *o, err *e)
{
    status st = ST_OK;
    if (o->auth == AUTH_API_KEY) return check_api_key(o, e);
    if (o->auth != AUTH_ACCESS_KEY) st = check_client(o, e);
    if (st == ST_OK && o->auth != AUTH_CLIENT_CREDENTIALS) st = check_access_key(o, e);
    if (st) return st;
    bool discovers = o->auth == AUTH_PASSWORD && !*o->token_url;
    return discovers ? http_check_url("source.issuer", o->issuer, e)
                     : http_check_url("source.token_url", o->token_url, e);
}

/* --- life ------------------------------------------------------------------------------------ */

void auth_init(auth *a, const source_options *o, http *h)
{
    *a = (auth){.o = o, .http = h};
}

void auth_release(auth *a)
{
    http_wipe(&a->token);
    buf_release(&a->token);
    buf_release(&a->endpoint);
}

void auth_forget(auth *a)
{
    http_wipe(&a->token);
}

void auth_secrets(const auth *a, const char *out[AUTH_SECRETS])
{
    size_t n = 0;
    if (a->o->client_secret) out[n++] = a->o->client_secret;
    if (a->o->access_key_secret) out[n++] = a->o->access_key_secret;
    if (a->token.n) out[n++] = a->token.p;
    out[n] = NULL;
}

double auth_renew_after(double lifetime)
{
    if (!isfinite(lifetime) || lifetime <= 0) lifetime = LIFETIME_ASSUMED;
    return lifetime - EARLY > lifetime / 2 ? lifetime - EARLY : lifetime / 2;
}

static status take_answer(auth *a, const char *url, http_reply *reply, double asked_at, err *e)
{
    js *root = NULL;
    err why = {0};
    str where = http_where(url);
    status st = js_parse(buf_view(&reply->body), &root, &why);
    str token = js_string(js_get(root, "access_token"));
    const js *life = js_get(root, "expires_in");
    double lifetime = js_number(life, 0);
    if (js_type(life) == JS_STRING && !number_parse(js_string(life), &lifetime)) lifetime = 0;
    if (st || !http_is_plain(token)) {
        reply->again = true;
        st = err_set(e, ST_INCOMPLETE,
                     "%.*s answers HTTP %ld but gives no access_token; source.token_url must be "
                     "the token endpoint",
                     STR_FMT(where), reply->status);
        goto done;
    }
    auth_forget(a);
    buf_reserve(&a->token, token.n + 1); /* in one piece: growing leaves copies behind */
    buf_str(&a->token, token);
    a->renew_at = asked_at + auth_renew_after(lifetime);
    str granted = js_string(js_get(root, "scope"));
    snprintf(a->granted, sizeof a->granted, "%.*s", (int)(granted.n < 255 ? granted.n : 255),
             granted.p ? granted.p : "");
    if (!buf_cstr(&a->token)) st = err_nomem(e, "keeping a token");
done:
    js_free(root);
    return st;
}

static status ask(auth *a, http_reply *reply, err *e)
{
    const char *url;
    buf body = {0};
    str view;
    http_request q;
    double now = clock_monotonic();
    status st = grant_endpoint(a, reply, &url, e);
    if (st) return st;
    st = grant_request(a->o, url, &body, &view, &q, e);
    if (st == ST_OK) st = http_send(a->http, &q, reply, e);
    if (st == ST_OK)
        st = reply->status >= 200 && reply->status < 300 ? take_answer(a, url, reply, now, e)
                                                         : grant_refused(a, url, reply, e);
    http_wipe(&body);
    buf_release(&body);
    http_wipe(&reply->body);
    return st;
}

bool auth_is_at_hand(const auth *a)
{
    return a->o->auth == AUTH_API_KEY || (a->token.n && clock_monotonic() < a->renew_at);
}

status auth_identify(auth *a, http_reply *reply, http_identity *out, err *e)
{
    if (a->o->auth == AUTH_API_KEY) {
        out->field = a->o->api_key_header;
        out->value = a->o->client_secret;
        return ST_OK;
    }
    if (!auth_is_at_hand(a)) {
        status st = ask(a, reply, e);
        if (st) return st;
    }
    out->bearer = a->token.p;
    return ST_OK;
}
