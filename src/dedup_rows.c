/* dedup_rows.c - rows for the deduplication alone: texts of JSON lines, or vectors.
 *
 * Lines are read once, front to back.  A text is known again by its SHA-256, so that no text
 * is kept longer than its batch; what stays is a vector for each distinct text and a few
 * words for each row. */
#include "dedup_rows.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/compress.h"
#include "base/intern.h"
#include "base/json.h"
#include "base/lines.h"
#include "base/number.h"
#include "base/utf8.h"
#include "embed/embed.h"
#include "record.h"

enum { BATCH_TEXTS = 4096, BATCH_BYTES = 16 << 20 };

typedef unsigned long long ull;

void dedup_rows_release(dedup_rows *r)
{
    vectors_release(&r->vectors);
    free(r->unit);
    free(r->group);
    free(r->line);
    free(r->end);
    buf_release(&r->bytes);
    *r = (dedup_rows){0};
}

static bool widen(void *array, size_t n, size_t size)
{
    void **at = array, *p = reallocarray(*at, n, size);
    if (p) *at = p;
    return p != NULL;
}

/* Room for one more row. */
static status more_rows(dedup_rows *r, err *e)
{
    enum { FIRST = 1024 };
    if (r->n < r->cap) return ST_OK;
    if (r->n >= NO_ROW / 2) return err_set(e, ST_FAILED, "more than %u rows", NO_ROW / 2);
    size_t cap = r->cap ? r->cap * 2 : FIRST;
    if (!widen(&r->unit, cap, sizeof *r->unit) || !widen(&r->group, cap, sizeof *r->group) ||
        !widen(&r->line, cap, sizeof *r->line) ||
        (r->in_memory && !widen(&r->end, cap, sizeof *r->end)))
        return err_nomem(e, "reading rows");
    r->cap = cap;
    return ST_OK;
}

budget dedup_rows_budget(const dedup_rows *r, const pool *p)
{
    return (budget){r->n_vectors, r->n, r->dim, (uint64_t)pool_size(p)};
}

/* Room for so many more vectors. */
static status more_vectors(dedup_rows *r, size_t n, err *e)
{
    enum { FIRST = 4096 };
    const char *set = getenv("TMPDIR");
    if (r->memory && r->vectors.file) return ST_OK;
    if (r->memory) return vectors_new(0, r->dim, 0, set && *set ? set : "/var/tmp", &r->vectors, e);
    if (r->n_vectors + n <= r->cap_vectors) return ST_OK;
    size_t cap = 2 * (r->n_vectors + n) + FIRST;
    if (!widen(&r->vectors.rows, cap, r->dim * sizeof(float))) return err_nomem(e, "reading rows");
    r->cap_vectors = cap;
    return ST_OK;
}

static void look_at_limit(dedup_rows *r, const pool *p)
{
    const budget b = dedup_rows_budget(r, p);
    r->is_over |= r->memory && r->memory < budget_least(&b);
}

/* --- texts ---------------------------------------------------------------------------------- */

typedef struct reading {
    const dedup_job *job;
    dedup_rows *r;
    lines *in;
    isa isa;
    pool *pool;
    model *model; /* opened for the first batch */
    embedder *embedder;
    intern texts, groups; /* by SHA-256, by value */
    arena keys;           /* of both */
    str *batch;           /* [n_batch] texts without a vector yet, the last n_batch of `texts` */
    size_t n_batch, batch_bytes;
    arena batch_texts;
    float *fresh; /* [BATCH_TEXTS, dim] their vectors, if those go to a file */
} reading;

static void reading_release(reading *x)
{
    lines_close(x->in);
    embedder_free(x->embedder);
    model_free(x->model);
    intern_release(&x->texts);
    intern_release(&x->groups);
    arena_release(&x->keys);
    arena_release(&x->batch_texts);
    free(x->batch);
    free(x->fresh);
}

/* name: in quotes, the first of which ends `why`; NULL: none. */
static status bad_line(const reading *x, err *e, const char *why, const char *name)
{
    return err_set(e, ST_FAILED, "%s, line %llu: %s%s%s", lines_name(x->in),
                   (ull)lines_number(x->in), why, name ? name : "", name ? "\"" : "");
}

static status ensure_model(reading *x, err *e)
{
    if (x->embedder) return ST_OK;
    status st = model_open(x->job->model_dir, &x->model, e);
    if (st == ST_OK) st = embedder_new(x->model, x->isa, x->pool, &x->embedder, e);
    if (st) return st;
    x->r->dim = model_dim(x->model);
    if (!x->r->memory) return ST_OK;
    x->fresh = reallocarray(NULL, BATCH_TEXTS, x->r->dim * sizeof *x->fresh);
    return x->fresh ? ST_OK : err_nomem(e, "embedding");
}

static status embed_batch(reading *x, err *e)
{
    dedup_rows *r = x->r;
    double start = clock_monotonic();
    embed_options o = {.stop = x->job->stop};
    if (!x->n_batch) return ST_OK;
    status st = ensure_model(x, e);
    if (st == ST_OK) st = more_vectors(r, x->n_batch, e);
    if (st) return st;
    float *out = x->fresh ? x->fresh : r->vectors.rows + r->n_vectors * r->dim;
    st = embed_texts(x->embedder, x->batch, x->n_batch, out, &o, e);
    if (st == ST_OK && x->fresh)
        st = vectors_put(&r->vectors, r->dim, r->n_vectors, x->n_batch, out, e);
    r->n_vectors += x->n_batch;
    look_at_limit(r, x->pool);
    x->n_batch = x->batch_bytes = 0;
    arena_reset(&x->batch_texts);
    r->seconds_embed += clock_monotonic() - start;
    log_progress(x->job->log, "embedding", r->n_vectors, 0);
    return st;
}

/* The number of the text, a new one if it is new: then it is embedded with its batch. */
static status take_text(reading *x, str text, uint32_t *unit, err *e)
{
    unsigned char digest[SHA256_SIZE];
    sha256_of(text, digest);
    str key = {(const char *)digest, sizeof digest};
    *unit = intern_find(&x->texts, key);
    if (*unit != INTERN_NONE) return ST_OK;
    str kept = arena_str(&x->keys, key);
    str copy = x->r->is_over ? kept : arena_str(&x->batch_texts, text);
    if (kept.p && copy.p) *unit = intern_add(&x->texts, kept);
    if (*unit == INTERN_NONE) return err_nomem(e, "reading rows");
    if (x->r->is_over) {
        x->r->n_vectors++;
        return ST_OK;
    }
    x->batch[x->n_batch++] = copy;
    x->batch_bytes += text.n;
    return x->n_batch == BATCH_TEXTS || x->batch_bytes > BATCH_BYTES ? embed_batch(x, e) : ST_OK;
}

/* The member's value as it stands in the line: whole numbers may have more digits than a
 * double. */
static str raw_value(str line, const char *name)
{
    js_cutter c = {.text = line, .at = js_skip_blank(line, 0)};
    str key, item, found = {0};
    while (js_cut(&c, &key, &item) == JS_CUT_ITEM) {
        buf quoted = {0}, scratch = {0};
        js *root = NULL;
        err ignored = {0};
        buf_fmt(&quoted, "\"%.*s\"", STR_FMT(key));
        if (js_parse(js_mend(buf_view(&quoted), &scratch), &root, &ignored) == ST_OK &&
            str_eq(js_string(root), str_from(name)))
            found = item;
        js_free(root);
        buf_release(&quoted);
        buf_release(&scratch);
    }
    return found;
}

/* A number as it stands in the line, exactly: its digits without zeros at either end, and a power
 * of ten. */
static void write_digits(buf *key, str raw)
{
    enum { FAR = 1000000 };
    long power = 0, exponent = 0;
    bool fraction = false, small = false;
    size_t at = 0;
    if (raw.n && raw.p[at] == '-') buf_char(key, raw.p[at++]);
    const size_t from = key->n;
    for (; at < raw.n && (raw.p[at] | 0x20) != 'e'; at++) {
        power -= fraction && raw.p[at] != '.';
        fraction |= raw.p[at] == '.';
        if (raw.p[at] != '.' && (raw.p[at] != '0' || key->n > from)) buf_char(key, raw.p[at]);
    }
    for (; at < raw.n; at++) {
        small |= raw.p[at] == '-';
        if (raw.p[at] >= '0' && raw.p[at] <= '9' && exponent < FAR)
            exponent = exponent * 10 + (raw.p[at] - '0');
    }
    for (; key->n > from && key->p[key->n - 1] == '0'; key->n--) power++;
    buf_fmt(key, "e%ld", power + (small ? -exponent : exponent));
}

/* Appends what tells groups apart: the kind of the value, and the value. */
static status group_key(const reading *x, const js *value, str line, buf *key, err *e)
{
    const double exact = 0x1p53;
    const char *name = x->job->group;
    switch (js_type(value)) {
    case JS_STRING:
        buf_char(key, 's');
        buf_str(key, js_string(value));
        break;
    case JS_NUMBER:
        buf_char(key, 'n');
        if (fabs(js_number(value, 0)) < exact)
            number_write_json(key, js_number(value, 0) + 0.0); /* -0 is 0 */
        else
            write_digits(key, raw_value(line, name));
        break;
    case JS_BOOL:
        buf_z(key, js_true(value) ? "true" : "false");
        break;
    case JS_NULL:
        buf_z(key, "null");
        break;
    case JS_NONE:
        return bad_line(x, e, "there is no \"", name);
    default:
        return bad_line(x, e, "a group must be text, a number, true, false or null: \"", name);
    }
    return ST_OK;
}

static status take_group(reading *x, const js *object, str line, uint32_t *group, err *e)
{
    *group = 0;
    if (!x->job->group) return ST_OK;
    buf key = {0};
    status st = group_key(x, js_get(object, x->job->group), line, &key, e);
    if (st == ST_OK) {
        *group = buf_ok(&key) ? intern_find(&x->groups, buf_view(&key)) : INTERN_NONE;
        str copy = {0};
        if (*group == INTERN_NONE && buf_ok(&key)) copy = arena_str(&x->keys, buf_view(&key));
        if (copy.p) *group = intern_add(&x->groups, copy);
        if (*group == INTERN_NONE) st = err_nomem(e, "reading rows");
    }
    buf_release(&key);
    return st;
}

/* value: the line but for a mark before it. */
static status take_object(reading *x, const js *object, str line, str value, err *e)
{
    dedup_rows *r = x->r;
    const char *name = x->job->field;
    const js *text = js_get(object, name);
    if (js_type(object) != JS_OBJECT) return bad_line(x, e, "not an object", NULL);
    if (!text) return bad_line(x, e, "there is no \"", name);
    if (js_type(text) != JS_STRING) return bad_line(x, e, "it must be text: \"", name);
    status st = more_rows(r, e);
    if (st == ST_OK) st = take_group(x, object, value, &r->group[r->n], e);
    if (st == ST_OK) st = take_text(x, js_string(text), &r->unit[r->n], e);
    if (st) return st;
    r->line[r->n] = lines_number(x->in);
    if (r->in_memory && !r->is_over) {
        buf_str(&r->bytes, line);
        r->end[r->n] = r->bytes.n;
    }
    r->n++;
    return buf_ok(&r->bytes) ? ST_OK : err_nomem(e, "keeping the lines");
}

static status take_line(reading *x, str line, err *e)
{
    js *root = NULL;
    buf scratch = {0};
    str value = lines_number(x->in) == 1 ? utf8_skip_bom(line) : line;
    if (js_skip_blank(value, 0) == value.n) return ST_OK;
    err why = {0};
    status st = js_parse(js_mend(value, &scratch), &root, &why);
    if (st)
        st = bad_line(x, e, why.msg, NULL);
    else
        st = take_object(x, root, line, value, e);
    js_free(root);
    buf_release(&scratch);
    return st;
}

status dedup_rows_of_lines(const dedup_job *j, isa set, pool *p, dedup_rows *r, err *e)
{
    reading x = {.job = j, .r = r, .isa = set, .pool = p};
    x.batch = calloc(BATCH_TEXTS, sizeof *x.batch);
    if (!x.batch) return err_nomem(e, "reading rows");
    status st = lines_open(j->path, RECORD_LIMIT, j->stop, &x.in, e);
    for (str line = {0}; st == ST_OK;) {
        st = lines_next(x.in, &line, e);
        if (st || !line.n) break;
        st = take_line(&x, line, e);
        if (st == ST_OK && j->stop && *j->stop) st = err_set(e, ST_INCOMPLETE, "interrupted");
    }
    if (st == ST_OK) st = embed_batch(&x, e);
    log_progress_end(j->log, "embedding", r->n_vectors);
    reading_release(&x);
    return st;
}

/* --- vectors -------------------------------------------------------------------------------- */

const char *dedup_input_name(const dedup_job *j)
{
    return strcmp(j->path, "-") ? j->path : "standard input";
}

/* The row with zeros behind it, up to a multiple of 16: they change no cosine. */
static status take_row(const dedup_job *j, const char *bytes, dedup_rows *r, err *e)
{
    float v[VECTORS_DIM];
    memset(v, 0, r->dim * sizeof *v);
    memcpy(v, bytes, j->dim * sizeof *v);
    double squares = 0;
    for (size_t i = 0; i < j->dim; i++) squares += (double)v[i] * (double)v[i];
    if (!isfinite(squares) || squares == 0)
        return err_set(e, ST_FAILED, "%s, row %llu: %s", dedup_input_name(j), (ull)r->n_vectors + 1,
                       squares == 0 ? "all zeros, which point nowhere"
                                    : "a value that is not a finite number");
    double scale = 1 / sqrt(squares);
    for (size_t i = 0; fabs(squares - 1) > UNIT_SLACK && i < j->dim; i++)
        v[i] = (float)((double)v[i] * scale);
    status st = more_rows(r, e);
    if (st == ST_OK && !r->is_over) st = vectors_put(&r->vectors, r->dim, r->n_vectors, 1, v, e);
    if (st) return st;
    r->unit[r->n] = (uint32_t)r->n_vectors++;
    r->group[r->n] = 0;
    r->line[r->n++] = r->n_vectors;
    return ST_OK;
}

/* Takes the whole rows of `bytes` and leaves the rest in it. */
static status take_rows(const dedup_job *j, buf *bytes, dedup_rows *r, err *e)
{
    const size_t size = j->dim * sizeof(float), n = bytes->n / size;
    status st = more_vectors(r, n, e);
    for (size_t i = 0; st == ST_OK && i < n; i++) st = take_row(j, bytes->p + i * size, r, e);
    if (st) return st;
    if (n) memmove(bytes->p, bytes->p + n * size, bytes->n - n * size);
    bytes->n -= n * size;
    return ST_OK;
}

status dedup_rows_of_vectors(const dedup_job *j, pool *p, dedup_rows *r, err *e)
{
    enum { PIECE = 1 << 20, LANES = 16 };
    instream *in = NULL;
    buf bytes = {0};
    bool end = false;
    r->dim = (j->dim + LANES - 1) / LANES * LANES;
    status st = instream_open(j->path, j->stop, &in, e);
    while (st == ST_OK && !end) {
        st = instream_read(in, PIECE, &bytes, &end, e);
        if (st == ST_OK) st = take_rows(j, &bytes, r, e);
        look_at_limit(r, p);
        if (st == ST_OK && j->stop && *j->stop) st = err_set(e, ST_INCOMPLETE, "interrupted");
    }
    if (st == ST_OK && bytes.n)
        st = err_set(e, ST_FAILED,
                     "%s: %llu bytes are not whole rows of %zu float32 (%zu bytes each): is --dim "
                     "right?",
                     dedup_input_name(j), (ull)r->n_vectors * j->dim * sizeof(float) + bytes.n,
                     j->dim, j->dim * sizeof(float));
    instream_close(in);
    buf_release(&bytes);
    return st;
}
