/* source.h - where interactions come from: one interface, an adapter for each API.
 *
 * An adapter answers "which records are newer than A, page N".  It does the
 * talking (tokens, retries, waiting) and nothing else: slices.c decides what to ask
 * for, store keeps what came, sync.c (outside) joins the two. */
#ifndef TAMIS_SOURCE_SOURCE_H
#define TAMIS_SOURCE_SOURCE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/time.h"

enum { SOURCE_PAGE_LIMIT = 64 << 20 }; /* bytes of an answer, decoded */

typedef enum {
    AUTH_CLIENT_CREDENTIALS, /* client id and secret: RFC 6749 4.4, in the form */
    AUTH_PASSWORD,           /* an access key on behalf of its user, and the client: 4.3 */
    AUTH_ACCESS_KEY,         /* an access key alone, as JSON */
    AUTH_API_KEY             /* no token: the secret itself goes with each request */
} auth_kind;

/* Everything an adapter needs to know; the strings outlive the source. */
typedef struct source_options {
    const char *type;      /* "interactions-v2" */
    const char *base_url;  /* no trailing slash, e.g. https://acme.cxone.com */
    const char *token_url; /* may be empty where no token, or its issuer, is needed */
    auth_kind auth;
    const char *client_id;
    const char *client_secret; /* or the API key; never logged, never stored */
    bool client_in_form;       /* AUTH_PASSWORD: client id and secret in the form, not as Basic */
    const char *issuer;        /* AUTH_PASSWORD without token_url: whose metadata names it */
    const char *access_key_id; /* AUTH_PASSWORD, AUTH_ACCESS_KEY */
    const char *access_key_secret;
    const char *api_key_header; /* AUTH_API_KEY: the field that the key is sent in */
    const char *scope;          /* AUTH_CLIENT_CREDENTIALS; may be empty */
    const char *ca_file;        /* may be empty */
    double page_delay;          /* seconds between pages */
    double max_wait;            /* longest single wait that a server can ask for, s */
    double wait_budget;         /* all waits of a run together, s; 0: no limit */
    double timeout;             /* connect, and stall, s */
    int max_attempts;           /* per request, at least 1 */
    const logger *log;
    const stop_flag *stop;
} source_options;

typedef struct source source;

typedef struct source_query {
    instant after;  /* exclusive; INSTANT_MIN: everything.  Inclusive in a range */
    bool is_range;  /* ask for after <= timestamp < before, not for all that is newer */
    instant before; /* of a range: exclusive, whole milliseconds */
    uint32_t page;  /* from 1 */
    uint32_t page_size;
} source_query;

/* One page.  The records are views into `body`; valid until the next call or
 * source_page_release.  Zero-initialise. */
typedef struct source_page {
    buf body;
    str *records; /* [n_records] raw JSON of each, as received */
    size_t n_records;
    int64_t total; /* the server's count; -1: it said none, or nonsense */
    bool has_server_date;
    instant server_date; /* HTTP Date */
    bool refused;        /* a range was asked for, and the server takes none: no records */
} source_page;
void source_page_release(source_page *p);

/* Counters for the summary. */
typedef struct source_stats {
    uint64_t requests, retries;
    double seconds_waited; /* asked for by the server, or backing off */
} source_stats;

/* Whether an API of this name can be opened. */
bool source_is_known(const char *type);

/* ST_USAGE: the options cannot work (plain http to another machine, no secret ...).
 * Nothing is sent yet. */
status source_open(const source_options *o, source **out, err *e) MUST_USE;
void source_close(source *s);

/* Gets one page.  ST_INCOMPLETE: throttled or failing beyond the limits, or
 * stopped; ST_DENIED: 401 or 403; ST_FAILED: the server rejects the request, or
 * its certificate is bad. */
status source_get(source *s, const source_query *q, source_page *out, err *e) MUST_USE;

/* Sends the question that source_get will be asked next, while the caller does something else;
 * that is then its first try.  Nothing is sent where source_get would wait first (page_delay) or
 * need a token.  Until source_get or source_drop_ahead, nothing else may be done with `s`. */
void source_ask_ahead(source *s, const source_query *q);
/* Does without the answer, which may take a second; no-op if nothing is under way. */
void source_drop_ahead(source *s);

source_stats source_statistics(const source *s);

/* --- APIs that give the parts of conversations, in lists in order of time -------------------- */

typedef struct source_list {
    const char *name; /* NULL: the end of an array of lists */
    const char *time_field;
    bool is_heads; /* of whole conversations; else of messages */
} source_list;

typedef struct list_query {
    const source_list *list;
    instant from;   /* inclusive, cut down to milliseconds; INSTANT_MIN: all */
    instant before; /* exclusive; INSTANT_MAX: all */
    uint32_t skip, top;
    bool newest_first; /* else oldest first */
    /* NULL: HTTP 500 is tried again like other failures.  Else it is not: the call fails and
     * *failed is set. */
    bool *failed;
} list_query;

/* The lists of a source; NULL: it has none, but pages (source_get). */
const source_list *source_lists(const source *s);
/* Gets rows of a list; errors as source_get. */
status source_get_list(source *s, const list_query *q, source_page *out, err *e) MUST_USE;

/* --- APIs that give contacts, and the messages of each --------------------------------------- */

typedef struct contacts_query {
    instant from, to;    /* days; INSTANT_MIN, INSTANT_MAX: all */
    str token;           /* of the next page, as the last one gave it; empty: the first */
    bool *token_refused; /* set (and no error) if the API does not know the token any more */
} contacts_query;

/* Whether a source gives contacts. */
bool source_has_contacts(const source *s);
/* A page of contacts, oldest first.  next: the token of the next page, empty if there is none.
 * Errors as source_get. */
status source_get_contacts(source *s, const contacts_query *q, source_page *out, buf *next,
                           err *e) MUST_USE;
typedef enum {
    MESSAGES_CAME,
    MESSAGES_GONE, /* the contact is not there any more; no error */
    MESSAGES_ODD,  /* an error in the answers about this contact: other contacts may do well */
    MESSAGES_FAILED
} messages_end;

/* All messages of a contact, in `a`. */
status source_get_messages(source *s, str contact, arena *a, str **raws, size_t *n,
                           messages_end *how, err *e) MUST_USE;

/* How long the API keeps what it has, as a rule, s; 0: not known. */
double source_retention(const source *s);

/* --- one thing after the other, for `tamis doctor` ------------------------------------------ */

typedef enum {
    TRIAL_NAME,   /* the host has an address */
    TRIAL_REACH,  /* it can be connected to, its certificate is good */
    TRIAL_TOKEN,  /* it lets the client in */
    TRIAL_PAGE,   /* it gives a page: `total`, `newest` */
    TRIAL_FILTER, /* it takes the filter of later syncs */
    TRIAL_OLDEST  /* the oldest record that it still has; after TRIAL_PAGE, on its finding */
} source_trial;

/* Zero-initialise; what a trial finds is left for the next. */
typedef struct source_finding {
    char text[256];    /* what was found, one line */
    char granted[256]; /* scopes, as the server names them; may be empty */
    bool has_date, has_newest, has_oldest;
    bool is_busy; /* it failed for the server fails or throttles, whatever the settings */
    instant date; /* the server's clock */
    instant newest, oldest;
    int64_t total; /* -1: it says none */
} source_finding;

/* What to do where TRIAL_PAGE fails. */
const char *source_page_advice(const source *s);

/* Errors as source_get. */
status source_try(source *s, source_trial what, source_finding *out, err *e) MUST_USE;

#endif
