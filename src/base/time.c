/* time.c - ISO 8601 to instants and back, without the C library's time zones.
 *
 * Days are counted by Howard Hinnant's civil calendar algorithms
 * (days_from_civil, civil_from_days), proleptic Gregorian. */
#include "base/time.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DAY = 86400, NS = 1000000000 };

int instant_cmp(instant a, instant b)
{
    if (a.s != b.s) return a.s < b.s ? -1 : 1;
    return (a.ns > b.ns) - (a.ns < b.ns);
}

instant instant_add(instant t, double seconds)
{
    double whole = floor(seconds);
    if (whole >= 9e18) return INSTANT_MAX;
    if (whole <= -9e18) return INSTANT_MIN;
    int64_t ns = t.ns + (int64_t)llround((seconds - whole) * NS);
    int64_t carry = ns / NS, s;
    if (__builtin_add_overflow(t.s, (int64_t)whole + carry, &s))
        return whole < 0 ? INSTANT_MIN : INSTANT_MAX;
    return (instant){s, (int32_t)(ns % NS)};
}

static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *m = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

/* Exactly n digits at s[*at]; false if they are not there. */
static bool digits(str s, size_t *at, unsigned n, unsigned *out)
{
    *out = 0;
    for (unsigned i = 0; i < n; i++, (*at)++) {
        if (*at >= s.n || !isdigit((unsigned char)s.p[*at])) return false;
        *out = *out * 10 + (unsigned)(s.p[*at] - '0');
    }
    return true;
}

static bool take(str s, size_t *at, const char *any)
{
    if (*at >= s.n || s.p[*at] == 0 || !strchr(any, s.p[*at])) return false;
    (*at)++;
    return true;
}

static bool fraction(str s, size_t *at, int32_t *ns)
{
    int32_t unit = NS / 10;
    size_t start = *at;
    for (*ns = 0; *at < s.n && isdigit((unsigned char)s.p[*at]); (*at)++, unit /= 10) {
        if (*at - start == 9) return false;
        *ns += (s.p[*at] - '0') * unit;
    }
    return true;
}

static bool offset(str s, size_t *at, int64_t *seconds)
{
    *seconds = 0;
    if (*at == s.n || take(s, at, "Zz")) return true;
    bool west = s.p[*at] == '-';
    unsigned h, m = 0;
    if (!take(s, at, "+-") || !digits(s, at, 2, &h)) return false;
    if (*at < s.n) {
        take(s, at, ":");
        if (!digits(s, at, 2, &m)) return false;
    }
    if (h > 23 || m > 59) return false;
    *seconds = (west ? -1 : 1) * (int64_t)(h * 3600 + m * 60);
    return true;
}

static bool time_of_day(str s, size_t *at, int64_t *seconds, int32_t *ns)
{
    unsigned h, m, sec = 0;
    if (!digits(s, at, 2, &h) || !take(s, at, ":") || !digits(s, at, 2, &m)) return false;
    if (take(s, at, ":")) {
        if (!digits(s, at, 2, &sec)) return false;
        if (take(s, at, ".,") && !fraction(s, at, ns)) return false;
    }
    if (h > 23 || m > 59 || sec > 60) return false;
    *seconds = (int64_t)(h * 3600 + m * 60 + sec);
    return true;
}

bool instant_parse(str s, instant *out)
{
    static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    size_t at = 0;
    unsigned y, m, d;
    int64_t tod = 0, off = 0;
    int32_t ns = 0;
    if (!digits(s, &at, 4, &y) || !take(s, &at, "-")) return false;
    if (!digits(s, &at, 2, &m) || !take(s, &at, "-") || !digits(s, &at, 2, &d)) return false;
    if (m < 1 || m > 12 || d < 1 || d > month_days[m - 1]) return false;
    if (m == 2 && d == 29 && (y % 4 || (y % 100 == 0 && y % 400))) return false;
    if (at < s.n) {
        if (!take(s, &at, "Tt ") || !time_of_day(s, &at, &tod, &ns)) return false;
        if (!offset(s, &at, &off)) return false;
    }
    *out = (instant){days_from_civil(y, m, d) * DAY + tod - off, ns};
    return at == s.n;
}

void instant_format(instant t, char out[INSTANT_TEXT])
{
    const int64_t first = days_from_civil(0, 1, 1) * DAY;
    const int64_t last = days_from_civil(10000, 1, 1) * DAY - 1;
    if (t.s < first) t = (instant){first, 0};
    if (t.s > last) t = (instant){last, NS - 1};
    int64_t day = t.s / DAY - (t.s % DAY < 0), y;
    unsigned m, d, tod = (unsigned)(t.s - day * DAY);
    civil_from_days(day, &y, &m, &d);
    snprintf(out, INSTANT_TEXT, "%04d-%02u-%02uT%02u:%02u:%02u.%03dZ", (int)y, m, d, tod / 3600,
             tod / 60 % 60, tod % 60, (int)(t.ns / 1000000));
}

bool duration_parse(str s, double *seconds)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", DAY}};
    size_t at = 0, n_digits = 0;
    double value = 0, unit = 1;
    for (; at < s.n && isdigit((unsigned char)s.p[at]); at++, n_digits++)
        value = value * 10 + (s.p[at] - '0');
    if (take(s, &at, "."))
        for (; at < s.n && isdigit((unsigned char)s.p[at]); at++, n_digits++) {
            unit /= 10;
            value += (s.p[at] - '0') * unit;
        }
    if (!n_digits || value > 1e12) return false;
    str name = {s.p + at, s.n - at};
    if (name.n == 0 && value == 0) return *seconds = 0, true;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (str_eq(name, str_from(units[i].name))) return *seconds = value * units[i].seconds, true;
    return false;
}

instant clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (instant){t.tv_sec, (int32_t)t.tv_nsec};
}

double clock_monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

bool clock_sleep(double seconds, const stop_flag *stop)
{
    double end = clock_monotonic() + seconds;
    for (;;) {
        if (stop && *stop) return false;
        double left = end - clock_monotonic();
        if (left <= 0) return true;
        if (left > 0.1) left = 0.1;
        struct timespec t = {0, (long)(left * NS)};
        nanosleep(&t, NULL);
    }
}
