/* err.c - one-line error messages.
 *
 * Messages may quote what a server or a file said, so control characters are
 * replaced before anybody prints them. */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

status err_set(err *e, status code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    utf8_make_plain(e->msg);
    e->code = code;
    return code;
}

static const char NO_MEMORY[] = "out of memory while ";

status err_nomem(err *e, const char *what)
{
    return err_set(e, ST_FAILED, "%s%s", NO_MEMORY, what);
}

bool err_is_nomem(const err *e)
{
    return strncmp(e->msg, NO_MEMORY, sizeof NO_MEMORY - 1) == 0;
}

status err_sys(err *e, int errnum, const char *fmt, ...)
{
    char why[ERR_CAP / 2];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return err_set(e, ST_FAILED, "%s: %s", why, strerror(errnum));
}
