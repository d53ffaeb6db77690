/* buf.c - growth by doubling, with the size arithmetic checked in one place. */
#include "base/buf.h"

#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

void buf_release(buf *b)
{
    free(b->p);
    *b = (buf){0};
}

void buf_clear(buf *b)
{
    b->n = 0;
    b->oom = false;
}

char *buf_reserve(buf *b, size_t n)
{
    if (b->oom) return NULL;
    if (b->cap - b->n >= n) return b->p + b->n;
    size_t need = b->n + n;
    size_t cap = b->cap < SIZE_MAX / 2 ? b->cap * 2 : SIZE_MAX;
    if (cap < 256) cap = 256;
    if (cap < need) cap = need;
    char *p = need < n ? NULL : realloc(b->p, cap);
    if (!p) {
        b->oom = true;
        return NULL;
    }
    b->p = p;
    b->cap = cap;
    return p + b->n;
}

void buf_add(buf *b, const void *bytes, size_t n)
{
    if (!n) return;
    char *p = buf_reserve(b, n);
    if (!p) return;
    memcpy(p, bytes, n);
    b->n += n;
}

void buf_str(buf *b, str s)
{
    buf_add(b, s.p, s.n);
}

void buf_z(buf *b, const char *z)
{
    buf_add(b, z, strlen(z));
}

void buf_char(buf *b, char c)
{
    buf_add(b, &c, 1);
}

static locale_t plain; /* 0: there is none, and the program's has to do */

static void find_plain(void)
{
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Numbers have a point, whatever the host program made of its locale. */
void buf_fmt(buf *b, const char *fmt, ...)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    va_list ap, again;
    pthread_once(&once, find_plain);
    const locale_t before = uselocale(plain);
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
    if (p) {
        vsnprintf(p, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    } else {
        b->oom = true;
    }
    va_end(again);
    uselocale(before);
}

const char *buf_cstr(buf *b)
{
    char *p = buf_reserve(b, 1);
    if (!p) return NULL;
    *p = 0;
    return b->p;
}
