/* removed.c - the ledger: every turn that did not make it, with its rule.
 *
 * Ordered by interaction id and turn, so that two ledgers can be compared line by line
 * whatever the order of the rows was. */
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "export/export.h"

/* One line of the ledger. */
typedef struct entry {
    str id;
    int64_t turn;           /* -1: the whole interaction */
    const verdict *verdict; /* RULE_DUPLICATE only */
    rule rule;
} entry;

static int entry_cmp(const void *pa, const void *pb)
{
    const entry *a = pa, *b = pb;
    int c = str_cmp(a->id, b->id);
    return c ? c : (a->turn > b->turn) - (a->turn < b->turn);
}

static size_t gather(const export_rows *rows, const dropped_interaction *dropped, size_t n_dropped,
                     entry *out)
{
    size_t n = 0;
    for (size_t i = 0; i < n_dropped; i++)
        out[n++] = (entry){dropped[i].id, dropped[i].turn, NULL, dropped[i].rule};
    for (size_t i = 0; i < rows->n_turns; i++) {
        const turn *t = &rows->turns[i];
        const verdict *v = &rows->verdicts[i];
        if (v->kept_row != NO_ROW) out[n++] = (entry){t->of->id, t->number, v, RULE_DUPLICATE};
    }
    qsort(out, n, sizeof *out, entry_cmp);
    return n;
}

static void write_entry(buf *b, const entry *x, const turn *turns)
{
    buf_z(b, "{\"interaction_id\": ");
    js_write_string(b, x->id);
    if (x->turn >= 0)
        buf_fmt(b, ", \"turn\": %lld", (long long)x->turn);
    else
        buf_z(b, ", \"turn\": null");
    buf_fmt(b, ", \"rule\": \"%s\"", rule_name(x->rule));
    if (x->rule == RULE_DUPLICATE) {
        const turn *kept = &turns[x->verdict->kept_row];
        buf_z(b, ", \"kept_interaction_id\": ");
        js_write_string(b, kept->of->id);
        buf_fmt(b, ", \"kept_turn\": %u, \"score\": ", kept->number);
        js_write_fixed(b, x->verdict->score, SCORE_DECIMALS);
    }
    buf_z(b, "}\n");
}

status export_removed(const char *path, const export_rows *rows, const dropped_interaction *dropped,
                      size_t n_dropped, export_result *out, err *e)
{
    file_out f = {0};
    buf b = {0};
    status st = ST_OK;
    *out = (export_result){0};
    entry *all = calloc(rows->n_turns + n_dropped + 1, sizeof *all);
    if (!all) return err_nomem(e, "writing the ledger");
    out->rows = gather(rows, dropped, n_dropped, all);
    st = file_begin(&f, path, e);
    for (size_t i = 0; st == ST_OK && i < out->rows; i++) {
        b.n = 0;
        write_entry(&b, &all[i], rows->turns);
        st = buf_ok(&b) ? file_write(&f, buf_view(&b), e) : err_nomem(e, "writing the ledger");
    }
    if (st == ST_OK) st = file_commit(&f, out->sha256, e);
    file_abort(&f);
    buf_release(&b);
    free(all);
    return st;
}
