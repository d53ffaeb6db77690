/* doctor.c - what lies on this machine: configuration, model, store, disk, exports.
 *
 * A check that fails keeps none from running but those that need what it found.  Nothing is
 * changed: the store is opened for reading, and an export's temporary file is removed again. */
#include "doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "curate/rating.h"
#include "embed/embed.h"
#include "model_files.h"
#include "outputs.h"
#include "redaction.h"
#include "source_settings.h"
#include "store/store.h"

/* --- configuration -------------------------------------------------------------------------- */

static void examine_configuration(const doctor_job *j, diagnosis *d)
{
    const config *c = j->config;
    source_settings s = {0};
    rating_map map;
    arena a = {0};
    err e = {0};
    if (j->configuration) {
        diagnosis_add(d, "configuration", CHECK_FAILED,
                      "correct it; `tamis init --config FILE` writes every key with its default",
                      "%s", j->configuration)
            ->code = ST_USAGE;
        return;
    }
    redactor *cleaner = NULL;
    bool file = strcmp(c->source.type, "file") == 0;
    status st = rating_map_parse(str_from(c->filter.rating_map), &a, &map, &e);
    if (st == ST_OK) st = redaction_open(c, &cleaner, &e);
    redactor_free(cleaner);
    if (st == ST_OK && !file) st = source_settings_plain(&s, c, &e);
    if (st == ST_OK && file && !*c->source.path)
        st = err_set(&e, ST_USAGE, "no source.path: with source.type = file it names the file");
    if (st)
        diagnosis_fail(d, "configuration", &e, "set it in tamis.ini, or by --set for one run");
    else
        diagnosis_add(d, "configuration", CHECK_OK, NULL, "%s from %s", c->source.type,
                      file ? c->source.path : s.o.base_url);
    source_settings_release(&s);
    arena_release(&a);
}

/* --- a file in the place of an API ----------------------------------------------------------- */

static void examine_file(const doctor_job *j, diagnosis *d)
{
    const char *path = j->config->source.path;
    const bool is_stdin = !strcmp(path, "-");
    struct stat st = {0};
    bool ok = is_stdin || (access(path, R_OK) == 0 && stat(path, &st) == 0);
    if (ok && S_ISDIR(st.st_mode)) ok = false, errno = EISDIR;
    if (!*path)
        diagnosis_add(d, "file", CHECK_SKIPPED, NULL, "needs source.path");
    else if (ok)
        diagnosis_add(d, "file", CHECK_OK, NULL, "%s can be read", path);
    else
        diagnosis_add(d, "file", CHECK_FAILED,
                      "set source.path to a file that is there and that this user can read",
                      "cannot read %s: %s", path, strerror(errno));
}

/* --- model ---------------------------------------------------------------------------------- */

/* The sum of the model that the store's vectors are of; empty if it has none. */
static void model_of_store(const config *c, buf *out)
{
    store *s = NULL;
    err unused = {0};
    bool found;
    if (store_open(c->store.url, STORE_READ, &s, &unused) == ST_OK &&
        store_get(s, "model", out, &found, &unused))
        buf_clear(out);
    store_close(s);
}

static void compare_model(const doctor_job *j, diagnosis *d, const char *dir, const char *sum)
{
    buf stored = {0};
    err published = {0};
    model_of_store(j->config, &stored);
    if (stored.n && !str_eq(buf_view(&stored), str_from(sum)))
        diagnosis_add(d, "model", CHECK_FAILED,
                      "point embed.model at that model, or embed all again: tamis curate --reembed",
                      "%s is %.12s..., the store's vectors are of %.12s...", dir, sum, stored.p)
            ->code = ST_USAGE;
    else if (model_files_check(dir, &published) == ST_OK)
        diagnosis_add(d, "model", CHECK_OK, NULL, "%s, the published files", dir);
    else if (*j->config->embed.model || getenv("TAMIS_MODEL_DIR"))
        diagnosis_add(d, "model", CHECK_OK, NULL, "%s, a model of your own (%.12s...)", dir, sum);
    else
        diagnosis_fail(d, "model", &published, "get it again: tamis model fetch");
    buf_release(&stored);
}

static void examine_model(const doctor_job *j, diagnosis *d)
{
    buf dir = {0};
    model *m = NULL;
    err e = {0};
    char sum[SHA256_HEX];
    status st = model_files_path(j->config->embed.model, &dir, &e);
    const char *z = st == ST_OK ? buf_cstr(&dir) : NULL;
    if (st == ST_OK && !z) st = err_nomem(&e, "looking for the model");
    if (st == ST_OK) st = model_open(z, &m, &e);
    if (st == ST_OK) st = model_fingerprint(m, sum, &e);
    if (st)
        diagnosis_fail(d, "model", &e,
                       *j->config->embed.model
                           ? "point embed.model at a directory with config.json, vocab.txt and "
                             "model.safetensors, or leave it empty"
                           : "get it: tamis model fetch");
    else
        compare_model(j, d, z, sum);
    model_free(m);
    buf_release(&dir);
}

/* --- store, disk ---------------------------------------------------------------------------- */

/* The directory that a path lies in, to be freed. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static void examine_new_store(const char *url, diagnosis *d)
{
    char *dir = directory_of(url);
    if (dir && access(dir, W_OK | X_OK) == 0)
        diagnosis_add(d, "store", CHECK_OK, NULL, "%s is not there yet; the first run makes it",
                      url);
    else
        diagnosis_add(
            d, "store", CHECK_FAILED,
            "make the directory, let this user write it, or set store.url to another path",
            "%s cannot be made: %s: %s", url, dir ? dir : "?", strerror(errno));
    free(dir);
}

static void describe_store(const doctor_job *j, store *s, diagnosis *d, err *e)
{
    const char *url = j->config->store.url;
    store_counts n;
    if (store_check(s, e) || store_count(s, &n, e)) {
        diagnosis_fail(d, "store", e,
                       "restore it from a backup, or move it away: a run fetches anew all that "
                       "the API still has");
        return;
    }
    if (access(url, W_OK))
        diagnosis_add(d, "store", CHECK_FAILED, "let this user write it: chown, chmod",
                      "%s cannot be written: %s", url, strerror(errno));
    else
        diagnosis_add(d, "store", CHECK_OK, NULL,
                      "%s is sound: %llu interactions, %llu rejected records, %.1f MiB", url,
                      (unsigned long long)n.interactions, (unsigned long long)n.rejected,
                      (double)n.bytes / (1 << 20));
}

static void examine_store(const doctor_job *j, diagnosis *d)
{
    const char *url = j->config->store.url;
    struct stat st;
    store *s = NULL;
    err e = {0};
    if (*url && !strstr(url, "://") && stat(url, &st) && errno == ENOENT) {
        examine_new_store(url, d);
        return;
    }
    if (store_open(url, STORE_READ, &s, &e))
        diagnosis_fail(d, "store", &e,
                       "do that, or set store.url to a path that holds a store, or to a new one");
    else
        describe_store(j, s, d, &e);
    store_close(s);
}

static void examine_disk(const doctor_job *j, diagnosis *d)
{
    static const double LEAST = 32 << 20, ENOUGH = 256 << 20; /* bytes free */
    const char *url = j->config->store.url;
    char *dir = directory_of(strstr(url, "://") ? "." : url);
    struct statvfs v;
    struct stat s;
    if (!dir || statvfs(dir, &v)) {
        diagnosis_add(d, "disk", CHECK_SKIPPED, NULL, "%s: %s", dir ? dir : "?", strerror(errno));
        free(dir);
        return;
    }
    double left = (double)v.f_bavail * (double)v.f_frsize, wanted = ENOUGH;
    if (stat(url, &s) == 0 && (double)s.st_size / 4 > wanted) wanted = (double)s.st_size / 4;
    diagnosis_add(d, "disk",
                  left < LEAST    ? CHECK_FAILED
                  : left < wanted ? CHECK_WARNING
                                  : CHECK_OK,
                  left < wanted ? "make room, or set store.url to a path on another disk" : NULL,
                  "%.1f GiB left where the store lies (%s)", left / (1 << 30), dir);
    free(dir);
}

/* --- exports -------------------------------------------------------------------------------- */

/* Whether the files could be replaced: temporary ones are made, and removed. */
static void examine_export(const doctor_job *j, diagnosis *d)
{
    const char *paths[OUT_COUNT];
    size_t n = 0;
    err e = {0};
    if (outputs_check(j->config, &e) || outputs_can_write(j->config, &e)) {
        diagnosis_fail(d, "export", &e,
                       "make its directory, let this user write it, or name another path in "
                       "[export]");
        return;
    }
    outputs_paths(j->config, paths);
    for (out_file i = OUT_CSV; i < OUT_COUNT; i++) n += *paths[i] != 0;
    if (n)
        diagnosis_add(d, "export", CHECK_OK, NULL, "%zu %s can be written", n,
                      n == 1 ? "file" : "files");
    else
        diagnosis_add(d, "export", CHECK_WARNING, "name a file: export.csv", "[export] names none");
}

void doctor_examine(const doctor_job *j, diagnosis *d)
{
    examine_configuration(j, d);
    if (strcmp(j->config->source.type, "file"))
        doctor_examine_api(j, d);
    else
        examine_file(j, d);
    examine_model(j, d);
    examine_store(j, d);
    examine_disk(j, d);
    examine_export(j, d);
}
