/* verify_run.c - the proof of an export: the stages it needs, in order.
 *
 *   store -> curate (filters and order only)  -.
 *   exported files -> rows ----------------------> embed -> scan -> ledger, other files, cuts
 *
 * Of what a run computes nothing is taken over: no verdict, no vector of the store.  What is shared
 * with a run is the reading of the raw records, the filters and the order (dataset_load), the
 * encoder (a sample of texts is encoded again by the plain loops and must have the same bits), and
 * the base.  docs/PROOF.md says what follows from that. */
#include "verify_run.h"

#include <stdlib.h>

#include "base/intern.h"
#include "embed/embed.h"
#include "verify_guard.h"

enum { SAMPLE = 16 }; /* texts encoded again by the plain loops */

/* What the scan compares, and what its numbers mean. */
typedef struct proof {
    const job *job;
    verify_result *out;
    turn_index turns;
    intern texts, domains;
    float *vectors; /* [texts.n, dim] */
    size_t dim;
    scan_row *kept; /* [out->rows.n] */
    uint32_t *row_of_kept;
    scan_row *dropped; /* [n_dropped]; order is the turn */
    size_t n_dropped;
    scan_result scan;
    guard_proof guard;
} proof;

void verify_result_release(verify_result *r)
{
    dataset_release(&r->d);
    rows_release(&r->rows);
    free(r->near);
    free(r->uncovered);
    findings_release(&r->files);
    free(r->part);
    cuts_release(&r->cuts);
    *r = (verify_result){0};
}

uint64_t verify_violations(const verify_result *r)
{
    return r->total_near + r->total_uncovered + r->files.total + r->cuts.total;
}

static void proof_release(proof *p)
{
    turn_index_release(&p->turns);
    intern_release(&p->texts);
    intern_release(&p->domains);
    free(p->vectors);
    free(p->kept);
    free(p->row_of_kept);
    free(p->dropped);
    scan_result_release(&p->scan);
    guard_proof_release(&p->guard);
}

/* --- the files ------------------------------------------------------------------------------ */

/* Turns of one file that the other does not have. */
static status compare_files(proof *p, const rows *other, err *e)
{
    status st = ST_OK;
    const rows *mine = &p->out->rows;
    for (size_t i = 0; st == ST_OK && i < p->turns.n; i++) {
        bool here = mine->row_of[i] != NO_ROW, there = other->row_of[i] != NO_ROW;
        const turn *t = &p->turns.turns[i];
        place at = {here ? other->path : mine->path, 0, t->of->id, t->number};
        if (here != there)
            st = findings_add(&p->out->files, &at, e, "this turn is not in it, but in %s",
                              here ? mine->path : other->path);
    }
    return st;
}

static status read_files(proof *p, err *e)
{
    const config *c = p->job->config;
    verify_result *out = p->out;
    rows other = {0};
    bool optional = !p->turns.n; /* without a row none is written */
    rows_source csv = {ROWS_CSV, c->export.csv, optional};
    rows_source jsonl = {ROWS_JSONL, c->export.jsonl, optional};
    if (!*csv.path && !*jsonl.path)
        return err_set(e, ST_USAGE, "nothing to verify: export.csv and export.jsonl are empty");
    status st = rows_read(*csv.path ? &csv : &jsonl, &p->turns, &out->rows, &out->files, e);
    if (st == ST_OK && *csv.path && *jsonl.path) {
        st = rows_read(&jsonl, &p->turns, &other, &out->files, e);
        if (st == ST_OK) st = compare_files(p, &other, e);
        rows_release(&other);
    }
    return st;
}

/* --- what to compare ------------------------------------------------------------------------ */

/* What the scan has to know of a row or turn. */
typedef struct spoken {
    str bot_id, asked, answered;
    uint32_t order;
} spoken;

static status number_row(proof *p, const spoken *x, scan_row *out, err *e)
{
    bool by_bot = strcmp(p->job->config->dedup.domain, "bot") == 0;
    *out = (scan_row){.unit = intern_add(&p->texts, x->asked),
                      .group = intern_add(&p->domains, by_bot ? x->bot_id : STR("")),
                      .order = x->order};
    if (p->out->by_answer) out->answer = intern_add(&p->texts, x->answered);
    bool ok = out->unit != INTERN_NONE && out->group != INTERN_NONE && out->answer != INTERN_NONE;
    return ok ? ST_OK : err_nomem(e, "verifying");
}

static int by_turn(const void *pa, const void *pb, void *list)
{
    const uint32_t *x = pa, *y = pb;
    uint32_t a = ((const row *)list)[*x].turn, b = ((const row *)list)[*y].turn;
    if (a != b) return a < b ? -1 : 1; /* NO_ROW last */
    return (*x > *y) - (*x < *y);
}

/* The rows in the order of their turns, those without a turn behind; the turns without a row. */
static status list_rows(proof *p, err *e)
{
    const rows *r = &p->out->rows;
    status st = ST_OK;
    p->kept = calloc(r->n + 1, sizeof *p->kept);
    p->row_of_kept = calloc(r->n + 1, sizeof *p->row_of_kept);
    p->dropped = calloc(p->turns.n + 1, sizeof *p->dropped);
    if (!p->kept || !p->row_of_kept || !p->dropped) return err_nomem(e, "verifying");
    for (size_t i = 0; i < r->n; i++) p->row_of_kept[i] = (uint32_t)i;
    if (r->n) qsort_r(p->row_of_kept, r->n, sizeof *p->row_of_kept, by_turn, r->list);
    for (size_t i = 0; st == ST_OK && i < r->n; i++) {
        const row *x = &r->list[p->row_of_kept[i]];
        const spoken said = {x->bot_id, x->user_utterance, x->bot_response, x->turn};
        st = number_row(p, &said, &p->kept[i], e);
    }
    for (size_t i = 0; st == ST_OK && i < p->turns.n; i++) {
        const turn *t = &p->turns.turns[i];
        if (r->row_of[i] != NO_ROW) continue;
        const spoken said = {t->of->bot_id, t->user_utterance, t->bot_response, (uint32_t)i};
        st = number_row(p, &said, &p->dropped[p->n_dropped], e);
        p->n_dropped += st == ST_OK;
    }
    p->out->n_removed = p->n_dropped;
    return st;
}

/* Pinned turns are rows whatever is near to them, so coverage alone does not miss one. */
static status check_pinned(proof *p, err *e)
{
    const dataset *d = &p->out->d;
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < d->n_pinned; i++) {
        place at = {p->out->rows.path, 0, d->turns[i].of->id, d->turns[i].number};
        if (p->out->rows.row_of[i] == NO_ROW)
            st = findings_add(&p->out->files, &at, e, "this turn is pinned, and no row");
    }
    return st;
}

/* --- vectors -------------------------------------------------------------------------------- */

/* Some texts once more by the plain loops: the bits must be the same. */
static status check_encoder(proof *p, model *m, pool *threads, isa set, err *e)
{
    embedder *plain = NULL;
    embed_options o = {.stop = p->job->stop};
    str some[SAMPLE];
    size_t from[SAMPLE], n = p->texts.n < SAMPLE ? p->texts.n : SAMPLE;
    float *again = calloc(SAMPLE, p->dim * sizeof *again);
    if (!again) return err_nomem(e, "verifying");
    for (size_t i = 0; i < n; i++) {
        from[i] = i * p->texts.n / n;
        some[i] = p->texts.texts[from[i]];
    }
    status st = embedder_new(m, ISA_SCALAR, threads, &plain, e);
    if (st == ST_OK) st = embed_texts(plain, some, n, again, &o, e);
    for (size_t i = 0; st == ST_OK && i < n; i++)
        if (memcmp(again + i * p->dim, p->vectors + from[i] * p->dim, p->dim * sizeof *again))
            st = err_set(e, ST_FAILED,
                         "the kernels for %s give other vectors than the plain loops: this machine "
                         "computes wrongly; try TAMIS_ISA=scalar",
                         isa_name(set));
    embedder_free(plain);
    free(again);
    return st;
}

static status embed_all(proof *p, pool *threads, isa set, err *e)
{
    model *m = NULL;
    embedder *em = NULL;
    embed_options o = {.log = p->job->log, .stop = p->job->stop};
    status st = model_open(p->job->model_dir, &m, e);
    if (st) return st;
    p->dim = model_dim(m);
    p->vectors = reallocarray(NULL, (size_t)p->texts.n + 1, p->dim * sizeof *p->vectors);
    if (!p->vectors) st = err_nomem(e, "verifying");
    if (st == ST_OK) st = embedder_new(m, set, threads, &em, e);
    if (st == ST_OK) st = embed_texts(em, p->texts.texts, p->texts.n, p->vectors, &o, e);
    if (st == ST_OK && set != ISA_SCALAR) st = check_encoder(p, m, threads, set, e);
    embedder_free(em);
    model_free(m);
    return st;
}

/* --- what the scan found -------------------------------------------------------------------- */

/* The kept rows before b that are too near to it. */
static void list_near(proof *p, const scan_input *in, uint32_t b)
{
    verify_result *out = p->out;
    const scan_row *mine = &in->kept[b];
    for (uint32_t a = 0; a < b && out->n_near < VERIFY_LISTED; a++) {
        double cosine = scan_cosine(in, in->kept[a].unit, mine->unit);
        if (scan_too_near(in, in->kept[a].unit, mine->unit, cosine) &&
            scan_meets(in, &in->kept[a], mine))
            out->near[out->n_near++] = (near_rows){p->row_of_kept[a], p->row_of_kept[b], cosine};
    }
}

static void list_uncovered(proof *p, const scan_input *in, uint32_t i)
{
    verify_result *out = p->out;
    const scan_row *mine = &in->dropped[i];
    uncovered_turn *u = &out->uncovered[out->n_uncovered++];
    *u = (uncovered_turn){mine->order, NO_ROW, -2};
    for (uint32_t a = 0; a < in->n_kept && in->kept[a].order < mine->order; a++) {
        double cosine = scan_cosine(in, in->kept[a].unit, mine->unit);
        if (cosine <= u->score || !scan_meets(in, &in->kept[a], mine)) continue;
        u->score = cosine;
        u->nearest = p->row_of_kept[a];
    }
}

static status list_violations(proof *p, const scan_input *in, err *e)
{
    verify_result *out = p->out;
    out->near = calloc(VERIFY_LISTED, sizeof *out->near);
    out->uncovered = calloc(VERIFY_LISTED, sizeof *out->uncovered);
    if (!out->near || !out->uncovered) return err_nomem(e, "verifying");
    for (uint32_t b = 0; b < in->n_kept; b++) {
        /* All before a pinned row are pinned, and may be near. */
        if (in->kept[b].order < out->d.n_pinned) continue;
        if (out->is_guarded && p->guard.is_fine[b]) continue;
        out->total_near += p->scan.n_near[b];
        if (p->scan.n_near[b]) list_near(p, in, b);
    }
    for (uint32_t i = 0; i < in->n_dropped; i++) {
        if (p->scan.nearest[i].is_covered) continue;
        if (out->total_uncovered++ < VERIFY_LISTED) list_uncovered(p, in, i);
    }
    out->has_closest = p->scan.has_closest;
    if (out->has_closest)
        out->closest =
            (near_rows){p->row_of_kept[p->scan.a], p->row_of_kept[p->scan.b], p->scan.closest};
    return ST_OK;
}

/* Rows that were given back stand for nobody, so they are set aside and the scan done again: what
 * it then says of dropped rows and of the closest pair is of the rows of the rule. */
static status set_aside_given(proof *p, const scan_input *in, const scan_options *o, err *e)
{
    guard_proof *g = &p->guard;
    scan_result all = p->scan;
    const guard_claims c = {.all = in,
                            .n_near = all.n_near,
                            .turns = &p->turns,
                            .rows = &p->out->rows,
                            .n_pinned = p->out->d.n_pinned,
                            .options = job_guard(p->job)};
    status st = guard_prove(&c, g, &p->out->files, e);
    p->scan = (scan_result){0};
    scan_input base = *in;
    base.kept = g->base;
    base.n_kept = g->n_base;
    if (st == ST_OK) st = scan_run(&base, o, &p->scan, e);
    for (size_t i = 0; st == ST_OK && i < in->n_dropped; i++)
        if (p->scan.nearest[i].kept != NO_ROW)
            p->scan.nearest[i].kept = g->base_of[p->scan.nearest[i].kept];
    if (st == ST_OK && p->scan.has_closest) {
        p->scan.a = g->base_of[p->scan.a];
        p->scan.b = g->base_of[p->scan.b];
    }
    for (size_t b = 0; st == ST_OK && b < in->n_kept; b++) {
        const uint32_t order = in->kept[b].order;
        p->out->n_given += order != NO_ROW && g->given[order];
    }
    if (st == ST_OK) { /* of all rows */
        uint32_t *of_base = p->scan.n_near;
        p->scan.n_near = all.n_near;
        all.n_near = of_base;
    }
    scan_result_release(&all);
    return st;
}

static status check_ledger(proof *p, err *e)
{
    verify_result *out = p->out;
    const dataset *d = &out->d;
    dropped_turn *dropped = calloc(p->n_dropped + 1, sizeof *dropped);
    gone_turn *gone = calloc(d->n_dropped + 1, sizeof *gone);
    ledger_claims want = {&p->turns, dropped, p->n_dropped, gone, d->n_dropped};
    status st = dropped && gone ? ST_OK : err_nomem(e, "verifying");
    for (size_t i = 0; st == ST_OK && i < p->n_dropped; i++) {
        const scan_nearest *n = &p->scan.nearest[i];
        uint32_t kept = n->kept == NO_ROW ? NO_ROW : p->kept[n->kept].order;
        dropped[i] = (dropped_turn){p->dropped[i].order, kept, n->score};
    }
    for (size_t i = 0; st == ST_OK && i < d->n_dropped; i++)
        gone[i] = (gone_turn){d->dropped[i].id, d->dropped[i].turn, d->dropped[i].rule};
    if (st == ST_OK)
        st = ledger_check(p->job->config->export.removed, &want, &out->files, &out->n_ledger, e);
    free(dropped);
    free(gone);
    return st;
}

/* --- the files that say the rows once more -------------------------------------------------- */

/* The row that stands for each turn, and the vector of each row. */
static void list_keepers(const proof *p, uint32_t *keeper, uint32_t *unit)
{
    for (size_t i = 0; i < p->turns.n; i++) keeper[i] = NO_ROW;
    for (size_t i = 0; i < p->out->rows.n; i++) {
        uint32_t order = p->kept[i].order;
        if (order == NO_ROW) continue;
        keeper[order] = order;
        unit[order] = p->kept[i].unit;
    }
    for (size_t i = 0; i < p->n_dropped; i++) {
        uint32_t near = p->scan.nearest[i].kept;
        if (near != NO_ROW) keeper[p->dropped[i].order] = p->kept[near].order;
    }
}

/* Where the shares leave nothing over, each row is in a file. */
static status check_all_placed(proof *p, const written_rows *w, err *e)
{
    const config *c = p->job->config;
    bool all = *c->export.train && *c->export.valid && *c->export.test &&
               c->split.train + c->split.valid + c->split.test > 1 - 1e-9;
    status st = ST_OK;
    for (size_t i = 0; all && st == ST_OK && i < p->turns.n; i++) {
        const turn *t = &p->turns.turns[i];
        place at = {c->export.train, 0, t->of->id, t->number};
        if (w->part[i] == PART_OTHER)
            st = findings_add(&p->out->files, &at, e,
                              "this row is in none of export.train, export.valid, export.test");
    }
    return st;
}

static status check_written(proof *p, written_rows *w, err *e)
{
    const config *c = p->job->config;
    const char *const paths[N_PARTS] = {c->export.train, c->export.valid, c->export.test};
    const bool has_file[N_PARTS] = {*paths[0], *paths[1], *paths[2]};
    findings *f = &p->out->files;
    bool jsonl = strcmp(c->split.format, "jsonl") == 0;
    lines_source from = {.format = jsonl ? LINES_JSONL : LINES_CHAT,
                         .has_file = p->out->has_split ? has_file : NULL,
                         .optional = !p->turns.n};
    status st = ST_OK;
    if (*c->export.csv)
        st = columns_check(&p->out->rows, strcmp(c->export.columns, "all") == 0, w, f, e);
    for (from.part = 0; st == ST_OK && from.part < N_PARTS; from.part++) {
        from.path = paths[from.part];
        if (*from.path) st = lines_check(&from, w, f, e);
    }
    from.part = -1;
    from.format = LINES_JSONL;
    from.path = c->export.jsonl;
    if (st == ST_OK && *from.path) st = lines_check(&from, w, f, e);
    from.format = LINES_CHAT;
    from.path = c->export.chat;
    if (st == ST_OK && *from.path) st = lines_check(&from, w, f, e);
    return st == ST_OK && p->out->has_split ? check_all_placed(p, w, e) : st;
}

static status check_again(proof *p, const scan_options *o, err *e)
{
    written_rows w = {0};
    uint32_t *keeper = calloc(p->turns.n + 1, sizeof *keeper);
    uint32_t *unit = calloc(p->turns.n + 1, sizeof *unit);
    status st = keeper && unit ? ST_OK : err_nomem(e, "verifying");
    if (st == ST_OK) {
        list_keepers(p, keeper, unit);
        st = written_init(&w, &p->turns, keeper, e);
        w.guarded = p->guard.given;
    }
    if (st == ST_OK) st = check_written(p, &w, e);
    if (st == ST_OK && p->out->has_split) {
        cuts_input in = {.turns = &p->turns,
                         .part = w.part,
                         .unit = unit,
                         .vectors = p->vectors,
                         .dim = p->dim,
                         .threshold = p->job->config->split.threshold};
        st = cuts_find(&in, o, &p->out->cuts, e);
        p->out->part = w.part;
        w.part = NULL;
    }
    written_release(&w);
    free(keeper);
    free(unit);
    return st;
}

/* --- the stages in order -------------------------------------------------------------------- */

static status compare(proof *p, err *e)
{
    pool *threads = NULL;
    isa set;
    double start = clock_monotonic();
    status st = isa_choose(&set, e);
    if (st == ST_OK) st = pool_new(p->job->n_threads, &threads, e);
    if (st == ST_OK && p->texts.n) st = embed_all(p, threads, set, e);
    p->out->seconds.embed = clock_monotonic() - start;
    start = clock_monotonic();
    scan_input in = {.vectors = p->vectors,
                     .dim = p->dim,
                     .kept = p->kept,
                     .n_kept = p->out->rows.n,
                     .dropped = p->dropped,
                     .n_dropped = p->n_dropped,
                     .n_groups = p->domains.n,
                     .threshold = p->out->threshold,
                     .by_answer = p->out->by_answer};
    scan_options o = {set, threads, p->job->log, p->job->stop};
    if (st == ST_OK && p->texts.n) st = scan_run(&in, &o, &p->scan, e);
    if (st == ST_OK && p->texts.n && p->out->is_guarded) st = set_aside_given(p, &in, &o, e);
    if (st == ST_OK && p->texts.n) st = list_violations(p, &in, e);
    if (st == ST_OK && p->out->is_guarded && !p->guard.given) {
        p->guard.given = calloc(1, 1); /* of no turn */
        if (!p->guard.given) st = err_nomem(e, "verifying");
    }
    if (st == ST_OK) st = check_again(p, &o, e);
    if (st == ST_OK)
        log_say(p->job->log, LOG_DEBUG, "%llu pairs compared, %llu of them in double precision",
                (unsigned long long)p->scan.n_pairs, (unsigned long long)p->scan.n_exact);
    p->out->seconds.scan = clock_monotonic() - start;
    pool_free(threads);
    return st;
}

status verify_run(const job *j, verify_result *out, err *e)
{
    proof p = {.job = j, .out = out};
    summary ignored = {0};
    double start = clock_monotonic();
    const config *c = j->config;
    const guard_options guard = job_guard(j);
    *out = (verify_result){.threshold = c->dedup.threshold,
                           .by_answer = job_compares_answers(j),
                           .is_guarded = guard_gives(&guard),
                           .has_ledger = *c->export.removed != 0,
                           .has_split = *c->export.train || *c->export.valid || *c->export.test};
    status st = dataset_load(j, &out->d, &ignored, e);
    if (st == ST_OK) st = turn_index_init(&p.turns, out->d.turns, out->d.n_turns, e);
    if (st == ST_OK) st = read_files(&p, e);
    if (st == ST_OK) st = check_pinned(&p, e);
    if (st == ST_OK) st = list_rows(&p, e);
    out->seconds.read = clock_monotonic() - start;
    if (st == ST_OK) st = compare(&p, e);
    if (st == ST_OK && out->has_ledger) st = check_ledger(&p, e);
    out->seconds.total = clock_monotonic() - start;
    summary_release(&ignored);
    proof_release(&p);
    return st;
}
