/* outputs.c - where the files of [export] go.
 *
 * A file takes the place of what is there, whatever that is.  So what must not be replaced (the
 * store, what SQLite lays beside it, files that are read) is compared with them by resolved path
 * before anything is done. */
#include "outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model_files.h"

void outputs_paths(const config *c, const char *paths[OUT_COUNT])
{
    paths[OUT_CSV] = c->export.csv;
    paths[OUT_JSONL] = c->export.jsonl;
    paths[OUT_CHAT] = c->export.chat;
    paths[OUT_RASA] = c->export.rasa;
    paths[OUT_COGNIGY] = c->export.cognigy;
    paths[OUT_TRAIN] = c->export.train;
    paths[OUT_VALID] = c->export.valid;
    paths[OUT_TEST] = c->export.test;
    paths[OUT_REMOVED] = c->export.removed;
    paths[OUT_CONFLICTS] = c->export.conflicts;
    paths[OUT_REPORT] = c->export.report;
    paths[OUT_MANIFEST] = c->export.manifest;
}

/* --- one path, one file --------------------------------------------------------------------- */

enum {
    READ_FILES = 7,
    STORE_FILES = 5,
    MODEL_FILES = 9,
    TAKEN_MAX = OUT_COUNT + READ_FILES + STORE_FILES + MODEL_FILES
};

/* Paths that are spoken for. */
typedef struct taken {
    char *path[TAKEN_MAX]; /* resolved as far as that can be */
    char by[TAKEN_MAX][64];
    size_t n;
} taken;

static void taken_release(taken *t)
{
    for (size_t i = 0; i < t->n; i++) free(t->path[i]);
}

static status take(taken *t, const char *path, const char *by, const char *more, err *e)
{
    char *whole = file_resolve(path);
    if (!whole) whole = strdup(path);
    if (!whole) return err_nomem(e, "reading the configuration");
    t->path[t->n] = whole;
    snprintf(t->by[t->n++], sizeof *t->by, "%s%s", by, more);
    return ST_OK;
}

static status take_store(taken *t, const char *url, err *e)
{
    static const char *const ends[STORE_FILES] = {"", "-wal", "-shm", "-lock", "-~new"};
    status st = ST_OK;
    for (int i = 0; st == ST_OK && i < STORE_FILES; i++) {
        buf path = {0};
        buf_fmt(&path, "%s%s", url, ends[i]);
        const char *z = buf_cstr(&path);
        st = z ? take(t, z, "store.url", i ? " (beside it)" : "", e)
               : err_nomem(e, "reading the configuration");
        buf_release(&path);
    }
    return st;
}

static status take_inputs(taken *t, const config *c, err *e)
{
    const struct {
        const char *path, *key;
    } inputs[READ_FILES] = {
        {c->file ? c->file : "", "--config"},
        {strcmp(c->source.path, "-") ? c->source.path : "", "source.path"},
        {c->source.client_secret_file, "source.client_secret_file"},
        {c->source.access_key_secret_file, "source.access_key_secret_file"},
        {c->source.ca_file, "source.ca_file"},
        {c->redact.key_file, "redact.key_file"},
        {c->dedup.pins, "dedup.pins"},
    };
    status st = ST_OK;
    for (int i = 0; st == ST_OK && i < READ_FILES; i++)
        if (*inputs[i].path) st = take(t, inputs[i].path, inputs[i].key, "", e);
    return st;
}

/* All that a model's directory may hold that is read. */
static status take_model(taken *t, const char *configured, err *e)
{
    static const char *const names[MODEL_FILES] = {"config.json",
                                                   "vocab.txt",
                                                   "model.safetensors",
                                                   "modules.json",
                                                   "1_Pooling/config.json",
                                                   "sentence_bert_config.json",
                                                   "config_sentence_transformers.json",
                                                   "tokenizer_config.json",
                                                   "tokenizer.json"};
    err unused = {0};
    buf dir = {0}, path = {0};
    status st = ST_OK;
    bool known = model_files_path(configured, &dir, &unused) == ST_OK;
    for (int i = 0; known && st == ST_OK && i < MODEL_FILES; i++) {
        buf_clear(&path);
        buf_fmt(&path, "%.*s/%s", STR_FMT(buf_view(&dir)), names[i]);
        const char *z = buf_cstr(&path);
        st = z ? take(t, z, "embed.model, ", names[i], e)
               : err_nomem(e, "reading the configuration");
    }
    buf_release(&dir);
    buf_release(&path);
    return st;
}

/* shown: what stands before the path in a message. */
static status take_apart(taken *t, const char *path, const char *name, const char *shown, err *e)
{
    status st = take(t, path, name, "", e);
    for (size_t k = 0; st == ST_OK && k + 1 < t->n; k++)
        if (strcmp(t->path[k], t->path[t->n - 1]) == 0)
            st = err_set(e, ST_USAGE, "%s%s: that is the file of %s; it would be replaced", shown,
                         path, t->by[k]);
    return st;
}

static status take_output(taken *t, const char *path, const char *name, err *e)
{
    char key[32], shown[40];
    if (strcmp(path, "-") == 0)
        return err_set(e, ST_USAGE,
                       "export.%s = -: an export takes the place of a whole file, which standard "
                       "output is not; name a file (./- for one of that name)",
                       name);
    snprintf(key, sizeof key, "export.%s", name);
    snprintf(shown, sizeof shown, "%s = ", key);
    return take_apart(t, path, key, shown, e);
}

/* What is there before any output. */
static status take_all(taken *t, const config *c, err *e)
{
    status st = take_store(t, c->store.url, e);
    if (st == ST_OK) st = take_inputs(t, c, e);
    return st ? st : take_model(t, c->embed.model, e);
}

status outputs_check_removed(const config *c, const char *path, err *e)
{
    taken t = {0};
    status st = take_all(&t, c, e);
    if (st == ST_OK) st = take_apart(&t, path, "--removed", "--removed ", e);
    taken_release(&t);
    return st;
}

status outputs_check(const config *c, err *e)
{
    taken t = {0};
    const char *paths[OUT_COUNT];
    outputs_paths(c, paths);
    bool splits = *paths[OUT_TRAIN] || *paths[OUT_VALID] || *paths[OUT_TEST];
    status st = splits ? config_check(c, e) : ST_OK;
    if (st == ST_OK) st = take_all(&t, c, e);
    for (out_file i = OUT_CSV; st == ST_OK && i < OUT_COUNT; i++)
        if (*paths[i]) st = take_output(&t, paths[i], summary_file_name(i), e);
    taken_release(&t);
    return st;
}

/* --- whether they can be written ------------------------------------------------------------ */

status outputs_can_write(const config *c, err *e)
{
    const char *paths[OUT_COUNT];
    status st = ST_OK;
    outputs_paths(c, paths);
    for (out_file i = OUT_CSV; st == ST_OK && i < OUT_COUNT; i++) {
        file_out f = {0};
        if (*paths[i]) st = file_begin(&f, paths[i], e);
        file_abort(&f);
    }
    return st;
}
