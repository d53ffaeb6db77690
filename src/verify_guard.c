/* verify_guard.c - which rows are of the rule, and whether the others are what the guard gives.
 *
 * The files need not say which rows were given back: a row that an earlier row of the rule is too
 * near to cannot be of the rule.  Few rows have any near one before them, so those are looked
 * through pair by pair, in order. */
#include "verify_guard.h"

#include <stdlib.h>

void guard_proof_release(guard_proof *g)
{
    free(g->base_of);
    free(g->base);
    free(g->is_fine);
    free(g->given);
    *g = (guard_proof){0};
}

/* Whether a row of the rule before it is too near to row b. */
static bool is_repeat(const guard_claims *c, const guard_proof *g, uint32_t b)
{
    const scan_row *mine = &c->all->kept[b];
    if (!c->n_near[b] || mine->order < c->n_pinned) return false;
    for (size_t k = 0; k < g->n_base; k++) {
        const scan_row *other = &g->base[k];
        if (other->group != mine->group) continue;
        double cosine = scan_cosine(c->all, other->unit, mine->unit);
        if (scan_too_near(c->all, other->unit, mine->unit, cosine) &&
            scan_meets(c->all, other, mine))
            return true;
    }
    return false;
}

static void find_base(const guard_claims *c, guard_proof *g, unsigned char *is_kept)
{
    for (uint32_t b = 0; b < c->all->n_kept; b++) {
        const scan_row *mine = &c->all->kept[b];
        if (is_repeat(c, g, b)) continue;
        g->is_fine[b] = 1;
        if (mine->order != NO_ROW) is_kept[mine->order] = 1;
        g->base_of[g->n_base] = b;
        g->base[g->n_base++] = *mine;
    }
}

status guard_prove(const guard_claims *c, guard_proof *out, findings *f, err *e)
{
    const size_t n = c->turns->n, n_rows = c->all->n_kept;
    guard_result result = {0};
    unsigned char *is_kept = calloc(n + 1, 1);
    *out = (guard_proof){.base_of = calloc(n_rows + 1, sizeof *out->base_of),
                         .base = calloc(n_rows + 1, sizeof *out->base),
                         .is_fine = calloc(n_rows + 1, 1),
                         .given = calloc(n + 1, 1)};
    bool ok = is_kept && out->base_of && out->base && out->is_fine && out->given;
    status st = ok ? ST_OK : err_nomem(e, "verifying");
    if (st == ST_OK) {
        find_base(c, out, is_kept);
        st = guard_find(c->turns->turns, is_kept, n, &c->options, &result, out->given, e);
    }
    for (size_t b = 0; st == ST_OK && b < n_rows; b++)
        if (c->all->kept[b].order != NO_ROW) out->is_fine[b] |= out->given[c->all->kept[b].order];
    for (size_t i = 0; st == ST_OK && i < n; i++) {
        place at = {c->rows->path, 0, c->turns->turns[i].of->id, c->turns->turns[i].number};
        if (out->given[i] && c->rows->row_of[i] == NO_ROW)
            st = findings_add(f, &at, e, "guard.floor gives this turn back, and it is no row");
    }
    guard_release(&result);
    free(is_kept);
    return st;
}
