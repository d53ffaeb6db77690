/* talk.h - one request to an API, with all the tries that it takes: a token, waits, another try.
 *
 * What every adapter does alike.  A token that is turned down (401) is renewed once a request and
 * does not count as a try. */
#ifndef TAMIS_SOURCE_TALK_H
#define TAMIS_SOURCE_TALK_H

#include <pthread.h>

#include "source/auth.h"
#include "source/http.h"
#include "source/retry.h"
#include "source/source.h"

/* A request that another thread makes. */
typedef struct talk_ahead {
    bool begun; /* and not waited for */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over; /* under the lock */
    http *http;
    http_reply *reply;
    buf url;
    http_request request;
    status st;
    err e;
} talk_ahead;

typedef struct talk {
    source_options o;
    http *http;
    auth auth;
    http_reply reply;
    retry_policy retry;
    source_stats stats;
    double last_answer; /* monotonic; 0: none yet */
    bool tried_all;     /* a failure of talk_get: no other try was left, or would have helped */
    talk_ahead ahead;
} talk;

/* Copies the options, whose strings outlive it.  ST_USAGE: they cannot work.  Release in any
 * case. */
status talk_init(talk *t, const source_options *o, err *e) MUST_USE;
void talk_release(talk *t);
source_stats talk_statistics(const talk *t);

typedef struct talk_request {
    const char *url;
    const char *key; /* the setting that the address comes from, for messages */
    size_t limit;    /* of the decoded body */
    /* Takes the body of a 2xx answer out of the reply.  Not ST_OK with reply->again set: it is
     * not what was asked for, another try may go well. */
    status (*take)(void *ctx, http_reply *reply, err *e);
    /* Says what an answer that is no 2xx means (never ST_OK), and sets reply->again. `secrets`
     * (up to a NULL) are not to be shown. */
    status (*explain)(void *ctx, http_reply *reply, const char *const *secrets, err *e);
    void *ctx;
} talk_request;

/* Gets an answer, source.page_delay after the last one.  ST_INCOMPLETE: not within the tries, or
 * stopped; else what take or explain said. */
status talk_get(talk *t, const talk_request *q, err *e) MUST_USE;

/* Sends what talk_get will be asked for next, while the caller does something else: its first try
 * is then that answer.  Nothing is sent where talk_get would wait first or need a token.  Until
 * talk_get or talk_drop, nothing else may be done with `t`. */
void talk_begin(talk *t, const talk_request *q);
/* Does without the answer; no-op if none is under way. */
void talk_drop(talk *t);

#endif
