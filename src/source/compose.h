/* compose.h - a conversation that an API gives in parts, as one record.
 *
 *   {"id", "timestamp", "botId", "rating", "messages": [{"from", "text", "timestamp"}],
 *    "received": {"api": TYPE, "head": RAW or null, "parts": [RAW, ...]}}
 *
 * The head is what an API has of a conversation as a whole (a session, a contact); the parts are
 * its messages.  Both stay as received, so nothing is lost that later versions may want, and a
 * record can be made again from itself and what came since.  The same parts give the same record,
 * in whatever order and company they came. */
#ifndef TAMIS_SOURCE_COMPOSE_H
#define TAMIS_SOURCE_COMPOSE_H

#include "base/json.h"
#include "record.h"

/* What an API's head or part says; texts live in an arena, empty: it says nothing. */
typedef struct piece {
    str conversation; /* that it belongs to */
    str id;
    str timestamp;
    instant at;
    str bot;
    str rating; /* JSON, as it stands */
    str from;   /* "user", "bot", or anything else: passed over by curation */
    str text;
    bool is_text;   /* false: `text` is JSON that is no string */
    bool is_masked; /* the API has put asterisks in the place of the text */
} piece;

/* How the parts of an API are read. */
typedef struct shape {
    const char *api;          /* source.type */
    const char *bot_field;    /* cognigy-odata: the field that names the bot */
    const char *rating_field; /* dfo: the custom field that holds the rating */
    const char *bot_users;    /* dfo: who is a bot, if not those marked as one */
    /* ST_FAILED: it cannot be used, and why. */
    status (*read)(const struct shape *s, const js *root, str raw, bool is_head, arena *a,
                   piece *out, err *e);
    /* Appends a part that reads as this piece and says nothing else. */
    void (*write)(const struct shape *s, const piece *p, bool is_head, buf *out);
} shape;

extern const shape cognigy_shape, dfo_shape; /* with every setting empty */

typedef struct part {
    str raw;
    bool is_head;
    str conversation; /* empty: it says so itself */
    str id;           /* set by compose_read */
} part;

/* Reads a part: sets p->conversation and p->id, and *out, in `a`.  ST_FAILED: it cannot be used,
 * and why. */
status compose_read(const shape *s, part *p, arena *a, piece *out, err *e) MUST_USE;

/* Appends the record of a conversation: what `existing` (empty: none) holds of it, and parts that
 * have been read; of equal ids the last wins.  ST_FAILED: too large, or not a record any more. */
status compose(const shape *s, str existing, const part *parts, size_t n, arena *a, buf *out,
               err *e) MUST_USE;

/* --- for shapes ------------------------------------------------------------------------------ */

/* The last member of this name as it stands in a raw object; empty: none, or null. */
str raw_member(str object, const char *name);
/* A string member, copied; empty: none. */
str text_member(const js *object, const char *name, arena *a);

#endif
