/* auth.c - the client credentials grant.
 *
 * The life of a token is counted on the monotonic clock from before it was asked for, so neither
 * a slow answer nor a clock that is set matters.  A lifetime that the server does not state, or
 * states as nonsense, must not make every request renew: it counts as some minutes. */
#include "source/auth.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/number.h"
#include "source/complaint.h"
#include "source/retry.h"

enum {
    ANSWER_LIMIT = 1 << 20,
    EARLY = 60,            /* seconds before the end */
    LIFETIME_ASSUMED = 300 /* seconds */
};

void auth_init(auth *a, const source_options *o, http *h)
{
    *a = (auth){.o = o, .http = h};
}

void auth_release(auth *a)
{
    http_wipe(&a->token);
    buf_release(&a->token);
}

void auth_forget(auth *a)
{
    http_wipe(&a->token);
}

double auth_renew_after(double lifetime)
{
    if (!isfinite(lifetime) || lifetime <= 0) lifetime = LIFETIME_ASSUMED;
    return lifetime - EARLY > lifetime / 2 ? lifetime - EARLY : lifetime / 2;
}

static void add_pair(buf *form, const char *name, const char *value)
{
    if (form->n) buf_char(form, '&');
    buf_z(form, name);
    buf_char(form, '=');
    http_encode(form, str_from(value));
}

/* Visible ASCII, so that it cannot end the header field that it is put in. */
static bool can_be_token(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] > '~') return false;
    return s.n > 0;
}

static status take_answer(auth *a, http_reply *reply, double asked_at, err *e)
{
    js *root = NULL;
    err why = {0};
    str where = http_where(a->o->token_url);
    status st = js_parse(buf_view(&reply->body), &root, &why);
    str token = js_string(js_get(root, "access_token"));
    const js *life = js_get(root, "expires_in");
    double lifetime = js_number(life, 0);
    if (js_type(life) == JS_STRING && !number_parse(js_string(life), &lifetime)) lifetime = 0;
    if (st || !can_be_token(token)) {
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

static status refused(const auth *a, http_reply *reply, err *e)
{
    str where = http_where(a->o->token_url);
    const char *const secrets[] = {a->o->client_secret, NULL};
    char code[COMPLAINT_CODE], words[COMPLAINT_CAP];
    complaint_code(buf_view(&reply->body), code);
    complaint_words(buf_view(&reply->body), secrets, words);
    reply->again = retry_status(reply->status);
    if (reply->again)
        return err_set(e, ST_INCOMPLETE, "%.*s answers HTTP %ld%s", STR_FMT(where), reply->status,
                       words);
    if (!strcmp(code, "invalid_scope"))
        return err_set(e, ST_DENIED,
                       "%.*s does not grant source.scope (HTTP %ld%s): add interactions:read to "
                       "the allowed scopes of the OAuth client, or ask for less in source.scope",
                       STR_FMT(where), reply->status, words);
    if (reply->status == 401 || reply->status == 403 || !strcmp(code, "invalid_client") ||
        !strcmp(code, "unauthorized_client"))
        return err_set(e, ST_DENIED,
                       "%.*s does not let the client in (HTTP %ld%s): source.client_id and the "
                       "secret (source.client_secret_env or source.client_secret_file) must be "
                       "exactly those of the OAuth client in the CXone administration console",
                       STR_FMT(where), reply->status, words);
    if (reply->status == 404)
        return err_set(e, ST_FAILED,
                       "%.*s is not there (HTTP 404): check source.instance, source.base_url or "
                       "source.token_url",
                       STR_FMT(where));
    return err_set(e, ST_FAILED, "%.*s rejects the request for a token (HTTP %ld%s)",
                   STR_FMT(where), reply->status, words);
}

static status ask(auth *a, http_reply *reply, err *e)
{
    status st;
    buf form = {0};
    double now = clock_monotonic();
    /* Roomy enough that it need not move, which would leave copies of the secret behind. */
    buf_reserve(&form, 256 + 3 * (strlen(a->o->client_id) + strlen(a->o->client_secret) +
                                  strlen(a->o->scope)));
    add_pair(&form, "grant_type", "client_credentials");
    add_pair(&form, "client_id", a->o->client_id);
    add_pair(&form, "client_secret", a->o->client_secret);
    if (*a->o->scope) add_pair(&form, "scope", a->o->scope);
    if (!buf_ok(&form)) {
        st = err_nomem(e, "asking for a token");
        goto done;
    }
    str body = buf_view(&form);
    http_request q = {.url = a->o->token_url,
                      .key = "source.token_url (or source.base_url)",
                      .form = &body,
                      .limit = ANSWER_LIMIT};
    st = http_send(a->http, &q, reply, e);
    if (st == ST_OK)
        st = reply->status >= 200 && reply->status < 300 ? take_answer(a, reply, now, e)
                                                         : refused(a, reply, e);
done:
    http_wipe(&form);
    buf_release(&form);
    http_wipe(&reply->body);
    return st;
}

status auth_token(auth *a, http_reply *reply, const char **token, err *e)
{
    if (!a->token.n || clock_monotonic() >= a->renew_at) {
        status st = ask(a, reply, e);
        if (st) return st;
    }
    *token = a->token.p;
    return ST_OK;
}
