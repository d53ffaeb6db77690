/* verify_report.c - the result of a proof, for people and for programs. */
#include <inttypes.h>

#include "base/json.h"
#include "base/number.h"
#include "base/utf8.h"
#include "export/export.h"
#include "verify_run.h"

typedef unsigned long long ull;

/* --- JSON ----------------------------------------------------------------------------------- */

static void member(buf *b, const char *prefix, const char *name, str value)
{
    buf_fmt(b, ", \"%s%s\": ", prefix, name);
    js_write_string(b, value);
}

/* The members that tell which row it is; n: its number. */
static void write_row(const verify_result *r, buf *b, const char *prefix, uint32_t n)
{
    const row *x = &r->rows.list[n];
    buf_fmt(b, ", \"%srow\": %u, \"%sline\": %llu", prefix, n, prefix, (ull)x->line);
    member(b, prefix, "interaction_id", x->interaction_id);
    if (x->turn == NO_ROW)
        buf_fmt(b, ", \"%sturn\": null", prefix);
    else
        buf_fmt(b, ", \"%sturn\": %u", prefix, r->d.turns[x->turn].number);
    member(b, prefix, "user_utterance", x->user_utterance);
}

static void write_near(const verify_result *r, buf *b, const near_rows *n)
{
    buf_z(b, "{\"score\": ");
    js_write_fixed(b, n->score, SCORE_DECIMALS);
    write_row(r, b, "", n->b);
    write_row(r, b, "kept_", n->a);
    buf_char(b, '}');
}

static void write_uncovered(const verify_result *r, buf *b, const uncovered_turn *u)
{
    const turn *t = &r->d.turns[u->turn];
    buf_z(b, "{\"interaction_id\": ");
    js_write_string(b, t->of->id);
    buf_fmt(b, ", \"turn\": %u", t->number);
    member(b, "", "user_utterance", t->user_utterance);
    buf_z(b, ", \"score\": ");
    if (u->nearest == NO_ROW) {
        buf_z(b, "null}");
        return;
    }
    js_write_fixed(b, u->score, SCORE_DECIMALS);
    write_row(r, b, "kept_", u->nearest);
    buf_char(b, '}');
}

static void write_cut(const verify_result *r, buf *b, const cut *c)
{
    buf_z(b, "{\"score\": ");
    if (c->is_of_conversation)
        buf_z(b, "null");
    else
        js_write_fixed(b, c->score, SCORE_DECIMALS);
    buf_fmt(b, ", \"split\": \"%s\"", part_names[r->part[c->b]]);
    write_row(r, b, "", r->rows.row_of[c->b]);
    buf_fmt(b, ", \"other_split\": \"%s\"", part_names[r->part[c->a]]);
    write_row(r, b, "other_", r->rows.row_of[c->a]);
    buf_char(b, '}');
}

static void write_finding(buf *b, const finding *f)
{
    buf_z(b, "{\"file\": ");
    js_write_string(b, str_from(f->at.file));
    if (f->at.line) buf_fmt(b, ", \"line\": %llu", (ull)f->at.line);
    if (f->at.interaction_id.n) member(b, "", "interaction_id", f->at.interaction_id);
    if (f->at.turn >= 0) buf_fmt(b, ", \"turn\": %" PRId64, f->at.turn);
    member(b, "", "what", f->what);
    buf_char(b, '}');
}

static void write_json(const verify_result *r, buf *b)
{
    buf_fmt(b, "{\"kept\": %zu, \"removed\": %zu, \"threshold\": ", r->rows.n, r->n_removed);
    number_write_json(b, r->threshold);
    if (r->has_ledger) buf_fmt(b, ", \"ledger_entries\": %llu", (ull)r->n_ledger);
    if (r->is_guarded) buf_fmt(b, ", \"guarded\": %llu", (ull)r->n_given);
    buf_z(b, ", \"separation_violations\": [");
    for (size_t i = 0; i < r->n_near; i++) {
        buf_z(b, i ? ", " : "");
        write_near(r, b, &r->near[i]);
    }
    buf_z(b, "], \"coverage_violations\": [");
    for (size_t i = 0; i < r->n_uncovered; i++) {
        buf_z(b, i ? ", " : "");
        write_uncovered(r, b, &r->uncovered[i]);
    }
    buf_z(b, "], \"file_violations\": [");
    for (size_t i = 0; i < r->files.n; i++) {
        buf_z(b, i ? ", " : "");
        write_finding(b, &r->files.list[i]);
    }
    buf_z(b, "], \"split_violations\": [");
    for (size_t i = 0; i < r->cuts.n; i++) {
        buf_z(b, i ? ", " : "");
        write_cut(r, b, &r->cuts.list[i]);
    }
    buf_fmt(b, "], \"violations\": {\"separation\": %llu, \"coverage\": %llu, \"file\": %llu, ",
            (ull)r->total_near, (ull)r->total_uncovered, (ull)r->files.total);
    buf_fmt(b, "\"split\": %llu}", (ull)r->cuts.total);
    buf_z(b, ", \"closest_kept_pair\": ");
    if (r->has_closest)
        write_near(r, b, &r->closest);
    else
        buf_z(b, "null");
    buf_fmt(b, ", \"seconds\": %.3f, \"seconds_of\": {\"read\": %.3f, \"embed\": %.3f, ",
            r->seconds.total, r->seconds.read, r->seconds.embed);
    buf_fmt(b, "\"compare\": %.3f}}\n", r->seconds.scan);
}

/* --- to read -------------------------------------------------------------------------------- */

/* The first words of a text, on a line of their own. */
static void write_words(buf *b, str text)
{
    enum { LONGEST = 72 };
    size_t at = 0;
    for (int n = 0; at < text.n && n < LONGEST; n++) utf8_next(text, &at);
    buf_z(b, "    \"");
    utf8_write_plain(b, (str){text.p, at});
    buf_z(b, at < text.n ? " ...\"\n" : "\"\n");
}

static void write_name(const verify_result *r, buf *b, uint32_t n)
{
    const row *x = &r->rows.list[n];
    utf8_write_plain(b, x->interaction_id);
    if (x->turn != NO_ROW) buf_fmt(b, " turn %u", r->d.turns[x->turn].number);
    buf_fmt(b, " (row %u)", n);
}

static void write_pair(const verify_result *r, buf *b, const near_rows *n)
{
    write_name(r, b, n->a);
    buf_z(b, " and ");
    write_name(r, b, n->b);
    buf_fmt(b, ": cosine %.*f\n", SCORE_DECIMALS, n->score);
    write_words(b, r->rows.list[n->a].user_utterance);
    write_words(b, r->rows.list[n->b].user_utterance);
}

static void tell_uncovered(const verify_result *r, buf *b, const uncovered_turn *u)
{
    const turn *t = &r->d.turns[u->turn];
    utf8_write_plain(b, t->of->id);
    buf_fmt(b, " turn %u is no row, and ", t->number);
    if (u->nearest == NO_ROW) {
        buf_z(b, r->by_answer ? "no row before it has an answer as near\n"
                              : "no row is earlier in order\n");
        write_words(b, t->user_utterance);
        return;
    }
    buf_z(b, "the nearest row before it is ");
    write_name(r, b, u->nearest);
    buf_fmt(b, ": cosine %.*f\n", SCORE_DECIMALS, u->score);
    write_words(b, t->user_utterance);
    write_words(b, r->rows.list[u->nearest].user_utterance);
}

static void tell_cut(const verify_result *r, buf *b, const cut *c)
{
    uint32_t other = r->rows.row_of[c->a], mine = r->rows.row_of[c->b];
    write_name(r, b, mine);
    buf_fmt(b, " is in %s, and ", part_names[r->part[c->b]]);
    write_name(r, b, other);
    buf_fmt(b, " in %s: ", part_names[r->part[c->a]]);
    if (c->is_of_conversation)
        buf_z(b, "one interaction\n");
    else
        buf_fmt(b, "cosine %.*f\n", SCORE_DECIMALS, c->score);
    write_words(b, r->rows.list[mine].user_utterance);
    write_words(b, r->rows.list[other].user_utterance);
}

static void tell_finding(buf *b, const finding *f)
{
    buf_z(b, f->at.file);
    if (f->at.line) buf_fmt(b, ", line %llu", (ull)f->at.line);
    if (f->at.interaction_id.n) {
        buf_z(b, f->at.line ? " (" : ": ");
        utf8_write_plain(b, f->at.interaction_id);
        if (f->at.turn >= 0) buf_fmt(b, " turn %" PRId64, f->at.turn);
        buf_z(b, f->at.line ? ")" : "");
    }
    buf_z(b, ": ");
    utf8_write_plain(b, f->what);
    buf_char(b, '\n');
}

static void tell_rest(buf *b, uint64_t total, size_t listed)
{
    if (total > listed) buf_fmt(b, "  and %llu more\n", (ull)(total - listed));
}

static void write_text(const verify_result *r, buf *b)
{
    buf_fmt(b, "%zu kept rows, %zu near-duplicates", r->rows.n, r->n_removed);
    if (r->has_ledger) buf_fmt(b, ", %llu entries of the ledger", (ull)r->n_ledger);
    if (r->is_guarded) buf_fmt(b, ", %llu given back", (ull)r->n_given);
    buf_fmt(b, ", threshold %g%s; %.1f s\n", r->threshold,
            r->by_answer ? " of questions and answers" : "", r->seconds.total);
    buf_fmt(b, "separation: %llu pairs of rows are too near\n", (ull)r->total_near);
    for (size_t i = 0; i < r->n_near; i++) write_pair(r, b, &r->near[i]);
    tell_rest(b, r->total_near, r->n_near);
    buf_fmt(b, "coverage: %llu turns are no row and near none before them\n",
            (ull)r->total_uncovered);
    for (size_t i = 0; i < r->n_uncovered; i++) tell_uncovered(r, b, &r->uncovered[i]);
    tell_rest(b, r->total_uncovered, r->n_uncovered);
    buf_fmt(b, "files: %llu differences from the store\n", (ull)r->files.total);
    for (size_t i = 0; i < r->files.n; i++) tell_finding(b, &r->files.list[i]);
    tell_rest(b, r->files.total, r->files.n);
    if (r->has_split)
        buf_fmt(b, "splits: %llu rows apart from what they belong with\n", (ull)r->cuts.total);
    for (size_t i = 0; i < r->cuts.n; i++) tell_cut(r, b, &r->cuts.list[i]);
    tell_rest(b, r->cuts.total, r->cuts.n);
    if (!r->has_closest) return;
    buf_z(b, "the closest rows: ");
    write_pair(r, b, &r->closest);
}

void verify_write(const verify_result *r, bool json, buf *out)
{
    if (json)
        write_json(r, out);
    else
        write_text(r, out);
}
