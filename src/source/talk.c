/* talk.c - tries, waits and tokens of a request.
 *
 * As many tries as the options allow, waits in between as the server asks.  An answer of HTTP 200
 * that is not what was asked for (a sign-in page, JSON cut short) counts as a failed try. */
#include "source/talk.h"

#include <stdio.h>

status talk_init(talk *t, const source_options *o, err *e)
{
    *t = (talk){.o = *o,
                .retry = {.max_attempts = o->max_attempts,
                          .max_wait = o->max_wait,
                          .random = retry_random,
                          .budget = o->wait_budget}};
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

/* One try: a token, if need be a new one, and the request. */
static status try_once(talk *t, const talk_request *q, bool *renewed, err *e)
{
    for (;;) {
        http_request r = {.url = q->url, .key = q->key, .limit = q->limit};
        t->reply.again = false;
        status st = auth_identify(&t->auth, &t->reply, &r.who, e);
        if (st) return st;
        st = http_send(t->http, &r, &t->reply, e);
        if (st) return st;
        if (t->reply.status >= 200 && t->reply.status < 300) return q->take(q->ctx, &t->reply, e);
        const char *secrets[AUTH_SECRETS];
        auth_secrets(&t->auth, secrets);
        if (t->reply.status != 401 || *renewed || t->o.auth == AUTH_API_KEY)
            return q->explain(q->ctx, &t->reply, secrets, e);
        *renewed = true;
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
    bool renewed = false;
    double delay = t->last_answer + t->o.page_delay - clock_monotonic();
    status st = ST_OK;
    if (t->last_answer > 0 && delay > 0) st = wait_for(t, delay, e);
    for (int tries = 1; st == ST_OK; tries++) {
        st = try_once(t, q, &renewed, e);
        if (st == ST_OK || !t->reply.again) break;
        st = back_off(t, tries, e);
    }
    t->last_answer = clock_monotonic();
    return st;
}
