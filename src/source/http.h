/* http.h - HTTP requests, one after the other, over one connection kept alive.  The one door
 * to libcurl.
 *
 * Never follows a redirect, never falls back to an older TLS than 1.2, never skips a
 * verification, sends credentials only where the request says. */
#ifndef TAMIS_SOURCE_HTTP_H
#define TAMIS_SOURCE_HTTP_H

#include "base/buf.h"
#include "base/log.h"
#include "base/time.h"

typedef struct http http;

typedef struct http_options {
    const char *ca_file; /* may be empty: the system's authorities */
    double timeout;      /* to connect, and without a byte arriving, s */
    const stop_flag *stop;
    const logger *log;
} http_options;

/* The strings and *stop outlive it.  ST_USAGE: ca_file cannot be read. */
status http_new(const http_options *o, http **out, err *e) MUST_USE;
void http_free(http *h);

/* Whether requests can go there: https, or http to this machine; no user or password in it.
 * ST_USAGE names `key`. */
status http_check_url(const char *key, const char *url, err *e) MUST_USE;

/* Appends the host of an address (without the brackets of IPv6), and a NUL that is not counted.
 * ST_USAGE: it has none. */
status http_host(const char *url, buf *out, err *e) MUST_USE;

enum { HTTP_FIELD = 128 };

/* An answer.  Zero-initialise. */
typedef struct http_reply {
    long status;                                    /* 0: none came */
    buf body;                                       /* decoded */
    char retry_after[HTTP_FIELD], date[HTTP_FIELD]; /* header fields; empty if absent */
    bool again;                                     /* of a failure: another try may go well */
    double seconds;                                 /* that it took */
} http_reply;

/* Who asks; all NULL: nobody.  Texts that a header field can hold (http_is_plain). */
typedef struct http_identity {
    const char *bearer;          /* a token */
    const char *user, *password; /* both: Basic, as they are */
    const char *field, *value;   /* both: a header field of any name */
} http_identity;

/* Visible ASCII and at least one character: it cannot end the header field that it is put in. */
bool http_is_plain(str s);

typedef struct http_request {
    const char *url;
    const char *key; /* the setting that the address comes from, for messages */
    http_identity who;
    const str *form; /* POST this, form-encoded ... */
    const str *json; /* ... or this; both NULL: GET */
    size_t limit;    /* of the decoded body */
} http_request;

/* Sends a request and takes the whole answer.  ST_OK: there is one, of any status but 3xx.
 * ST_INCOMPLETE: none (again is set), or interrupted.  ST_FAILED: a redirect, a bad certificate,
 * an answer over the limit. */
status http_send(http *h, const http_request *q, http_reply *out, err *e) MUST_USE;

/* http_send in two, for a request that another thread makes: the exchange, which neither tells the
 * logger nor looks at *stop, and the word to the logger.  While it goes on, nothing else of `h` but
 * http_cancel may be called. */
status http_exchange(http *h, const http_request *q, http_reply *out, err *e) MUST_USE;
void http_report(const http *h, const http_request *q, const http_reply *out);
/* An exchange that goes on ends within about a second, as if interrupted; `false`: later ones go on
 * as ever. */
void http_cancel(http *h, bool cancel);

/* The address without query, as messages show it. */
str http_where(const char *url);

/* Requests sent so far. */
uint64_t http_count(const http *h);

/* Appends `s` percent-encoded: all but the unreserved characters of RFC 3986. */
void http_encode(buf *out, str s);

/* Takes the secret out of memory: overwrites what the buffer holds, and empties it. */
void http_wipe(buf *b);

#endif
