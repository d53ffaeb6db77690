/* source_settings.h - what [source] says, as the options of a source, secrets included. */
#ifndef TAMIS_SOURCE_SETTINGS_H
#define TAMIS_SOURCE_SETTINGS_H

#include "config.h"
#include "source/source.h"

/* Zero-initialise; release in any case, after the source that uses it. */
typedef struct source_settings {
    source_options o;
    buf base_url, token_url;
    buf secret, key_secret; /* wiped at the end */
    buf secret_from;        /* "TAMIS_CLIENT_SECRET" or "file PATH", for people */
} source_settings;

/* All but secrets.  ST_USAGE: something is not set, or cannot be. */
status source_settings_plain(source_settings *s, const config *c, err *e) MUST_USE;

/* The secrets, from the environment or files.  ST_USAGE: one is not there, or others can read
 * it. */
status source_settings_secrets(source_settings *s, const config *c, err *e) MUST_USE;

/* Both; log and stop are borrowed. */
status source_settings_read(source_settings *s, const config *c, const logger *log,
                            const stop_flag *stop, err *e) MUST_USE;
void source_settings_release(source_settings *s);

#endif
