/* manifest.c - the manifest of an export: files, configuration, model, counts, version.
 *
 * Left out is what differs between two machines that do the same: where the model lies (its
 * fingerprint is there), where the key of hashes (so is a mark of it), where the store is, how the
 * source is reached. */
#include "manifest.h"

#include "base/file.h"
#include "base/json.h"

typedef unsigned long long ull;

/* Without a turn none was used, whatever the store knows from before. */
static status write_model(const job *j, const dataset *d, buf *b, err *e)
{
    buf model = {0};
    bool found = false;
    status st = d->n_turns ? store_get(j->store, "model", &model, &found, e) : ST_OK;
    buf_z(b, ", \"model\": ");
    if (st == ST_OK && found)
        js_write_string(b, buf_view(&model));
    else
        buf_z(b, "null");
    buf_release(&model);
    return st;
}

static bool is_of_machine(str key)
{
    return str_eq(key, STR("embed.model")) || str_eq(key, STR("redact.key_file")) ||
           str_eq(key, STR("redact.key_env"));
}

/* The lines "section.key=value" of what the data set and the files depend on. */
static void write_configuration(const job *j, buf *b)
{
    buf all = {0};
    const char *before = "";
    job_describe(j, &all);
    config_describe_files(j->config, &all);
    buf_z(b, ", \"configuration\": {");
    for (str rest = buf_view(&all), line; str_cut(&rest, '\n', &line);) {
        const char *eq = memchr(line.p, '=', line.n);
        str key = {line.p, eq ? (size_t)(eq - line.p) : line.n};
        if (!eq || is_of_machine(key)) continue;
        buf_z(b, before);
        js_write_string(b, key);
        buf_z(b, ": ");
        js_write_string(b, (str){eq + 1, line.n - key.n - 1});
        before = ", ";
    }
    buf_char(b, '}');
    b->oom |= !buf_ok(&all);
    buf_release(&all);
}

static status write_counts(const job *j, const dataset *d, const summary *s, buf *b, err *e)
{
    uint64_t by_rule[RULE_COUNT] = {0};
    store_counts held;
    status st = store_count(j->store, &held, e);
    for (size_t i = 0; i < d->n_dropped; i++) by_rule[d->dropped[i].rule]++;
    by_rule[RULE_DUPLICATE] = s->turns.duplicates;
    buf_fmt(b,
            ", \"interactions\": %llu, \"turns\": {\"rated\": %llu, \"distinct_texts\": %llu, "
            "\"kept\": %llu",
            (ull)held.interactions, (ull)s->turns.rated, (ull)s->turns.distinct_texts,
            (ull)s->turns.kept);
    if (d->guarded) buf_fmt(b, ", \"guarded\": %llu", (ull)s->guard.n_given);
    buf_z(b, "}, \"removed\": {");
    const char *before = "";
    for (rule r = RULE_KEPT + 1; r < RULE_GUARDED; r++) {
        buf_fmt(b, "%s\"%s\": %llu", before, rule_name(r), (ull)by_rule[r]);
        before = ", ";
    }
    buf_char(b, '}');
    return st;
}

static void write_files(const summary *s, buf *b)
{
    const char *before = "";
    buf_z(b, ", \"files\": {");
    for (out_file i = OUT_CSV; i < OUT_COUNT; i++) {
        if (!s->files[i].path || i == OUT_REPORT) continue; /* a page about runs, with times */
        buf_fmt(b, "%s\"%s\": {\"path\": ", before, summary_file_name(i));
        js_write_string(b, str_from(s->files[i].path));
        buf_fmt(b, ", \"rows\": %llu, \"sha256\": \"%s\"}", (ull)s->files[i].result.rows,
                s->files[i].result.sha256);
        before = ", ";
    }
    buf_char(b, '}');
}

status manifest_write(const job *j, const dataset *d, const summary *s, const char *path,
                      export_result *out, err *e)
{
    buf b = {0};
    file_out f = {0};
    buf_z(&b, "{\"tamis\": \"" TAMIS_VERSION "\"");
    status st = write_model(j, d, &b, e);
    write_configuration(j, &b);
    if (st == ST_OK) st = write_counts(j, d, s, &b, e);
    write_files(s, &b);
    buf_z(&b, "}\n");
    if (st == ST_OK && !buf_ok(&b)) st = err_nomem(e, "writing the manifest");
    if (st == ST_OK) st = file_begin(&f, path, e);
    if (st == ST_OK) st = file_write(&f, buf_view(&b), e);
    if (st == ST_OK) st = file_commit(&f, out->sha256, e);
    file_abort(&f);
    buf_release(&b);
    out->rows = s->turns.kept;
    return st;
}
