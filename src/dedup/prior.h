/* prior.h - an earlier run's verdicts, in the row numbers of a list that has changed since. */
#ifndef TAMIS_DEDUP_PRIOR_H
#define TAMIS_DEDUP_PRIOR_H

#include "base/err.h"
#include "record.h"

/* What is known of each row of a list: its verdict, and greedy_options.second. */
typedef struct known_rows {
    verdict *verdicts, *seconds;
} known_rows;

/* old: [n_old] of the earlier list; kept_row may be ROW_UNKNOWN (greedy.h).
 * old_row: [n_rows] where each row stood in it, with the same vector and group; NO_ROW: nowhere.
 * No two rows stood in one place.  out: [n_rows], fit for greedy_input.prior and prior_second.
 * Rows that changed places with others are taken for new ones, as few as will do. */
status prior_translate(known_rows old, size_t n_old, const uint32_t *old_row, size_t n_rows,
                       known_rows out, err *e) MUST_USE;

#endif
