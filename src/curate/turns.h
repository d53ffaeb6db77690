/* turns.h - what the user said, with what the bot answered. */
#ifndef TAMIS_CURATE_TURNS_H
#define TAMIS_CURATE_TURNS_H

#include "record.h"

/* Room for the pairs of an interaction: never more than this many. */
size_t turns_limit(const interaction *i);

/* Pairs the messages of an interaction, in order, into out (of, number and the two texts
 * are set) and returns how many.  *n_not_text grows by the messages passed over because
 * their text was not text. */
size_t turns_pair(const interaction *i, turn *out, size_t *n_not_text);

#endif
