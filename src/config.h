/* config.h - every key of tamis.ini, its default, its meaning. */
#ifndef TAMIS_CONFIG_H
#define TAMIS_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"

/* Texts are never NULL.  Durations are seconds. */
typedef struct config {
    struct {
        const char *type, *instance, *base_url, *token_url, *auth, *client_id;
        const char *client_auth, *issuer, *access_key_id, *access_key_secret_env;
        const char *access_key_secret_file, *api_key_header, *bot_field;
        const char *rating_field, *bot_users, *path;
        const char *client_secret_env, *client_secret_file, *scope, *since, *ca_file;
        double page_size, page_delay, lookback, settle, max_attempts, max_wait, wait_budget,
            timeout;
    } source;
    struct {
        double min_rating;
        const char *rating_map, *bots;
    } filter;
    struct {
        const char *rules, *action, *key_env, *key_file, *store;
        struct config_pattern {
            const char *name, *regex;
        } * patterns; /* [n_patterns], in the order given */
        size_t n_patterns;
    } redact;
    struct {
        const char *model, *precision;
    } embed;
    struct {
        double threshold;
        const char *domain, *keep, *answers, *pins, *memory;
    } dedup;
    struct {
        double max_loss, floor;
        const char *by;
    } guard;
    struct {
        double below;
    } conflicts;
    struct {
        double train, valid, test, threshold;
        const char *format;
    } split;
    struct {
        const char *url;
    } store;
    struct {
        const char *csv, *jsonl, *chat, *removed, *report;
        const char *train, *valid, *test, *rasa, *cognigy, *conflicts, *manifest, *columns;
    } export;
    const char *file; /* that it was loaded from; NULL: none */
    arena texts;
} config;

/* All defaults.  Release in any case. */
status config_init(config *c, err *e) MUST_USE;
void config_release(config *c);

/* Reads an INI file over what is there.  ST_USAGE: not there, not an INI file, an unknown
 * section or key (the nearest known one is named), a value that does not fit; the message
 * has the line. */
status config_load(config *c, const char *path, err *e) MUST_USE;

/* "section.key=value".  ST_USAGE as above. */
status config_set(config *c, const char *setting, err *e) MUST_USE;

/* The commented file that `tamis init` writes: every key with its default. */
void config_write_template(buf *out);

/* Appends every key with its value, "section.key = value" a line, but for limits of memory, which
 * change nothing that is made; nothing in it is secret. */
void config_write_settings(const config *c, buf *out);

/* Whether the values go together.  ST_USAGE: shares of [split] that make more than 1. */
status config_check(const config *c, err *e) MUST_USE;

/* Appends what the exported data set depends on ([filter], [redact], [embed], [dedup],
 * [guard], but for dedup.memory) as one text, to tell whether a curation is still current. */
void config_describe_curation(const config *c, buf *out);

/* Appends, in the same form, what the exported files depend on besides. */
void config_describe_files(const config *c, buf *out);

#endif
