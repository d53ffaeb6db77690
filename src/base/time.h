/* time.h - instants, durations, clocks.
 *
 * An instant is UTC seconds since 1970 and nanoseconds, so that every year
 * from 0000 to 9999 with 0 to 9 fractional digits has an exact place. */
#ifndef TAMIS_BASE_TIME_H
#define TAMIS_BASE_TIME_H

#include <signal.h>
#include <stdint.h>

#include "base/str.h"

typedef struct instant {
    int64_t s;
    int32_t ns; /* 0 to 999,999,999, also before 1970 */
} instant;

#define INSTANT_MIN ((instant){INT64_MIN, 0})
#define INSTANT_MAX ((instant){INT64_MAX, 999999999})

/* Raised by a signal handler (or any thread) to ask a long job to end. */
typedef volatile sig_atomic_t stop_flag;

int instant_cmp(instant a, instant b); /* <0, 0, >0 */

/* t moved by `seconds` (fractions kept to the nanosecond), clamped to the range. */
instant instant_add(instant t, double seconds);

/* ISO 8601: YYYY-MM-DD[(T| )HH:MM[:SS[.0-9 digits]][Z|+HH:MM|+HHMM|+HH]].  Without
 * an offset: UTC.  Second 60 is the second after 59.  False: not such a text. */
bool instant_parse(str s, instant *out);

enum { INSTANT_TEXT = 56 };

/* "YYYY-MM-DDTHH:MM:SS.mmmZ", cut (not rounded) to milliseconds.  Years outside
 * 0000 to 9999 are clamped. */
void instant_format(instant t, char out[INSTANT_TEXT]);

/* "500ms", "0.5s", "30s", "5m", "2h", "7d", "0": seconds.  False: not a duration. */
bool duration_parse(str s, double *seconds);

instant clock_now(void);      /* the wall clock */
double clock_monotonic(void); /* seconds from some start, never backwards */

/* Sleeps, looking at *stop (may be NULL) ten times a second.  True: slept all;
 * false: stop was raised. */
bool clock_sleep(double seconds, const stop_flag *stop);

#endif
