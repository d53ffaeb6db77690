/* auth.h - access tokens: got, kept, renewed in time (OAuth 2.0 client credentials, RFC 6749
 * 4.4, with the credentials in the form). */
#ifndef TAMIS_SOURCE_AUTH_H
#define TAMIS_SOURCE_AUTH_H

#include "source/http.h"
#include "source/source.h"

typedef struct auth {
    const source_options *o;
    http *http;
    buf token;         /* NUL-terminated; empty: there is none */
    double renew_at;   /* on the monotonic clock */
    char granted[256]; /* the scopes that the server named with it, maybe none */
} auth;

void auth_init(auth *a, const source_options *o, http *h);
void auth_release(auth *a); /* the token is wiped */

/* A token that is still good, asked for if there is none; valid until the next call.  Of a
 * failure, reply->again says whether another try may help, and reply what it asks for.
 * ST_DENIED: the client is not let in. */
status auth_token(auth *a, http_reply *reply, const char **token, err *e) MUST_USE;

/* The token was turned down: the next call asks for another. */
void auth_forget(auth *a);

/* When to renew a token that lives for so many seconds: 60 s before its end, but not
 * before half its life; nonsense (not positive, not finite) counts as 300 s. */
double auth_renew_after(double lifetime);

#endif
