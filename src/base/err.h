/* err.h - what a fallible function returns, and where it leaves its one line.
 *
 * The values of `status` are the exit statuses of the program.  The deepest
 * layer that knows the facts calls err_set(); everybody above passes the
 * struct up untouched. */
#ifndef TAMIS_BASE_ERR_H
#define TAMIS_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

typedef enum {
    ST_OK = 0,
    ST_FAILED = 1,     /* what was there before is as it was */
    ST_USAGE = 2,      /* usage or configuration */
    ST_INCOMPLETE = 3, /* what arrived is kept; run again to go on */
    ST_DENIED = 4,     /* not authorised */
    ST_VIOLATION = 5,  /* verify found a violation */
    ST_BUSY = 6        /* another run holds this store */
} status;

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum { ERR_CAP = 1024 };

/* Owned by the caller; zero-initialise.  `msg` is one line without newline. */
typedef struct err {
    status code;
    char msg[ERR_CAP];
} err;

/* Writes the message (replacing an older one; control characters and ill-formed UTF-8 become '?')
 * and returns `code`, so that a failing function can end with it. */
status err_set(err *e, status code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* "out of memory while WHAT", ST_FAILED. */
status err_nomem(err *e, const char *what);

/* Whether that is what it says: no fault of what was being read. */
bool err_is_nomem(const err *e);

/* FMT, then ": " and strerror(errnum); ST_FAILED. */
status err_sys(err *e, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
