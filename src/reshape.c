/* reshape.c - source.bot_field, rating_field and bot_users say what the parts of a conversation
 * mean, and so stand in its record.
 *
 * What was read is not asked for again, and an API may not have it any more; so when they change,
 * records are made anew from the parts that they hold.  By which settings a source was read last
 * is kept in the store ("shape SOURCE"; none: the defaults).  Only records that those give are made
 * anew: one store may hold the conversations of two tenants, each read by settings of its own. */
#include "reshape.h"

typedef struct reshaping {
    gathering *gathering;
    shape old;
    arena memory; /* until the end */
    intern ids;   /* of the records that the old settings give */
} reshaping;

static void describe(const shape *s, buf *out)
{
    buf_fmt(out, "%s\n%s\n%s\n", s->bot_field, s->rating_field, s->bot_users);
}

/* The settings in that form; what they point to is in x->memory. */
static status read_settings(reshaping *x, str text, err *e)
{
    const char **to[] = {&x->old.bot_field, &x->old.rating_field, &x->old.bot_users};
    str line;
    for (size_t i = 0; i < sizeof to / sizeof *to && str_cut(&text, '\n', &line); i++) {
        *to[i] = arena_str(&x->memory, line).p;
        if (!*to[i]) return err_nomem(e, "reading the settings of a source");
    }
    return ST_OK;
}

/* A record from nothing but what it holds.  *done false: it was not made of parts of this API, or
 * cannot be so. */
static status make_anew(const shape *s, str id, str record, arena *a, buf *out, bool *done, err *e)
{
    str received = raw_member(record, "received"), parts, key;
    part any = {.is_head = true, .conversation = id};
    err why = {0};
    *done = false;
    if (!received.n) return ST_OK;
    any.raw = raw_member(received, "head");
    parts = raw_member(received, "parts");
    js_cutter c = {.text = parts};
    if (!any.raw.n) any.is_head = false;
    if (!any.raw.n && (!parts.n || js_cut(&c, &key, &any.raw) != JS_CUT_ITEM)) return ST_OK;
    *done = compose(s, record, &any, 1, a, out, &why) == ST_OK;
    return err_is_nomem(&why) ? err_nomem(e, "making conversations anew") : ST_OK;
}

static status note_record(void *ctx, str id, origin from, str raw, err *e)
{
    reshaping *x = ctx;
    arena *scratch = &x->gathering->scratch;
    buf old = {0}, new = {0};
    bool by_old, by_new;
    (void)from;
    arena_reset(scratch);
    status st = make_anew(&x->old, id, raw, scratch, &old, &by_old, e);
    if (st == ST_OK && by_old && str_eq(buf_view(&old), raw))
        st = make_anew(x->gathering->shape, id, raw, scratch, &new, &by_new, e);
    else
        by_new = false;
    if (st == ST_OK && by_new && !str_eq(buf_view(&new), raw)) {
        str name = arena_str(&x->memory, id);
        if (!name.p || intern_add(&x->ids, name) == INTERN_NONE)
            st = err_nomem(e, "making conversations anew");
    }
    buf_release(&old);
    buf_release(&new);
    return st;
}

static status put_anew(gathering *g, str id, err *e)
{
    buf old = {0}, new = {0};
    bool found, done;
    interaction i;
    put_result how;
    arena_reset(&g->scratch);
    status st = store_find(g->store, id, &old, &found, e);
    if (st == ST_OK && found)
        st = make_anew(g->shape, id, buf_view(&old), &g->scratch, &new, &done, e);
    if (st == ST_OK && found && done) {
        st = record_parse(buf_view(&new), &g->scratch, &i, e);
        if (st == ST_OK) st = store_put(g->store, i.id, i.at, buf_view(&new), &how, e);
        if (st == ST_OK) st = gathering_count(g, i.id, how, e);
    }
    buf_release(&old);
    buf_release(&new);
    return st;
}

static status reshape_all(reshaping *x, err *e)
{
    gathering *g = x->gathering;
    status st = store_each(g->store, note_record, x, e);
    for (uint32_t i = 0; st == ST_OK && i < x->ids.n; i++) st = put_anew(g, x->ids.texts[i], e);
    if (st == ST_OK && x->ids.n)
        log_say(g->log, LOG_INFO,
                "other settings of the source: %u conversations in the store are read by them",
                x->ids.n);
    return st;
}

status reshape(gathering *g, const char *source_name, err *e)
{
    reshaping x = {.gathering = g, .old = *g->shape};
    buf key = {0}, stored = {0}, now = {0};
    bool found;
    const char *name;
    x.old.bot_field = cognigy_shape.bot_field;
    x.old.rating_field = x.old.bot_users = "";
    buf_fmt(&key, "shape %s", source_name);
    describe(g->shape, &now);
    name = buf_cstr(&key);
    status st = name && buf_ok(&now) ? store_get(g->store, name, &stored, &found, e)
                                     : err_nomem(e, "reading the settings of a source");
    if (st == ST_OK && found && str_eq(buf_view(&stored), buf_view(&now))) goto done;
    if (st == ST_OK) st = read_settings(&x, buf_view(&stored), e);
    if (st == ST_OK) st = store_begin(g->store, e);
    if (st == ST_OK) st = reshape_all(&x, e);
    if (st == ST_OK) st = store_set(g->store, name, buf_view(&now), e);
    if (st == ST_OK) st = store_commit(g->store, e);
    store_rollback(g->store); /* no-op after a commit */
done:
    gathering_rest(g);
    intern_release(&x.ids);
    arena_release(&x.memory);
    buf_release(&key);
    buf_release(&stored);
    buf_release(&now);
    return st;
}
