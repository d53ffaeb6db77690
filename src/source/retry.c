/* retry.c - what the server asks for, else full jitter.
 *
 * Full jitter: a wait drawn evenly from [0, min(cap, base * 2^n)] after n + 1 failures, so that
 * clients that were turned away together do not come back together (AWS Architecture Blog,
 * "Exponential Backoff And Jitter").  A wait that a server asks for is taken as it is, but not
 * above max_wait: a run that would sleep for hours ends instead and can be started again.  So it
 * does when all its waits together would go above the budget: a server that throttles every
 * request by a little is no better than one that throttles one by much. */
#include "source/retry.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/number.h"

static const double BACKOFF_BASE = 0.5, BACKOFF_CAP = 30.0;

double retry_random(void *ctx)
{
    uint64_t r;
    (void)ctx;
    if (getrandom(&r, sizeof r, 0) != sizeof r) return 0.5;
    return (double)(r >> 11) * 0x1p-53;
}

bool retry_status(long code)
{
    return code == 408 || code == 429 || (code >= 500 && code <= 599 && code != 501);
}

static int month_of(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int m = 0; m < 12; m++)
        if (!memcmp(names + 3 * m, name, 3)) return m + 1;
    return 0;
}

/* A two-digit year more than 50 years ahead is one of the past (RFC 9110); dates that matter
 * here are near, so the century is fixed. */
static int full_year(int two_digits)
{
    return two_digits < 70 ? 2000 + two_digits : 1900 + two_digits;
}

bool http_date_parse(str s, instant *out)
{
    char text[64], name[4] = "", iso[64];
    int day, year, h, m, sec, end = 0;
    if (s.n >= sizeof text || memchr(s.p ? s.p : "", 0, s.n)) return false;
    memcpy(text, s.p ? s.p : "", s.n);
    text[s.n] = 0;
    const char *comma = strchr(text, ',');
    if (comma) {
        const char *rest = comma + 1;
        if (sscanf(rest, " %2d %3s %4d %2d:%2d:%2d GMT%n", &day, name, &year, &h, &m, &sec, &end) ==
                6 &&
            end && !rest[end]) {
            /* Sun, 06 Nov 1994 08:49:37 GMT */
        } else if (end = 0, sscanf(rest, " %2d-%3s-%2d %2d:%2d:%2d GMT%n", &day, name, &year, &h,
                                   &m, &sec, &end) == 6 &&
                                end && !rest[end]) {
            year = full_year(year); /* Sunday, 06-Nov-94 08:49:37 GMT */
        } else {
            return false;
        }
    } else if (sscanf(text, "%*3s %3s %2d %2d:%2d:%2d %4d%n", name, &day, &h, &m, &sec, &year,
                      &end) != 6 ||
               text[end]) { /* Sun Nov  6 08:49:37 1994 */
        return false;
    }
    if (strlen(name) != 3 || !month_of(name) || (day | h | m | sec | year) < 0) return false;
    snprintf(iso, sizeof iso, "%04d-%02d-%02dT%02d:%02d:%02dZ", year, month_of(name), day, h, m,
             sec);
    return instant_parse(str_from(iso), out);
}

bool retry_after_parse(str field, instant now, double *seconds)
{
    while (field.n && (*field.p == ' ' || *field.p == '\t')) field.p++, field.n--;
    while (field.n && isspace((unsigned char)field.p[field.n - 1])) field.n--;
    if (!field.n) return false;
    size_t digits = 0, points = 0;
    for (size_t i = 0; i < field.n; i++) {
        digits += isdigit((unsigned char)field.p[i]) != 0;
        points += field.p[i] == '.';
    }
    if (digits && digits + points == field.n && points <= 1) {
        double v = 0;
        bool fraction = false;
        for (size_t i = 0; i < field.n && field.p[i] != '.'; i++) v = v * 10 + (field.p[i] - '0');
        const char *point = memchr(field.p, '.', field.n);
        for (const char *p = point; p && p < field.p + field.n; p++)
            fraction = fraction || (*p >= '1' && *p <= '9');
        *seconds = v + fraction;
        return true;
    }
    instant at;
    if (!http_date_parse(field, &at)) return false;
    *seconds = instant_cmp(at, now) > 0 ? (double)(at.s - now.s) : 0;
    return true;
}

/* A wait that is to be: ST_OK unless it is longer than what is left of the budget. */
static status within_budget(const retry_policy *p, double wait, const char *last, err *e)
{
    if (p->budget <= 0 || p->spent + wait <= p->budget) return ST_OK;
    return err_set(e, ST_INCOMPLETE,
                   "%.700s; this run has waited %.0f s, and %.0f s more would be above "
                   "source.wait_budget (%g s); what arrived is kept, run again later to go on",
                   last, p->spent, wait, p->budget);
}

status retry_next(const retry_policy *p, int tries, str retry_after, instant now, double *wait,
                  err *e)
{
    char last[ERR_CAP];
    snprintf(last, sizeof last, "%s", e->msg);
    if (tries >= p->max_attempts)
        return err_set(
            e, ST_INCOMPLETE,
            "%.700s; given up after %d %s (source.max_attempts); what arrived is kept, run "
            "again to go on",
            last, tries, tries == 1 ? "try" : "tries");
    if (retry_after_parse(retry_after, now, wait)) {
        if (*wait <= p->max_wait) return within_budget(p, *wait, last, e);
        char asked[32] = "for years";
        if (*wait < 1e8) snprintf(asked, sizeof asked, "%.0f s", *wait);
        return err_set(e, ST_INCOMPLETE,
                       "%.700s; the server asks to wait %s, more than source.max_wait (%g s); "
                       "what arrived is kept, run again later to go on",
                       last, asked, p->max_wait);
    }
    double most = ldexp(BACKOFF_BASE, tries < 20 ? tries - 1 : 20);
    if (most > BACKOFF_CAP) most = BACKOFF_CAP;
    *wait = p->random(p->ctx) * most;
    return within_budget(p, *wait, last, e);
}
