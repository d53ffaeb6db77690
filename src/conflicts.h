/* conflicts.h - questions that are near-duplicates and got different answers. */
#ifndef TAMIS_CONFLICTS_H
#define TAMIS_CONFLICTS_H

#include "dataset.h"

/* A removed turn whose answer says something else than the kept one's. */
typedef struct conflict {
    uint32_t row;
    double score; /* the cosine of the answers */
} conflict;

typedef struct conflict_group {
    uint32_t kept;      /* row */
    uint32_t n;         /* at least 1 */
    const conflict *of; /* [n] in final order */
} conflict_group;

typedef struct conflicts {
    conflict_group *groups; /* [n_groups] those with most first, then in final order */
    size_t n_groups;
    conflict *all;
} conflicts;

/* Finds each kept turn some of whose duplicates were answered otherwise: the cosine of the answers
 * is below conflicts.below, and the texts differ.  Answers are embedded as utterances are, and kept
 * in the store.  Release *out in any case. */
status conflicts_find(const job *j, const dataset *d, conflicts *out, err *e) MUST_USE;
void conflicts_release(conflicts *c);

/* Writes, as JSON lines, what conflicts_find finds. */
status conflicts_write(const job *j, const dataset *d, const char *path, export_result *out,
                       err *e) MUST_USE;

#endif
