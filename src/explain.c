/* explain.c - what became of an interaction, from its raw record and the last verdicts. */
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"
#include "curate/turns.h"
#include "export/export.h"
#include "views.h"

/* The verdicts of one interaction as they come from the store, by turn. */
typedef struct explaining {
    store *store;
    bool json;
    buf *out;
    const turn *turns; /* [n_turns] */
    size_t n_turns;
    const char **rules; /* [n_turns + 1] NULL: no verdict; the last: the whole interaction */
    buf *details;       /* [n_turns] what follows the verdict, ready to write */
} explaining;

static void write_score(buf *b, double score)
{
    if (score == SCORE_UNKNOWN)
        buf_z(b, "null");
    else
        js_write_fixed(b, score, SCORE_DECIMALS);
}

/* " (cosine 0.912345)" */
static void tell_score(buf *b, double score)
{
    if (score != SCORE_UNKNOWN) buf_fmt(b, " (cosine %.*f)", SCORE_DECIMALS, score);
    buf_char(b, '\n');
}

static status list_duplicate(void *ctx, const stored_verdict *v, err *e)
{
    buf *b = ctx;
    if (v->rule != RULE_DUPLICATE) return ST_OK; /* given back, it stands for itself */
    buf_z(b, b->n && b->p[b->n - 1] == '[' ? "{\"interaction_id\": " : ", {\"interaction_id\": ");
    js_write_string(b, v->interaction_id);
    buf_fmt(b, ", \"turn\": %lld, \"score\": ", (long long)v->turn);
    write_score(b, v->score);
    buf_char(b, '}');
    return buf_ok(b) ? ST_OK : err_nomem(e, "explaining");
}

static status tell_duplicate(void *ctx, const stored_verdict *v, err *e)
{
    buf *b = ctx;
    if (v->rule != RULE_DUPLICATE) return ST_OK;
    buf_z(b, "      stands for ");
    utf8_write_plain(b, v->interaction_id);
    buf_fmt(b, " turn %lld", (long long)v->turn);
    tell_score(b, v->score);
    return buf_ok(b) ? ST_OK : err_nomem(e, "explaining");
}

/* v: of a duplicate, or of one that the guard gave back, which is kept. */
static void write_keeper(const explaining *x, buf *b, const stored_verdict *v)
{
    if (v->rule == RULE_GUARDED && x->json) buf_z(b, ", \"guarded\": true");
    if (x->json) {
        buf_z(b, ", \"kept_interaction_id\": ");
        js_write_string(b, v->kept_interaction_id);
        buf_fmt(b, ", \"kept_turn\": %lld, \"score\": ", (long long)v->kept_turn);
        write_score(b, v->score);
    } else {
        buf_z(b, v->rule == RULE_GUARDED ? "      given back by guard.floor; a duplicate of "
                                         : "      of ");
        utf8_write_plain(b, v->kept_interaction_id);
        buf_fmt(b, " turn %lld", (long long)v->kept_turn);
        tell_score(b, v->score);
    }
}

static status take_verdict(void *ctx, const stored_verdict *v, err *e)
{
    explaining *x = ctx;
    if (v->turn < 0) {
        x->rules[x->n_turns] = rule_name(v->rule);
        return ST_OK;
    }
    if ((uint64_t)v->turn >= x->n_turns) return ST_OK; /* older than the record */
    buf *b = &x->details[v->turn];
    x->rules[v->turn] = rule_name(v->rule == RULE_GUARDED ? RULE_KEPT : v->rule);
    if (v->rule == RULE_DUPLICATE || v->rule == RULE_GUARDED) write_keeper(x, b, v);
    return buf_ok(b) ? ST_OK : err_nomem(e, "explaining");
}

/* Below a kept turn: those that it stands for. */
static status add_duplicates(explaining *x, str id, err *e)
{
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < x->n_turns; i++) {
        buf *b = &x->details[i];
        if (x->json) buf_z(b, ", \"duplicates\": [");
        if (x->rules[i] && strcmp(x->rules[i], rule_name(RULE_KEPT)) == 0)
            st = store_duplicates_of(x->store, id, (int64_t)i,
                                     x->json ? list_duplicate : tell_duplicate, b, e);
        if (x->json) buf_char(b, ']');
    }
    return st;
}

static const char *rule_of(const explaining *x, size_t i)
{
    if (x->rules[i]) return x->rules[i];
    return x->rules[x->n_turns] ? x->rules[x->n_turns] : "not curated yet";
}

static void member(buf *b, const char *name, str text)
{
    buf_fmt(b, "\"%s\": ", name);
    if (text.n)
        js_write_string(b, text);
    else
        buf_z(b, "null");
}

/* As it stands, but on one line: what JSON has outside its strings is blanks. */
static void write_rating(buf *b, str json)
{
    if (!json.n) json = STR("null");
    for (size_t i = 0; i < json.n; i++)
        buf_char(b, (unsigned char)json.p[i] < ' ' ? ' ' : json.p[i]);
}

static void write_json(const explaining *x, const interaction *i)
{
    buf *b = x->out;
    buf_char(b, '{');
    member(b, "interaction_id", i->id);
    buf_z(b, ", ");
    member(b, "timestamp", i->timestamp);
    buf_z(b, ", ");
    member(b, "bot_id", i->bot_id);
    buf_z(b, ", \"rating\": ");
    write_rating(b, i->rating);
    buf_fmt(b, ", \"verdict\": ");
    if (x->rules[x->n_turns])
        buf_fmt(b, "\"%s\"", x->rules[x->n_turns]);
    else
        buf_z(b, "null");
    buf_z(b, ", \"turns\": [");
    for (size_t k = 0; k < x->n_turns; k++) {
        buf_fmt(b, "%s{\"turn\": %zu, ", k ? ", " : "", k);
        member(b, "user_utterance", x->turns[k].user_utterance);
        buf_z(b, ", ");
        member(b, "bot_response", x->turns[k].bot_response);
        buf_fmt(b, ", \"verdict\": \"%s\"", rule_of(x, k));
        buf_str(b, buf_view(&x->details[k]));
        buf_char(b, '}');
    }
    buf_z(b, "]}\n");
}

static void write_text(const explaining *x, const interaction *i)
{
    buf *b = x->out;
    utf8_write_plain(b, i->id);
    buf_z(b, "  ");
    utf8_write_plain(b, i->timestamp);
    buf_z(b, "  ");
    utf8_write_plain(b, i->bot_id);
    buf_z(b, "  rating ");
    utf8_write_plain(b, i->rating.n ? i->rating : STR("none"));
    if (x->rules[x->n_turns]) buf_fmt(b, "  %s", x->rules[x->n_turns]);
    buf_char(b, '\n');
    for (size_t k = 0; k < x->n_turns; k++) {
        buf_fmt(b, "  turn %zu: %s\n    user: ", k, rule_of(x, k));
        utf8_write_plain(b, x->turns[k].user_utterance);
        buf_z(b, "\n    bot:  ");
        utf8_write_plain(b, x->turns[k].bot_response);
        buf_char(b, '\n');
        buf_str(b, buf_view(&x->details[k]));
    }
}

static status explain(store *s, const interaction *i, turn *turns, size_t n, bool json, buf *out,
                      err *e)
{
    explaining x = {.store = s, .json = json, .out = out, .turns = turns, .n_turns = n};
    x.rules = calloc(n + 1, sizeof *x.rules);
    x.details = calloc(n + 1, sizeof *x.details);
    status st = x.rules && x.details ? ST_OK : err_nomem(e, "explaining");
    if (st == ST_OK) st = store_verdicts_of(s, i->id, take_verdict, &x, e);
    if (st == ST_OK) st = add_duplicates(&x, i->id, e);
    if (st == ST_OK) {
        if (json)
            write_json(&x, i);
        else
            write_text(&x, i);
        if (!buf_ok(out)) st = err_nomem(e, "explaining");
    }
    for (size_t k = 0; x.details && k < n; k++) buf_release(&x.details[k]);
    free(x.details);
    free(x.rules);
    return st;
}

static status redact_turns(const redactor *r, arena *a, turn *turns, size_t n, err *e)
{
    status st = ST_OK;
    bool empty;
    for (size_t k = 0; r && st == ST_OK && k < n; k++)
        st = redaction_of_turn(r, NULL, a, &turns[k], &empty, e);
    return st;
}

status view_explain(store *s, const redactor *r, str id, bool json, buf *out, err *e)
{
    arena a = {0};
    buf raw = {0};
    bool found;
    interaction i;
    size_t n = 0, not_text = 0;
    turn *turns = NULL;
    status st = store_find(s, id, &raw, &found, e);
    if (st == ST_OK && !found)
        st = err_set(e, ST_FAILED, "no interaction %.*s in the store", STR_FMT(id));
    if (st == ST_OK) st = record_parse(buf_view(&raw), &a, &i, e);
    if (st == ST_OK) {
        turns = arena_alloc(&a, turns_limit(&i) + 1, sizeof *turns);
        st = turns ? ST_OK : err_nomem(e, "explaining");
    }
    if (st == ST_OK) n = turns_pair(&i, turns, &not_text);
    if (st == ST_OK) st = redact_turns(r, &a, turns, n, e);
    if (st == ST_OK) st = explain(s, &i, turns, n, json, out, e);
    buf_release(&raw);
    arena_release(&a);
    return st;
}
