/* retry.h - whether to try a request again, and when.  Pure: no clock, no I/O. */
#ifndef TAMIS_SOURCE_RETRY_H
#define TAMIS_SOURCE_RETRY_H

#include "base/err.h"
#include "base/time.h"

typedef struct retry_policy {
    int max_attempts;            /* tries of one request altogether */
    double max_wait;             /* longest wait that a server can ask for, s */
    double (*random)(void *ctx); /* uniform in [0, 1) */
    void *ctx;
    double budget; /* most seconds of waiting in a run; 0: no limit */
    double spent;  /* of them, so far */
} retry_policy;

/* The system's randomness, as retry_policy.random; ctx unused. */
double retry_random(void *ctx);

/* Whether an answer of this HTTP status may be another one next time. */
bool retry_status(long code);

/* An HTTP date in any of the three forms of RFC 9110 5.6.7, whole seconds. */
bool http_date_parse(str s, instant *out);

/* The seconds that a Retry-After field asks for (RFC 9110 10.2.3): seconds, a fraction
 * rounded up, or an HTTP date relative to `now` (past: 0).  May be infinite.  False: empty or
 * nonsense. */
bool retry_after_parse(str field, instant now, double *seconds);

/* After `tries` (>= 1) failed tries, the last of which is what *e says: ST_OK and how long to
 * wait before the next, or ST_INCOMPLETE (the message of *e goes on with why no further try is
 * made: tries, longest wait or budget are used up).  retry_after: the field of the last answer,
 * may be empty. */
status retry_next(const retry_policy *p, int tries, str retry_after, instant now, double *wait,
                  err *e) MUST_USE;

#endif
