/* gather.c - joins what comes with what is there.
 *
 * A conversation's record is made from the parts that the store has of it and those of the page,
 * so pages may come in any order and any number of times.  What is counted as new or updated is
 * conversations, each once a run, however many pages brought parts of it.  What was received is
 * rows. */
#include "gather.h"

#include <stdio.h>
#include <stdlib.h>

void gathering_release(gathering *g)
{
    intern_release(&g->known);
    arena_release(&g->names);
    arena_release(&g->scratch);
    buf_release(&g->redacted);
}

void gathering_rest(gathering *g)
{
    arena_reset(&g->scratch);
}

status gathering_count(gathering *g, str id, put_result how, err *e)
{
    if (how == PUT_SAME || intern_find(&g->known, id) != INTERN_NONE) return ST_OK;
    str name = arena_str(&g->names, id);
    if (!name.p || intern_add(&g->known, name) == INTERN_NONE)
        return err_nomem(e, "keeping conversations");
    g->counts->added += how == PUT_NEW;
    g->counts->updated += how == PUT_UPDATED;
    g->counts->forgotten += how == PUT_FORGOTTEN;
    return ST_OK;
}

/* Rejects a part; one of a conversation (as far as it names one) that was forgotten is passed
 * over.  Where the part does not say whose it is, the reason does, for whoever forgets that. */
static status reject(gathering *g, part *p, str conversation, size_t number, const char *where,
                     const char *why, err *e)
{
    bool is_new, forgotten = false;
    buf note = {0};
    char named[ERR_CAP];
    str raw = p->raw;
    p->conversation = p->id = (str){0};
    status st = conversation.n ? store_is_forgotten(g->store, conversation, &forgotten, e) : ST_OK;
    if (st) return st;
    if (forgotten) return gathering_count(g, conversation, PUT_FORGOTTEN, e);
    if (conversation.n && !memmem(raw.p, raw.n, conversation.p, conversation.n)) {
        snprintf(named, sizeof named, "%.500s (conversation %.*s)", why, STR_FMT(conversation));
        why = named;
    }
    g->counts->rejected++;
    log_say(g->log, LOG_WARNING, "%s: row %zu rejected: %s; it is %s (tamis status)", where, number,
            why, g->redactor ? "noted" : "kept as received");
    if (g->redactor) { /* nobody knows what is in it */
        buf_fmt(&note, "%zu bytes, not kept (redact.store = yes): %s", raw.n, why);
        raw = buf_view(&note);
    }
    st = buf_ok(&note) ? store_put_rejected(g->store, raw, why, &is_new, e)
                       : err_nomem(e, "keeping conversations");
    buf_release(&note);
    return st;
}

/* In the place of a part: what it says, and no more, redacted. */
static status redact(gathering *g, part *p, piece *read, err *e)
{
    buf plain = {0};
    status st = ST_OK;
    if (read->is_text)
        st = redact_text(g->redactor, read->text, &g->redacted, &read->text, NULL, e);
    if (st == ST_OK) g->shape->write(g->shape, read, p->is_head, &plain);
    if (st == ST_OK) p->raw = arena_str(&g->scratch, buf_view(&plain));
    if (st == ST_OK && (!buf_ok(&plain) || !p->raw.p)) st = err_nomem(e, "redacting");
    buf_release(&plain);
    return st;
}

/* Keeps the parts of one conversation. */
static status keep(gathering *g, part *parts, const size_t *which, size_t n, const char *where,
                   err *e)
{
    buf old = {0}, record = {0};
    err why = {0};
    bool found;
    interaction i;
    put_result how;
    part *list = arena_alloc(&g->scratch, n, sizeof *list);
    if (!list) return err_nomem(e, "keeping conversations");
    for (size_t k = 0; k < n; k++) list[k] = parts[which[k]];
    status st = store_find(g->store, list[0].conversation, &old, &found, e);
    if (st) goto done;
    if (compose(g->shape, buf_view(&old), list, n, &g->scratch, &record, &why)) {
        for (size_t k = 0; st == ST_OK && k < n; k++)
            st = reject(g, &parts[which[k]], list[0].conversation, which[k] + 1, where, why.msg, e);
        goto done;
    }
    st = record_parse(buf_view(&record), &g->scratch, &i, e);
    if (st == ST_OK) st = store_put(g->store, i.id, i.at, buf_view(&record), &how, e);
    if (st == ST_OK) st = gathering_count(g, i.id, how, e);
    for (size_t k = 0; st == ST_OK && how == PUT_FORGOTTEN && k < n; k++)
        parts[which[k]].id = (str){0}; /* no word of it anywhere */
done:
    buf_release(&old);
    buf_release(&record);
    return st;
}

typedef struct grouping {
    intern ids;
    uint32_t *of;   /* [n] conversation of each part; INTERN_NONE: rejected */
    size_t *sorted; /* [n] numbers of the parts of one conversation after the other, in order */
    size_t *start;  /* [ids.n + 1] */
} grouping;

static bool allocate(gathering *g, grouping *x, size_t n)
{
    x->of = arena_alloc(&g->scratch, n, sizeof *x->of);
    x->sorted = arena_alloc(&g->scratch, n, sizeof *x->sorted);
    x->start = arena_alloc(&g->scratch, n + 2, sizeof *x->start);
    return x->of && x->sorted && x->start;
}

/* Reads each part, and sorts them by conversation. */
static status group(gathering *g, grouping *x, part *parts, size_t n, const char *where, err *e)
{
    if (!allocate(g, x, n)) return err_nomem(e, "keeping conversations");
    for (size_t k = 0; k < n; k++) {
        err why = {0};
        piece read;
        g->counts->received++;
        x->of[k] = INTERN_NONE;
        if (compose_read(g->shape, &parts[k], &g->scratch, &read, &why)) {
            str of = parts[k].conversation.n ? parts[k].conversation : read.conversation;
            status st = reject(g, &parts[k], of, k + 1, where, why.msg, e);
            if (st) return st;
            continue;
        }
        status st = g->redactor ? redact(g, &parts[k], &read, e) : ST_OK;
        if (st) return st;
        x->of[k] = intern_add(&x->ids, parts[k].conversation);
        if (x->of[k] == INTERN_NONE) return err_nomem(e, "keeping conversations");
        x->start[x->of[k] + 2]++;
    }
    for (uint32_t c = 2; c <= x->ids.n; c++) x->start[c] += x->start[c - 1];
    for (size_t k = 0; k < n; k++)
        if (x->of[k] != INTERN_NONE) x->sorted[x->start[x->of[k] + 1]++] = k;
    return ST_OK;
}

status gather(gathering *g, part *parts, size_t n, const char *where, err *e)
{
    grouping x = {0};
    status st = n ? group(g, &x, parts, n, where, e) : ST_OK;
    for (uint32_t c = 0; st == ST_OK && c < x.ids.n; c++)
        st = keep(g, parts, x.sorted + x.start[c], x.start[c + 1] - x.start[c], where, e);
    intern_release(&x.ids);
    return st;
}
