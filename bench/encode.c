/* encode.c - texts to vectors with either encoder: `tamis embed` has only the exact one.
 *
 * usage: encode PRECISION MODEL TEXTS OUT THREADS
 *
 * PRECISION is exact or fast; TEXTS holds {"text"} a line; OUT gets float32 rows, as `tamis embed`
 * writes them.  Prints one JSON object: seconds from the model's directory to an embedder
 * that has encoded a text ("load"), and of the vectors ("encode"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/lines.h"
#include "base/time.h"
#include "embed/embed.h"

enum { LINE_MAX_BYTES = 1 << 20 };

static int fail(const char *what)
{
    fprintf(stderr, "encode: %s\n", what);
    return 1;
}

typedef struct texts {
    buf bytes; /* of all, one behind the other */
    buf ends;  /* size_t each */
} texts;

static status read_texts(const char *path, texts *t, err *e)
{
    lines *l = NULL;
    str line;
    js *j = NULL;
    status st = lines_open(path, LINE_MAX_BYTES, NULL, &l, e);
    while (st == ST_OK && (st = lines_next(l, &line, e)) == ST_OK && line.n) {
        st = js_parse(line, &j, e);
        if (st) break;
        str text = js_string(js_get(j, "text"));
        buf_add(&t->bytes, text.p, text.n);
        buf_add(&t->ends, &t->bytes.n, sizeof t->bytes.n);
        js_free(j);
    }
    lines_close(l);
    if (st == ST_OK && (!buf_ok(&t->bytes) || !buf_ok(&t->ends))) st = err_nomem(e, "reading");
    return st;
}

/* Vectors of all texts to a file; *seconds: what they took. */
static status encode(embedder *em, const model *m, const texts *t, bool fast, const char *path,
                     double *seconds, err *e)
{
    const size_t n = t->ends.n / sizeof(size_t), dim = model_dim(m);
    str *all = calloc(n + 1, sizeof *all);
    float *out = calloc(n + 1, dim * sizeof *out);
    status st = all && out ? ST_OK : err_nomem(e, "encoding");
    for (size_t i = 0, from = 0, to; st == ST_OK && i < n; i++, from = to) {
        memcpy(&to, t->ends.p + i * sizeof to, sizeof to);
        all[i] = (str){t->bytes.p + from, to - from};
    }
    const double start = clock_monotonic();
    if (st == ST_OK) st = embed_texts(em, all, n, out, &(embed_options){.fast = fast}, e);
    *seconds = clock_monotonic() - start;
    FILE *f = st == ST_OK ? fopen(path, "wb") : NULL;
    if (st == ST_OK && (!f || fwrite(out, dim * sizeof *out, n, f) != n))
        st = err_set(e, ST_FAILED, "%s cannot be written", path);
    if (f && fclose(f) && st == ST_OK) st = err_set(e, ST_FAILED, "%s cannot be written", path);
    free(all);
    free(out);
    return st;
}

/* What is made at the first text only, the integers of `fast` above all, belongs to the load. */
static status warm(embedder *em, const model *m, bool fast, err *e)
{
    const str text = STR("warm");
    float *out = calloc(model_dim(m), sizeof *out);
    status st = out ? embed_texts(em, &text, 1, out, &(embed_options){.fast = fast}, e)
                    : err_nomem(e, "encoding");
    free(out);
    return st;
}

int main(int argc, char **argv)
{
    if (argc != 6) return fail("usage: encode PRECISION MODEL TEXTS OUT THREADS");
    const bool fast = strcmp(argv[1], "fast") == 0;
    err e = {0};
    isa set;
    pool *p = NULL;
    model *m = NULL;
    embedder *em = NULL;
    texts t = {0};
    double seconds = 0;
    const double start = clock_monotonic();
    status st = isa_choose(&set, &e);
    if (st == ST_OK) st = pool_new(atoi(argv[5]), &p, &e);
    if (st == ST_OK) st = model_open(argv[2], &m, &e);
    if (st == ST_OK) st = embedder_new(m, set, p, &em, &e);
    if (st == ST_OK) st = warm(em, m, fast, &e);
    const double load = clock_monotonic() - start;
    if (st == ST_OK) st = read_texts(argv[3], &t, &e);
    if (st == ST_OK) st = encode(em, m, &t, fast, argv[4], &seconds, &e);
    if (st == ST_OK) printf("{\"load\": %.4f, \"encode\": %.4f}\n", load, seconds);
    embedder_free(em);
    model_free(m);
    pool_free(p);
    buf_release(&t.bytes);
    buf_release(&t.ends);
    return st == ST_OK ? 0 : fail(e.msg);
}
