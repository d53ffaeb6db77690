/* views.h - what the store holds, for people and for programs. */
#ifndef TAMIS_VIEWS_H
#define TAMIS_VIEWS_H

#include "redaction.h"
#include "store/store.h"

/* What became of an interaction, its texts as they were compared (redactor may be NULL).
 * ST_FAILED: the store has none of this id. */
status view_explain(store *s, const redactor *r, str id, bool json, buf *out, err *e) MUST_USE;

/* What the store holds, the slices, the last runs, the rejected records. */
status view_status(store *s, const char *url, bool json, buf *out, err *e) MUST_USE;

#endif
