/* large.c - huge pages are a hint: where there are none, the memory is as good. */
#include "base/large.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

void *alloc_large(size_t n, size_t size)
{
    enum { LINE = 64, HUGE_PAGE = 2 << 20 };
    void *p = NULL;
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - 2 * HUGE_PAGE) return NULL;
    const bool large = bytes >= 4 * HUGE_PAGE;
    if (posix_memalign(&p, large ? HUGE_PAGE : LINE, bytes + LINE)) return NULL;
    if (large) (void)madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}
