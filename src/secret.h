/* secret.h - secrets come from the environment or from a file that others cannot read, never
 * from a command line or tamis.ini. */
#ifndef TAMIS_SECRET_H
#define TAMIS_SECRET_H

#include "base/buf.h"

typedef struct secret_place {
    const char *what;               /* "client secret" */
    const char *env, *file;         /* a variable; a file, which wins; either may be empty */
    const char *env_key, *file_key; /* the keys of tamis.ini that name them */
} secret_place;

/* The contents of a file without the line ends behind them, appended to an empty buffer; the
 * caller wipes it.  ST_USAGE: not there, empty, not a text, or everybody can read it: the message
 * begins with `key`, which names it in tamis.ini. */
status secret_read_file(const char *key, const char *path, buf *out, err *e) MUST_USE;

/* The same from the file or the variable of a place.  ST_USAGE: as above, or there is none. */
status secret_read(const secret_place *p, buf *out, err *e) MUST_USE;

/* Overwrites and releases. */
void secret_wipe(buf *b);

#endif
