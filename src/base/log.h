/* log.h - how the library talks: through a function that its user gives.
 *
 * Ids, counts, addresses only; never a text of a conversation, never a secret.
 * The functions may be called from the thread that called the library only. */
#ifndef TAMIS_BASE_LOG_H
#define TAMIS_BASE_LOG_H

#include <stdint.h>

#include "base/err.h"

typedef enum { LOG_WARNING, LOG_INFO, LOG_DEBUG } log_level;

typedef struct logger {
    void (*say)(void *ctx, log_level level, const char *line);
    /* done of total (0: unknown) units of `what`; finished: the last call. */
    void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t total, int finished);
    void *ctx;
} logger;

/* A NULL logger, or NULL functions, keep silent. */
void log_say(const logger *l, log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);
void log_progress(const logger *l, const char *what, uint64_t done, uint64_t total);
void log_progress_end(const logger *l, const char *what, uint64_t done);

#endif
