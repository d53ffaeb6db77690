/* sync_source.c - opens what [source] names and reads it the way its API is read. */
#include "sync_source.h"

#include "source_settings.h"
#include "sync_contacts.h"
#include "sync_lists.h"

/* By pages of whole interactions, by lists of their parts, or by contacts. */
static status read_api(const sync_job *j, source *src, const sync_options *o, sync_counts *counts,
                       err *e)
{
    const config *c = j->config;
    bool contacts = source_has_contacts(src);
    shape form = contacts ? dfo_shape : cognigy_shape;
    form.bot_field = c->source.bot_field;
    form.rating_field = c->source.rating_field;
    form.bot_users = c->source.bot_users;
    if (contacts) return sync_contacts(j->store, src, &form, o, counts, e);
    return source_lists(src) ? sync_lists(j->store, src, &form, o, counts, e)
                             : sync_run(j->store, src, o, counts, e);
}

static status sync_api(const sync_job *j, sync_counts *counts, source_stats *stats, err *e)
{
    const config *c = j->config;
    source_settings so = {0};
    source *src = NULL;
    sync_options o = {.since = INSTANT_MIN,
                      .lookback = c->source.lookback,
                      .settle = c->source.settle,
                      .page_size = (uint32_t)c->source.page_size,
                      .n_threads = j->n_threads,
                      .redactor = j->redactor,
                      .resync = j->resync,
                      .log = j->log};
    status st = source_settings_read(&so, c, j->log, j->stop, e);
    if (st == ST_OK) st = source_open(&so.o, &src, e);
    if (st == ST_OK) {
        /* It fits: the configuration took it. */
        if (*c->source.since && instant_parse(str_from(c->source.since), &o.since))
            o.since = instant_add(o.since, -1e-9);
        o.source_name = so.o.base_url;
        store_set_origin(j->store, origin_from_name(str_from(c->source.type)));
        st = read_api(j, src, &o, counts, e);
        *stats = source_statistics(src);
    }
    source_close(src);
    source_settings_release(&so);
    return st;
}

status sync_source(const sync_job *j, sync_counts *counts, source_stats *stats, err *e)
{
    const char *path = j->config->source.path;
    if (strcmp(j->config->source.type, "file")) return sync_api(j, counts, stats, e);
    if (!*path)
        return err_set(e, ST_USAGE, "no source.path: with source.type = file it names the file");
    store_set_origin(j->store, ORIGIN_FILE);
    return sync_import(j->store, path, j->redactor, j->log, j->stop, counts, e);
}
