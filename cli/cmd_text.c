/* cmd_text.c - tokenize and embed: texts on standard input, ids or vectors on standard output;
 * model: where it is, and getting it there.
 *
 * Texts are taken in batches, so memory does not grow with the input. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { BATCH_TEXTS = 8192, BATCH_BYTES = 16 << 20 };

typedef struct reader {
    bool jsonl;
    unsigned long long line; /* the last one read, from 1 */
    char *buffer;            /* of getline */
    size_t cap;
    tamis_text texts[BATCH_TEXTS]; /* owned */
    size_t n;
} reader;

static void reader_clear(reader *r)
{
    for (size_t i = 0; i < r->n; i++) free((char *)r->texts[i].bytes);
    r->n = 0;
}

static int reader_take(reader *r, size_t length)
{
    tamis_error e = {0};
    char *text = NULL;
    if (r->jsonl && tamis_text_of_json(r->buffer, length, &text, &length, &e))
        return cli_fail((int)e.status, "standard input, line %llu: %s", r->line, e.message);
    if (!r->jsonl) {
        text = malloc(length + 1);
        if (!text) return cli_fail(TAMIS_FAILED, "out of memory reading line %llu", r->line);
        memcpy(text, r->buffer, length);
    }
    r->texts[r->n++] = (tamis_text){text, length};
    return 0;
}

/* Reads the next batch; r->n is 0 at the end.  An exit status. */
static int reader_fill(reader *r)
{
    size_t bytes = 0;
    reader_clear(r);
    while (r->n < BATCH_TEXTS && bytes < BATCH_BYTES) {
        ssize_t n = getline(&r->buffer, &r->cap, stdin);
        if (n < 0) break;
        r->line++;
        size_t length = (size_t)n - (r->buffer[n - 1] == '\n');
        bytes += length;
        int rc = reader_take(r, length);
        if (rc) return rc;
    }
    if (ferror(stdin))
        return cli_fail(TAMIS_FAILED, "cannot read standard input: %s", strerror(errno));
    return 0;
}

typedef int (*batch_fn)(const cli *c, tamis_model *m, const reader *r);

static int open_model(const cli *c, tamis_model **out)
{
    tamis_error e = {0};
    char *dir;
    if (tamis_model_path(c->t, &dir, &e)) return cli_error(&e);
    tamis_status st = tamis_model_open(dir, c->threads, out, &e);
    free(dir);
    return st ? cli_error(&e) : 0;
}

static int each_batch(const cli *c, batch_fn fn)
{
    tamis_model *m = NULL;
    reader *r = calloc(1, sizeof *r);
    if (!r) return cli_fail(TAMIS_FAILED, "out of memory");
    r->jsonl = c->jsonl;
    int rc = open_model(c, &m);
    while (!rc) {
        rc = reader_fill(r);
        if (rc || !r->n) break;
        rc = cli_stop ? cli_fail(TAMIS_INCOMPLETE, "interrupted") : fn(c, m, r);
        if (!rc && ferror(stdout)) rc = cli_flush();
    }
    reader_clear(r);
    free(r->buffer);
    free(r);
    tamis_model_free(m);
    return rc ? rc : cli_flush();
}

static int tokenize_batch(const cli *c, tamis_model *m, const reader *r)
{
    (void)c;
    int32_t *ids = calloc(tamis_model_max_tokens(m), sizeof *ids);
    if (!ids) return cli_fail(TAMIS_FAILED, "out of memory");
    for (size_t i = 0; i < r->n; i++) {
        size_t n = tamis_tokenize(m, r->texts[i], ids);
        for (size_t k = 0; k < n; k++) printf("%s%d", k ? " " : "", (int)ids[k]);
        putchar('\n');
    }
    free(ids);
    return 0;
}

static void print_vector(const float *v, size_t dim)
{
    fputs("{\"vector\": [", stdout);
    for (size_t k = 0; k < dim; k++) printf("%s%.9g", k ? ", " : "", (double)v[k]);
    fputs("]}\n", stdout);
}

static int embed_batch(const cli *c, tamis_model *m, const reader *r)
{
    tamis_error e = {0};
    size_t dim = tamis_model_dimension(m);
    float *out = calloc(r->n, dim * sizeof *out);
    if (!out) return cli_fail(TAMIS_FAILED, "out of memory for %zu vectors", r->n);
    tamis_status st = tamis_embed(m, r->texts, r->n, out, &cli_stop, &e);
    if (st == TAMIS_OK && strcmp(c->format, "f32") == 0)
        fwrite(out, dim * sizeof *out, r->n, stdout);
    else
        for (size_t i = 0; st == TAMIS_OK && i < r->n; i++) print_vector(out + i * dim, dim);
    free(out);
    return st ? cli_error(&e) : 0;
}

int cmd_tokenize(cli *c)
{
    return each_batch(c, tokenize_batch);
}

int cmd_embed(cli *c)
{
    if (!c->format) c->format = "f32";
    if (strcmp(c->format, "f32") && strcmp(c->format, "jsonl"))
        return cli_fail(EXIT_USAGE, "--format %s: f32 or jsonl", c->format);
    return each_batch(c, embed_batch);
}

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
