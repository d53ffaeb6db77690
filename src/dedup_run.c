/* dedup_run.c - the deduplication alone, a pipeline of its own: rows in, distinct rows out.
 *
 *   dedup_rows (read and embed)  ->  greedy  ->  kept rows, and the list of those removed
 *
 * Nothing is written before everything is decided.  A regular file is then read a second time;
 * what can be read only once is kept in memory meanwhile. */
#include "dedup_run.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/lines.h"
#include "base/number.h"
#include "dedup/greedy.h"
#include "dedup_rows.h"
#include "export/export.h"
#include "summary.h"

enum { CHUNK = 1 << 16 };

typedef unsigned long long ull;

typedef struct running {
    const dedup_job *job;
    dedup_rows rows;
    verdict *verdicts; /* [rows.n] */
    struct stat was;   /* the input, before it was read */
    buf out;
} running;

static bool is_kept(const running *x, size_t row)
{
    return x->verdicts[row].kept_row == NO_ROW;
}

/* --- output --------------------------------------------------------------------------------- */

static status flush(running *x, err *e)
{
    if (!buf_ok(&x->out)) return err_nomem(e, "writing the rows");
    if (!x->out.n) return ST_OK;
    status st = x->job->write(x->job->ctx, buf_view(&x->out), e);
    x->out.n = 0;
    return st;
}

static status put(running *x, str bytes, err *e)
{
    buf_str(&x->out, bytes);
    return x->out.n < CHUNK ? ST_OK : flush(x, e);
}

static status write_numbers(running *x, err *e)
{
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < x->rows.n; i++) {
        if (!is_kept(x, i)) continue;
        buf_fmt(&x->out, "%llu\n", (ull)x->rows.line[i]);
        st = put(x, STR(""), e);
    }
    return st;
}

static status write_from_memory(running *x, err *e)
{
    const dedup_rows *r = &x->rows;
    status st = ST_OK;
    for (size_t i = 0, at = 0; st == ST_OK && i < r->n; at = r->end[i++])
        if (is_kept(x, i)) st = put(x, (str){r->bytes.p + at, r->end[i] - at}, e);
    return st;
}

static status changed(const running *x, err *e)
{
    return err_set(e, ST_FAILED, "%s changed while it was read; run again", x->job->path);
}

/* Whether the input is the file that it was. */
static bool is_same_file(const running *x)
{
    struct stat s;
    return stat(x->job->path, &s) == 0 && s.st_dev == x->was.st_dev && s.st_ino == x->was.st_ino &&
           s.st_size == x->was.st_size && s.st_mtim.tv_sec == x->was.st_mtim.tv_sec &&
           s.st_mtim.tv_nsec == x->was.st_mtim.tv_nsec;
}

static status write_from_file(running *x, err *e)
{
    const dedup_rows *r = &x->rows;
    lines *in = NULL;
    str line = {0};
    if (!is_same_file(x)) return changed(x, e);
    status st = lines_open(x->job->path, RECORD_LIMIT, x->job->stop, &in, e);
    for (size_t i = 0; st == ST_OK && i < r->n; i++) {
        do st = lines_next(in, &line, e);
        while (st == ST_OK && line.n && lines_number(in) < r->line[i]);
        if (st == ST_OK && !line.n) st = changed(x, e);
        if (st == ST_OK && is_kept(x, i)) st = put(x, line, e);
    }
    lines_close(in);
    return st;
}

static status write_kept(running *x, err *e)
{
    status st = x->job->dim         ? write_numbers(x, e)
                : x->rows.in_memory ? write_from_memory(x, e)
                                    : write_from_file(x, e);
    if (st == ST_OK) st = flush(x, e);
    return st == ST_OK ? x->job->write(x->job->ctx, STR(""), e) : st;
}

/* The lines of the removed rows into the file that is begun. */
static status write_removed(const running *x, file_out *f, err *e)
{
    const dedup_rows *r = &x->rows;
    buf b = {0};
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < r->n; i++) {
        if (is_kept(x, i)) continue;
        b.n = 0;
        buf_fmt(&b, "{\"line\": %llu, \"kept_line\": %llu, \"score\": ", (ull)r->line[i],
                (ull)r->line[x->verdicts[i].kept_row]);
        js_write_fixed(&b, x->verdicts[i].score, SCORE_DECIMALS);
        buf_z(&b, "}\n");
        st = buf_ok(&b) ? file_write(f, buf_view(&b), e) : err_nomem(e, "writing the removed rows");
    }
    buf_release(&b);
    return st;
}

/* The file of removed rows takes its place once the kept ones are written. */
static status write_all(running *x, err *e)
{
    file_out f = {0};
    char sum[SHA256_HEX];
    const char *removed = x->job->removed;
    status st = removed ? file_begin(&f, removed, e) : ST_OK;
    if (st == ST_OK && removed) st = write_removed(x, &f, e);
    if (st == ST_OK) st = write_kept(x, e);
    if (st == ST_OK && removed) st = file_commit(&f, sum, e);
    file_abort(&f);
    return st;
}

/* --- the run -------------------------------------------------------------------------------- */

/* Looks at the input, and refuses to write over it, or beside the rows. */
static status look_at_input(running *x, err *e)
{
    struct stat s;
    const dedup_job *j = x->job;
    if (j->removed && (!*j->removed || strcmp(j->removed, "-") == 0))
        return err_set(
            e, ST_USAGE,
            "--removed %s: name a file (./- for one of that name); standard output is for "
            "the rows",
            j->removed);
    bool standard = strcmp(j->path, "-") == 0;
    bool there = (standard ? fstat(0, &x->was) : stat(j->path, &x->was)) == 0;
    x->rows.in_memory = !j->dim && (standard || !there || !S_ISREG(x->was.st_mode));
    if (there && j->removed && stat(j->removed, &s) == 0 && s.st_dev == x->was.st_dev &&
        s.st_ino == x->was.st_ino)
        return err_set(e, ST_USAGE, "--removed %s: that is the input", j->removed);
    file_out f = {0};
    status st = j->removed ? file_begin(&f, j->removed, e) : ST_OK; /* before the work is done */
    file_abort(&f);
    return st;
}

static status read_rows(running *x, isa set, pool *p, err *e)
{
    if (!size_parse(str_from(x->job->memory), &x->rows.memory)) x->rows.memory = 0;
    if (x->job->dim) return dedup_rows_of_vectors(x->job, p, &x->rows, e);
    return dedup_rows_of_lines(x->job, set, p, &x->rows, e);
}

/* As many vectors as the limit leaves room for, into memory. */
static status bring_vectors(dedup_rows *r, const dedup_job *j, const pool *p, err *e)
{
    const budget b = dedup_rows_budget(r, p);
    if (!r->memory || !r->n) return ST_OK;
    if (r->memory < budget_least(&b)) return budget_refuse(&b, j->memory, dedup_input_name(j), e);
    const size_t here = budget_here(&b, r->memory);
    return vectors_bring(&r->vectors, r->dim, here < r->n_vectors ? here : r->n_vectors, e);
}

static status decide(running *x, isa set, pool *p, err *e)
{
    dedup_rows *r = &x->rows;
    status st = bring_vectors(r, x->job, p, e);
    if (st) return st;
    greedy_input in = {.vectors = r->vectors,
                       .n_vectors = r->n_vectors,
                       .dim = r->dim,
                       .unit = r->unit,
                       .group = x->job->group ? r->group : NULL,
                       .n_rows = r->n,
                       .threshold = x->job->threshold};
    greedy_options o = {.isa = set, .pool = p, .log = x->job->log, .stop = x->job->stop};
    x->verdicts = calloc(r->n + 1, sizeof *x->verdicts);
    if (!x->verdicts) return err_nomem(e, "deduplicating");
    return r->n ? greedy_run(&in, &o, x->verdicts, e) : ST_OK;
}

status dedup_run(const dedup_job *j, dedup_summary *s, err *e)
{
    running x = {.job = j};
    pool *p = NULL;
    isa set;
    double start = clock_monotonic(), read = start, decided = start;
    *s = (dedup_summary){0};
    status st = isa_choose(&set, e);
    if (st == ST_OK) st = look_at_input(&x, e);
    if (st == ST_OK) st = pool_new(j->n_threads, &p, e);
    if (st == ST_OK) st = read_rows(&x, set, p, e);
    read = clock_monotonic();
    if (st == ST_OK) st = decide(&x, set, p, e);
    decided = clock_monotonic();
    if (st == ST_OK) st = write_all(&x, e);
    s->rows = x.rows.n;
    s->distinct = x.rows.n_vectors;
    for (size_t i = 0; st == ST_OK && i < x.rows.n; i++) s->kept += is_kept(&x, i);
    s->seconds_embed = x.rows.seconds_embed;
    s->seconds_read = read - start - s->seconds_embed;
    s->seconds_dedup = decided - read;
    s->seconds_total = clock_monotonic() - start;
    pool_free(p);
    free(x.verdicts);
    buf_release(&x.out);
    dedup_rows_release(&x.rows);
    return st;
}

void dedup_summary_write(const dedup_summary *s, bool json, buf *out)
{
    const long mib = summary_peak_mib();
    if (json)
        buf_fmt(out,
                "{\"rows\": %llu, \"distinct\": %llu, \"kept\": %llu, \"removed\": %llu, "
                "\"seconds\": {\"read\": %.3f, \"embed\": %.3f, \"dedup\": %.3f, \"total\": %.3f}, "
                "\"peak_rss_mib\": %ld}\n",
                (ull)s->rows, (ull)s->distinct, (ull)s->kept, (ull)(s->rows - s->kept),
                s->seconds_read, s->seconds_embed, s->seconds_dedup, s->seconds_total, mib);
    else
        buf_fmt(out, "%llu rows: %llu kept, %llu near-duplicates removed; %.1f s, %ld MiB\n",
                (ull)s->rows, (ull)s->kept, (ull)(s->rows - s->kept), s->seconds_total, mib);
}
