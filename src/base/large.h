/* large.h - memory for arrays that may be large. */
#ifndef TAMIS_BASE_LARGE_H
#define TAMIS_BASE_LARGE_H

#include <stddef.h>

/* Room for n things of that size, from the beginning of a cache line on; what is large, in huge
 * pages where they are to be had: fewer faults, and addresses here and there are found sooner.
 * NULL: no memory, or more than can be.  To be freed with free(). */
void *alloc_large(size_t n, size_t size);

#endif
