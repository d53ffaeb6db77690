/* ledger.c - the ledger, line by line: is it there, once, in its place, and true?
 *
 * The line that should stand there is written anew and compared as bytes; only where it differs
 * is it taken apart, to say how. */
#include "verify/ledger.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"

enum { DECIMALS = 6 };

/* A line that should be there. */
typedef struct wanted {
    str id;
    int64_t turn; /* -1: the whole interaction */
    rule rule;
    const dropped_turn *dropped; /* a duplicate; else NULL */
    bool seen;
} wanted;

typedef struct checking {
    const char *path;
    const ledger_claims *want;
    findings *f;
    wanted *list; /* [n] in the order of the file */
    size_t n;
    size_t next; /* behind the furthest of those seen */
    buf line;    /* as it should be */
} checking;

static int wanted_cmp(const wanted *a, str id, int64_t number)
{
    int c = str_cmp(a->id, id);
    return c ? c : (a->turn > number) - (a->turn < number);
}

static int by_id(const void *pa, const void *pb)
{
    const wanted *b = pb;
    return wanted_cmp(pa, b->id, b->turn);
}

static status list_wanted(checking *x, err *e)
{
    const ledger_claims *w = x->want;
    x->list = calloc(w->n_dropped + w->n_gone + 1, sizeof *x->list);
    if (!x->list) return err_nomem(e, "checking the ledger");
    for (size_t i = 0; i < w->n_gone; i++)
        x->list[x->n++] = (wanted){
            .id = w->gone[i].interaction_id, .turn = w->gone[i].turn, .rule = w->gone[i].rule};
    for (size_t i = 0; i < w->n_dropped; i++) {
        const turn *t = &w->turns->turns[w->dropped[i].turn];
        x->list[x->n++] = (wanted){
            .id = t->of->id, .turn = t->number, .dropped = &w->dropped[i], .rule = RULE_DUPLICATE};
    }
    qsort(x->list, x->n, sizeof *x->list, by_id);
    return ST_OK;
}

static wanted *find_wanted(const checking *x, str id, int64_t number)
{
    size_t lo = 0, hi = x->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (wanted_cmp(&x->list[mid], id, number) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < x->n && wanted_cmp(&x->list[lo], id, number) == 0 ? &x->list[lo] : NULL;
}

/* The line that must stand there, into x->line. */
static void write_wanted(checking *x, const wanted *w)
{
    buf *b = &x->line;
    b->n = 0;
    buf_z(b, "{\"interaction_id\": ");
    js_write_string(b, w->id);
    if (w->turn >= 0)
        buf_fmt(b, ", \"turn\": %" PRId64, w->turn);
    else
        buf_z(b, ", \"turn\": null");
    buf_fmt(b, ", \"rule\": \"%s\"", rule_name(w->rule));
    if (w->dropped) {
        const turn *kept = &x->want->turns->turns[w->dropped->kept];
        buf_z(b, ", \"kept_interaction_id\": ");
        js_write_string(b, kept->of->id);
        buf_fmt(b, ", \"kept_turn\": %u, \"score\": ", kept->number);
        js_write_fixed(b, w->dropped->score, DECIMALS);
    }
    buf_z(b, "}\n");
}

/* How a line differs from the one in x->line. */
static status tell_difference(checking *x, const place *at, const js *line, const wanted *w, err *e)
{
    str says = js_string(js_get(line, "rule"));
    if (!str_eq(says, str_from(rule_name(w->rule))))
        return findings_add(x->f, at, e, "its rule is %s, not \"%.*s\"", rule_name(w->rule),
                            STR_FMT(says));
    if (w->dropped) {
        const turn *kept = &x->want->turns->turns[w->dropped->kept];
        if (!str_eq(js_string(js_get(line, "kept_interaction_id")), kept->of->id) ||
            js_number(js_get(line, "kept_turn"), -1) != (double)kept->number)
            return findings_add(x->f, at, e,
                                "the nearest kept turn before it is %.*s turn %u (cosine %.*f)",
                                STR_FMT(kept->of->id), kept->number, DECIMALS, w->dropped->score);
        double score = js_number(js_get(line, "score"), -2), want = w->dropped->score;
        if (score - want > 1e-6 || want - score > 1e-6)
            return findings_add(x->f, at, e, "the cosine is %.*f, not %.*f", DECIMALS, want,
                                DECIMALS, score);
    }
    return findings_add(x->f, at, e, "not written as it must be");
}

/* A line about something that should not be in the ledger. */
static status not_wanted(checking *x, const place *at, err *e)
{
    bool kept = turn_index_at(x->want->turns, at->interaction_id, at->turn) != NO_ROW;
    return findings_add(x->f, at, e, "%s",
                        kept ? "this turn is a row, and in the ledger all the same"
                             : "the store has no such turn, or none that had to go");
}

static status check_line(checking *x, str text, const js *line, uint64_t number, err *e)
{
    const js *turn_value = js_get(line, "turn");
    str id = js_string(js_get(line, "interaction_id"));
    double turn_number = js_number(turn_value, -1);
    place at = {x->path, number, id, -1};
    bool is_turn = js_type(turn_value) == JS_NUMBER && turn_number >= 0 && turn_number < 1e9 &&
                   turn_number == (double)(int64_t)turn_number;
    if (!id.p || !(is_turn || js_type(turn_value) == JS_NULL))
        return findings_add(x->f, &at, e, "an entry needs interaction_id and turn");
    if (is_turn) at.turn = (int64_t)turn_number;
    wanted *w = find_wanted(x, id, at.turn);
    if (!w) return not_wanted(x, &at, e);
    if (w->seen) return findings_add(x->f, &at, e, "this entry is there twice");
    w->seen = true;
    size_t k = (size_t)(w - x->list);
    if (k < x->next) {
        status st = findings_add(x->f, &at, e, "this entry is out of order");
        if (st) return st;
    } else {
        x->next = k + 1;
    }
    if (w->dropped && w->dropped->kept == NO_ROW) return ST_OK; /* a finding of its own: coverage */
    write_wanted(x, w);
    if (!buf_ok(&x->line)) return err_nomem(e, "checking the ledger");
    return str_eq(text, buf_view(&x->line)) ? ST_OK : tell_difference(x, &at, line, w, e);
}

static status take_line(checking *x, str text, uint64_t number, err *e)
{
    js *root = NULL;
    err why = {0};
    place at = {x->path, number, STR(""), -1};
    if (js_parse(text, &root, &why)) return findings_add(x->f, &at, e, "%s", why.msg);
    status st = check_line(x, text, root, number, e);
    js_free(root);
    return st;
}

static status tell_missing(checking *x, err *e)
{
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < x->n; i++) {
        const wanted *w = &x->list[i];
        place at = {x->path, 0, w->id, w->turn};
        if (!w->seen)
            st = findings_add(x->f, &at, e, "%s",
                              w->turn >= 0 ? "this turn is neither a row nor in the ledger"
                                           : "this interaction is not in the ledger");
    }
    return st;
}

status ledger_check(const char *path, const ledger_claims *want, findings *f, uint64_t *n_lines,
                    err *e)
{
    checking x = {.path = path, .want = want, .f = f};
    file_map map = {0};
    status st = list_wanted(&x, e);
    if (st == ST_OK) st = file_map_open(path, &map, e);
    *n_lines = 0;
    for (size_t at = 0; st == ST_OK && at < map.bytes.n;) {
        const char *p = map.bytes.p + at, *end = memchr(p, '\n', map.bytes.n - at);
        const size_t n = end ? (size_t)(end - p) + 1 : map.bytes.n - at;
        st = take_line(&x, (str){p, n}, ++*n_lines, e);
        at += n;
    }
    if (st == ST_OK) st = tell_missing(&x, e);
    file_unmap(&map);
    buf_release(&x.line);
    free(x.list);
    return st;
}
