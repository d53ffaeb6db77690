/* talk.c - tries, waits and tokens of a request.
 *
 * As many tries as the options allow, waits in between as the server asks.  An answer of HTTP 200
 * that is not what was asked for (a sign-in page, JSON cut short) counts as a failed try.
 *
 * A request that is sent ahead is the bare exchange and no more: what its answer means, other
 * tries, waits, tokens and the words to the logger are the caller's, when it asks. */
#include "source/talk.h"

#include <stdio.h>

/* --- ahead ---------------------------------------------------------------------------------- */

static void ahead_init(talk_ahead *a)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->over, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void ahead_release(talk_ahead *a)
{
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->over);
    buf_release(&a->url);
}

static void *exchange(void *arg)
{
    talk_ahead *a = arg;
    a->st = http_exchange(a->http, &a->request, a->reply, &a->e);
    pthread_mutex_lock(&a->lock);
    a->is_over = true;
    pthread_cond_signal(&a->over);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void ahead_join(talk_ahead *a)
{
    pthread_join(a->thread, NULL);
    http_cancel(a->http, false);
    a->begun = false;
}

/* Waits for its end; the thread does not look whether to stop, so this does. */
static void ahead_wait(talk_ahead *a, const stop_flag *stop)
{
    pthread_mutex_lock(&a->lock);
    while (!a->is_over) {
        struct timespec until;
        if (stop && *stop) http_cancel(a->http, true);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 100000000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&a->over, &a->lock, &until);
    }
    pthread_mutex_unlock(&a->lock);
    ahead_join(a);
}

void talk_begin(talk *t, const talk_request *q)
{
    talk_ahead *a = &t->ahead;
    bool waits = t->last_answer + t->o.page_delay > clock_monotonic();
    bool is_stopped = t->o.stop && *t->o.stop;
    if (a->begun || waits || is_stopped || !auth_is_at_hand(&t->auth)) return;
    buf_clear(&a->url);
    buf_z(&a->url, q->url);
    const char *url = buf_cstr(&a->url);
    if (!url) return;
    a->http = t->http;
    a->reply = &t->reply;
    a->request = (http_request){.url = url, .key = q->key, .limit = q->limit};
    if (auth_identify(&t->auth, &t->reply, &a->request.who, &a->e)) return;
    a->is_over = false;
    a->begun = !pthread_create(&a->thread, NULL, exchange, a);
}

void talk_drop(talk *t)
{
    if (!t->ahead.begun) return;
    http_cancel(t->http, true);
    ahead_join(&t->ahead);
}

/* Waits for what was sent ahead, if it was this; *is_it: it was. */
static status take_ahead(talk *t, const talk_request *q, bool *is_it, err *e)
{
    talk_ahead *a = &t->ahead;
    *is_it = a->begun && !strcmp(a->request.url, q->url);
    if (!*is_it) talk_drop(t);
    if (!*is_it) return ST_OK;
    ahead_wait(a, t->o.stop);
    http_report(t->http, &a->request, &t->reply);
    if (a->st) *e = a->e;
    return a->st;
}

/* --- life ----------------------------------------------------------------------------------- */

status talk_init(talk *t, const source_options *o, err *e)
{
    *t = (talk){.o = *o,
                .retry = {.max_attempts = o->max_attempts,
                          .max_wait = o->max_wait,
                          .random = retry_random,
                          .budget = o->wait_budget}};
    ahead_init(&t->ahead);
    http_options h = {o->ca_file, o->timeout, o->stop, o->log};
    auth_init(&t->auth, &t->o, NULL);
    if (o->max_attempts < 1) return err_set(e, ST_USAGE, "source.max_attempts must be at least 1");
    if (!(o->timeout > 0)) return err_set(e, ST_USAGE, "source.timeout must be above 0");
    status st = http_new(&h, &t->http, e);
    if (st == ST_OK) auth_init(&t->auth, &t->o, t->http);
    return st;
}

void talk_release(talk *t)
{
    talk_drop(t);
    ahead_release(&t->ahead);
    auth_release(&t->auth);
    http_free(t->http);
    http_wipe(&t->reply.body);
    buf_release(&t->reply.body);
}

source_stats talk_statistics(const talk *t)
{
    source_stats stats = t->stats;
    stats.requests = http_count(t->http);
    return stats;
}

/* --- tries ----------------------------------------------------------------------------------- */

static status send_with_token(talk *t, const talk_request *q, err *e)
{
    http_request r = {.url = q->url, .key = q->key, .limit = q->limit};
    t->reply.again = false;
    status st = auth_identify(&t->auth, &t->reply, &r.who, e);
    return st ? st : http_send(t->http, &r, &t->reply, e);
}

/* One try: a token, if need be a new one, and the request. */
static status try_once(talk *t, const talk_request *q, err *e)
{
    for (bool renewed = false;; renewed = true) {
        bool is_there;
        status st = take_ahead(t, q, &is_there, e);
        if (!is_there) st = send_with_token(t, q, e);
        if (st) return st;
        if (t->reply.status >= 200 && t->reply.status < 300) return q->take(q->ctx, &t->reply, e);
        const char *secrets[AUTH_SECRETS];
        auth_secrets(&t->auth, secrets);
        if (t->reply.status != 401 || renewed || t->o.auth == AUTH_API_KEY)
            return q->explain(q->ctx, &t->reply, secrets, e);
        auth_forget(&t->auth);
        log_say(t->o.log, LOG_INFO, "the token is turned down (HTTP 401): asking for another");
    }
}

static status wait_for(talk *t, double seconds, err *e)
{
    if (clock_sleep(seconds, t->o.stop)) return ST_OK;
    return err_set(e, ST_INCOMPLETE, "interrupted; what arrived is kept, run again to go on");
}

static status back_off(talk *t, int tries, err *e)
{
    instant now;
    double seconds, began = clock_monotonic();
    char last[ERR_CAP];
    snprintf(last, sizeof last, "%s", e->msg);
    if (!http_date_parse(str_from(t->reply.date), &now)) now = clock_now();
    status st = retry_next(&t->retry, tries, str_from(t->reply.retry_after), now, &seconds, e);
    if (st) return st;
    log_say(t->o.log, LOG_INFO, "%s; waiting %.1f s (try %d of %d)", last, seconds, tries,
            t->o.max_attempts);
    st = wait_for(t, seconds, e);
    t->stats.seconds_waited += clock_monotonic() - began;
    t->retry.spent = t->stats.seconds_waited;
    if (st == ST_OK) t->stats.retries++;
    return st;
}

status talk_get(talk *t, const talk_request *q, err *e)
{
    double delay = t->last_answer + t->o.page_delay - clock_monotonic();
    status st = ST_OK;
    t->tried_all = false;
    if (t->last_answer > 0 && delay > 0) st = wait_for(t, delay, e);
    for (int tries = 1; st == ST_OK; tries++) {
        st = try_once(t, q, e);
        t->tried_all = !t->reply.again || tries == t->o.max_attempts;
        if (st == ST_OK || !t->reply.again) break;
        st = back_off(t, tries, e);
    }
    t->last_answer = clock_monotonic();
    return st;
}
