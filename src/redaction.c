/* redaction.c - joins [redact] of the configuration and the redactor; the key of
 * action = hash comes from the environment or a file and goes nowhere else. */
#include "redaction.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"
#include "secret.h"

static redact_action action_of(const char *name)
{
    if (strcmp(name, "mask") == 0) return REDACT_MASK;
    return strcmp(name, "hash") == 0 ? REDACT_HASH : REDACT_LABEL;
}

/* The patterns that have not been taken away again. */
static status gather_patterns(const config *c, arena *a, redact_options *o, err *e)
{
    redact_pattern *p = arena_alloc(a, c->redact.n_patterns + 1, sizeof *p);
    if (!p) return err_nomem(e, "reading [redact]");
    for (size_t i = 0; i < c->redact.n_patterns; i++)
        if (*c->redact.patterns[i].regex)
            p[o->n_patterns++] =
                (redact_pattern){c->redact.patterns[i].name, c->redact.patterns[i].regex};
    o->patterns = p;
    return ST_OK;
}

static bool any_rule(const char *rules)
{
    return rules[strspn(rules, ", \t")] != '\0';
}

status redaction_open(const config *c, redactor **out, err *e)
{
    arena a = {0};
    buf key = {0};
    const secret_place place = {"key for redact.action = hash", c->redact.key_env,
                                c->redact.key_file, "redact.key_env", "redact.key_file"};
    redact_options o = {.rules = c->redact.rules, .action = action_of(c->redact.action)};
    *out = NULL;
    status st = gather_patterns(c, &a, &o, e);
    bool on = any_rule(o.rules) || o.n_patterns;
    if (st == ST_OK && on && o.action == REDACT_HASH) st = secret_read(&place, &key, e);
    o.key = buf_view(&key);
    if (st == ST_OK && !buf_ok(&key)) st = err_nomem(e, "reading [redact]");
    if (st == ST_OK && on) st = redactor_new(&o, out, e);
    secret_wipe(&key);
    arena_release(&a);
    return st;
}

/* --- texts, and what was found in them ---------------------------------------------------- */

void redaction_tally_release(redaction_tally *t)
{
    intern_release(&t->bots);
    free(t->counts);
    arena_release(&t->texts);
    *t = (redaction_tally){0};
}

static status note_rules(const redactor *r, redaction_tally *t, err *e)
{
    size_t n = redactor_n_rules(r);
    t->names = arena_alloc(&t->texts, n, sizeof *t->names);
    if (!t->names) return err_nomem(e, "redacting");
    for (size_t i = 0; i < n; i++) {
        if (!redactor_rule_is_on(r, i)) continue;
        t->names[i] = arena_str(&t->texts, str_from(redactor_rule_name(r, i))).p;
        if (!t->names[i]) return err_nomem(e, "redacting");
    }
    t->n_rules = n;
    return ST_OK;
}

/* The counts of a bot. */
static status counts_of(redaction_tally *t, str bot, uint64_t **out, err *e)
{
    uint32_t k = intern_find(&t->bots, bot);
    if (k == INTERN_NONE) {
        str copy = arena_str(&t->texts, bot);
        k = copy.p ? intern_add(&t->bots, copy) : INTERN_NONE;
    }
    if (k == INTERN_NONE) return err_nomem(e, "redacting");
    if (k >= t->cap) {
        uint32_t cap = 2 * k + 8;
        uint64_t *more = reallocarray(t->counts, cap, t->n_rules * sizeof *more);
        if (!more) return err_nomem(e, "redacting");
        memset(more + t->cap * t->n_rules, 0, (cap - t->cap) * t->n_rules * sizeof *more);
        t->counts = more;
        t->cap = cap;
    }
    *out = t->counts + k * t->n_rules;
    return ST_OK;
}

/* Redacts *text; what is new lies in `a`. */
static status redact_one(const redactor *r, uint64_t *counts, arena *a, str *text, bool *empty,
                         err *e)
{
    buf scratch = {0};
    str out;
    status st = redact_text(r, *text, &scratch, &out, counts, e);
    if (st == ST_OK && out.p != text->p) {
        *text = arena_str(a, utf8_strip(out));
        if (!text->p) st = err_nomem(e, "redacting");
    }
    if (st == ST_OK) *empty |= !text->n || redact_left_empty(r, *text);
    buf_release(&scratch);
    return st;
}

status redaction_of_turn(const redactor *r, redaction_tally *tally, arena *a, turn *t, bool *empty,
                         err *e)
{
    uint64_t *counts = NULL;
    status st = ST_OK;
    *empty = false;
    if (tally && !tally->n_rules) st = note_rules(r, tally, e);
    if (st == ST_OK && tally) st = counts_of(tally, t->of->bot_id, &counts, e);
    if (st == ST_OK) st = redact_one(r, counts, a, &t->user_utterance, empty, e);
    if (st == ST_OK) st = redact_one(r, counts, a, &t->bot_response, empty, e);
    return st;
}

uint64_t redaction_tally_total(const redaction_tally *t)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < t->bots.n * t->n_rules; i++) sum += t->counts[i];
    return sum;
}

static int by_bytes(const void *pa, const void *pb)
{
    const str *a = pa, *b = pb;
    return str_cmp(*a, *b);
}

static void write_counts(const redaction_tally *t, const uint64_t *counts, bool zeros, buf *out)
{
    const char *before = "";
    buf_char(out, '{');
    for (size_t i = 0; i < t->n_rules; i++) {
        if (!t->names[i] || (!counts[i] && !zeros)) continue;
        buf_fmt(out, "%s\"%s\": %llu", before, t->names[i], (unsigned long long)counts[i]);
        before = ", ";
    }
    buf_char(out, '}');
}

static bool any_count(const redaction_tally *t, const uint64_t *counts)
{
    for (size_t i = 0; i < t->n_rules; i++)
        if (counts[i]) return true;
    return false;
}

void redaction_tally_write(const redaction_tally *t, buf *out)
{
    const char *before = "";
    uint64_t *sums = calloc(t->n_rules + 1, sizeof *sums);
    str *bots = calloc((size_t)t->bots.n + 1, sizeof *bots);
    out->oom |= !sums || !bots;
    if (sums && bots) {
        for (size_t i = 0; i < t->bots.n * t->n_rules; i++) sums[i % t->n_rules] += t->counts[i];
        for (uint32_t k = 0; k < t->bots.n; k++) bots[k] = t->bots.texts[k];
        qsort(bots, t->bots.n, sizeof *bots, by_bytes);
        buf_z(out, "{\"rules\": ");
        write_counts(t, sums, true, out);
        buf_z(out, ", \"bots\": {");
        for (uint32_t k = 0; k < t->bots.n; k++) {
            const uint64_t *counts = t->counts + intern_find(&t->bots, bots[k]) * t->n_rules;
            if (!any_count(t, counts)) continue;
            buf_z(out, before);
            js_write_string(out, bots[k]);
            buf_z(out, ": ");
            write_counts(t, counts, false, out);
            before = ", ";
        }
        buf_z(out, "}}");
    }
    free(sums);
    free(bots);
}
