/* verdicts.c - the verdicts of the last curation, kept in the store under what they depend on.
 *
 * Under the whole key they are taken as they are, from one value ("curation.verdicts": for each
 * row, in final order, the row it is a duplicate of in four bytes and its score in eight,
 * little-endian); the table of verdicts says the same by id, for whoever asks about one turn.
 *
 * Under another they still spare most of the work if vectors, threshold and domain are the same
 * ("curation.rule"): a turn whose bot and text (and answer, with dedup.answers = distinct) did not
 * change ("curation.texts": 16 bytes of a SHA-256 for each row, in final order) keeps what was
 * found out about it ("curation.seconds": for each row greedy_options.second, in the same form),
 * and the deduplication decides anew only what can have changed.  So that is good for new and
 * forgotten interactions, late ratings, another minimum. */
#include "verdicts.h"

#include <stdlib.h>

#include "base/intern.h"
#include "base/number.h"
#include "base/sha256.h"
#include "dedup/greedy.h"

enum {
    DIGEST = 16,
    VERDICT = 12,
    RULES = 3 /* one more whenever curation itself decides otherwise of the same settings */
};

status verdicts_key(const job *j, const char *fingerprint, buf *key, err *e)
{
    uint64_t generation;
    status st = store_generation(j->store, &generation, e);
    if (st) return st;
    job_describe(j, key);
    buf_fmt(key, "model=%s\ngeneration=%llu\nformat=%d\n", fingerprint,
            (unsigned long long)generation, RULES);
    return buf_ok(key) ? ST_OK : err_nomem(e, "curating");
}

static bool starts_with(str s, str prefix)
{
    return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

/* What a verdict depends on besides the rows before it: all keys of [dedup] and [embed] but for
 * the order, which is seen from the rows. */
static status describe_rule(const job *j, const char *fingerprint, buf *out, err *e)
{
    buf all = {0};
    job_describe(j, &all);
    for (str rest = buf_view(&all), line; str_cut(&rest, '\n', &line);) {
        bool matters = starts_with(line, STR("dedup.")) || starts_with(line, STR("embed."));
        if (!matters || starts_with(line, STR("dedup.keep="))) continue;
        buf_str(out, line);
        buf_char(out, '\n');
    }
    buf_fmt(out, "model=%s\nformat=%d\n", fingerprint, RULES);
    bool ok = buf_ok(&all) && buf_ok(out);
    buf_release(&all);
    return ok ? ST_OK : err_nomem(e, "curating");
}

/* Tells turns apart whose vector or group may differ, or whose answer, where that matters. */
static void digest_turn(const turn *t, bool answers, unsigned char out[SHA256_SIZE])
{
    const uint64_t n_asked = t->user_utterance.n;
    const uint64_t n = t->of->bot_id.n;
    sha256 s;
    sha256_init(&s);
    sha256_add(&s, &n, sizeof n);
    sha256_add(&s, t->of->bot_id.p, t->of->bot_id.n);
    sha256_add(&s, t->user_utterance.p, t->user_utterance.n);
    if (answers) sha256_add(&s, t->bot_response.p, t->bot_response.n);
    if (answers) sha256_add(&s, &n_asked, sizeof n_asked);
    sha256_end(&s, out);
}

static void add_number(buf *to, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++) buf_char(to, (char)(unsigned char)(number >> 8 * i));
}

static uint64_t read_number(const char *from, int bytes)
{
    uint64_t number = 0;
    for (int i = bytes; i--;) number = number << 8 | (unsigned char)from[i];
    return number;
}

static void add_verdict(buf *to, verdict v)
{
    uint64_t bits;
    memcpy(&bits, &v.score, sizeof bits);
    add_number(to, v.kept_row, 4);
    add_number(to, bits, 8);
}

static verdict read_verdict(const char *from)
{
    const uint64_t bits = read_number(from + 4, 8);
    verdict v = {.kept_row = (uint32_t)read_number(from, 4)};
    memcpy(&v.score, &bits, sizeof bits);
    return v;
}

static status store_rule(const job *j, const dataset *d, const char *fingerprint, err *e)
{
    buf key = {0}, texts = {0}, seconds = {0};
    status st = describe_rule(j, fingerprint, &key, e);
    for (size_t i = 0; i < d->n_turns; i++) {
        unsigned char digest[SHA256_SIZE];
        digest_turn(&d->turns[i], job_compares_answers(j), digest);
        buf_add(&texts, digest, DIGEST);
        if (d->seconds) add_verdict(&seconds, d->seconds[i]);
    }
    if (st == ST_OK && !(buf_ok(&texts) && buf_ok(&seconds))) st = err_nomem(e, "curating");
    if (st == ST_OK) st = store_set(j->store, "curation.rule", buf_view(&key), e);
    if (st == ST_OK) st = store_set(j->store, "curation.texts", buf_view(&texts), e);
    if (st == ST_OK) st = store_set(j->store, "curation.seconds", buf_view(&seconds), e);
    buf_release(&key);
    buf_release(&texts);
    buf_release(&seconds);
    return st;
}

/* How many distinct texts there are, which takes a while to count, and under which key. */
static status store_distinct(const job *j, const dataset *d, str key, err *e)
{
    buf known = {0};
    buf_fmt(&known, "%llu\n", (unsigned long long)d->n_distinct);
    buf_str(&known, key);
    status st = buf_ok(&known) ? store_set(j->store, "curation.distinct", buf_view(&known), e)
                               : err_nomem(e, "curating");
    buf_release(&known);
    return st;
}

static status recall_distinct(const job *j, dataset *d, str key, err *e)
{
    bool found;
    str number;
    buf known = {0};
    status st = store_get(j->store, "curation.distinct", &known, &found, e);
    str rest = buf_view(&known);
    if (!found || !str_cut(&rest, '\n', &number) || !str_eq(rest, key) ||
        !number_parse_u64(number, &d->n_distinct))
        d->n_distinct = 0;
    buf_release(&known);
    return st;
}

static status store_rows(const job *j, const dataset *d, err *e)
{
    buf rows = {0};
    for (size_t i = 0; i < d->n_turns; i++) add_verdict(&rows, d->verdicts[i]);
    status st = buf_ok(&rows) ? store_set(j->store, "curation.verdicts", buf_view(&rows), e)
                              : err_nomem(e, "curating");
    buf_release(&rows);
    return st;
}

status verdicts_store(const job *j, const dataset *d, const char *fingerprint, str key, err *e)
{
    store *s = j->store;
    bool unknown = false;
    status st = store_begin(s, e);
    if (st == ST_OK) st = store_clear_verdicts(s, e);
    for (size_t i = 0; st == ST_OK && i < d->n_dropped; i++) {
        stored_verdict v = {.interaction_id = d->dropped[i].id,
                            .turn = d->dropped[i].turn,
                            .rule = d->dropped[i].rule,
                            .kept_turn = -1,
                            .order = -1};
        st = store_add_verdict(s, &v, e);
    }
    for (size_t i = 0; st == ST_OK && i < d->n_turns; i++) {
        const turn *t = &d->turns[i];
        stored_verdict v = {.interaction_id = t->of->id,
                            .turn = t->number,
                            .rule = RULE_KEPT,
                            .kept_turn = -1,
                            .score = d->verdicts[i].score,
                            .order = (int64_t)i};
        if (d->verdicts[i].kept_row != NO_ROW) {
            const turn *kept = &d->turns[d->verdicts[i].kept_row];
            v.rule = d->guarded && d->guarded[i] ? RULE_GUARDED : RULE_DUPLICATE;
            v.kept_interaction_id = kept->of->id;
            v.kept_turn = kept->number;
        }
        unknown |= v.score == SCORE_UNKNOWN;
        st = store_add_verdict(s, &v, e);
    }
    if (st == ST_OK) st = store_set(s, "curation", key, e);
    if (st == ST_OK)
        st = store_set(s, "curation.scores", unknown ? STR("unknown") : STR("known"), e);
    if (st == ST_OK) st = store_rows(j, d, e);
    if (st == ST_OK) st = store_distinct(j, d, key, e);
    if (st == ST_OK) st = store_rule(j, d, fingerprint, e);
    if (st == ST_OK) st = store_commit(s, e);
    store_rollback(s);
    return st;
}

/* Finds the row of a turn by its interaction. */
typedef struct row_index {
    const dataset *d;
    intern ids;         /* interactions with turns, in final order */
    uint32_t *last_row; /* [ids.n] the last row of an interaction */
    uint32_t *before;   /* [n_turns] the row of the same interaction before it; NO_ROW: none */
    uint32_t last;      /* the interaction that was asked for last: verdicts come by interaction */
} row_index;

static void row_index_release(row_index *r)
{
    intern_release(&r->ids);
    free(r->last_row);
    free(r->before);
}

static status row_index_init(row_index *r, const dataset *d, err *e)
{
    *r = (row_index){.d = d,
                     .last_row = calloc(d->n_turns + 1, sizeof *r->last_row),
                     .before = calloc(d->n_turns + 1, sizeof *r->before)};
    if (!r->last_row || !r->before) return err_nomem(e, "curating");
    for (size_t i = 0; i < d->n_turns; i++) {
        const bool again = i && d->turns[i].of == d->turns[i - 1].of;
        const uint32_t n = r->ids.n, k = again ? r->last : intern_add(&r->ids, d->turns[i].of->id);
        if (k == INTERN_NONE) return err_nomem(e, "curating");
        r->last = k;
        r->before[i] = k == n ? NO_ROW : r->last_row[k];
        r->last_row[k] = (uint32_t)i;
    }
    return ST_OK;
}

static uint32_t row_in(const row_index *r, uint32_t k, int64_t number)
{
    if (k == INTERN_NONE || number < 0) return NO_ROW;
    uint32_t row = r->last_row[k];
    while (row != NO_ROW && r->d->turns[row].number != number) row = r->before[row];
    return row;
}

/* NO_ROW if there is no such turn. */
static uint32_t row_of(row_index *r, const stored_verdict *v)
{
    const bool again = r->last < r->ids.n && str_eq(r->ids.texts[r->last], v->interaction_id);
    if (!again) r->last = intern_find(&r->ids, v->interaction_id);
    return row_in(r, r->last, v->turn);
}

static uint32_t row_of_keeper(const row_index *r, const stored_verdict *v)
{
    return row_in(r, intern_find(&r->ids, v->kept_interaction_id), v->kept_turn);
}

/* --- under the same key: all of them -------------------------------------------------------- */

/* Is the setting there, and this? */
static status is_setting(const job *j, const char *name, str want, bool *same, err *e)
{
    buf stored = {0};
    status st = store_get(j->store, name, &stored, same, e);
    *same = st == ST_OK && *same && str_eq(buf_view(&stored), want);
    buf_release(&stored);
    return st;
}

status verdicts_are_current(const job *j, str key, bool *current, err *e)
{
    return is_setting(j, "curation", key, current, e);
}

status verdicts_recall(const job *j, dataset *d, str key, bool *current, err *e)
{
    const bool scores = job_needs_scores(j) != NULL;
    buf rows = {0};
    bool found;
    status st = verdicts_are_current(j, key, current, e);
    if (!*current) return st;
    st = recall_distinct(j, d, key, e);
    if (st == ST_OK) st = store_get(j->store, "curation.verdicts", &rows, &found, e);
    *current = st == ST_OK && found && rows.n == d->n_turns * VERDICT;
    for (size_t i = 0; *current && i < d->n_turns; i++) {
        const verdict v = d->verdicts[i] = read_verdict(rows.p + i * VERDICT);
        *current = v.kept_row < d->n_turns || v.kept_row == NO_ROW;
        if (scores && v.score == SCORE_UNKNOWN) *current = false;
    }
    buf_release(&rows);
    return st;
}

/* --- under another: what they still say ----------------------------------------------------- */

/* Of a duplicate that the guard gave back it says what the deduplication said. */
static bool was_compared(const stored_verdict *v)
{
    return v->rule == RULE_KEPT || v->rule == RULE_DUPLICATE || v->rule == RULE_GUARDED;
}

typedef struct reviewing {
    const job *job;
    row_index index;
    buf texts;      /* [n_old] digests */
    size_t n_old;   /* rows of the last curation */
    buf seconds;    /* [n_old], or empty */
    known_rows old; /* [n_old]; until number_keepers, the kept_row of a verdict is a row of now */
    uint32_t *old_row; /* [n_turns] */
} reviewing;

static status review_verdict(void *ctx, const stored_verdict *v, err *e)
{
    reviewing *r = ctx;
    (void)e;
    if (!was_compared(v)) return ST_OK;
    const uint32_t row = row_of(&r->index, v);
    if (row == NO_ROW || v->order < 0 || (uint64_t)v->order >= r->n_old) return ST_OK;
    if (v->score == SCORE_UNKNOWN) return ST_OK; /* not the nearest keeper, maybe */
    unsigned char digest[SHA256_SIZE];
    digest_turn(&r->index.d->turns[row], job_compares_answers(r->job), digest);
    if (memcmp(digest, r->texts.p + (size_t)v->order * DIGEST, DIGEST) != 0) return ST_OK;
    uint32_t kept = NO_ROW;
    if (v->rule != RULE_KEPT) {
        kept = row_of_keeper(&r->index, v);
        if (kept == NO_ROW) kept = ROW_UNKNOWN;
    }
    r->old.verdicts[v->order] = (verdict){kept, v->score};
    r->old_row[row] = (uint32_t)v->order;
    return ST_OK;
}

/* Keepers are named by their row now; the earlier list's numbers are wanted. */
static void number_keepers(reviewing *r)
{
    for (size_t k = 0; k < r->n_old; k++) {
        verdict *v = &r->old.verdicts[k];
        if (v->kept_row == NO_ROW || v->kept_row == ROW_UNKNOWN) continue;
        v->kept_row = r->old_row[v->kept_row];
        if (v->kept_row == NO_ROW) v->kept_row = ROW_UNKNOWN;
    }
}

static verdict known_second(const reviewing *r, size_t k)
{
    const verdict unknown = {ROW_UNKNOWN, 0};
    if (r->seconds.n != r->n_old * VERDICT) return unknown;
    verdict v = read_verdict(r->seconds.p + k * VERDICT);
    return v.kept_row < r->n_old || v.kept_row == NO_ROW ? v : unknown;
}

static status start_review(const job *j, const dataset *d, reviewing *r, err *e)
{
    bool found;
    status st = store_get(j->store, "curation.texts", &r->texts, &found, e);
    if (st == ST_OK) st = store_get(j->store, "curation.seconds", &r->seconds, &found, e);
    if (st == ST_OK && !(buf_ok(&r->texts) && buf_ok(&r->seconds))) st = err_nomem(e, "curating");
    if (st) return st;
    r->n_old = r->texts.n / DIGEST;
    r->old =
        (known_rows){calloc(r->n_old + 1, sizeof(verdict)), calloc(r->n_old + 1, sizeof(verdict))};
    r->old_row = malloc((d->n_turns + 1) * sizeof *r->old_row);
    if (!r->old.verdicts || !r->old.seconds || !r->old_row) return err_nomem(e, "curating");
    memset(r->old_row, 0xFF, d->n_turns * sizeof *r->old_row);
    for (size_t k = 0; k < r->n_old; k++) {
        r->old.verdicts[k].kept_row = ROW_UNKNOWN;
        r->old.seconds[k] = known_second(r, k);
    }
    return ST_OK;
}

static status review(const job *j, const dataset *d, reviewing *r, known_rows out, err *e)
{
    status st = start_review(j, d, r, e);
    if (st) return st;
    st = row_index_init(&r->index, d, e);
    if (st == ST_OK) st = store_each_verdict(j->store, review_verdict, r, e);
    number_keepers(r);
    if (st == ST_OK) st = prior_translate(r->old, r->n_old, r->old_row, d->n_turns, out, e);
    return st;
}

status verdicts_review(const job *j, const dataset *d, const char *fingerprint, known_rows *out,
                       err *e)
{
    reviewing r = {.job = j};
    buf key = {0};
    bool same = false;
    *out = (known_rows){0};
    status st = describe_rule(j, fingerprint, &key, e);
    if (st == ST_OK) st = is_setting(j, "curation.rule", buf_view(&key), &same, e);
    if (st == ST_OK && same) {
        *out = (known_rows){calloc(d->n_turns + 1, sizeof(verdict)),
                            calloc(d->n_turns + 1, sizeof(verdict))};
        st = out->verdicts && out->seconds ? review(j, d, &r, *out, e) : err_nomem(e, "curating");
    }
    buf_release(&key);
    buf_release(&r.texts);
    buf_release(&r.seconds);
    row_index_release(&r.index);
    free(r.old.verdicts);
    free(r.old.seconds);
    free(r.old_row);
    return st;
}

status verdicts_lack_scores(store *s, bool *lack, err *e)
{
    buf stored = {0};
    status st = store_get(s, "curation.scores", &stored, lack, e);
    *lack = st == ST_OK && *lack && str_eq(buf_view(&stored), STR("unknown"));
    buf_release(&stored);
    return st;
}
