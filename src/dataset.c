/* dataset.c - what the store holds, rated, paired, and put in final order.
 *
 * Every curation starts from all raw records.  Threads parse them a few at a time, one thread takes
 * what they hold in the order of the store; memory is linear in the turns that pass the rating. */
#include "dataset.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "curate/rating.h"
#include "curate/turns.h"

void dataset_release(dataset *d)
{
    free(d->turns);
    free(d->verdicts);
    free(d->seconds);
    free(d->guarded);
    free(d->split);
    free(d->dropped);
    arena_release(&d->texts);
    *d = (dataset){0};
}

/* Room for `more` objects behind the n there are; false: no memory. */
static bool grow(void **array, size_t *cap, size_t n, size_t more, size_t size)
{
    if (*cap - n >= more) return true;
    size_t want = *cap * 2 > n + more ? *cap * 2 : n + more;
    void *p = reallocarray(*array, want, size);
    if (!p) return false;
    *array = p;
    *cap = want;
    return true;
}
/* --- store -> turns -------------------------------------------------------------------------- */

enum { LARGE = 16 << 10 };

/* A record between the two. */
typedef struct parsed {
    arena a; /* kept for the next one, unless the record is large */
    bool is_large;
    interaction of;
    rating rating;
} parsed;

typedef struct loading {
    const job *job;
    dataset *d;
    summary *s;
    rating_map map;
    parsed *parsed; /* [STORE_SLOTS] */
    arena scratch, settings;
    uint64_t n_rated, n_below;
    double lowest, highest; /* ratings seen */
} loading;

static bool bot_selected(const char *list, str bot)
{
    if (!*list) return true;
    for (str rest = str_from(list), one; str_cut(&rest, ',', &one);)
        if (str_eq(utf8_strip(one), bot)) return true;
    return false;
}

/* number -1: the interaction as a whole. */
static status drop_turn(loading *l, str id, int64_t number, rule why, err *e)
{
    dataset *d = l->d;
    str copy = arena_str(&d->texts, id);
    if (!copy.p ||
        !grow((void **)&d->dropped, &d->cap_dropped, d->n_dropped, 1, sizeof *d->dropped))
        return err_nomem(e, "curating");
    d->dropped[d->n_dropped++] = (dropped_interaction){copy, number, why};
    return ST_OK;
}

static status drop(loading *l, str id, rule why, err *e)
{
    return drop_turn(l, id, -1, why, e);
}

/* Redacts the n turns of an interaction and drops those that say nothing any more; *n: what is
 * left. */
static status redact_turns(loading *l, const interaction *i, turn *turns, size_t *n, err *e)
{
    size_t left = 0;
    const redactor *r = l->job->redactor;
    if (!r) return ST_OK;
    for (size_t k = 0; k < *n; k++) {
        bool empty;
        turn t = turns[k];
        status st = redaction_of_turn(r, &l->s->redactions, &l->scratch, &t, &empty, e);
        if (st == ST_OK && empty) st = drop_turn(l, i->id, t.number, RULE_REDACTED_EMPTY, e);
        if (st) return st;
        if (!empty) turns[left++] = t;
    }
    *n = left;
    return ST_OK;
}

/* Drops the turns of an interaction that the API has hidden; *n: what is left. */
static status drop_masked(loading *l, const interaction *i, turn *turns, size_t *n, err *e)
{
    size_t left = 0;
    status st = ST_OK;
    for (size_t k = 0; st == ST_OK && k < *n; k++) {
        if (turns[k].is_masked)
            st = drop_turn(l, i->id, turns[k].number, RULE_MASKED, e);
        else
            turns[left++] = turns[k];
    }
    *n = left;
    return st;
}

/* Drops the turns of an interaction that are pinned so; *n: what is left. */
static status pin_turns(loading *l, const interaction *i, turn *turns, size_t *n, err *e)
{
    size_t left = 0;
    const pins *p = l->job->pins ? &l->job->pins->pins : NULL;
    if (!p) return ST_OK;
    if (pins_drop_all(p, i->id)) {
        *n = 0;
        return drop(l, i->id, RULE_PINNED, e);
    }
    for (size_t k = 0; k < *n; k++) {
        pin_verdict v = pins_of(p, i->id, turns[k].number);
        status st = v == PIN_DROP ? drop_turn(l, i->id, turns[k].number, RULE_PINNED, e) : ST_OK;
        if (st) return st;
        turns[k].is_pinned = v == PIN_KEEP;
        if (v != PIN_DROP) turns[left++] = turns[k];
    }
    *n = left;
    return ST_OK;
}

/* What the data set keeps of an interaction: all but its messages. */
static const interaction *keep_head(arena *a, const interaction *i)
{
    interaction *kept = arena_alloc(a, 1, sizeof *kept);
    if (!kept) return NULL;
    *kept = (interaction){.id = arena_str(a, i->id),
                          .timestamp = arena_str(a, i->timestamp),
                          .at = i->at,
                          .bot_id = arena_str(a, i->bot_id),
                          .rating = arena_str(a, i->rating),
                          .origin = i->origin};
    bool ok = kept->id.p && kept->timestamp.p && kept->bot_id.p && kept->rating.p;
    return ok ? kept : NULL;
}

static status keep_turns(loading *l, const interaction *i, const rating *r, err *e)
{
    dataset *d = l->d;
    size_t not_text = 0;
    if (!grow((void **)&d->turns, &d->cap_turns, d->n_turns, turns_limit(i), sizeof *d->turns))
        return err_nomem(e, "curating");
    size_t n = turns_pair(i, d->turns + d->n_turns, &not_text);
    l->s->turns.not_text += not_text;
    if (l->job->pins) pins_meet(&l->job->pins->pins, i->id, n);
    if (!n) return drop(l, i->id, RULE_NO_TURNS, e);
    status st = pin_turns(l, i, d->turns + d->n_turns, &n, e);
    if (st == ST_OK) st = drop_masked(l, i, d->turns + d->n_turns, &n, e);
    if (st == ST_OK) st = redact_turns(l, i, d->turns + d->n_turns, &n, e);
    if (st || !n) return st;
    const interaction *head = keep_head(&d->texts, i);
    str rating_text = arena_str(&d->texts, r->text);
    if (!head || !rating_text.p) return err_nomem(e, "curating");
    l->s->turns.interactions++;
    for (size_t k = 0; k < n; k++) {
        turn *t = &d->turns[d->n_turns++];
        t->of = head;
        t->rating = r->value;
        t->rating_text = rating_text;
        t->user_utterance = arena_str(&d->texts, t->user_utterance);
        t->bot_response = arena_str(&d->texts, t->bot_response);
        if (!t->user_utterance.p || !t->bot_response.p) return err_nomem(e, "curating");
    }
    if (d->n_turns >= NO_ROW) return err_set(e, ST_FAILED, "more than %u turns", NO_ROW - 1);
    return ST_OK;
}

/* Whether it is below the minimum. */
static bool note_rating(loading *l, double value, double minimum)
{
    if (!l->n_rated || value < l->lowest) l->lowest = value;
    if (!l->n_rated || value > l->highest) l->highest = value;
    l->n_rated++;
    l->n_below += value < minimum;
    return value < minimum;
}

/* Any thread. */
static status read_record(void *ctx, size_t slot, origin from, str raw, err *e)
{
    const loading *l = ctx;
    parsed *p = &l->parsed[slot];
    arena_reset(&p->a);
    p->is_large = raw.n > LARGE;
    status st = record_parse(raw, &p->a, &p->of, e);
    if (st) return st; /* it was read before it was stored: the store is damaged */
    p->of.origin = from;
    return rating_read(p->of.rating, &l->map, &p->a, &p->rating, e);
}

static status judge_record(loading *l, str id, const parsed *p, err *e)
{
    const config *c = l->job->config;
    rule why = RULE_KEPT;
    if (!bot_selected(c->filter.bots, p->of.bot_id))
        why = RULE_BOT_NOT_SELECTED;
    else if (!p->rating.is_rated)
        why = RULE_UNRATED;
    else if (note_rating(l, p->rating.value, c->filter.min_rating))
        why = RULE_RATING_BELOW_MINIMUM;
    if (why == RULE_KEPT) return keep_turns(l, &p->of, &p->rating, e);
    if (l->job->pins) pins_meet(&l->job->pins->pins, id, SIZE_MAX);
    return drop(l, id, why, e);
}

static status take_record(void *ctx, size_t slot, str id, err *e)
{
    loading *l = ctx;
    if (l->job->stop && *l->job->stop)
        return err_set(e, ST_INCOMPLETE, "interrupted while curating; run again");
    arena_reset(&l->scratch);
    status st = judge_record(l, id, &l->parsed[slot], e);
    if (l->parsed[slot].is_large) arena_release(&l->parsed[slot].a);
    return st;
}

/* One thread that fetches and takes can follow no more that parse. */
enum { THREADS_MOST = 4 };

static status read_store(loading *l, err *e)
{
    err unused = {0};
    pool *p = NULL;
    l->parsed = calloc(STORE_SLOTS, sizeof *l->parsed);
    if (!l->parsed) return err_nomem(e, "curating");
    if (pool_new(pool_threads(l->job->n_threads, THREADS_MOST), &p, &unused))
        p = NULL; /* the caller does all */
    status st = store_visit_each(l->job->store, &(store_visit){read_record, take_record, l, p}, e);
    pool_free(p);
    for (size_t i = 0; i < STORE_SLOTS; i++) arena_release(&l->parsed[i].a);
    free(l->parsed);
    return st;
}

static status load_turns(const job *j, dataset *d, summary *s, err *e)
{
    loading l = {.job = j, .d = d, .s = s};
    status st = rating_map_parse(str_from(j->config->filter.rating_map), &l.settings, &l.map, e);
    if (st == ST_OK) st = read_store(&l, e);
    if (st == ST_OK && l.n_rated && l.n_below == l.n_rated)
        log_say(j->log, LOG_WARNING,
                "every one of the %llu rated interactions is below filter.min_rating = %g (ratings "
                "go from %g to %g): is their scale another one? See filter.rating_map",
                (unsigned long long)l.n_rated, j->config->filter.min_rating, l.lowest, l.highest);
    s->turns.rated = d->n_turns;
    arena_release(&l.scratch);
    arena_release(&l.settings);
    return st;
}

/* --- order: which of several near-duplicates comes first, and so stays ---------------------- */

static int pinned_first(const turn *a, const turn *b)
{
    return b->is_pinned - a->is_pinned;
}

static int by_number(const turn *a, const turn *b)
{
    return (a->number > b->number) - (a->number < b->number);
}

static int newest_first(const void *pa, const void *pb)
{
    const turn *a = pa, *b = pb;
    int c = pinned_first(a, b);
    if (!c) c = interaction_cmp(a->of, b->of);
    return c ? c : by_number(a, b);
}

static int oldest_first(const void *pa, const void *pb)
{
    const turn *a = pa, *b = pb;
    int c = pinned_first(a, b);
    if (!c) c = instant_cmp(a->of->at, b->of->at);
    if (!c) c = str_cmp(a->of->id, b->of->id);
    return c ? c : by_number(a, b);
}

static int best_rated_first(const void *pa, const void *pb)
{
    const turn *a = pa, *b = pb;
    int c = pinned_first(a, b);
    if (c) return c;
    if (a->rating != b->rating) return a->rating > b->rating ? -1 : 1;
    return newest_first(pa, pb);
}

static void order_turns(const job *j, dataset *d)
{
    const char *keep = j->config->dedup.keep;
    int (*cmp)(const void *, const void *) = strcmp(keep, "oldest") == 0       ? oldest_first
                                             : strcmp(keep, "best-rated") == 0 ? best_rated_first
                                                                               : newest_first;
    if (d->n_turns) qsort(d->turns, d->n_turns, sizeof *d->turns, cmp);
}

status dataset_load(const job *j, dataset *d, summary *s, err *e)
{
    status st = load_turns(j, d, s, e);
    if (st == ST_OK) st = job_check_pins(j, e);
    if (st) return st;
    order_turns(j, d);
    while (d->n_pinned < d->n_turns && d->turns[d->n_pinned].is_pinned) d->n_pinned++;
    d->verdicts = calloc(d->n_turns + 1, sizeof *d->verdicts);
    return d->verdicts ? ST_OK : err_nomem(e, "curating");
}
