/* refusal.h - what an answer other than 2xx means, and whether to try again. */
#ifndef TAMIS_SOURCE_REFUSAL_H
#define TAMIS_SOURCE_REFUSAL_H

#include "source/http.h"
#include "source/source.h"

/* What to do, by API. */
typedef struct refusal_advice {
    const char *denied;  /* 403: which role or scope the client lacks */
    const char *missing; /* 404: which setting to check */
} refusal_advice;

/* Sets reply->again and says what is wrong (never ST_OK): ST_INCOMPLETE where another try may
 * help, ST_DENIED for 401 and 403, else ST_FAILED.  `secrets` (up to a NULL) are not shown. */
status refusal_explain(const source_options *o, const char *url, http_reply *reply,
                       const char *const *secrets, const refusal_advice *advice, err *e);

#endif
