/* sync_contacts.h - what an API gives as contacts with their messages, into the store. */
#ifndef TAMIS_SYNC_CONTACTS_H
#define TAMIS_SYNC_CONTACTS_H

#include "source/compose.h"
#include "sync.h"

/* Reads the contacts up to now.  Those of a page, their messages and the progress are one
 * transaction.  ST_INCOMPLETE: what arrived is kept. */
status sync_contacts(store *st, source *src, const shape *form, const sync_options *o,
                     sync_counts *counts, err *e) MUST_USE;

#endif
