/* grant.c - the requests for a token: client credentials, password, access key.
 *
 * The two last are those of NICE: an access key belongs to a user, on whose behalf the client
 * works; its token endpoint is found through OpenID metadata (.well-known/openid-configuration),
 * or is a REST call that takes the key as JSON.  Form values are percent-encoded whole: access
 * keys end in "====". */
#include "source/grant.h"

#include "base/json.h"
#include "source/complaint.h"
#include "source/retry.h"

enum { ANSWER_LIMIT = 1 << 20 };

/* --- the endpoint ---------------------------------------------------------------------------- */

static status take_metadata(auth *a, const char *url, http_reply *reply, err *e)
{
    js *root = NULL;
    err unused = {0};
    str where = http_where(url);
    status st = js_parse(buf_view(&reply->body), &root, &unused);
    str found = js_string(js_get(root, "token_endpoint"));
    if (st || reply->status != 200 || !found.n || memchr(found.p, 0, found.n)) {
        reply->again = retry_status(reply->status);
        st = err_set(e, reply->again ? ST_INCOMPLETE : ST_FAILED,
                     "%.*s answers HTTP %ld but names no token_endpoint; source.issuer must be "
                     "the issuer's address, or source.token_url the token endpoint",
                     STR_FMT(where), reply->status);
        goto done;
    }
    buf_str(&a->endpoint, found);
    const char *z = buf_cstr(&a->endpoint);
    st = z ? http_check_url("the token_endpoint that source.issuer names", z, e)
           : err_nomem(e, "asking for a token");
    if (st) buf_clear(&a->endpoint);
done:
    js_free(root);
    return st;
}

static status discover(auth *a, http_reply *reply, err *e)
{
    buf url = {0};
    str issuer = str_from(a->o->issuer);
    while (issuer.n && issuer.p[issuer.n - 1] == '/') issuer.n--;
    buf_fmt(&url, "%.*s/.well-known/openid-configuration", STR_FMT(issuer));
    const char *z = buf_cstr(&url);
    http_request q = {.url = z, .key = "source.issuer", .limit = ANSWER_LIMIT};
    status st = z ? http_send(a->http, &q, reply, e) : err_nomem(e, "asking for a token");
    if (st == ST_OK) st = take_metadata(a, z, reply, e);
    buf_release(&url);
    return st;
}

status grant_endpoint(auth *a, http_reply *reply, const char **out, err *e)
{
    status st = ST_OK;
    *out = a->o->token_url;
    if (**out) return ST_OK;
    if (!a->endpoint.n) st = discover(a, reply, e);
    *out = a->endpoint.p;
    return st;
}

/* --- requests -------------------------------------------------------------------------------- */

static void add_pair(buf *form, const char *name, const char *value)
{
    if (form->n) buf_char(form, '&');
    buf_z(form, name);
    buf_char(form, '=');
    http_encode(form, str_from(value));
}

static void write_form(const source_options *o, buf *body)
{
    bool password = o->auth == AUTH_PASSWORD;
    add_pair(body, "grant_type", password ? "password" : "client_credentials");
    if (!password || o->client_in_form) {
        add_pair(body, "client_id", o->client_id);
        add_pair(body, "client_secret", o->client_secret);
    }
    if (password) {
        add_pair(body, "username", o->access_key_id);
        add_pair(body, "password", o->access_key_secret);
    } else if (*o->scope) {
        add_pair(body, "scope", o->scope);
    }
}

static size_t length(const char *z)
{
    return z ? strlen(z) : 0;
}

status grant_request(const source_options *o, const char *url, buf *body, str *view,
                     http_request *out, err *e)
{
    *out = (http_request){
        .url = url, .key = "source.token_url (or source.base_url)", .limit = ANSWER_LIMIT};
    /* Roomy enough that it need not move, which would leave copies of the secrets behind. */
    buf_reserve(body, 256 + 6 * (length(o->client_id) + length(o->client_secret) +
                                 length(o->access_key_id) + length(o->access_key_secret) +
                                 length(o->scope)));
    if (o->auth == AUTH_ACCESS_KEY) {
        buf_z(body, "{\"accessKeyId\": ");
        js_write_string(body, str_from(o->access_key_id));
        buf_z(body, ", \"accessKeySecret\": ");
        js_write_string(body, str_from(o->access_key_secret));
        buf_char(body, '}');
        out->json = view;
    } else {
        write_form(o, body);
        out->form = view;
    }
    if (o->auth == AUTH_PASSWORD && !o->client_in_form) {
        out->who.user = o->client_id;
        out->who.password = o->client_secret;
    }
    *view = buf_view(body);
    return buf_ok(body) ? ST_OK : err_nomem(e, "asking for a token");
}

/* --- refusals -------------------------------------------------------------------------------- */

/* Which settings a refusal is about. */
static const char *credentials(const source_options *o)
{
    static const char key[] =
        "source.access_key_id and its secret "
        "(source.access_key_secret_env or source.access_key_secret_file) must "
        "be those of an access key whose user is active";
    static const char both[] =
        "source.client_id and source.access_key_id, each with its secret "
        "(source.client_secret_env, source.access_key_secret_env), must be those issued by NICE, "
        "the user of the access key active, and source.client_auth (basic or post) as registered";
    static const char client[] =
        "source.client_id and the secret (source.client_secret_env or source.client_secret_file) "
        "must be exactly those of the OAuth client in the CXone administration console";
    return o->auth == AUTH_PASSWORD ? both : o->auth == AUTH_ACCESS_KEY ? key : client;
}

static bool is_about_credentials(long code, const char *word)
{
    return code == 401 || code == 403 || !strcmp(word, "invalid_client") ||
           !strcmp(word, "unauthorized_client") || !strcmp(word, "invalid_grant");
}

status grant_refused(const auth *a, const char *url, http_reply *reply, err *e)
{
    str where = http_where(url);
    const char *secrets[AUTH_SECRETS];
    char code[COMPLAINT_CODE], words[COMPLAINT_CAP];
    auth_secrets(a, secrets);
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
    if (is_about_credentials(reply->status, code))
        return err_set(e, ST_DENIED, "%.*s does not let the client in (HTTP %ld%s): %s",
                       STR_FMT(where), reply->status, words, credentials(a->o));
    if (reply->status == 404)
        return err_set(e, ST_FAILED,
                       "%.*s is not there (HTTP 404): check source.instance, source.base_url or "
                       "source.token_url",
                       STR_FMT(where));
    return err_set(e, ST_FAILED, "%.*s rejects the request for a token (HTTP %ld%s)",
                   STR_FMT(where), reply->status, words);
}
