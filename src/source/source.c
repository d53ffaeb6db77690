/* source.c - opening, closing and trying a source, whatever its API. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "source/adapter.h"
#include "source/retry.h"

static const adapter *const adapters[] = {&interactions_v2, &cognigy_odata, &dfo, NULL};

static const adapter *find_adapter(const char *type)
{
    for (const adapter *const *a = adapters; *a; a++)
        if (!strcmp(type, (*a)->type)) return *a;
    return NULL;
}

bool source_is_known(const char *type)
{
    return find_adapter(type) != NULL;
}

static status check_options(const source_options *o, err *e)
{
    if (strpbrk(o->base_url, "?#"))
        return err_set(e, ST_USAGE, "source.base_url must end with host or path, without ? or #");
    status st = http_check_url("source.base_url", o->base_url, e);
    return st ? st : auth_check(o, e);
}

status source_open(const source_options *o, source **out, err *e)
{
    const adapter *a = find_adapter(o->type);
    *out = NULL;
    if (!a)
        return err_set(e, ST_USAGE, "source.type = %s: this version does not read that", o->type);
    status st = check_options(o, e);
    if (st == ST_OK && a->check) st = a->check(o, e);
    if (st) return st;
    source *s = calloc(1, sizeof *s);
    if (!s) return err_nomem(e, "opening the source");
    s->adapter = a;
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

void source_drop_ahead(source *s)
{
    talk_drop(&s->talk);
}

source_stats source_statistics(const source *s)
{
    return talk_statistics(&s->talk);
}

const source_list *source_lists(const source *s)
{
    return s->adapter->lists;
}

status source_get_list(source *s, const list_query *q, source_page *out, err *e)
{
    return s->adapter->list(s, q, out, e);
}

bool source_has_contacts(const source *s)
{
    return s->adapter->contacts != NULL;
}

status source_get_contacts(source *s, const contacts_query *q, source_page *out, buf *next, err *e)
{
    return s->adapter->contacts(s, q, out, next, e);
}

status source_get_messages(source *s, str contact, arena *a, str **raws, size_t *n,
                           messages_end *how, err *e)
{
    return s->adapter->messages(s, contact, a, raws, n, how, e);
}

double source_retention(const source *s)
{
    return s->adapter->retention;
}

const char *source_page_advice(const source *s)
{
    return s->adapter->page_advice;
}

/* --- trials ---------------------------------------------------------------------------------- */

static status resolve(const source *s, source_finding *out, err *e)
{
    buf host = {0};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char shown[NI_MAXHOST] = "";
    status st = http_host(s->talk.o.base_url, &host, e);
    if (st) return st;
    const char *name = host.p;
    int rc = getaddrinfo(name, NULL, &hints, &found);
    if (rc)
        st = err_set(e, ST_FAILED, "the name %s has no address: %s", name, gai_strerror(rc));
    else if (!getnameinfo(found->ai_addr, found->ai_addrlen, shown, sizeof shown, NULL, 0,
                          NI_NUMERICHOST))
        snprintf(out->text, sizeof out->text, "%.120s is %.120s", name, shown);
    if (found) freeaddrinfo(found);
    buf_release(&host);
    return st;
}

/* Any answer will do, a redirect too: what is tried is the way there, without credentials. */
static status reach(source *s, source_finding *out, err *e)
{
    http_reply *r = &s->talk.reply;
    http_request q = {
        .url = s->talk.o.base_url, .key = "source.base_url", .limit = SOURCE_PAGE_LIMIT};
    status st = http_send(s->talk.http, &q, r, e);
    if (!r->status) return st;
    out->has_date = http_date_parse(str_from(r->date), &out->date);
    bool plain = !strncasecmp(s->talk.o.base_url, "http:", 5);
    snprintf(out->text, sizeof out->text, "%s",
             plain ? "plain http, to this machine" : "TLS 1.2 or later, the certificate is good");
    return ST_OK;
}

static status get_token(source *s, source_finding *out, err *e)
{
    http_identity who = {0};
    status st = auth_identify(&s->talk.auth, &s->talk.reply, &who, e);
    if (st) return st;
    snprintf(out->granted, sizeof out->granted, "%s", s->talk.auth.granted);
    if (who.bearer)
        snprintf(out->text, sizeof out->text, "issued, good for %.0f s",
                 s->talk.auth.renew_at - clock_monotonic());
    else
        snprintf(out->text, sizeof out->text, "none is needed: the key goes with each request");
    return ST_OK;
}

static status try(source *s, source_trial what, source_finding *out, err *e)
{
    switch (what) {
    case TRIAL_NAME:
        return resolve(s, out, e);
    case TRIAL_REACH:
        return reach(s, out, e);
    case TRIAL_TOKEN:
        return get_token(s, out, e);
    case TRIAL_PAGE:
    case TRIAL_FILTER:
    case TRIAL_OLDEST:
        break;
    }
    return s->adapter->try(s, what, out, e);
}

status source_try(source *s, source_trial what, source_finding *out, err *e)
{
    out->text[0] = 0;
    status st = try(s, what, out, e);
    out->is_busy = st == ST_INCOMPLETE && retry_status(s->talk.reply.status);
    return st;
}
