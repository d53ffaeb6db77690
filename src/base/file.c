/* file.c - whole files in, whole files out.
 *
 * A reader of `path` sees the old bytes or the new ones, never a mixture and
 * never a part, also after a power loss: that is what the two fsyncs are for. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static status read_all(FILE *f, const char *path, size_t limit, buf *out, err *e)
{
    enum { CHUNK = 64 << 10 };
    size_t start = out->n;
    for (;;) {
        char *p = buf_reserve(out, CHUNK);
        if (!p) return err_nomem(e, "reading a file");
        size_t n = fread(p, 1, CHUNK, f);
        out->n += n;
        if (out->n - start > limit)
            return err_set(e, ST_FAILED, "%s is larger than %zu bytes", path, limit);
        if (n < CHUNK) break;
    }
    return ferror(f) ? err_sys(e, errno, "cannot read %s", path) : ST_OK;
}

status file_read(const char *path, size_t limit, buf *out, err *e)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "rbe");
    if (!f) return err_sys(e, errno, "cannot open %s", path);
    status st = read_all(f, standard ? "standard input" : path, limit, out, e);
    if (!standard) fclose(f); /* read only: nothing can be lost */
    return st;
}

status file_map_open(const char *path, file_map *out, err *e)
{
    struct stat s;
    status st = ST_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_sys(e, errno, "cannot open %s", path);
    if (fstat(fd, &s)) {
        st = err_sys(e, errno, "cannot look at %s", path);
    } else if (!S_ISREG(s.st_mode)) {
        st = err_set(e, ST_FAILED, "%s is not a regular file", path);
    } else if (s.st_size > 0) {
        void *p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            st = err_sys(e, errno, "cannot map %s", path);
        else
            out->bytes = (str){p, (size_t)s.st_size};
    }
    close(fd);
    return st;
}

void file_unmap(file_map *m)
{
    if (m->bytes.p) munmap((void *)m->bytes.p, m->bytes.n);
    *m = (file_map){0};
}

void file_map_cool(const file_map *m)
{
    if (m->bytes.p) (void)madvise((void *)m->bytes.p, m->bytes.n, MADV_DONTNEED);
}

status file_sha256(const char *path, char out[SHA256_HEX], err *e)
{
    file_map m = {0};
    unsigned char digest[SHA256_SIZE];
    status st = file_map_open(path, &m, e);
    if (st) return st;
    sha256_of(m.bytes, digest);
    sha256_hex(digest, out);
    file_unmap(&m);
    return ST_OK;
}

/* The directory part of a path, to be freed; "." if there is none. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

char *file_resolve(const char *path)
{
    struct stat s;
    const char *slash = strrchr(path, '/');
    char *whole = realpath(path, NULL);
    if (whole || errno != ENOENT) return whole;
    if (lstat(path, &s) == 0) { /* a link to nowhere */
        errno = ENOENT;
        return NULL;
    }
    char *dir = directory_of(path), *real = dir ? realpath(dir, NULL) : NULL;
    int why = dir ? errno : ENOMEM;
    free(dir);
    if (real &&
        asprintf(&whole, "%s/%s", strcmp(real, "/") ? real : "", slash ? slash + 1 : path) < 0) {
        whole = NULL;
        why = ENOMEM;
    }
    free(real);
    errno = why;
    return whole;
}

static status sync_directory(const char *path, err *e)
{
    char *dir = directory_of(path);
    if (!dir) return err_nomem(e, "syncing a directory");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    status st = ST_OK;
    if (fd < 0 || fsync(fd)) st = err_sys(e, errno, "cannot sync the directory %s", dir);
    if (fd >= 0) close(fd);
    free(dir);
    return st;
}

/* As nobody calls a file of his own: out.tamis-backup is one. */
static const char TEMP_MARK[] = ".~tamis-", TEMP_END[] = "XXXXXX";

/* Removes what a killed run left beside `path`: files of our naming that nobody holds. */
static void remove_leftovers(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *dir = slash ? strndup(path, (size_t)(name - path)) : strdup(".");
    size_t n = strlen(name), mark = sizeof TEMP_MARK - 1;
    struct dirent *entry;
    DIR *d = dir ? opendir(dir) : NULL;
    free(dir);
    while (d && (entry = readdir(d))) {
        const char *s = entry->d_name;
        if (strlen(s) != n + mark + sizeof TEMP_END - 1 || strncmp(s, name, n) != 0 ||
            strncmp(s + n, TEMP_MARK, mark) != 0)
            continue;
        int fd = openat(dirfd(d), s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) (void)!unlinkat(dirfd(d), s, 0);
        if (fd >= 0) close(fd);
    }
    if (d) closedir(d);
}

/* o->temp: the name to be filled in by mkostemp; false: no memory. */
static bool name_temp(file_out *o)
{
    if (asprintf(&o->temp, "%s%s%s", o->path, TEMP_MARK, TEMP_END) >= 0) return true;
    o->temp = NULL;
    return false;
}

status file_begin(file_out *o, const char *path, err *e)
{
    struct stat s;
    *o = (file_out){0};
    o->path = realpath(path, NULL);
    if (!o->path) o->path = strdup(path);
    if (!o->path || !name_temp(o)) {
        file_abort(o);
        return err_nomem(e, "opening a file");
    }
    bool there = stat(o->path, &s) == 0;
    if (there && !S_ISREG(s.st_mode)) {
        file_abort(o);
        return err_set(e, ST_FAILED, "cannot write %s: it is not a regular file", path);
    }
    remove_leftovers(o->path);
    int fd = mkostemp(o->temp, O_CLOEXEC);
    if (fd < 0) {
        int why = errno;
        free(o->temp);
        o->temp = NULL;
        file_abort(o);
        return err_sys(e, why, "cannot write %s", path);
    }
    (void)!flock(fd, LOCK_EX | LOCK_NB); /* until it is closed: it is no leftover */
    if (there) (void)!fchmod(fd, s.st_mode & 0777);
    o->f = fdopen(fd, "wb");
    if (!o->f) {
        close(fd);
        file_abort(o);
        return err_nomem(e, "opening a file");
    }
    sha256_init(&o->hash);
    return ST_OK;
}

status file_write(file_out *o, str bytes, err *e)
{
    if (bytes.n && fwrite(bytes.p, 1, bytes.n, o->f) != bytes.n)
        return err_sys(e, errno, "cannot write %s", o->path);
    sha256_add(&o->hash, bytes.p, bytes.n);
    o->n += bytes.n;
    return ST_OK;
}

static void forget(file_out *o)
{
    free(o->path);
    free(o->temp);
    *o = (file_out){0};
}

status file_commit(file_out *o, char hex[SHA256_HEX], err *e)
{
    unsigned char digest[SHA256_SIZE];
    if (fflush(o->f) || fsync(fileno(o->f))) {
        status st = err_sys(e, errno, "cannot write %s", o->path);
        file_abort(o);
        return st;
    }
    int rc = fclose(o->f);
    o->f = NULL;
    if (rc || rename(o->temp, o->path)) {
        status st = err_sys(e, errno, "cannot replace %s", o->path);
        file_abort(o);
        return st;
    }
    sha256_end(&o->hash, digest);
    sha256_hex(digest, hex);
    status st = sync_directory(o->path, e);
    forget(o);
    return st;
}

void file_abort(file_out *o)
{
    if (o->f) fclose(o->f); /* the file goes anyway */
    if (o->temp) unlink(o->temp);
    forget(o);
}

status file_mkdirs(const char *path, err *e)
{
    char *copy = strdup(path);
    if (!copy) return err_nomem(e, "making a directory");
    status st = ST_OK;
    for (char *p = copy + 1; st == ST_OK; p++) {
        if (*p && *p != '/') continue;
        char was = *p;
        *p = 0;
        if (mkdir(copy, 0700) && errno != EEXIST)
            st = err_sys(e, errno, "cannot make the directory %s", copy);
        *p = was;
        if (!was) break;
    }
    free(copy);
    return st;
}
