/* join_incremental.c - new rows into old ones: what the second deduplication costs.
 *
 * usage: join_incremental VECTORS ROWS NEW THREADS
 *
 * VECTORS holds unit vectors of 384 float32.  The first ROWS are a list, newest first, of which the
 * first NEW were not there when the others were deduplicated at 0.85.  Deduplicates all from
 * nothing and again from what the earlier run knew, demands that both say the same, and
 * prints seconds, processor seconds and counts as one JSON object. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "dedup/greedy.h"
#include "dedup/prior.h"

enum { DIM = 384 };

typedef unsigned long long ull;

static int fail(const char *what)
{
    fprintf(stderr, "join_incremental: %s\n", what);
    return 1;
}

typedef struct cost {
    double seconds, cpu;
    greedy_counts counts;
} cost;

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static status run(greedy_input in, greedy_options o, verdict *out, cost *c, err *e)
{
    const double start = clock_monotonic(), cpu = cpu_now();
    o.counts = &c->counts;
    status st = greedy_run(&in, &o, out, e);
    c->seconds = clock_monotonic() - start;
    c->cpu = cpu_now() - cpu;
    return st;
}

/* rows: three lists of verdicts, for the earlier run, for both others. */
static status compare(greedy_input in, const greedy_options *o, size_t n_new, verdict *rows[3],
                      err *e)
{
    const size_t n = in.n_rows;
    cost earlier_cost = {0}, batch = {0}, again = {0};
    uint32_t *old_row = malloc(n * sizeof *old_row);
    verdict *seconds = calloc(n + 1, sizeof *seconds), *known = calloc(n + 1, sizeof *known);
    status st = old_row && seconds && known ? ST_OK : err_nomem(e, "comparing");
    greedy_options first = *o;
    first.second = seconds;
    greedy_input earlier = in;
    earlier.unit += n_new;
    earlier.n_rows -= n_new;
    if (st == ST_OK) st = run(earlier, first, rows[0], &earlier_cost, e);
    if (st == ST_OK) st = run(in, *o, rows[1], &batch, e);
    for (size_t i = 0; st == ST_OK && i < n; i++)
        old_row[i] = i < n_new ? NO_ROW : (uint32_t)(i - n_new);
    if (st == ST_OK)
        st = prior_translate((known_rows){rows[0], seconds}, n - n_new, old_row, n,
                             (known_rows){rows[2], known}, e);
    free(old_row);
    in.prior = rows[2];
    in.prior_second = known;
    if (st == ST_OK) st = run(in, first, rows[0], &again, e);
    free(seconds);
    free(known);
    size_t kept = 0;
    for (size_t i = 0; st == ST_OK && i < n; i++) {
        if (rows[0][i].kept_row != rows[1][i].kept_row || rows[0][i].score != rows[1][i].score)
            st = err_set(e, ST_FAILED, "row %zu has another verdict", i + 1);
        kept += rows[1][i].kept_row == NO_ROW;
    }
    if (st == ST_OK)
        printf("{\"rows\": %zu, \"new\": %zu, \"kept\": %zu, \"earlier_cpu\": %.4f, "
               "\"batch\": %.4f, \"batch_cpu\": %.4f, \"again\": %.4f, \"again_cpu\": %.4f, "
               "\"met_all\": %llu, \"pairs\": %llu, \"pairs_again\": %llu}\n",
               n, n_new, kept, earlier_cost.cpu, batch.seconds, batch.cpu, again.seconds, again.cpu,
               (ull)again.counts.whole, (ull)batch.counts.pairs.scanned,
               (ull)again.counts.pairs.scanned);
    return st;
}

int main(int argc, char **argv)
{
    if (argc != 5) return fail("usage: join_incremental VECTORS ROWS NEW THREADS");
    const size_t n = strtoul(argv[2], NULL, 10), n_new = strtoul(argv[3], NULL, 10);
    err e = {0};
    isa set;
    pool *p = NULL;
    float *vectors = calloc(n + 1, DIM * sizeof *vectors);
    uint32_t *unit = calloc(n + 1, sizeof *unit);
    verdict *rows[3];
    for (int i = 0; i < 3; i++) rows[i] = calloc(n + 1, sizeof *rows[i]);
    FILE *f = fopen(argv[1], "rb");
    if (!vectors || !unit || !rows[0] || !rows[1] || !rows[2]) return fail("out of memory");
    if (!f || n_new > n || fread(vectors, DIM * sizeof *vectors, n, f) != n)
        return fail("cannot read so many vectors");
    fclose(f);
    for (size_t i = 0; i < n; i++) unit[i] = (uint32_t)i;
    status st = isa_choose(&set, &e);
    if (st == ST_OK) st = pool_new(atoi(argv[4]), &p, &e);
    greedy_input in = {.vectors.rows = vectors,
                       .n_vectors = n,
                       .dim = DIM,
                       .unit = unit,
                       .n_rows = n,
                       .threshold = 0.85};
    if (st == ST_OK) st = compare(in, &(greedy_options){.isa = set, .pool = p}, n_new, rows, &e);
    pool_free(p);
    for (int i = 0; i < 3; i++) free(rows[i]);
    free(vectors);
    free(unit);
    return st == ST_OK ? 0 : fail(e.msg);
}
