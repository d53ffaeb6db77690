/* source_settings.c - from [source] to the options of a source.
 *
 * A secret has no key of its own: the configuration says where it is, the environment or a file
 * that others cannot read. */
#include "source_settings.h"

#include <stdlib.h>

#include "secret.h"

/* --- secrets -------------------------------------------------------------------------------- */

static status read_secret(const secret_place *p, buf *out, buf *from, err *e)
{
    if (from->n) buf_z(from, ", ");
    buf_fmt(from, "%s %s", *p->file ? "file" : "environment variable", *p->file ? p->file : p->env);
    return secret_read(p, out, e);
}

status source_settings_secrets(source_settings *s, const config *c, err *e)
{
    const secret_place client = {
        .what = s->o.auth == AUTH_API_KEY ? "API key" : "client secret",
        .env = c->source.client_secret_env,
        .file = c->source.client_secret_file,
        .env_key = "source.client_secret_env",
        .file_key = "source.client_secret_file",
    };
    const secret_place key = {
        .what = "access key secret",
        .env = c->source.access_key_secret_env,
        .file = c->source.access_key_secret_file,
        .env_key = "source.access_key_secret_env",
        .file_key = "source.access_key_secret_file",
    };
    status st = ST_OK;
    buf_clear(&s->secret_from);
    if (s->o.auth != AUTH_ACCESS_KEY) {
        st = read_secret(&client, &s->secret, &s->secret_from, e);
        s->o.client_secret = st == ST_OK ? buf_cstr(&s->secret) : NULL;
    }
    if (st == ST_OK && (s->o.auth == AUTH_PASSWORD || s->o.auth == AUTH_ACCESS_KEY)) {
        st = read_secret(&key, &s->key_secret, &s->secret_from, e);
        s->o.access_key_secret = st == ST_OK ? buf_cstr(&s->key_secret) : NULL;
    }
    bool ok = buf_ok(&s->secret) && buf_ok(&s->key_secret) && buf_cstr(&s->secret_from);
    return st || ok ? st : err_nomem(e, "reading a secret");
}

/* --- addresses ------------------------------------------------------------------------------ */

/* Where the API of an instance is. */
static const char *address_form(const char *type)
{
    if (!strcmp(type, "cognigy-odata")) return "https://odata-%s.cognigy.ai";
    if (!strcmp(type, "dfo")) return "https://api-de-%s.niceincontact.com";
    return "https://%s.cxone.com";
}

static void write_address(const char *type, const char *instance, buf *out)
{
    str form = str_from(address_form(type));
    const char *hole = strstr(form.p, "%s");
    buf_add(out, form.p, (size_t)(hole - form.p));
    buf_z(out, instance);
    buf_z(out, hole + 2);
}

/* The instance's address, or base_url without its trailing slashes. */
static status base_url(const config *c, buf *out, err *e)
{
    const char *instance = c->source.instance;
    str url = str_from(c->source.base_url);
    while (url.n && url.p[url.n - 1] == '/') url.n--;
    if (url.n) {
        buf_str(out, url);
        return ST_OK;
    }
    if (!*instance)
        return err_set(e, ST_USAGE,
                       "no source: set source.instance (acme for "
                       "https://acme.cxone.com) or source.base_url");
    if (strspn(instance, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") !=
        strlen(instance))
        return err_set(e, ST_USAGE,
                       "source.instance = %s: letters, digits and - only (acme for "
                       "https://acme.cxone.com)",
                       instance);
    write_address(c->source.type, instance, out);
    return ST_OK;
}

static status addresses(source_settings *s, const config *c, err *e)
{
    buf_clear(&s->base_url);
    buf_clear(&s->token_url);
    status st = base_url(c, &s->base_url, e);
    if (st) return st;
    if (*c->source.token_url)
        buf_z(&s->token_url, c->source.token_url);
    else if (s->o.auth == AUTH_ACCESS_KEY)
        buf_fmt(&s->token_url, "%.*s/authentication/v1/token/access-key",
                STR_FMT(buf_view(&s->base_url)));
    else if (s->o.auth == AUTH_CLIENT_CREDENTIALS)
        buf_fmt(&s->token_url, "%.*s/oauth/token", STR_FMT(buf_view(&s->base_url)));
    buf_z(&s->token_url, "");
    s->o.base_url = buf_cstr(&s->base_url);
    s->o.token_url = buf_cstr(&s->token_url);
    return s->o.base_url && s->o.token_url ? ST_OK : err_nomem(e, "opening the source");
}

/* --- all of it ------------------------------------------------------------------------------ */

/* The configuration has checked that it is one of these. */
static auth_kind kind_of_auth(const char *name)
{
    static const char *const names[] = {[AUTH_CLIENT_CREDENTIALS] = "client-credentials",
                                        [AUTH_PASSWORD] = "password",
                                        [AUTH_ACCESS_KEY] = "access-key",
                                        [AUTH_API_KEY] = "api-key"};
    auth_kind k = AUTH_API_KEY;
    while (k > AUTH_CLIENT_CREDENTIALS && strcmp(name, names[k]) != 0) k--;
    return k;
}

status source_settings_plain(source_settings *s, const config *c, err *e)
{
    if (!source_is_known(c->source.type))
        return err_set(e, ST_USAGE,
                       "source.type = %s: this version does not read that; use `tamis import` for "
                       "files",
                       c->source.type);
    s->o.type = c->source.type;
    s->o.auth = kind_of_auth(c->source.auth);
    if (!strcmp(c->source.type, "cognigy-odata") && s->o.auth != AUTH_API_KEY)
        return err_set(e, ST_USAGE,
                       "source.type = cognigy-odata wants source.auth = api-key; the key goes into "
                       "the environment variable that source.client_secret_env names");
    s->o.client_id = c->source.client_id;
    s->o.client_in_form = strcmp(c->source.client_auth, "post") == 0;
    s->o.issuer = c->source.issuer;
    s->o.access_key_id = c->source.access_key_id;
    s->o.api_key_header = c->source.api_key_header;
    s->o.scope = c->source.scope;
    s->o.ca_file = c->source.ca_file;
    s->o.page_delay = c->source.page_delay;
    s->o.max_wait = c->source.max_wait;
    s->o.wait_budget = c->source.wait_budget;
    s->o.timeout = c->source.timeout;
    s->o.max_attempts = (int)c->source.max_attempts;
    status st = addresses(s, c, e);
    if (st) return st;
    bool client = s->o.auth == AUTH_CLIENT_CREDENTIALS || s->o.auth == AUTH_PASSWORD;
    bool key = s->o.auth == AUTH_ACCESS_KEY || s->o.auth == AUTH_PASSWORD;
    if (client && !*c->source.client_id)
        return err_set(e, ST_USAGE, "no source.client_id: it is the id of the OAuth client");
    if (key && !*c->source.access_key_id)
        return err_set(e, ST_USAGE, "no source.access_key_id: it is the id of a user's access key");
    return ST_OK;
}

status source_settings_read(source_settings *s, const config *c, const logger *log,
                            const stop_flag *stop, err *e)
{
    status st = source_settings_plain(s, c, e);
    if (st == ST_OK) st = source_settings_secrets(s, c, e);
    s->o.log = log;
    s->o.stop = stop;
    return st;
}

void source_settings_release(source_settings *s)
{
    secret_wipe(&s->secret);
    secret_wipe(&s->key_secret);
    buf_release(&s->secret_from);
    buf_release(&s->base_url);
    buf_release(&s->token_url);
    *s = (source_settings){0};
}
