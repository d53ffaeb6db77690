/* grant.h - how each kind of auth asks for a token, and what is meant if it gets none. */
#ifndef TAMIS_SOURCE_GRANT_H
#define TAMIS_SOURCE_GRANT_H

#include "source/auth.h"

/* Where tokens are issued: source.token_url, or what the issuer's metadata say (asked once).
 * Errors as auth_identify. */
status grant_endpoint(auth *a, http_reply *reply, const char **out, err *e) MUST_USE;

/* Makes the request for a token at `url`.  `body` is filled with what is posted: wipe it. */
status grant_request(const source_options *o, const char *url, buf *body, str *view,
                     http_request *out, err *e) MUST_USE;

/* Says what an answer without a token means, and sets reply->again. */
status grant_refused(const auth *a, const char *url, http_reply *reply, err *e);

#endif
