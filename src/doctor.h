/* doctor.h - is everything there that a run needs, and what to do where it is not. */
#ifndef TAMIS_DOCTOR_H
#define TAMIS_DOCTOR_H

#include "config.h"
#include "base/log.h"
#include "base/time.h"

typedef enum { CHECK_OK, CHECK_WARNING, CHECK_FAILED, CHECK_SKIPPED } check_state;

typedef struct check {
    const char *name;
    check_state state;
    status code;       /* of a failure: what a run would end with */
    char detail[1024]; /* what was found, or what is wrong */
    char fix[512];     /* what to do; empty if nothing */
} check;

enum { DOCTOR_CHECKS = 24 }; /* room for */

/* Zero-initialise. */
typedef struct diagnosis {
    check checks[DOCTOR_CHECKS];
    size_t n;
} diagnosis;

typedef struct doctor_job {
    const config *config;
    const char *configuration; /* what is wrong with it; NULL: it could be read */
    const logger *log;
    const stop_flag *stop;
} doctor_job;

/* Makes every check that does not depend on one that failed. */
void doctor_examine(const doctor_job *j, diagnosis *out);

/* ST_OK: nothing failed; else the status of the most telling failure: ST_USAGE, ST_DENIED, or
 * ST_FAILED. */
status diagnosis_status(const diagnosis *d);

void diagnosis_write(const diagnosis *d, bool json, buf *out);

/* Adds a check.  `fix` may be NULL. */
check *diagnosis_add(diagnosis *d, const char *name, check_state state, const char *fix,
                     const char *fmt, ...) PRINTF_LIKE(5, 6);
/* Adds a failure that *e tells of. */
check *diagnosis_fail(diagnosis *d, const char *name, const err *e, const char *fix);

/* doctor_api.c: what a sync needs.  Adds its checks, or says why they are skipped. */
void doctor_examine_api(const doctor_job *j, diagnosis *out);

#endif
