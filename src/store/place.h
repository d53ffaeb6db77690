/* place.h - where a store lies and who may write it: paths and the lock, nothing of the
 * database in the file. */
#ifndef TAMIS_STORE_PLACE_H
#define TAMIS_STORE_PLACE_H

#include <stdbool.h>

#include "base/buf.h"

typedef struct place {
    char *name;      /* as the user wrote it, for messages */
    char *path;      /* absolute, links resolved: what locks and names are made of */
    char *lock_path; /* `path`-lock */
    char *new_path;  /* `path`-~new: a store that is being made; nobody calls one of his own so */
    bool is_there;   /* a regular file that is not empty */
    int lock;        /* held while >= 0 */
} place;

/* Finds the file that store.url means.  ST_USAGE: not a path; ST_FAILED: its directory is not
 * there, or it is not a regular file.  Release in any case. */
status place_find(place *p, const char *url, err *e) MUST_USE;
void place_release(place *p); /* gives the lock back */

/* Looks again at what is there. */
status place_look(place *p, err *e) MUST_USE;

/* Takes the lock for as long as the process lives and the place is not released.  ST_BUSY:
 * another run has it.  The lock file (mode 0600) stays: removing it would let two runs hold
 * two files of one name. */
status place_lock(place *p, err *e) MUST_USE;

/* Whether some run holds the lock. */
bool place_is_held(const place *p);

/* Makes an empty file at new_path (mode 0600), removing what a killed run left there.
 * ST_FAILED also: a log lies at the place without its database (it would be taken for the
 * new one's). */
status place_make_new(const place *p, err *e) MUST_USE;
void place_drop_new(const place *p);
/* Puts the finished file into its place, for good. */
status place_publish(const place *p, err *e) MUST_USE;

/* The file as a URI for SQLite that says that nobody changes it (ends in a NUL, not counted).
 * ST_FAILED: a log with newer pages lies beside it. */
status place_immutable_uri(const place *p, buf *out, err *e) MUST_USE;

#endif
