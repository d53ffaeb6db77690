/* faults.c - loaded before the program (LD_PRELOAD): its calls to the operating system, counted by
 * class, and one of them the last thing it does, or a failure.
 *
 * TAMIS_FAULTS=ACT:CLASS:N[+]  where
 *   ACT    kill (SIGKILL before the call), enospc, eio, erofs, enomem (the call fails so), half (a
 *          part is written, then the disk is full)
 *   CLASS  open, write, sync, rename, net, memory
 *   N      the call, counted from 1; with + all calls from then on
 * TAMIS_FAULTS=count:FILE      writes "CLASS N" for each class to FILE at the end
 *
 * What is written to a terminal's descriptors (0 to 2) does not count.  glibc's stdio calls the
 * kernel from inside, so fwrite stands for the writing of files by stdio. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { C_OPEN, C_WRITE, C_SYNC, C_RENAME, C_NET, C_MEMORY, N_CLASSES };
static const char *const class_names[N_CLASSES] = {"open",   "write", "sync",
                                                   "rename", "net",   "memory"};
enum { A_NONE, A_KILL, A_FAIL, A_HALF, A_COUNT };

static struct {
    int act, class, error;
    long n;
    bool forever;
    char count_file[4096];
} plan;
static atomic_long counts[N_CLASSES];
static atomic_bool armed;

static void read_act(const char *act, size_t n)
{
    static const struct {
        const char *name;
        int act, error;
    } acts[] = {{"kill", A_KILL, 0},          {"enospc", A_FAIL, ENOSPC}, {"eio", A_FAIL, EIO},
                {"erofs", A_FAIL, EROFS},     {"enomem", A_FAIL, ENOMEM}, {"half", A_HALF, ENOSPC},
                {"reset", A_FAIL, ECONNRESET}};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strlen(acts[i].name) == n && !memcmp(acts[i].name, act, n)) {
            plan.act = acts[i].act;
            plan.error = acts[i].error;
        }
}

/* It does nothing but read: it runs before the program does. */
__attribute__((constructor)) static void begin(void)
{
    const char *spec = getenv("TAMIS_FAULTS"), *colon = spec ? strchr(spec, ':') : NULL;
    if (!colon) return;
    if (!strncmp(spec, "count:", 6)) {
        snprintf(plan.count_file, sizeof plan.count_file, "%s", colon + 1);
        plan.act = A_COUNT;
        armed = true;
        return;
    }
    const char *second = strchr(colon + 1, ':');
    if (!second) return;
    read_act(spec, (size_t)(colon - spec));
    plan.class = -1;
    for (int c = 0; c < N_CLASSES; c++)
        if (strlen(class_names[c]) == (size_t)(second - colon - 1) &&
            !memcmp(class_names[c], colon + 1, strlen(class_names[c])))
            plan.class = c;
    char *end;
    plan.n = strtol(second + 1, &end, 10);
    plan.forever = *end == '+';
    armed = plan.act != A_NONE && plan.class >= 0;
}

__attribute__((destructor)) static void end(void)
{
    if (plan.act != A_COUNT) return;
    armed = false;
    FILE *f = fopen(plan.count_file, "w");
    if (!f) return;
    for (int c = 0; c < N_CLASSES; c++) fprintf(f, "%s %ld\n", class_names[c], counts[c]);
    fclose(f);
}

/* Whether this call is to fail; *half: after a part of it. */
static bool goes_wrong(int class, bool *half)
{
    if (half) *half = false;
    if (!armed) return false;
    long n = ++counts[class];
    if (plan.act == A_COUNT || class != plan.class) return false;
    if (n != plan.n && !(plan.forever && n > plan.n)) {
        if (!(plan.act == A_HALF && n > plan.n)) return false;
    }
    if (plan.act == A_KILL) kill(getpid(), SIGKILL);
    if (half) *half = plan.act == A_HALF && n == plan.n;
    errno = plan.error;
    return true;
}

#define REAL(type, name, ...)                                                                      \
    static type (*real)(__VA_ARGS__);                                                              \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

/* --- files ----------------------------------------------------------------------------------- */

static int do_open(const char *path, int flags, unsigned mode)
{
    /* What is read only, and what the system itself needs, is no place for a fault. */
    bool counts_here = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
    if (counts_here && goes_wrong(C_OPEN, NULL)) return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPEN_LIKE(name)                                                                            \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, unsigned) : 0;                  \
        va_end(ap);                                                                                \
        return do_open(path, flags, mode);                                                         \
    }
OPEN_LIKE(open)
OPEN_LIKE(open64)

ssize_t write(int fd, const void *p, size_t n)
{
    bool half;
    if (fd > 2 && goes_wrong(C_WRITE, &half))
        return half && n > 1 ? syscall(SYS_write, fd, p, n / 2) : -1;
    return syscall(SYS_write, fd, p, n);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    bool half;
    if (goes_wrong(C_WRITE, &half))
        return half && n > 1 ? syscall(SYS_pwrite64, fd, p, n / 2, at) : -1;
    return syscall(SYS_pwrite64, fd, p, n, at);
}

size_t fwrite(const void *p, size_t size, size_t n, FILE *f)
{
    REAL(size_t, "fwrite", const void *, size_t, size_t, FILE *);
    bool half;
    if (fileno(f) > 2 && goes_wrong(C_WRITE, &half))
        return half && n > 1 ? real(p, size, n / 2, f) : 0;
    return real(p, size, n, f);
}

int ftruncate64(int fd, off64_t n)
{
    return goes_wrong(C_WRITE, NULL) ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}

int fsync(int fd)
{
    return goes_wrong(C_SYNC, NULL) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return goes_wrong(C_SYNC, NULL) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int rename(const char *from, const char *to)
{
    return goes_wrong(C_RENAME, NULL) ? -1 : (int)syscall(SYS_rename, from, to);
}

int unlink(const char *path)
{
    return goes_wrong(C_RENAME, NULL) ? -1 : (int)syscall(SYS_unlink, path);
}

/* --- the network ----------------------------------------------------------------------------- */

int connect(int fd, const struct sockaddr *to, socklen_t n)
{
    return goes_wrong(C_NET, NULL) ? -1 : (int)syscall(SYS_connect, fd, to, n);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    return goes_wrong(C_NET, NULL) ? -1 : syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
    return goes_wrong(C_NET, NULL) ? -1 : syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
}

/* --- memory ---------------------------------------------------------------------------------- */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    return goes_wrong(C_MEMORY, NULL) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return goes_wrong(C_MEMORY, NULL) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return goes_wrong(C_MEMORY, NULL) ? NULL : __libc_realloc(p, n);
}
