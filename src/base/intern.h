/* intern.h - numbers for texts: equal texts get the same number, counted from 0. */
#ifndef TAMIS_BASE_INTERN_H
#define TAMIS_BASE_INTERN_H

#include <stdint.h>

#include "base/str.h"

/* Zero-initialise.  The texts are borrowed and must outlive it.  One thread. */
typedef struct intern {
    str *texts; /* [n] */
    uint32_t n, cap;
    struct intern_slot *slots; /* [n_slots] */
    uint32_t n_slots;
    uint64_t seed;
} intern;

enum { INTERN_NONE = UINT32_MAX };

void intern_release(intern *t);

/* The number of a text, a new one if it is new; INTERN_NONE when memory is out (or the
 * count would pass 2^30). */
uint32_t intern_add(intern *t, str text);

/* The number of a text, or INTERN_NONE. */
uint32_t intern_find(const intern *t, str text);

#endif
