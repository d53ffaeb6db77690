/* summary.c - the same figures for people and for programs. */
#include "summary.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/json.h"
#include "base/number.h"
#include "base/utf8.h"
#include "forget.h"

static const char *const file_names[OUT_COUNT] = {
    [OUT_CSV] = "csv",       [OUT_JSONL] = "jsonl",         [OUT_CHAT] = "chat",
    [OUT_RASA] = "rasa",     [OUT_COGNIGY] = "cognigy",     [OUT_REMOVED] = "removed",
    [OUT_TRAIN] = "train",   [OUT_VALID] = "valid",         [OUT_TEST] = "test",
    [OUT_REPORT] = "report", [OUT_CONFLICTS] = "conflicts", [OUT_MANIFEST] = "manifest"};

const char *summary_file_name(out_file i)
{
    return file_names[i];
}

void summary_release(summary *s)
{
    redaction_tally_release(&s->redactions);
    guard_release(&s->guard);
}

typedef unsigned long long ull;

/* Linux keeps the greatest for getrusage() across exec(), so there it may be that of whoever
 * started the program; VmHWM begins anew. */
long summary_peak_mib(void)
{
    struct rusage u;
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && !kib && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld kB", &kib) != 1) kib = 0;
    if (f) fclose(f);
    if (!kib) {
        getrusage(RUSAGE_SELF, &u);
        kib = u.ru_maxrss; /* Linux counts KiB */
    }
    return (kib + 1023) / 1024;
}

static bool any_file(const summary *s)
{
    for (int i = 0; i < OUT_COUNT; i++)
        if (s->files[i].path) return true;
    return false;
}

static void write_files(const summary *s, buf *out)
{
    bool first = true;
    buf_z(out, ", \"export\": {");
    for (int i = 0; i < OUT_COUNT; i++) {
        if (!s->files[i].path) continue;
        buf_fmt(out, "%s\"%s\": {\"path\": ", first ? "" : ", ", file_names[i]);
        js_write_string(out, str_from(s->files[i].path));
        buf_fmt(out, ", \"rows\": %llu, \"sha256\": \"%s\"}", (ull)s->files[i].result.rows,
                s->files[i].result.sha256);
        first = false;
    }
    buf_char(out, '}');
}

/* Those that lost too much. */
static void write_guard(const guard_result *g, buf *out)
{
    const char *before = "";
    buf_z(out, ", \"guard\": {\"max_loss\": ");
    number_write_json(out, g->options.max_loss);
    buf_fmt(out, ", \"floor\": %llu, \"given_back\": %llu, \"over\": [", (ull)g->options.floor,
            (ull)g->n_given);
    for (size_t i = 0; i < g->n_groups; i++) {
        const guard_group *mine = &g->groups[i];
        if (!mine->is_over) continue;
        buf_fmt(out, "%s{\"%s\": ", before, g->options.by_rating ? "rating" : "bot_id");
        if (g->options.by_rating)
            buf_str(out, mine->name);
        else
            js_write_string(out, mine->name);
        buf_fmt(out, ", \"turns\": %llu, \"kept\": %llu, \"given_back\": %llu}", (ull)mine->n_turns,
                (ull)mine->n_kept, (ull)mine->n_given);
        before = ", ";
    }
    buf_z(out, "]}");
}

static void write_seconds(const summary *s, buf *out)
{
    buf_z(out, ", \"seconds\": {");
    if (s->synced) buf_fmt(out, "\"sync\": %.3f, ", s->seconds.sync);
    if (s->http.requests) buf_fmt(out, "\"waited\": %.3f, ", s->http.seconds_waited);
    if (s->curated)
        buf_fmt(out, "\"embed\": %.3f, \"dedup\": %.3f, ", s->seconds.embed, s->seconds.dedup);
    if (any_file(s)) buf_fmt(out, "\"export\": %.3f, ", s->seconds.export);
    buf_fmt(out, "\"total\": %.3f}", s->seconds.total);
}

void summary_write_json(const summary *s, buf *out)
{
    buf_fmt(out, "{\"status\": \"%s\"", s->end ? "incomplete" : "complete");
    if (s->end) {
        buf_z(out, ", \"reason\": ");
        js_write_string(out, str_from(s->reason));
    }
    if (s->forgotten) {
        buf_z(out, ", ");
        forget_write_json(s->forgotten, out);
    }
    if (s->synced) {
        buf_fmt(out,
                ", \"interactions\": {\"received\": %llu, \"new\": %llu, \"updated\": %llu, "
                "\"stored\": %llu, \"rejected\": %llu",
                (ull)s->interactions.received, (ull)s->interactions.added,
                (ull)s->interactions.updated, (ull)s->stored, (ull)s->interactions.rejected);
        if (s->interactions.forgotten)
            buf_fmt(out, ", \"forgotten\": %llu", (ull)s->interactions.forgotten);
        buf_char(out, '}');
    }
    if (s->curated)
        buf_fmt(out,
                ", \"turns\": {\"rated\": %llu, \"distinct_texts\": %llu, \"embedded\": %llu, "
                "\"kept\": %llu, \"duplicates\": %llu, \"not_text\": %llu}",
                (ull)s->turns.rated, (ull)s->turns.distinct_texts, (ull)s->turns.embedded,
                (ull)s->turns.kept, (ull)s->turns.duplicates, (ull)s->turns.not_text);
    if (s->curated && s->guard.options.max_loss < 1) write_guard(&s->guard, out);
    if (s->curated && s->redactions.n_rules) {
        buf_z(out, ", \"redactions\": ");
        redaction_tally_write(&s->redactions, out);
    }
    if (s->has_split)
        buf_fmt(out,
                ", \"split\": {\"train\": %llu, \"valid\": %llu, \"test\": %llu, \"none\": %llu, "
                "\"groups\": %llu, \"largest_group\": %llu}",
                (ull)s->split.rows[SPLIT_TRAIN], (ull)s->split.rows[SPLIT_VALID],
                (ull)s->split.rows[SPLIT_TEST], (ull)s->split.rows[SPLIT_NONE],
                (ull)s->split.groups, (ull)s->split.largest);
    if (any_file(s)) write_files(s, out);
    write_seconds(s, out);
    if (s->http.requests)
        buf_fmt(out,
                ", \"http\": {\"requests\": %llu, \"retries\": %llu, \"seconds_waited\": %.3f}",
                (ull)s->http.requests, (ull)s->http.retries, s->http.seconds_waited);
    buf_fmt(out, ", \"peak_rss_mib\": %ld}\n", summary_peak_mib());
}

void summary_write_text(const summary *s, buf *out)
{
    if (s->forgotten) forget_write_text(s->forgotten, out);
    if (s->synced)
        buf_fmt(out,
                "%llu interactions received: %llu new, %llu updated, %llu rejected; "
                "%llu in the store\n",
                (ull)s->interactions.received, (ull)s->interactions.added,
                (ull)s->interactions.updated, (ull)s->interactions.rejected, (ull)s->stored);
    if (s->http.retries)
        buf_fmt(out, "%llu of %llu requests were tried again, %.1f s spent waiting\n",
                (ull)s->http.retries, (ull)s->http.requests, s->http.seconds_waited);
    if (s->curated)
        buf_fmt(out,
                "%llu turns from %llu well-rated interactions, %llu distinct texts "
                "(%llu embedded now): %llu kept, %llu near-duplicates\n",
                (ull)s->turns.rated, (ull)s->turns.interactions, (ull)s->turns.distinct_texts,
                (ull)s->turns.embedded, (ull)s->turns.kept, (ull)s->turns.duplicates);
    if (s->curated && s->redactions.n_rules)
        buf_fmt(out, "%llu pieces of personal data redacted\n",
                (ull)redaction_tally_total(&s->redactions));
    for (int i = 0; i < OUT_COUNT; i++) {
        if (!s->files[i].path) continue;
        utf8_write_plain(out, str_from(s->files[i].path));
        buf_fmt(out, ": %llu %s, SHA-256 %s\n", (ull)s->files[i].result.rows,
                i == OUT_REMOVED ? "entries" : "rows", s->files[i].result.sha256);
    }
    buf_fmt(out, "%.1f s, %ld MiB at the peak\n", s->seconds.total, summary_peak_mib());
}
