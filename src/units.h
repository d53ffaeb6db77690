/* units.h - the vectors of a data set: one for each distinct text. */
#ifndef TAMIS_UNITS_H
#define TAMIS_UNITS_H

#include "base/intern.h"
#include "dataset.h"
#include "embed/embed.h"

/* Texts whose vector the store had come first, so that the new ones lie together for the
 * embedder. */
typedef struct units {
    intern texts;    /* number of a text -> text */
    uint32_t *place; /* [texts.n] where the vector of a text is */
    uint32_t *of;    /* [n_turns] where the vector of a turn is */
    float *vectors;  /* [texts.n, dim] */
    size_t dim, n_cached;
} units;

/* The model's fingerprint, from the store if the files have not changed.  ST_USAGE: it is not
 * the model of the vectors in the store (with j->reembed: they are dropped). */
status units_check_model(const job *j, const model *m, char fingerprint[SHA256_HEX],
                         err *e) MUST_USE;

/* Takes vectors from the store and embeds what is missing, keeping each batch in the store as it
 * comes.  Zero-initialise *u, release it in any case.  ST_INCOMPLETE: stopped. */
status units_gather(const job *j, const dataset *d, const model *m, pool *p, isa set, units *u,
                    err *e) MUST_USE;
void units_release(units *u);

#endif
