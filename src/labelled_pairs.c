/* labelled_pairs.c - a file of pairs, their cosines, and precision and recall by threshold. */
#include "labelled_pairs.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/number.h"
#include "base/utf8.h"
#include "dedup/greedy.h"

enum { FILE_LIMIT = 256 << 20, COLUMNS_MAX = 64 };

typedef struct labelled {
    str *texts;  /* [2 n] first and second of each pair */
    bool *same;  /* [n] */
    double *cos; /* [n] */
    size_t n, cap;
} labelled;

typedef struct columns {
    size_t first, second, label, n;
} columns;

static void labelled_release(labelled *l)
{
    free(l->texts);
    free(l->same);
    free(l->cos);
}

/* The next line without its end (LF or CRLF); false behind the last. */
static bool next_line(str *rest, str *line)
{
    bool is_there = str_cut(rest, '\n', line);
    if (line->n && line->p[line->n - 1] == '\r') line->n--;
    return is_there;
}

/* Cuts at tabs; returns how many columns, COLUMNS_MAX at most are stored. */
static size_t cut(str line, str *out)
{
    for (size_t n = 0;; n++) {
        const char *tab = line.n ? memchr(line.p, '\t', line.n) : NULL;
        size_t length = tab ? (size_t)(tab - line.p) : line.n;
        if (n < COLUMNS_MAX) out[n] = (str){line.p, length};
        if (!tab) return n + 1;
        line = (str){tab + 1, line.n - length - 1};
    }
}

/* Takes a line of column names; false: it is none, and the columns are text, text, label. */
static bool take_names(str line, columns *c)
{
    str names[COLUMNS_MAX];
    bool first = false, second = false, label = false;
    size_t n = cut(line, names);
    for (size_t i = 0; i < n && i < COLUMNS_MAX; i++) {
        if (str_eq(names[i], STR("text1"))) c->first = i, first = true;
        if (str_eq(names[i], STR("text2"))) c->second = i, second = true;
        bool names_label = str_eq(names[i], STR("label")) ||
                           (names[i].n >= 5 && memcmp(names[i].p, "score", 5) == 0);
        if (names_label) c->label = i, label = true;
    }
    if (first && second && label) {
        c->n = n;
        return true;
    }
    *c = (columns){.first = 0, .second = 1, .label = 2, .n = 3};
    return false;
}

static bool grow(labelled *l)
{
    if (l->n < l->cap) return true;
    size_t cap = l->cap ? l->cap * 2 : 1024;
    str *texts = reallocarray(l->texts, cap, 2 * sizeof *texts);
    if (texts) l->texts = texts;
    bool *same = reallocarray(l->same, cap, sizeof *same);
    if (same) l->same = same;
    double *cos = reallocarray(l->cos, cap, sizeof *cos);
    if (cos) l->cos = cos;
    if (texts && same && cos) l->cap = cap;
    return texts && same && cos;
}

static status take_line(labelled *l, str line, const columns *c, double same_from, err *e)
{
    str cells[COLUMNS_MAX];
    double value;
    size_t n = cut(line, cells);
    if (n != c->n || n > COLUMNS_MAX)
        return err_set(e, ST_FAILED,
                       "%zu columns instead of %zu: a pair is text, text, label between tabs", n,
                       c->n);
    if (!number_parse(cells[c->label], &value))
        return err_set(e, ST_FAILED, "the label \"%.*s\" is not a number",
                       STR_FMT(cells[c->label]));
    if (!grow(l)) return err_nomem(e, "reading pairs");
    l->texts[2 * l->n] = cells[c->first];
    l->texts[2 * l->n + 1] = cells[c->second];
    l->same[l->n++] = value >= same_from;
    return ST_OK;
}

static status take_lines(labelled *l, const char *path, str text, double same_from, err *e)
{
    str line;
    columns c = {0};
    err inner = {0};
    for (size_t number = 1; next_line(&text, &line); number++) {
        if (number == 1 && take_names(line, &c)) continue;
        if (!line.n) continue;
        status st = take_line(l, line, &c, same_from, &inner);
        if (st) return err_set(e, st, "%s line %zu: %s", path, number, inner.msg);
    }
    for (size_t i = 0; i < l->n; i++)
        if (l->same[i]) return ST_OK;
    return err_set(e, ST_FAILED, "%s: no pair has a label of %g or more, so nothing can be found",
                   path, same_from);
}

static status measure(labelled *l, embedder *em, size_t dim, err *e)
{
    embed_options o = {0};
    float *vectors = reallocarray(NULL, 2 * l->n + 1, dim * sizeof *vectors);
    if (!vectors) return err_nomem(e, "embedding pairs");
    status st = embed_texts(em, l->texts, 2 * l->n, vectors, &o, e);
    for (size_t i = 0; st == ST_OK && i < l->n; i++)
        l->cos[i] = cosine_exact(vectors + 2 * i * dim, vectors + (2 * i + 1) * dim, dim);
    free(vectors);
    return st;
}

static void judge(const labelled *l, labelled_pairs *out)
{
    *out = (labelled_pairs){.n = l->n};
    for (size_t i = 0; i < l->n; i++) out->n_same += l->same[i];
    for (size_t k = 0; k < PAIRS_STEPS; k++) {
        pairs_at *a = &out->at[k];
        a->threshold = (double)(PAIRS_FIRST + k) / 100;
        for (size_t i = 0; i < l->n; i++) {
            if (l->cos[i] < a->threshold) continue;
            a->n_found++;
            a->n_correct += l->same[i];
        }
        a->precision = a->n_found ? (double)a->n_correct / (double)a->n_found : 1;
        a->recall = (double)a->n_correct / (double)out->n_same;
        a->f1 = 2 * (double)a->n_correct / (double)(a->n_found + out->n_same);
        if (a->f1 >= out->at[out->best].f1) out->best = k;
    }
}

status labelled_pairs_read(const char *path, double same_from, embedder *em, size_t dim,
                           labelled_pairs *out, err *e)
{
    labelled l = {0};
    buf text = {0};
    status st = file_read(path, FILE_LIMIT, &text, e);
    if (st == ST_OK) st = take_lines(&l, path, utf8_skip_bom(buf_view(&text)), same_from, e);
    if (st == ST_OK) st = measure(&l, em, dim, e);
    if (st == ST_OK) judge(&l, out);
    labelled_release(&l);
    buf_release(&text);
    return st;
}
