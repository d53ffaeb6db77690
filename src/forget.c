/* forget.c - erases interactions for good: data protection's right to it.
 *
 * What can hold one is its record, rejected versions of it, verdicts, what open slices
 * remember, vectors of its texts, the exported files.  A vector is filed under the hash of its
 * text and says nothing of whose it is; so all vectors go whose text no other interaction in
 * the store has (redacted as configured, or not).  The curation before and the one after are
 * compared, so the changes told are those that the erasure made. */
#include "forget.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "curate/turns.h"
#include "pipeline.h"
#include "redaction.h"

void forget_report_release(forget_report *r)
{
    free(r->changes);
    arena_release(&r->texts);
    r->changes = NULL;
    r->n_changes = 0;
}

/* --- erasing ------------------------------------------------------------------------------ */

typedef struct surviving {
    const job *job;
    arena scratch, kept;
    intern hashes; /* of texts that stay */
} surviving;

static status note_text(surviving *v, str text, err *e)
{
    unsigned char digest[SHA256_SIZE];
    sha256_of(text, digest);
    str hash = {(const char *)digest, SHA256_SIZE};
    if (intern_find(&v->hashes, hash) != INTERN_NONE) return ST_OK;
    hash = arena_str(&v->kept, hash);
    bool ok = hash.p && intern_add(&v->hashes, hash) != INTERN_NONE;
    return ok ? ST_OK : err_nomem(e, "forgetting");
}

static status note_turn(surviving *v, const turn *t, err *e)
{
    status st = note_text(v, t->user_utterance, e);
    return st ? st : note_text(v, t->bot_response, e);
}

static status note_record(void *ctx, str id, origin from, str raw, err *e)
{
    surviving *v = ctx;
    interaction i;
    size_t not_text = 0;
    bool empty;
    (void)from;
    (void)id;
    arena_reset(&v->scratch);
    status st = record_parse(raw, &v->scratch, &i, e);
    if (st) return st;
    turn *turns = arena_alloc(&v->scratch, turns_limit(&i) + 1, sizeof *turns);
    if (!turns) return err_nomem(e, "forgetting");
    size_t n = turns_pair(&i, turns, &not_text);
    for (size_t k = 0; st == ST_OK && k < n; k++) {
        st = note_turn(v, &turns[k], e);
        if (st || !v->job->redactor) continue;
        st = redaction_of_turn(v->job->redactor, NULL, &v->scratch, &turns[k], &empty, e);
        if (st == ST_OK) st = note_turn(v, &turns[k], e);
    }
    return st;
}

static status drop_vectors(const job *j, err *e)
{
    surviving v = {.job = j};
    status st = store_each(j->store, note_record, &v, e);
    if (st == ST_OK) st = store_keep_vectors(j->store, &v.hashes, e);
    intern_release(&v.hashes);
    arena_release(&v.kept);
    arena_release(&v.scratch);
    return st;
}

static status erase(const job *j, const forget_report *r, err *e)
{
    status st = store_begin(j->store, e);
    for (size_t i = 0; st == ST_OK && i < r->n_ids; i++) {
        bool found;
        st = store_forget(j->store, str_from(r->ids[i]), &found, e);
        if (st == ST_OK && !found)
            st = err_set(e, ST_FAILED, "no interaction %s in the store%s", r->ids[i],
                         r->n_ids > 1 ? "; nothing is forgotten" : "");
    }
    if (st == ST_OK) st = drop_vectors(j, e);
    if (st == ST_OK) st = store_commit(j->store, e);
    store_rollback(j->store);
    return st;
}

/* --- what changed ------------------------------------------------------------------------- */

typedef struct fate {
    const turn *turn, *kept;
    rule rule;
} fate;

static int by_turn(const void *pa, const void *pb)
{
    const fate *a = pa, *b = pb;
    int c = str_cmp(a->turn->of->id, b->turn->of->id);
    return c ? c : (a->turn->number > b->turn->number) - (a->turn->number < b->turn->number);
}

static fate *fates_of(const dataset *d)
{
    fate *f = calloc(d->n_turns + 1, sizeof *f);
    for (size_t i = 0; f && i < d->n_turns; i++) {
        uint32_t kept = d->verdicts[i].kept_row;
        f[i] = (fate){&d->turns[i], kept == NO_ROW ? NULL : &d->turns[kept],
                      kept == NO_ROW ? RULE_KEPT : RULE_DUPLICATE};
    }
    if (f) qsort(f, d->n_turns, sizeof *f, by_turn);
    return f;
}

static bool same_fate(const fate *a, const fate *b)
{
    if (a->rule != b->rule || !a->kept != !b->kept) return false;
    return !a->kept ||
           (str_eq(a->kept->of->id, b->kept->of->id) && a->kept->number == b->kept->number);
}

static status note_change(forget_report *r, const fate *was, const fate *now, err *e)
{
    forget_change *c = &r->changes[r->n_changes++];
    *c = (forget_change){.id = arena_str(&r->texts, now->turn->of->id),
                         .turn = now->turn->number,
                         .was = was->rule,
                         .now = now->rule};
    if (now->kept) {
        c->kept_id = arena_str(&r->texts, now->kept->of->id);
        c->kept_turn = now->kept->number;
    }
    return c->id.p && (!now->kept || c->kept_id.p) ? ST_OK : err_nomem(e, "forgetting");
}

static status compare(forget_report *r, const dataset *before, const dataset *after, err *e)
{
    fate *was = fates_of(before), *now = fates_of(after);
    r->changes = calloc(after->n_turns + 1, sizeof *r->changes);
    status st = was && now && r->changes ? ST_OK : err_nomem(e, "forgetting");
    for (size_t i = 0, k = 0; st == ST_OK && i < before->n_turns && k < after->n_turns;) {
        int c = by_turn(&was[i], &now[k]);
        if (c == 0 && !same_fate(&was[i], &now[k])) st = note_change(r, &was[i], &now[k], e);
        i += c <= 0;
        k += c >= 0;
    }
    free(was);
    free(now);
    return st;
}

/* --- all of it ---------------------------------------------------------------------------- */

static status was_curated(const job *j, bool *out, err *e)
{
    buf key = {0};
    status st = store_get(j->store, "curation", &key, out, e);
    buf_release(&key);
    return st;
}

static status renew_files(const job *j, forget_report *r, const dataset *before, summary *s, err *e)
{
    dataset after = {0};
    job renewing = *j;
    renewing.writes_empty = true;
    status st = pipeline_curate(&renewing, &after, s, e);
    if (st == ST_OK) st = pipeline_export(&renewing, &after, s, e);
    if (st == ST_OK) st = compare(r, before, &after, e);
    dataset_release(&after);
    if (st == ST_OK) return ST_OK;
    err why = *e;
    /* Not an export, which leaves a file alone when there is no row for it. */
    return err_set(
        e, ST_INCOMPLETE,
        "forgotten in the store, but not in the files: %s; then run `tamis forget` again", why.msg);
}

static status scrub(const job *j, err *e)
{
    bool done;
    status st = store_scrub(j->store, &done, e);
    if (st || done) return st;
    return err_set(e, ST_INCOMPLETE,
                   "forgotten, but another program reads %s, so its log still holds old pages: "
                   "run `tamis forget` again when that has ended",
                   j->config->store.url);
}

status forget_run(const job *j, forget_report *r, summary *s, err *e)
{
    dataset before = {0};
    summary old = {0};
    job looking = *j;
    bool curated;
    looking.scores = true; /* who is nearest to whom is compared */
    status st = was_curated(j, &curated, e);
    if (st == ST_OK && curated) st = pipeline_curate(&looking, &before, &old, e);
    if (st == ST_OK) st = erase(j, r, e);
    if (st == ST_OK) {
        st = curated ? renew_files(&looking, r, &before, s, e) : ST_OK;
        err late = {0};
        status scrubbed = scrub(j, &late);
        if (scrubbed && st == ST_OK) {
            *e = late;
            st = scrubbed;
        }
    }
    summary_release(&old);
    dataset_release(&before);
    return st;
}

void forget_write_json(const forget_report *r, buf *out)
{
    buf_z(out, "\"forgotten\": [");
    for (size_t i = 0; i < r->n_ids; i++) {
        buf_z(out, i ? ", " : "");
        js_write_string(out, str_from(r->ids[i]));
    }
    buf_z(out, "], \"changed\": [");
    for (size_t i = 0; i < r->n_changes; i++) {
        const forget_change *c = &r->changes[i];
        buf_z(out, i ? ", {\"interaction_id\": " : "{\"interaction_id\": ");
        js_write_string(out, c->id);
        buf_fmt(out, ", \"turn\": %u, \"was\": \"%s\", \"now\": \"%s\"", c->turn, rule_name(c->was),
                rule_name(c->now));
        if (c->kept_id.p) {
            buf_z(out, ", \"kept_interaction_id\": ");
            js_write_string(out, c->kept_id);
            buf_fmt(out, ", \"kept_turn\": %u", c->kept_turn);
        }
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

void forget_write_text(const forget_report *r, buf *out)
{
    buf_fmt(out, "%zu interaction%s forgotten; %zu other turn%s changed by it\n", r->n_ids,
            r->n_ids == 1 ? "" : "s", r->n_changes, r->n_changes == 1 ? "" : "s");
    for (size_t i = 0; i < r->n_changes; i++) {
        const forget_change *c = &r->changes[i];
        buf_z(out, "  ");
        utf8_write_plain(out, c->id);
        buf_fmt(out, " turn %u: %s, was %s", c->turn, rule_name(c->now), rule_name(c->was));
        if (c->kept_id.p) {
            buf_z(out, "; of ");
            utf8_write_plain(out, c->kept_id);
            buf_fmt(out, " turn %u", c->kept_turn);
        }
        buf_char(out, '\n');
    }
}
