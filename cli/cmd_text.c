/* cmd_text.c - tokenize and embed: texts on standard input, ids or vectors on standard output;
 * model: where it is, and getting it there.
 *
 * Batches begin small, so that the first answers come at once, and grow; each is written when it is
 * done.  A text that was there a while ago is not computed again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "texts.h"
#include "vector_cache.h"

enum { FIRST_BATCH = 64 };

/* One command at work. */
typedef struct work {
    const cli *c;
    tamis_model *m;
    text_reader *r;
    int32_t *ids; /* [max tokens] of one text */
    /* embed */
    size_t dim;
    vector_cache *cache;
    float *out;                      /* [TEXTS_BATCH, dim] */
    float *fresh;                    /* [n_fresh, dim] as they are computed */
    tamis_text missing[TEXTS_BATCH]; /* what is not in the cache */
    size_t places[TEXTS_BATCH];      /* and where its vectors go */
    uint64_t n_done, n_total;        /* texts; total 0: unknown */
} work;

typedef int (*batch_fn)(work *w);

static int open_model(const cli *c, tamis_model **out)
{
    tamis_error e = {0};
    char *dir;
    *out = NULL;
    if (tamis_model_path(c->t, &dir, &e)) return cli_error(&e);
    tamis_status st = tamis_model_open(dir, c->threads, out, &e);
    free(dir);
    return st ? cli_error(&e) : 0;
}

static void work_free(work *w)
{
    if (!w) return;
    if (w->r) text_reader_release(w->r);
    free(w->r);
    free(w->ids);
    free(w->out);
    free(w->fresh);
    vector_cache_free(w->cache);
    tamis_model_free(w->m);
    free(w);
}

static bool work_alloc(work *w, bool embeds)
{
    w->dim = tamis_model_dimension(w->m);
    w->r = calloc(1, sizeof *w->r);
    w->ids = calloc(tamis_model_max_tokens(w->m), sizeof *w->ids);
    if (!w->r || !w->ids) return false;
    w->r->jsonl = w->c->jsonl;
    if (!embeds) return true;
    w->out = calloc(TEXTS_BATCH, w->dim * sizeof *w->out);
    w->fresh = calloc(TEXTS_BATCH, w->dim * sizeof *w->fresh);
    w->cache = vector_cache_new(w->dim);
    return w->out && w->fresh && w->cache;
}

/* NULL: it has been said why, and *rc is the exit status. */
static work *work_new(const cli *c, bool embeds, int *rc)
{
    work *w = calloc(1, sizeof *w);
    if (w) {
        w->c = c;
        *rc = open_model(c, &w->m);
        if (w->m && work_alloc(w, embeds)) return w;
    }
    if (!w || w->m) *rc = cli_fail(TAMIS_FAILED, "out of memory");
    work_free(w);
    return NULL;
}

static int each_batch(work *w, batch_fn fn)
{
    int rc = 0;
    for (size_t most = FIRST_BATCH; !rc; most = most * 2 < TEXTS_BATCH ? most * 2 : TEXTS_BATCH) {
        rc = text_reader_fill(w->r, most);
        if (cli_stop && !rc) rc = cli_fail(TAMIS_INCOMPLETE, "interrupted");
        if (rc || !w->r->n) break;
        rc = fn(w);
        if (!rc) rc = cli_flush();
    }
    return rc ? rc : cli_flush();
}

/* --- tokenize ------------------------------------------------------------------------------- */

static char *put_number(char *to, int32_t value)
{
    char digits[12], *p = digits + sizeof digits;
    do *--p = (char)('0' + value % 10);
    while (value /= 10);
    size_t n = (size_t)(digits + sizeof digits - p);
    memcpy(to, p, n);
    return to + n;
}

/* Ids with blanks between, or with commas. */
static void print_ids(const int32_t *ids, size_t n, char between)
{
    enum { ROOM = 64, DIGITS = 11 };
    char line[ROOM * DIGITS];
    for (size_t k = 0; k < n;) {
        char *p = line;
        for (size_t end = n - k < ROOM ? n : k + ROOM; k < end; k++) {
            if (k) *p++ = between;
            p = put_number(p, ids[k]);
        }
        fwrite(line, 1, (size_t)(p - line), stdout);
    }
}

static int tokenize_batch(work *w)
{
    const bool json = w->c->json;
    for (size_t i = 0; i < w->r->n; i++) {
        size_t n = tamis_tokenize(w->m, w->r->texts[i], w->ids);
        if (json) fputs("{\"ids\": [", stdout);
        print_ids(w->ids, n, json ? ',' : ' ');
        fputs(json ? "]}\n" : "\n", stdout);
    }
    return 0;
}

int cmd_tokenize(cli *c)
{
    int rc;
    work *w = work_new(c, false, &rc);
    if (!w) return rc;
    rc = each_batch(w, tokenize_batch);
    work_free(w);
    return rc;
}

/* --- embed ---------------------------------------------------------------------------------- */

static void print_vector(const float *v, size_t dim)
{
    fputs("{\"vector\": [", stdout);
    for (size_t k = 0; k < dim; k++) printf("%s%.9g", k ? ", " : "", (double)v[k]);
    fputs("]}\n", stdout);
}

static void show(void *ctx, const char *what, uint64_t done, uint64_t total, int finished)
{
    const work *w = ctx;
    (void)total;
    if (!finished) progress_show(what, w->n_done + done, w->n_total, false);
}

/* Fills in what the cache holds; lists the rest. */
static size_t look_up(work *w)
{
    size_t n_missing = 0;
    for (size_t i = 0; i < w->r->n; i++) {
        size_t n = tamis_tokenize(w->m, w->r->texts[i], w->ids);
        const float *known = vector_cache_find(w->cache, w->ids, n);
        if (known) {
            memcpy(w->out + i * w->dim, known, w->dim * sizeof *known);
            continue;
        }
        w->missing[n_missing] = w->r->texts[i];
        w->places[n_missing++] = i;
    }
    return n_missing;
}

static int embed_batch(work *w)
{
    tamis_error e = {0};
    size_t n_missing = look_up(w), row = w->dim * sizeof *w->out;
    w->n_done += w->r->n - n_missing;
    if (n_missing && tamis_embed(w->m, w->missing, n_missing, w->fresh, &cli_stop, &e))
        return cli_error(&e);
    for (size_t k = 0; k < n_missing; k++) {
        const float *v = w->fresh + k * w->dim;
        memcpy(w->out + w->places[k] * w->dim, v, row);
        vector_cache_put(w->cache, w->ids, tamis_tokenize(w->m, w->missing[k], w->ids), v);
    }
    w->n_done += n_missing;
    if (isatty(STDOUT_FILENO)) progress_clear(); /* it may be the same terminal */
    if (strcmp(w->c->format, "f32") == 0)
        fwrite(w->out, row, w->r->n, stdout);
    else
        for (size_t i = 0; i < w->r->n; i++) print_vector(w->out + i * w->dim, w->dim);
    return 0;
}

int cmd_embed(cli *c)
{
    int rc;
    if (!c->format) c->format = c->json ? "jsonl" : "f32";
    if (strcmp(c->format, "f32") != 0 && strcmp(c->format, "jsonl") != 0)
        return cli_fail(EXIT_USAGE, "--format %s: f32 or jsonl", c->format);
    if (c->json && strcmp(c->format, "f32") == 0)
        return cli_fail(EXIT_USAGE, "--json and --format f32: one of them");
    work *w = work_new(c, true, &rc);
    if (!w) return rc;
    if (progress_is_shown()) {
        tamis_listener l = {.progress = show, .ctx = w};
        tamis_model_set_listener(w->m, &l);
        w->n_total = text_reader_count_ahead();
    }
    rc = each_batch(w, embed_batch);
    progress_show("embedding", w->n_done, w->n_total, true);
    work_free(w);
    return rc;
}

/* --- model ---------------------------------------------------------------------------------- */

int cmd_model(cli *c)
{
    tamis_error e = {0};
    char *dir = NULL;
    tamis_status st;
    if (strcmp(c->args[0], "path") == 0)
        st = tamis_model_path(c->t, &dir, &e);
    else if (strcmp(c->args[0], "fetch") == 0)
        st = tamis_model_fetch(c->t, &dir, &e);
    else
        return cli_fail(EXIT_USAGE, "model %s: it is `model fetch` or `model path`", c->args[0]);
    if (st) return cli_error(&e);
    printf("%s\n", dir);
    free(dir);
    return cli_flush();
}
