/* place.c - finding, locking and putting into place the file of a store.
 *
 * Two names of one file must meet at one lock, so links are resolved first.  The lock is a
 * flock on a file of its own: it ends with its process, however that ends, and has nothing to
 * do with the locks inside SQLite.  Whoever only asks whether it is held takes it shared for a
 * moment; that is why the writer tries for a little while before it gives up. */
#include "store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/time.h"

enum { LOCK_TRIES = 10 };
static const double LOCK_WAIT = 0.02; /* seconds between two tries */

static status check_url(const char *url, err *e)
{
    if (!*url) return err_set(e, ST_USAGE, "store.url is empty: set it to a path");
    if (strncmp(url, "postgresql://", 13) == 0 || strncmp(url, "postgres://", 11) == 0)
        return err_set(e, ST_USAGE,
                       "store.url: PostgreSQL is not supported by this version; set it to a path");
    if (strstr(url, "://")) /* it may hold a password, so it is not repeated */
        return err_set(e, ST_USAGE, "store.url is not a path: other URLs are not supported");
    if (url[strlen(url) - 1] == '/')
        return err_set(e, ST_USAGE, "store.url = %s: that is a directory; name a file in it", url);
    return ST_OK;
}

static char *joined(const char *a, const char *b)
{
    char *whole;
    return asprintf(&whole, "%s%s", a, b) < 0 ? NULL : whole;
}

status place_find(place *p, const char *url, err *e)
{
    *p = (place){.lock = -1};
    status st = check_url(url, e);
    if (st) return st;
    p->name = strdup(url);
    p->path = p->name ? file_resolve(url) : NULL;
    if (p->name && !p->path) return err_sys(e, errno, "cannot open the store %s", url);
    p->lock_path = p->path ? joined(p->path, "-lock") : NULL;
    p->new_path = p->path ? joined(p->path, "-~new") : NULL;
    if (!p->lock_path || !p->new_path) return err_nomem(e, "opening the store");
    return place_look(p, e);
}

void place_release(place *p)
{
    if (p->lock >= 0) close(p->lock);
    free(p->name);
    free(p->path);
    free(p->lock_path);
    free(p->new_path);
    *p = (place){.lock = -1};
}

status place_look(place *p, err *e)
{
    struct stat s;
    p->is_there = false;
    if (stat(p->path, &s))
        return errno == ENOENT ? ST_OK : err_sys(e, errno, "cannot open the store %s", p->name);
    if (!S_ISREG(s.st_mode))
        return err_set(e, ST_FAILED, "%s is not a file: set store.url to another path", p->name);
    p->is_there = s.st_size > 0;
    return ST_OK;
}

status place_lock(place *p, err *e)
{
    int fd = open(p->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(e, errno, "cannot write the store %s: cannot open %s", p->name,
                       p->lock_path);
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
        int why = errno;
        if (why == EINTR || (why == EWOULDBLOCK && i < LOCK_TRIES)) {
            clock_sleep(LOCK_WAIT, NULL);
            continue;
        }
        close(fd);
        if (why != EWOULDBLOCK) return err_sys(e, why, "cannot lock %s", p->lock_path);
        return err_set(e, ST_BUSY, "another run holds the store %s: wait until it has ended",
                       p->name);
    }
    p->lock = fd;
    return ST_OK;
}

bool place_is_held(const place *p)
{
    int fd = open(p->lock_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

/* What SQLite lays beside a database. */
static const char *const companions[] = {"-journal", "-wal", "-shm"};
enum { N_COMPANIONS = sizeof companions / sizeof *companions };

/* A log without its database: of a store that was moved away alone, maybe, and then it holds
 * what that one lacks. */
static status refuse_orphan(const char *path, err *e)
{
    struct stat s;
    if (stat(path, &s) || !s.st_size) return ST_OK;
    return err_set(e, ST_FAILED,
                   "cannot create the store: %s is there without it: move it to where the store "
                   "was moved, or remove it if that is gone",
                   path);
}

status place_make_new(const place *p, err *e)
{
    status st = ST_OK;
    for (int i = 0; st == ST_OK && i < N_COMPANIONS; i++) {
        char *path = joined(p->path, companions[i]);
        if (!path)
            st = err_nomem(e, "creating the store");
        else if (strcmp(companions[i], "-shm")) /* made again from the log by whoever opens */
            st = refuse_orphan(path, e);
        free(path);
    }
    if (st) return st;
    place_drop_new(p);
    int fd = open(p->new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return err_sys(e, errno, "cannot create the store %s", p->name);
    close(fd);
    return ST_OK;
}

void place_drop_new(const place *p)
{
    unlink(p->new_path); /* what cannot be removed shows when it is made */
    for (int i = 0; i < N_COMPANIONS; i++) {
        char *path = joined(p->new_path, companions[i]);
        if (path) unlink(path);
        free(path);
    }
}

status place_publish(const place *p, err *e)
{
    char *dir = strndup(p->path, (size_t)(strrchr(p->path, '/') - p->path) + 1);
    if (!dir) return err_nomem(e, "creating the store");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), why = 0;
    if (fd < 0 || rename(p->new_path, p->path) || fsync(fd)) why = errno;
    if (fd >= 0) close(fd);
    free(dir);
    return why ? err_sys(e, why, "cannot create the store %s", p->name) : ST_OK;
}

status place_immutable_uri(const place *p, buf *out, err *e)
{
    char *log = joined(p->path, "-wal");
    if (!log) return err_nomem(e, "opening the store");
    struct stat s;
    bool has_log = stat(log, &s) == 0 && s.st_size > 0;
    free(log);
    if (has_log)
        return err_set(e, ST_FAILED,
                       "cannot read the store %s: a run did not end properly, and its directory "
                       "cannot be written: open it once where that is possible",
                       p->name);
    buf_z(out, "file:");
    for (const char *c = p->path; *c; c++) {
        if (strchr("%?#", *c))
            buf_fmt(out, "%%%02X", (unsigned char)*c);
        else
            buf_char(out, *c);
    }
    buf_z(out, "?immutable=1");
    return buf_cstr(out) ? ST_OK : err_nomem(e, "opening the store");
}
