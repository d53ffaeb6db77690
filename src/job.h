/* job.h - what every part of a curation is given. */
#ifndef TAMIS_JOB_H
#define TAMIS_JOB_H

#include "base/log.h"
#include "config.h"
#include "curate/redact.h"
#include "store/store.h"

typedef struct job {
    const config *config;
    const redactor *redactor; /* NULL: texts stay as they are */
    const char *model_dir;
    store *store;
    int n_threads;     /* 0: one for each processor */
    bool writes_empty; /* a file without rows replaces one that has some (forgotten ones) */
    bool reembed;      /* another model than the store's is welcome: embed all again */
    const logger *log;
    const stop_flag *stop;
} job;

#endif
