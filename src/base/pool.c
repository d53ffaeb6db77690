/* pool.c - the caller is worker 0, the others wait on a condition variable.
 *
 * A run is published under the lock with a new generation number; items are
 * handed out by one atomic counter.  The run ends when every worker that woke
 * for this generation has gone back to wait. */
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    uint64_t generation;
    int n_busy;
    int size; /* workers, the caller included */
    bool quit;
    void (*work)(void *ctx, size_t item, int worker);
    void *ctx;
    size_t n;
    atomic_size_t next;
    struct worker {
        pool *pool;
        pthread_t thread;
        int number;
    } workers[];
};

static void take_items(pool *p, int worker)
{
    size_t i;
    while ((i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->n)
        p->work(p->ctx, i, worker);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    pool *p = w->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->quit && p->generation == seen) pthread_cond_wait(&p->begin, &p->lock);
        if (p->quit) break;
        seen = p->generation;
        pthread_mutex_unlock(&p->lock);
        take_items(p, w->number);
        pthread_mutex_lock(&p->lock);
        if (--p->n_busy == 0) pthread_cond_signal(&p->end);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int pool_threads(int asked, int most)
{
    const long n = asked > 0 ? asked : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > most ? most : (int)n;
}

status pool_new(int n_threads, pool **out, err *e)
{
    *out = NULL;
    n_threads = pool_threads(n_threads, POOL_MAX);
    pool *p = calloc(1, sizeof *p + (size_t)n_threads * sizeof p->workers[0]);
    if (!p) return err_nomem(e, "starting threads");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->begin, NULL);
    pthread_cond_init(&p->end, NULL);
    p->size = 1;
    while (p->size < n_threads) {
        struct worker *w = &p->workers[p->size];
        *w = (struct worker){.pool = p, .number = p->size};
        int rc = pthread_create(&w->thread, NULL, worker_main, w);
        if (rc) {
            status st = err_sys(e, rc, "cannot start thread %d of %d", p->size + 1, n_threads);
            pool_free(p);
            return st;
        }
        p->size++;
    }
    *out = p;
    return ST_OK;
}

void pool_free(pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i < p->size; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->begin);
    pthread_cond_destroy(&p->end);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

int pool_size(const pool *p)
{
    return p->size;
}

void pool_run(pool *p, size_t n, void (*work)(void *ctx, size_t item, int worker), void *ctx)
{
    p->work = work;
    p->ctx = ctx;
    p->n = n;
    atomic_store(&p->next, 0);
    if (p->size == 1 || n < 2) {
        take_items(p, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->n_busy = p->size - 1;
    p->generation++;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    take_items(p, 0);
    pthread_mutex_lock(&p->lock);
    while (p->n_busy > 0) pthread_cond_wait(&p->end, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
