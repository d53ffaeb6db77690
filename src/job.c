/* job.c - what a data set depends on, as text; the file of pins. */
#include "job.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/number.h"
#include "base/utf8.h"

void job_describe(const job *j, buf *out)
{
    config_describe_curation(j->config, out);
    if (j->redactor) redactor_key_mark(j->redactor, out);
    if (j->pins) {
        char hex[SHA256_HEX];
        sha256_hex(j->pins->hash, hex);
        buf_fmt(out, "dedup.pins.sha256=%s\n", hex);
    }
}

status pin_file_read(const char *path, pin_file *out, err *e)
{
    enum { PINS_LIMIT = 64 << 20 };
    *out = (pin_file){.path = path};
    status st = file_read(path, PINS_LIMIT, &out->text, e);
    if (st) {
        err why = *e;
        return err_set(e, ST_USAGE, "dedup.pins: %.900s", why.msg);
    }
    sha256_of(buf_view(&out->text), out->hash);
    return pins_parse(utf8_skip_bom(buf_view(&out->text)), path, &out->pins, e);
}

void pin_file_release(pin_file *f)
{
    pins_release(&f->pins);
    buf_release(&f->text);
}

/* A pin of something that was forgotten may stay; it says nothing. */
static status check_pin(const job *j, const pin *p, err *e)
{
    bool forgotten;
    status st = store_is_forgotten(j->store, p->id, &forgotten, e);
    if (st == ST_OK && !forgotten) st = store_is_forgotten(j->store, p->name, &forgotten, e);
    if (st || forgotten) return st;
    return err_set(e, ST_USAGE, "%s, line %zu: the store has no %s %.*s", j->pins->path, p->line,
                   p->turn < 0 ? "interaction" : "turn", STR_FMT(p->name));
}

status job_check_pins(const job *j, err *e)
{
    status st = ST_OK;
    for (size_t i = 0; j->pins && st == ST_OK && i < j->pins->pins.n; i++)
        if (!j->pins->pins.list[i].is_met) st = check_pin(j, &j->pins->pins.list[i], e);
    return st;
}

bool job_compares_answers(const job *j)
{
    return strcmp(j->config->dedup.answers, "distinct") == 0;
}

uint64_t job_memory(const job *j)
{
    uint64_t bytes = 0;
    return size_parse(str_from(j->config->dedup.memory), &bytes) ? bytes : 0;
}

const char *job_memory_dir(const job *j, buf *out)
{
    const char *set = getenv("TMPDIR"), *url = j->config->store.url, *slash = strrchr(url, '/');
    if (set && *set)
        buf_z(out, set);
    else if (!slash)
        buf_z(out, ".");
    else
        buf_add(out, url, slash == url ? 1 : (size_t)(slash - url));
    return buf_cstr(out);
}

guard_options job_guard(const job *j)
{
    const config *c = j->config;
    return (guard_options){.max_loss = c->guard.max_loss,
                           .floor = (uint64_t)c->guard.floor,
                           .by_rating = strcmp(c->guard.by, "rating") == 0};
}

const char *job_needs_scores(const job *j)
{
    const config *c = j->config;
    if (j->scores) return "what was asked for";
    if (*c->export.removed) return "the file of export.removed";
    if (*c->export.jsonl) return "the file of export.jsonl";
    bool parts = *c->export.train || *c->export.valid || *c->export.test;
    if (parts && strcmp(c->split.format, "jsonl") == 0) return "split.format = jsonl";
    if (*c->export.rasa) return "the file of export.rasa";
    if (*c->export.cognigy) return "the file of export.cognigy";
    if (*c->export.conflicts) return "the file of export.conflicts";
    if (*c->export.train || *c->export.valid || *c->export.test)
        return "what export.train, valid or test names";
    if (*c->export.report) return "the file of export.report";
    if (*c->export.csv && strcmp(c->export.columns, "all") == 0) return "export.columns = all";
    return NULL;
}
