/* report.c - the page, section by section, in the order in which a person asks. */
#include "export/report.h"

#include "export/html.h"

/* Characters of an utterance that are shown: a report of a few hundred texts stays small. */
enum { EXCERPT = 280 };

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
    "style-src 'unsafe-inline'\">\n"
    "<title>tamis: report of a curation</title>\n<style>\n"
    ":root{color-scheme:light dark;--ink:#1c2733;--paper:#fff;--soft:#5c6b7a;--rule:#d9e0e7;"
    "--kept:#1f77b4;--gone:#e08214;--line:#b2182b}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e3e9ef;--paper:#14191f;--soft:#9fadbb;"
    "--rule:#313b46;--kept:#6db3e8;--gone:#f0a65a;--line:#ff7b7b}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:1rem;color:var(--ink);"
    "background:var(--paper);font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2.2rem 0 .5rem;"
    "border-bottom:1px solid var(--rule)}p{margin:.5rem 0}.soft{color:var(--soft)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:left;"
    "vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--rule);"
    "overflow-wrap:anywhere}th{color:var(--soft);font-weight:600}.n{text-align:right;"
    "white-space:nowrap;font-variant-numeric:tabular-nums;overflow-wrap:normal}\n"
    ".bar{min-width:6rem;width:40%}.bar i{display:block;height:.9rem;margin-top:.3rem;"
    "background:var(--kept);min-width:1px}\n"
    "svg{display:block;width:100%;height:auto;max-width:46rem}svg text{fill:var(--soft);"
    "font:12px system-ui,sans-serif}.end{text-anchor:end}.mid{text-anchor:middle}"
    ".grid{stroke:var(--rule)}.line{stroke:var(--line);stroke-width:1.5;stroke-dasharray:5 4}"
    ".curve{stroke:var(--kept);stroke-width:2;fill:none}rect.kept,circle.kept{fill:var(--kept)}"
    "rect.gone{fill:var(--gone)}\n"
    "details{border-bottom:1px solid var(--rule);padding:.3rem 0}summary{cursor:pointer;"
    "overflow-wrap:anywhere}details table{margin:.3rem 0 .6rem 1rem;"
    "width:calc(100% - 1rem)}details .n{width:1%}\n"
    "pre{overflow-x:auto;font-size:.85rem}small{color:var(--soft)}\n"
    "@media print{details>*{display:block}h2,svg,tr{break-inside:avoid}body{max-width:none}}\n"
    "</style>\n</head>\n<body>\n";

static void section(buf *b, const char *id, const char *title)
{
    buf_fmt(b, "<section id=\"%s\">\n<h2>%s</h2>\n", id, title);
}

static void section_end(buf *b)
{
    buf_z(b, "</section>\n");
}

static void cell_count(buf *b, uint64_t n)
{
    buf_z(b, "<td class=\"n\">");
    html_count(b, n);
    buf_z(b, "</td>");
}

static void cell_text(buf *b, str text)
{
    buf_z(b, "<td><bdi>");
    html_excerpt(b, text, EXCERPT);
    buf_z(b, "</bdi></td>");
}

/* Names with counts and, against the largest, bars. */
static void table_of_counts(buf *b, const report_counts *c)
{
    uint64_t top = 1;
    for (size_t i = 0; i < c->n; i++) top = c->of[i].n > top ? c->of[i].n : top;
    buf_z(b, "<table>\n");
    for (size_t i = 0; i < c->n; i++) {
        buf_z(b, "<tr>");
        cell_text(b, c->of[i].name);
        cell_count(b, c->of[i].n);
        buf_fmt(b, "<td class=\"bar\"><i style=\"width:%.1f%%\"></i></td></tr>\n",
                100.0 * (double)c->of[i].n / (double)top);
    }
    buf_z(b, "</table>\n");
}

static void write_funnel(const report *r, buf *b)
{
    section(b, "funnel", "From interactions to rows");
    table_of_counts(b, &r->funnel);
    section_end(b);
    section(b, "left-out", "What was left out, by rule");
    if (r->left_out.n)
        table_of_counts(b, &r->left_out);
    else
        buf_z(b, "<p>Nothing.</p>\n");
    section_end(b);
}

static void write_charts(const report *r, buf *b)
{
    section(b, "similarity", "How near turns are to earlier ones");
    buf_fmt(b,
            "<p>Distinct utterances by their cosine to the nearest earlier kept one. From the "
            "dashed line, "
            "the threshold %g, they were removed. Further apart than %.2f: ",
            r->threshold, REPORT_LOWEST);
    html_count(b, r->n_apart);
    buf_z(b, ".</p>\n");
    report_chart_nearest(r, b);
    section_end(b);
    section(b, "thresholds", "Rows kept at other thresholds");
    report_chart_kept(r, b);
    section_end(b);
}

static void write_losses(const report *r, buf *b)
{
    const char *whose = r->by_rating ? "rating band" : "bot";
    buf_fmt(b, "<p>%zu %s%s lost more than guard.max_loss = %g.</p>\n", r->n_losses, whose,
            r->n_losses == 1 ? "" : "s", r->max_loss);
    if (!r->n_losses) return;
    buf_fmt(b,
            "<div class=\"wide\"><table>\n<tr><th>%s</th><th class=\"n\">turns before</th>"
            "<th class=\"n\">kept by the rule</th><th class=\"n\">given back</th>"
            "<th class=\"n\">rows after</th></tr>\n",
            whose);
    for (size_t i = 0; i < r->n_losses; i++) {
        const report_loss *x = &r->losses[i];
        buf_z(b, "<tr>");
        cell_text(b, x->name.n ? x->name : STR("(none)"));
        cell_count(b, x->turns);
        cell_count(b, x->kept);
        cell_count(b, x->given);
        cell_count(b, x->kept + x->given);
        buf_z(b, "</tr>\n");
    }
    buf_z(b, "</table></div>\n");
}

static void write_bots(const report *r, buf *b)
{
    section(b, "bots", "Bots");
    buf_z(b, "<div class=\"wide\"><table>\n<tr><th>bot</th><th class=\"n\">turns</th>"
             "<th class=\"n\">kept</th><th class=\"n\">lost</th></tr>\n");
    for (size_t i = 0; i < r->n_bots; i++) {
        const report_bot *bot = &r->bots[i];
        buf_z(b, "<tr>");
        cell_text(b, bot->bot_id.n ? bot->bot_id : STR("(none)"));
        cell_count(b, bot->turns);
        cell_count(b, bot->kept);
        buf_fmt(b, "<td class=\"n\">%.1f %%</td></tr>\n",
                bot->turns ? 100.0 * (double)(bot->turns - bot->kept) / (double)bot->turns : 0.0);
    }
    buf_z(b, "</table></div>\n");
    if (r->max_loss < 1) write_losses(r, b);
    section_end(b);
}

static void cell_turn(buf *b, const turn *t)
{
    buf_z(b, "<td><bdi>");
    html_excerpt(b, t->user_utterance, EXCERPT);
    buf_z(b, "</bdi><br><small><bdi>");
    html_excerpt(b, t->of->id, EXCERPT);
    buf_fmt(b, "</bdi> turn %u</small></td>", t->number);
}

static void write_groups(const report *r, buf *b)
{
    section(b, "groups", "Largest groups");
    if (!r->n_groups) buf_z(b, "<p>No turn stands for another.</p>\n");
    for (size_t i = 0; i < r->n_groups; i++) {
        const report_group *g = &r->groups[i];
        buf_z(b, "<details><summary><bdi>");
        html_excerpt(b, g->kept->user_utterance, EXCERPT);
        buf_z(b, "</bdi> <small>stands for ");
        html_count(b, g->n_members);
        buf_fmt(b, " more</small></summary>\n<table>\n");
        for (size_t k = 0; k < g->members.n; k++) {
            buf_fmt(b, "<tr><td class=\"n\">%.4f</td>", g->members.of[k].score);
            cell_turn(b, g->members.of[k].row);
            buf_z(b, "</tr>\n");
        }
        buf_z(b, "</table></details>\n");
    }
    section_end(b);
}

static void row_of_answer(buf *b, const report_answer *a)
{
    buf_fmt(b, "<tr><td class=\"n\">%.4f</td><td><bdi>", a->score);
    html_excerpt(b, a->first->bot_response, EXCERPT);
    buf_z(b, "</bdi><br><small>to <bdi>");
    html_excerpt(b, a->first->user_utterance, EXCERPT);
    buf_z(b, "</bdi>, <bdi>");
    html_excerpt(b, a->first->of->id, EXCERPT);
    buf_fmt(b, "</bdi> turn %u", a->first->number);
    if (a->n > 1) {
        buf_z(b, " and ");
        html_count(b, a->n - 1);
        buf_z(b, " more");
    }
    buf_z(b, "</small></td></tr>\n");
}

static void write_conflict(buf *b, const report_conflict *c)
{
    buf_z(b, "<details><summary><bdi>");
    html_excerpt(b, c->kept->user_utterance, EXCERPT);
    buf_z(b, "</bdi> <small>answered otherwise ");
    html_count(b, c->n);
    buf_z(b, " times</small></summary>\n<table>\n<tr><td class=\"n\">kept</td><td><bdi>");
    html_excerpt(b, c->kept->bot_response, EXCERPT);
    buf_z(b, "</bdi><br><small><bdi>");
    html_excerpt(b, c->kept->of->id, EXCERPT);
    buf_fmt(b, "</bdi> turn %u</small></td></tr>\n", c->kept->number);
    for (size_t i = 0; i < c->n_shown; i++) row_of_answer(b, &c->answers[i]);
    buf_z(b, "</table>\n");
    if (c->n_answers > c->n_shown) {
        buf_z(b, "<p class=\"soft\">... and ");
        html_count(b, c->n_answers - c->n_shown);
        buf_z(b, " more answers.</p>\n");
    }
    buf_z(b, "</details>\n");
}

static void write_conflicts(const report *r, buf *b)
{
    section(b, "conflicts", "The same question, another answer");
    if (!r->asked_conflicts) {
        buf_z(b, "<p>Answers were not compared: set <code>export.conflicts</code> to the name of a "
                 "file and report again.</p>\n");
        section_end(b);
        return;
    }
    buf_fmt(b, "<p>Answers of removed turns whose cosine to the kept answer is below %g: ",
            r->conflicts_below);
    html_count(b, r->n_conflict_turns);
    buf_z(b, " turns in ");
    html_count(b, r->n_conflicts);
    buf_z(b, " groups");
    if (r->n_conflicts > r->n_conflicts_shown)
        buf_fmt(b, ", of which the largest %zu are shown; the file of export.conflicts has all",
                r->n_conflicts_shown);
    buf_z(b, ".</p>\n");
    for (size_t i = 0; i < r->n_conflicts_shown; i++) write_conflict(b, &r->conflicts[i]);
    section_end(b);
}

static void table_of_pairs(buf *b, const report_pairs *p)
{
    if (!p->n) {
        buf_z(b, "<p>None.</p>\n");
        return;
    }
    buf_z(b, "<div class=\"wide\"><table>\n<tr><th class=\"n\">cosine</th><th>turn</th>"
             "<th>earlier kept turn</th></tr>\n");
    for (size_t i = 0; i < p->n; i++) {
        buf_fmt(b, "<tr><td class=\"n\">%.4f</td>", p->of[i].score);
        cell_turn(b, p->of[i].row);
        cell_turn(b, p->of[i].earlier);
        buf_z(b, "</tr>\n");
    }
    buf_z(b, "</table></div>\n");
}

static void write_borderline(const report *r, buf *b)
{
    section(b, "borderline", "Pairs nearest the threshold");
    buf_z(b, "<h3>Removed, but only just</h3>\n");
    table_of_pairs(b, &r->above);
    buf_z(b, "<h3>Both kept, but only just</h3>\n");
    table_of_pairs(b, &r->below);
    section_end(b);
}

static void write_redaction(const report *r, buf *b)
{
    section(b, "redaction", "Personal data");
    if (r->redacted.n)
        table_of_counts(b, &r->redacted);
    else
        buf_z(b, "<p>Redaction is off (<code>redact.rules</code>).</p>\n");
    section_end(b);
}

static void write_runs(const report *r, buf *b)
{
    section(b, "runs", "Last runs");
    buf_z(b, "<div class=\"wide\"><table>\n<tr><th>command</th><th>state</th><th>began</th>"
             "<th>ended</th></tr>\n");
    for (size_t i = 0; i < r->n_runs; i++) {
        const report_run *run = &r->runs[i];
        buf_z(b, "<tr>");
        cell_text(b, run->command);
        cell_text(b, run->state);
        cell_text(b, run->started);
        cell_text(b, run->ended);
        buf_z(b, "</tr>\n");
    }
    buf_z(b, "</table></div>\n");
    section_end(b);
}

static void write_settings(const report *r, buf *b)
{
    section(b, "settings", "Configuration");
    buf_z(b, "<pre>");
    for (size_t from = 0; from < r->settings.n;) { /* line ends are to stay */
        const char *start = r->settings.p + from;
        const char *stop = memchr(start, '\n', r->settings.n - from);
        size_t n = stop ? (size_t)(stop - start) : r->settings.n - from;
        html_text(b, (str){start, n});
        buf_char(b, '\n');
        from += n + 1;
    }
    buf_z(b, "</pre>\n");
    section_end(b);
}

void report_write(const report *r, buf *out)
{
    buf_z(out, head);
    buf_z(out, "<h1>What became of the conversations</h1>\n<p class=\"soft\">The last curation of "
               "<bdi>");
    html_text(out, r->store);
    buf_z(out, "</bdi>, by tamis ");
    html_text(out, r->version);
    buf_z(out, ".</p>\n");
    write_funnel(r, out);
    write_charts(r, out);
    write_bots(r, out);
    write_groups(r, out);
    write_conflicts(r, out);
    write_borderline(r, out);
    write_redaction(r, out);
    write_runs(r, out);
    write_settings(r, out);
    buf_z(out, "</body>\n</html>\n");
}
