/* str.h - text as pointer and length.  Not owned, not NUL-terminated. */
#ifndef TAMIS_BASE_STR_H
#define TAMIS_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct str {
    const char *p; /* may be NULL when n == 0 */
    size_t n;      /* bytes */
} str;

#define STR(literal) ((str){(literal), sizeof(literal) - 1})
#define STR_FMT(s) (int)(s).n, (s).p /* for "%.*s" */

static inline str str_from(const char *z)
{
    return (str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(str a, str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Order by bytes, a prefix first: <0, 0, >0. */
static inline int str_cmp(str a, str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Cuts at the first `at`: *part is what stands before it, *rest what stands behind it.  false:
 * *rest was empty, so behind a last `at` there is no part. */
static inline bool str_cut(str *rest, char at, str *part)
{
    const char *end = rest->n ? memchr(rest->p, at, rest->n) : NULL;
    *part = (str){rest->p, end ? (size_t)(end - rest->p) : rest->n};
    if (!rest->n) return false;
    *rest = (str){part->p + part->n + (end != NULL), rest->n - part->n - (end != NULL)};
    return true;
}

/* Levenshtein distance in bytes; inputs longer than 63 bytes count as far (64). */
size_t str_distance(str a, str b);

#endif
