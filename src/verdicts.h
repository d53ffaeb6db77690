/* verdicts.h - the verdicts of the last curation, as the store keeps them. */
#ifndef TAMIS_VERDICTS_H
#define TAMIS_VERDICTS_H

#include "dataset.h"
#include "dedup/prior.h"

/* Appends a text that differs whenever the verdicts might: configuration, interactions, model. */
status verdicts_key(const job *j, const char *fingerprint, buf *key, err *e) MUST_USE;

/* Whether those in the store were made under this key. */
status verdicts_are_current(const job *j, str key, bool *current, err *e) MUST_USE;

/* Fills d->verdicts and d->n_distinct from the store if they were made under this key, and with
 * scores if those are needed; else *current is false. */
status verdicts_recall(const job *j, dataset *d, str key, bool *current, err *e) MUST_USE;

/* What the last curation's verdicts still say of these turns, fit for greedy_input.prior and
 * prior_second, to be freed in any case; NULL: nothing, they were made by another rule or from
 * other vectors. */
status verdicts_review(const job *j, const dataset *d, const char *fingerprint, known_rows *out,
                       err *e) MUST_USE;

/* Puts the verdicts into the store in place of those there. */
status verdicts_store(const job *j, const dataset *d, const char *fingerprint, str key,
                      err *e) MUST_USE;

/* Whether some of those in the store have no score. */
status verdicts_lack_scores(store *s, bool *lack, err *e) MUST_USE;

#endif
