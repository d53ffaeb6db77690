/* pins.h - what a person has decided about single turns: keep it, drop it.
 *
 * A line each: "keep ID", "drop ID" (all turns of an interaction), "keep ID/TURN", "drop ID/TURN"
 * (which wins over the former); empty lines and those that begin with # or ; say nothing. */
#ifndef TAMIS_CURATE_PINS_H
#define TAMIS_CURATE_PINS_H

#include "base/intern.h"
#include "record.h"

typedef struct pin {
    str name;     /* as written: an id, or an id and a turn */
    str id;       /* without the turn, if there is one */
    int64_t turn; /* -1: none */
    size_t line;  /* from 1 */
    bool keeps, is_met;
    uint32_t next; /* another pin of the same id; NO_ROW: none */
} pin;

/* Zero-initialise. */
typedef struct pins {
    pin *list; /* [n] */
    size_t n;
    intern ids;        /* of `name` and of `id` */
    uint32_t *first;   /* [2 n] the first pin of an id; NO_ROW: none */
    uint32_t *by_name; /* [2 n] the pin so named; NO_ROW: none */
} pins;

/* Reads the text of a file, which must outlive *out; `path` is for messages.  ST_USAGE: a line
 * that says neither keep nor drop, or one that contradicts another. */
status pins_parse(str text, const char *path, pins *out, err *e) MUST_USE;
void pins_release(pins *p);

typedef enum { PIN_NONE, PIN_KEEP, PIN_DROP } pin_verdict;

/* An interaction of this id, with n_turns turns, is there: marks its pins as met (those of
 * turns it does not have stay unmet; n_turns SIZE_MAX: nobody knows how many it has). */
void pins_meet(pins *p, str id, size_t n_turns);

/* What is said of one of its turns. */
pin_verdict pins_of(const pins *p, str id, uint32_t number);
/* Whether the interaction as a whole is to go, with no turn of it kept. */
bool pins_drop_all(const pins *p, str id);

#endif
