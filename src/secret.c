/* secret.c - reads a secret from its variable or its file. */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_LIMIT = 64 << 10 };

/* What is looked at is what is read: one open file. */
status secret_read_file(const char *key, const char *path, buf *out, err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        int why = errno;
        if (fd >= 0) close(fd);
        return err_set(e, ST_USAGE, "%s: cannot read %s: %s", key, path, strerror(why));
    }
    ssize_t n = 0;
    status bad = ST_OK;
    if (S_ISDIR(st.st_mode))
        bad = err_set(e, ST_USAGE, "%s: cannot read %s: %s", key, path, strerror(EISDIR));
    else if (st.st_mode & 0007)
        bad = err_set(e, ST_USAGE, "%s: %s can be read by everybody; chmod 600 it", key, path);
    char *p = bad ? NULL : buf_reserve(out, SECRET_LIMIT + 1); /* once: growing leaves copies */
    if (!bad && !p) bad = err_nomem(e, "reading a secret");
    while (!bad && out->n <= SECRET_LIMIT &&
           (n = read(fd, p + out->n, SECRET_LIMIT + 1 - out->n)) > 0)
        out->n += (size_t)n;
    if (!bad && n < 0)
        bad = err_set(e, ST_USAGE, "%s: cannot read %s: %s", key, path, strerror(errno));
    if (!bad && out->n > SECRET_LIMIT)
        bad = err_set(e, ST_USAGE, "%s: %s is larger than %d bytes", key, path, SECRET_LIMIT);
    close(fd);
    while (out->n && strchr("\r\n", out->p[out->n - 1])) out->n--;
    if (!bad && !out->n) bad = err_set(e, ST_USAGE, "%s: %s is empty", key, path);
    if (!bad && memchr(out->p, 0, out->n))
        bad = err_set(e, ST_USAGE, "%s: %s is not a text", key, path);
    return bad;
}

status secret_read(const secret_place *p, buf *out, err *e)
{
    if (*p->file) return secret_read_file(p->file_key, p->file, out, e);
    const char *value = *p->env ? getenv(p->env) : NULL;
    if (value && *value) {
        buf_reserve(out, strlen(value) + 1);
        buf_z(out, value);
        return ST_OK;
    }
    return err_set(e, ST_USAGE,
                   "no %s: put it into the environment variable %s%s%s, or name a file in %s",
                   p->what, *p->env ? p->env : "that ", *p->env ? "" : p->env_key,
                   *p->env ? "" : " names", p->file_key);
}

void secret_wipe(buf *b)
{
    if (b->p) explicit_bzero(b->p, b->cap);
    buf_release(b);
}
