/* row_weights.h - what a row stands for: how often, when and how well rated. */
#ifndef TAMIS_EXPORT_ROW_WEIGHTS_H
#define TAMIS_EXPORT_ROW_WEIGHTS_H

#include "export/export.h"

/* Sums of what is finite stay finite in it, and are the same bits, but for ratings nearer to 0 than
 * 2^-980. */
#define RATING_UNIT 0x1p-40

/* Of a kept turn and the turns removed in its favour. */
typedef struct row_weight {
    uint64_t duplicates;             /* those turns */
    const interaction *first, *last; /* oldest and newest of all; of equal instants the first in
                                      * final order */
    double ratings;                  /* their sum, in final order, by RATING_UNIT */
    uint32_t member;                 /* the first of those turns; NO_ROW: none */
} row_weight;

typedef struct row_weights {
    row_weight *of; /* [n_turns] of dropped turns: zeros */
    uint32_t *next; /* [n_turns] the next turn with the same keeper; NO_ROW: none */
} row_weights;

/* Release in any case. */
status row_weights_init(row_weights *w, const export_rows *rows, err *e) MUST_USE;
void row_weights_release(row_weights *w);

#endif
