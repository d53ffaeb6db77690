/* vectors.c - the file, with plain reads and writes.
 *
 * Mapped pages would count as memory of the process; pages that the system keeps of a file that
 * is read do not, and it gives them back when it needs them.  So the system's cache is the
 * cache.  Row i lies at i rows from the beginning whether or not those before it are in
 * memory: holes take no room. */
#include "dedup/vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/large.h"

struct vector_file {
    int fd;
    int failed; /* errno of a read that failed; 0: none did */
    char dir[]; /* for messages */
};

static const char what[] = "keeping vectors";

/* Where no file without a name can be made, one with a name that is taken away at once. */
static int open_nameless(const char *dir)
{
    char path[4096];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
    if ((size_t)snprintf(path, sizeof path, "%s/.tamis-vectors-XXXXXX", dir) >= sizeof path)
        return errno = ENAMETOOLONG, -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) (void)unlink(path);
    return fd;
}

/* Takes the room at once, where the file system can: better to fail now than in hours. */
static status open_file(vector_list *v, size_t n, size_t row, const char *dir, err *e)
{
    const size_t length = strlen(dir) + 1;
    vector_file *f = calloc(1, sizeof *f + length);
    if (!f) return err_nomem(e, what);
    memcpy(f->dir, dir, length);
    v->file = f;
    f->fd = -1;
    if (n && n <= v->n_here) return ST_OK;
    f->fd = open_nameless(dir);
    if (f->fd < 0)
        return err_sys(e, errno,
                       "cannot make a file in %s for the vectors beyond dedup.memory (TMPDIR names "
                       "another directory)",
                       dir);
    const off_t from = (off_t)(v->n_here * row), wanted = (off_t)((n - v->n_here) * row);
    if (!n || !fallocate(f->fd, 0, from, wanted)) return ST_OK;
    if (errno != ENOSPC && errno != EFBIG && errno != EDQUOT) return ST_OK;
    return err_sys(e, errno,
                   "no room in %s for %zu MiB of vectors beyond dedup.memory (TMPDIR names another "
                   "directory)",
                   dir, ((size_t)wanted >> 20) + 1);
}

status vectors_new(size_t n, size_t dim, size_t n_here, const char *dir, vector_list *out, err *e)
{
    const size_t row = dim * sizeof(float);
    const bool all = n_here == VECTORS_ALL;
    *out = (vector_list){.n_here = n_here < n ? n_here : n};
    out->rows = alloc_large(out->n_here + 1, row);
    if (!out->rows) return err_nomem(e, what);
    return all ? ST_OK : open_file(out, n, row, dir, e);
}

void vectors_release(vector_list *v)
{
    if (v->file && v->file->fd >= 0) close(v->file->fd);
    free(v->file);
    free(v->rows);
    *v = (vector_list){0};
}

static status put_far(const vector_file *f, const char *bytes, size_t n, off_t at, err *e)
{
    while (n) {
        ssize_t done = pwrite(f->fd, bytes, n, at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0)
            return err_sys(e, done ? errno : ENOSPC,
                           "cannot write the vectors beyond dedup.memory to a file in %s (TMPDIR "
                           "names another directory)",
                           f->dir);
        bytes += done;
        at += done;
        n -= (size_t)done;
    }
    return ST_OK;
}

/* How many of the rows [at, at + n) are in memory. */
static size_t count_here(const vector_list *v, size_t at, size_t n)
{
    if (!v->file) return n;
    return at >= v->n_here ? 0 : v->n_here - at < n ? v->n_here - at : n;
}

status vectors_put(const vector_list *v, size_t dim, size_t at, size_t n, const float *rows, err *e)
{
    const size_t row = dim * sizeof *rows, here = count_here(v, at, n);
    if (here) memcpy(v->rows + at * dim, rows, here * row);
    if (here == n) return ST_OK;
    return put_far(v->file, (const char *)(rows + here * dim), (n - here) * row,
                   (off_t)((at + here) * row), e);
}

static int get_far(const vector_file *f, char *bytes, size_t n, off_t at)
{
    while (n) {
        ssize_t done = pread(f->fd, bytes, n, at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return done ? errno : EIO;
        bytes += done;
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

const float *vectors_read(const vector_list *v, size_t dim, size_t at, size_t n, float *room)
{
    const size_t row = dim * sizeof *room, here = count_here(v, at, n);
    if (here == n) return v->rows + at * dim;
    if (here) memcpy(room, v->rows + at * dim, here * row);
    float *far = room + here * dim;
    int failed = get_far(v->file, (char *)far, (n - here) * row, (off_t)((at + here) * row));
    if (failed) {
        memset(far, 0, (n - here) * row);
        __atomic_store_n(&v->file->failed, failed, __ATOMIC_RELAXED);
    }
    return room;
}

bool vectors_equal(const vector_list *v, size_t dim, size_t a, size_t b)
{
    float x[VECTORS_DIM], y[VECTORS_DIM];
    return memcmp(vectors_row(v, dim, a, x), vectors_row(v, dim, b, y), dim * sizeof *x) == 0;
}

status vectors_bring(vector_list *v, size_t dim, size_t n_here, err *e)
{
    const size_t row = dim * sizeof *v->rows, had = v->n_here;
    if (!v->file || n_here <= had) return ST_OK;
    float *rows = reallocarray(v->rows, n_here + 1, row);
    if (!rows) return err_nomem(e, what);
    v->rows = rows;
    vectors_read(v, dim, had, n_here - had, rows + had * dim);
    v->n_here = n_here;
    return vectors_check(v, e);
}

status vectors_check(const vector_list *v, err *e)
{
    int failed = v->file ? __atomic_load_n(&v->file->failed, __ATOMIC_RELAXED) : 0;
    if (!failed) return ST_OK;
    return err_sys(e, failed, "cannot read the vectors beyond dedup.memory from a file in %s",
                   v->file->dir);
}
