/* sync_lists.h - what an API gives in lists of parts, into the store. */
#ifndef TAMIS_SYNC_LISTS_H
#define TAMIS_SYNC_LISTS_H

#include "source/compose.h"
#include "sync.h"

/* Reads each list of the source (source_lists) up to now.  The parts of a page and the progress
 * are one transaction.  ST_INCOMPLETE: what arrived is kept. */
status sync_lists(store *st, source *src, const shape *form, const sync_options *o,
                  sync_counts *counts, err *e) MUST_USE;

#endif
