/* cognigy_shape.c - rows of the Sessions and Conversations collections (OData v2.4).
 *
 * A row of Conversations is one message, said by `source` (user, bot, agent, suggestion) in
 * `inputText`, the bot's too.  Where analytics are masked, the text is asterisks. */
#include "base/number.h"
#include "base/utf8.h"
#include "source/compose.h"

/* Nothing but asterisks and blanks, at least one asterisk. */
static bool is_masked(str text)
{
    size_t stars = 0;
    for (size_t at = 0; at < text.n;) {
        uint32_t c = utf8_next(text, &at);
        if (c != '*' && !utf8_is_space(c)) return false;
        stars += c == '*';
    }
    return stars > 0;
}

static bool read_time(const js *root, const char *field, arena *a, piece *out)
{
    out->timestamp = text_member(root, field, a);
    return out->timestamp.n && instant_parse(out->timestamp, &out->at);
}

static status read_session(const js *root, arena *a, piece *out, err *e)
{
    out->id = out->conversation;
    if (!read_time(root, "startedAt", a, out))
        return err_set(e, ST_FAILED, "no usable startedAt (session %.*s)",
                       STR_FMT(out->conversation));
    return ST_OK;
}

static void read_sender(const js *root, arena *a, piece *out)
{
    str type = js_string(js_get(root, "type"));
    out->from = text_member(root, "source", a);
    if (out->from.n) return;
    out->from = str_eq(type, STR("input"))    ? STR("user")
                : str_eq(type, STR("output")) ? STR("bot")
                                              : STR("");
}

static status read_message(const js *root, str raw, arena *a, piece *out, err *e)
{
    const js *text = js_get(root, "inputText");
    out->id = text_member(root, "id", a);
    if (!out->id.n) out->id = text_member(root, "_id", a); /* v2.3 */
    if (!read_time(root, "timestamp", a, out))
        return err_set(e, ST_FAILED, "no usable timestamp (message %.*s)", STR_FMT(out->id));
    read_sender(root, a, out);
    if (js_type(text) == JS_STRING) {
        out->text = text_member(root, "inputText", a);
        out->is_masked = is_masked(out->text);
    } else if (js_type(text) != JS_NULL && js_type(text) != JS_NONE) {
        out->is_text = false;
        out->text = arena_str(a, raw_member(raw, "inputText"));
    }
    return ST_OK;
}

/* The text, or that of a number, as in `botId` of an interaction. */
static status read_bot(const js *root, str raw, const char *field, arena *a, str *out, err *e)
{
    *out = text_member(root, field, a);
    if (js_type(js_get(root, field)) != JS_NUMBER) return ST_OK;
    buf b = {0};
    number_write_python(&b, raw_member(raw, field));
    *out = arena_str(a, buf_view(&b));
    bool ok = buf_ok(&b) && out->p;
    buf_release(&b);
    return ok ? ST_OK : err_nomem(e, "reading a part");
}

static status read_row(const shape *s, const js *root, str raw, bool is_head, arena *a, piece *out,
                       err *e)
{
    out->conversation = text_member(root, "sessionId", a);
    if (!out->conversation.n) return err_set(e, ST_FAILED, "no sessionId");
    status st = read_bot(root, raw, s->bot_field, a, &out->bot, e);
    if (st) return st;
    out->rating = raw_member(raw, "rating");
    return is_head ? read_session(root, a, out, e) : read_message(root, raw, a, out, e);
}

static void write_text(buf *out, const char *name, str text)
{
    if (!text.n) return;
    buf_fmt(out, ",\"%s\":", name);
    js_write_string(out, text);
}

static void write_row(const shape *s, const piece *p, bool is_head, buf *out)
{
    buf_z(out, "{\"sessionId\":");
    js_write_string(out, p->conversation);
    if (!is_head) write_text(out, "id", p->id);
    write_text(out, is_head ? "startedAt" : "timestamp", p->timestamp);
    write_text(out, s->bot_field, p->bot);
    if (!is_head) write_text(out, "source", p->from);
    if (!is_head && p->is_text) write_text(out, "inputText", p->text);
    if (p->rating.n) buf_fmt(out, ",\"rating\":%.*s", STR_FMT(p->rating));
    buf_char(out, '}');
}

const shape cognigy_shape = {
    .api = "cognigy-odata", .bot_field = "projectId", .read = read_row, .write = write_row};
