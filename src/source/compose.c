/* compose.c - parts in order of time, then id; the newest version of each. */
#include "source/compose.h"

#include <stdlib.h>

#include "base/intern.h"

/* --- reading one ----------------------------------------------------------------------------- */

str raw_member(str object, const char *name)
{
    js_cutter c = {.text = object};
    str key = {0}, value = {0}, found = {0};
    while (js_cut(&c, &key, &value) == JS_CUT_ITEM)
        if (js_key_is(key, name)) found = value;
    return str_eq(found, STR("null")) ? (str){0} : found;
}

str text_member(const js *object, const char *name, arena *a)
{
    str s = js_string(js_get(object, name));
    return s.n ? arena_str(a, s) : (str){0};
}

static status read_piece(const shape *s, const part *p, arena *a, piece *out, err *e)
{
    buf scratch = {0};
    js *root = NULL;
    *out = (piece){.is_text = true};
    str text = js_mend(p->raw, &scratch);
    status st = buf_ok(&scratch) ? js_parse(text, &root, e) : err_nomem(e, "reading a part");
    if (st == ST_OK && js_type(root) != JS_OBJECT) st = err_set(e, ST_FAILED, "not a JSON object");
    if (st == ST_OK) st = s->read(s, root, text, p->is_head, a, out, e);
    if (st == ST_OK && out->text.n > TEXT_LIMIT)
        st = err_set(e, ST_FAILED, "a text longer than %d bytes (part %.*s)", TEXT_LIMIT,
                     STR_FMT(out->id));
    if (st == ST_OK && out->rating.n) out->rating = arena_str(a, out->rating);
    js_free(root);
    buf_release(&scratch);
    return st;
}

status compose_read(const shape *s, part *p, arena *a, piece *out, err *e)
{
    status st = read_piece(s, p, a, out, e);
    if (st) return st;
    if (!p->conversation.n) p->conversation = out->conversation;
    p->id = out->id;
    if (!p->conversation.n) return err_set(e, ST_FAILED, "it names no conversation");
    if (!p->id.n) return err_set(e, ST_FAILED, "it has no id");
    return ST_OK;
}

/* --- what a conversation has ----------------------------------------------------------------- */

typedef struct placed {
    piece piece;
    str raw;
} placed;

static int by_time(const void *pa, const void *pb)
{
    const placed *a = pa, *b = pb;
    int c = instant_cmp(a->piece.at, b->piece.at);
    return c ? c : str_cmp(a->piece.id, b->piece.id);
}

typedef struct composing {
    const shape *shape;
    arena *a;
    str head;
    piece head_piece;
    placed *all; /* [n] */
    size_t n, cap;
    intern ids; /* of all, in the same order before they are sorted */
} composing;

static status add_part(composing *c, const part *p, err *e)
{
    piece read;
    status st = read_piece(c->shape, p, c->a, &read, e);
    if (st) return st;
    if (p->is_head) {
        c->head = p->raw;
        c->head_piece = read;
        return ST_OK;
    }
    uint32_t k = intern_add(&c->ids, read.id);
    if (k == INTERN_NONE) return err_nomem(e, "composing a conversation");
    if (k == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 32;
        placed *more = reallocarray(c->all, cap, sizeof *more);
        if (!more) return err_nomem(e, "composing a conversation");
        c->all = more;
        c->cap = cap;
    }
    c->all[k] = (placed){read, p->raw};
    if (k == c->n) c->n++;
    return ST_OK;
}

/* What an earlier record of the same API holds. */
static status add_existing(composing *c, str record, err *e)
{
    str received = raw_member(record, "received"), parts, item, key;
    str api = received.n ? raw_member(received, "api") : (str){0};
    if (api.n < 2 || !str_eq((str){api.p + 1, api.n - 2}, str_from(c->shape->api))) return ST_OK;
    part p = {.raw = raw_member(received, "head"), .is_head = true};
    status st = p.raw.n ? add_part(c, &p, e) : ST_OK;
    parts = raw_member(received, "parts");
    js_cutter cut = {.text = parts};
    p.is_head = false;
    while (st == ST_OK && parts.n && js_cut(&cut, &key, &item) == JS_CUT_ITEM) {
        p.raw = item;
        st = add_part(c, &p, e);
    }
    return st;
}

/* --- writing --------------------------------------------------------------------------------- */

static void write_message(const piece *p, bool first, buf *out)
{
    buf_z(out, first ? "{\"from\":" : ",{\"from\":");
    js_write_string(out, p->from);
    buf_z(out, ",\"text\":");
    if (p->is_text)
        js_write_string(out, p->text);
    else
        buf_str(out, p->text);
    buf_z(out, ",\"timestamp\":");
    js_write_string(out, p->timestamp);
    buf_z(out, p->is_masked ? ",\"masked\":true}" : "}");
}

static void write_record(const composing *c, str id, buf *out)
{
    str at = c->head_piece.timestamp, bot = c->head_piece.bot, rating = c->head_piece.rating;
    for (size_t i = 0; i < c->n; i++) {
        const piece *p = &c->all[i].piece;
        if (!at.n) at = p->timestamp;
        if (!bot.n) bot = p->bot;
        if (!c->head_piece.rating.n && p->rating.n) rating = p->rating; /* the last */
    }
    buf_z(out, "{\"id\":");
    js_write_string(out, id);
    buf_z(out, ",\"timestamp\":");
    js_write_string(out, at);
    buf_z(out, ",\"botId\":");
    js_write_string(out, bot);
    if (rating.n) {
        buf_z(out, ",\"rating\":");
        buf_str(out, rating);
    }
    buf_z(out, ",\"messages\":[");
    for (size_t i = 0; i < c->n; i++) write_message(&c->all[i].piece, i == 0, out);
    buf_fmt(out, "],\"received\":{\"api\":\"%s\",\"head\":", c->shape->api);
    buf_str(out, c->head.n ? c->head : STR("null"));
    buf_z(out, ",\"parts\":[");
    for (size_t i = 0; i < c->n; i++) {
        if (i) buf_char(out, ',');
        buf_str(out, c->all[i].raw);
    }
    buf_z(out, "]}}");
}

status compose(const shape *s, str existing, const part *parts, size_t n, arena *a, buf *out,
               err *e)
{
    composing c = {.shape = s, .a = a, .head_piece = {.is_text = true}};
    interaction unused;
    size_t start = out->n;
    status st = existing.n ? add_existing(&c, existing, e) : ST_OK;
    for (size_t i = 0; st == ST_OK && i < n; i++) st = add_part(&c, &parts[i], e);
    if (st == ST_OK) {
        if (c.n) qsort(c.all, c.n, sizeof *c.all, by_time);
        write_record(&c, n ? parts[0].conversation : (str){0}, out);
        str record = {out->p + start, out->n - start};
        st = buf_ok(out) ? record_parse(record, a, &unused, e)
                         : err_nomem(e, "composing a conversation");
    }
    intern_release(&c.ids);
    free(c.all);
    return st;
}
