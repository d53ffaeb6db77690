/* auth.h - who asks: access tokens got, kept and renewed in time, or a key that needs none. */
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
    buf endpoint;      /* found through the issuer; empty: not yet, or not needed */
} auth;

/* What the options lack for their kind of auth.  ST_USAGE. */
status auth_check(const source_options *o, err *e) MUST_USE;

void auth_init(auth *a, const source_options *o, http *h);
void auth_release(auth *a); /* the token is wiped */

/* Who asks, with a token that is still good where one is needed, asked for if there is none;
 * valid until the next call.  Of a failure, reply->again says whether another try may help, and
 * reply what it asks for.  ST_DENIED: the client is not let in. */
status auth_identify(auth *a, http_reply *reply, http_identity *out, err *e) MUST_USE;

/* Whether auth_identify would ask for nothing. */
bool auth_is_at_hand(const auth *a);

/* The token was turned down: the next call asks for another. */
void auth_forget(auth *a);

/* All that must not be shown, up to a NULL. */
enum { AUTH_SECRETS = 4 };
void auth_secrets(const auth *a, const char *out[AUTH_SECRETS]);

/* When to renew a token that lives for so many seconds: 60 s before its end, but not
 * before half its life; nonsense (not positive, not finite) counts as 300 s. */
double auth_renew_after(double lifetime);

#endif
