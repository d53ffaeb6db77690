/* units.h - the vectors of a data set: one for each distinct text. */
#ifndef TAMIS_UNITS_H
#define TAMIS_UNITS_H

#include "base/intern.h"
#include "dataset.h"
#include "dedup/vectors.h"
#include "embed/embed.h"

/* Texts whose vector the store had come first, so that the new ones lie together for the
 * embedder. */
typedef struct units {
    intern texts;           /* number of a text -> text */
    uint32_t *place;        /* [texts.n] where the vector of a text is */
    uint32_t *of;           /* [n_turns] where the vector of a turn is */
    str *text_at;           /* [texts.n] the text whose vector is there */
    vector_list vectors;    /* [texts.n, dim]; under dedup.memory maybe in a file */
    unsigned char *is_fast; /* [texts.n] 1: a vector of the fast encoder */
    size_t dim, n_cached;
    uint64_t memory_left; /* of dedup.memory, for other vectors beside these */
} units;

/* The model's fingerprint, from the store if the files have not changed.  ST_USAGE: it is not
 * the model of the vectors in the store (with j->reembed: they are dropped). */
status units_check_model(const job *j, model *m, char fingerprint[SHA256_HEX], err *e) MUST_USE;

/* Takes vectors from the store and embeds what is missing, keeping each batch in the store as it
 * comes.  Under dedup.memory as many of them are in memory as there is room for beside what their
 * comparison takes (dedup/budget.h); ST_USAGE: there is not even room for that.  Zero-initialise
 * *u, release it in any case.  ST_INCOMPLETE: stopped. */
status units_gather(const job *j, const dataset *d, model *m, pool *p, isa set, units *u,
                    err *e) MUST_USE;

/* The same for vectors that are not joined, only looked up: dedup.memory is theirs alone, or what
 * `beside` leaves of it. */
status units_gather_beside(const job *j, const dataset *d, model *m, pool *p, isa set,
                           const units *beside, units *u, err *e) MUST_USE;

/* The same for the answers beside their questions: `of` says where the vector of a turn's answer
 * is. */
status units_gather_answers(const job *j, const dataset *d, model *m, pool *p, isa set,
                            const units *questions, units *u, err *e) MUST_USE;

/* As units_gather, with an embedder on the pool that is there.  least > 0: if so many texts or more
 * have no exact vector, those get one of the fast encoder, kept apart from exact ones. */
status units_gather_with(const job *j, const dataset *d, embedder *em, pool *p, size_t dim,
                         size_t least, units *u, err *e) MUST_USE;

/* Keeps exact vectors in the store; `which`: where they are. */
status units_keep(const job *j, const units *u, const size_t *which, size_t n, err *e) MUST_USE;
void units_release(units *u);

#endif
