/* source_settings.c - from [source] to the options of a source.
 *
 * A secret has no key of its own: the configuration says where it is, the environment or a file
 * that others cannot read. */
#include "source_settings.h"

#include <stdlib.h>

#include "secret.h"

/* --- secrets -------------------------------------------------------------------------------- */

status source_settings_secrets(source_settings *s, const config *c, err *e)
{
    const char *file = c->source.client_secret_file, *name = c->source.client_secret_env;
    const char *value = *name ? getenv(name) : NULL;
    buf_clear(&s->secret_from);
    if (*file) {
        buf_fmt(&s->secret_from, "file %s", file);
        status st = secret_read_file("source.client_secret_file", file, &s->secret, e);
        if (st) return st;
    } else if (!value || !*value) {
        return err_set(e, ST_USAGE,
                       "no client secret: put it into the environment variable %s, or name a "
                       "file in source.client_secret_file",
                       *name ? name : "that source.client_secret_env names");
    } else {
        buf_fmt(&s->secret_from, "environment variable %s", name);
        buf_reserve(&s->secret, strlen(value) + 1);
        buf_z(&s->secret, value);
    }
    s->o.client_secret = buf_cstr(&s->secret);
    return s->o.client_secret && buf_ok(&s->secret_from) ? ST_OK : err_nomem(e, "reading a secret");
}

/* --- addresses ------------------------------------------------------------------------------ */

/* https://{instance}.cxone.com, or base_url without its trailing slashes. */
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
    buf_fmt(out, "https://%s.cxone.com", instance);
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
    else
        buf_fmt(&s->token_url, "%.*s/oauth/token", STR_FMT(buf_view(&s->base_url)));
    s->o.base_url = buf_cstr(&s->base_url);
    s->o.token_url = buf_cstr(&s->token_url);
    return s->o.base_url && s->o.token_url ? ST_OK : err_nomem(e, "opening the source");
}

/* --- all of it ------------------------------------------------------------------------------ */

status source_settings_plain(source_settings *s, const config *c, err *e)
{
    if (strcmp(c->source.type, "interactions-v2"))
        return err_set(e, ST_USAGE,
                       "source.type = %s: this version reads interactions-v2 only; "
                       "use `tamis import` for files",
                       c->source.type);
    if (strcmp(c->source.auth, "client-credentials"))
        return err_set(e, ST_USAGE, "source.auth = %s: this version knows client-credentials only",
                       c->source.auth);
    s->o.type = c->source.type;
    s->o.auth = AUTH_CLIENT_CREDENTIALS;
    s->o.client_id = c->source.client_id;
    s->o.scope = c->source.scope;
    s->o.ca_file = c->source.ca_file;
    s->o.page_delay = c->source.page_delay;
    s->o.max_wait = c->source.max_wait;
    s->o.wait_budget = c->source.wait_budget;
    s->o.timeout = c->source.timeout;
    s->o.max_attempts = (int)c->source.max_attempts;
    status st = addresses(s, c, e);
    if (st == ST_OK && !*c->source.client_id)
        st = err_set(e, ST_USAGE, "no source.client_id: it is the id of the OAuth client");
    return st;
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
    if (s->secret.p) explicit_bzero(s->secret.p, s->secret.cap);
    buf_release(&s->secret);
    buf_release(&s->secret_from);
    buf_release(&s->base_url);
    buf_release(&s->token_url);
    *s = (source_settings){0};
}
