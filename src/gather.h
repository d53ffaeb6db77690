/* gather.h - parts of conversations into the store, each conversation one record. */
#ifndef TAMIS_GATHER_H
#define TAMIS_GATHER_H

#include "base/intern.h"
#include "curate/redact.h"
#include "source/compose.h"
#include "store/store.h"
#include "sync.h"

/* Zero-initialise but for the first five. */
typedef struct gathering {
    store *store;
    const logger *log;
    sync_counts *counts;
    const shape *shape;
    const redactor *redactor; /* NULL: parts are kept as received; else what they say, redacted */
    intern known;             /* conversations that were counted as new or updated */
    arena names;              /* their ids */
    arena scratch;
    buf redacted;
} gathering;
void gathering_release(gathering *g);

/* Keeps the parts of a page, inside a transaction: they are joined with what the store holds of
 * their conversations.  One that cannot be used is kept as rejected, and named by a warning
 * beginning with `where`.  Sets part.id and part.conversation (empty: rejected), valid until
 * gathering_rest. */
status gather(gathering *g, part *parts, size_t n, const char *where, err *e) MUST_USE;

/* Counts a conversation that was put, once a run; id is copied. */
status gathering_count(gathering *g, str id, put_result how, err *e) MUST_USE;

/* Lets go of what a page took. */
void gathering_rest(gathering *g);

#endif
