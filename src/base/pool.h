/* pool.h - a fixed set of threads that share out numbered pieces of work. */
#ifndef TAMIS_BASE_POOL_H
#define TAMIS_BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

typedef struct pool pool;

enum { POOL_MAX = 256 };

/* How many threads: as many as are asked for (0: one for each online processor), up to `most`. */
int pool_threads(int asked, int most);

/* n_threads: 1 to POOL_MAX workers; 0: one for each online processor.  With one
 * worker no thread is made: the caller does the work. */
status pool_new(int n_threads, pool **out, err *e) MUST_USE;
void pool_free(pool *p);
int pool_size(const pool *p);

/* Calls work(ctx, item, worker) for every item in [0, n), each exactly once, in
 * any order, on workers 0 to pool_size - 1 (a worker runs one item at a time, so
 * per-worker scratch needs no lock), and returns when all are done.  Results must
 * not depend on which worker did what.  One caller at a time. */
void pool_run(pool *p, size_t n, void (*work)(void *ctx, size_t item, int worker), void *ctx);

#endif
