/* guard.h - bots (or rating bands) that lose too many of their turns to the deduplication, and
 * which of those turns are given back. */
#ifndef TAMIS_CURATE_GUARD_H
#define TAMIS_CURATE_GUARD_H

#include "base/buf.h"
#include "record.h"

typedef struct guard_options {
    double max_loss; /* share of its turns that a bot may lose, 0 to 1; 1: any */
    uint64_t floor;  /* distinct utterances that one which lost more keeps, if it has so many */
    bool by_rating;  /* rating bands (whole numbers, rounded down) in place of bots */
} guard_options;

typedef struct guard_group {
    str name; /* the bot's id, maybe empty; or the band, as a number */
    uint64_t n_turns, n_kept;
    uint64_t n_given; /* back, besides those kept */
    bool is_over;     /* it lost more than max_loss */
} guard_group;

/* Zero-initialise. */
typedef struct guard_result {
    guard_options options;
    guard_group *groups; /* [n_groups] by name, as bytes */
    size_t n_groups, n_over;
    uint64_t n_given;
    arena names;
} guard_result;

void guard_release(guard_result *g);

/* Whether anything is given back. */
static inline bool guard_gives(const guard_options *o)
{
    return o->max_loss < 1 && o->floor > 0;
}

/* turns: [n] in final order; is_kept: [n] what the deduplication kept of them.  given: [n] out, 1
 * for each turn given back: of a bot that lost more than max_loss, in final order, the dropped
 * turns whose utterance is none that the bot has already, as text, until it has `floor`.  Names are
 * copied.  Release *out in any case. */
status guard_find(const turn *turns, const unsigned char *is_kept, size_t n, const guard_options *o,
                  guard_result *out, unsigned char *given, err *e) MUST_USE;

#endif
