/* log.c - formats a line and hands it on; control characters never get out. */
#include "base/log.h"

#include <stdio.h>

#include "base/utf8.h"

void log_say(const logger *l, log_level level, const char *fmt, ...)
{
    if (!l || !l->say) return;
    char line[ERR_CAP];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    utf8_make_plain(line);
    l->say(l->ctx, level, line);
}

void log_progress(const logger *l, const char *what, uint64_t done, uint64_t total)
{
    if (l && l->progress) l->progress(l->ctx, what, done, total, 0);
}

void log_progress_end(const logger *l, const char *what, uint64_t done)
{
    if (l && l->progress) l->progress(l->ctx, what, done, done, 1);
}
