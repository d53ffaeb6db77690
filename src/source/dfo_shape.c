/* dfo_shape.c - contacts and messages of CXone Digital Engagement (DFO 3.0).
 *
 * The user is who writes inbound.  Who writes outbound is a bot if marked as one, or named in
 * source.bot_users; people and surveys are passed over.  A contact has no rating of its own: it
 * is the value of a custom field. */
#include "source/compose.h"

/* An id, which may be a text or a number. */
static str id_member(const js *object, str raw, const char *name, arena *a)
{
    str text = text_member(object, name, a);
    if (text.n) return text;
    str found = raw_member(raw, name);
    return js_type(js_get(object, name)) == JS_NUMBER ? arena_str(a, found) : (str){0};
}

/* The custom field of this name, as JSON. */
static str custom_field(const js *root, str raw, const char *ident)
{
    const js *fields = js_get(root, "customFields");
    str list = raw_member(raw, "customFields"), key = {0}, item = {0}, found = {0};
    js_cutter c = {.text = list};
    if (js_type(fields) != JS_ARRAY) return found;
    for (size_t i = 0; js_cut(&c, &key, &item) == JS_CUT_ITEM; i++)
        if (str_eq(js_string(js_get(js_at(fields, i), "ident")), str_from(ident)))
            found = raw_member(item, "value");
    return found;
}

static status read_contact(const shape *s, const js *root, str raw, arena *a, piece *out, err *e)
{
    out->id = out->conversation = id_member(root, raw, "id", a);
    out->timestamp = text_member(root, "createdAt", a);
    if (*s->rating_field) out->rating = custom_field(root, raw, s->rating_field);
    if (!out->id.n) return err_set(e, ST_FAILED, "a contact without id");
    if (!instant_parse(out->timestamp, &out->at))
        return err_set(e, ST_FAILED, "no usable createdAt (contact %.*s)", STR_FMT(out->id));
    return ST_OK;
}

static bool is_listed(const char *list, str id)
{
    for (const char *p = list; *p;) {
        while (*p == ' ' || *p == ',') p++;
        size_t n = strcspn(p, ", ");
        if (n && str_eq((str){p, n}, id)) return true;
        p += n;
    }
    return false;
}

static str sender(const shape *s, const js *root, const js *author, str author_id)
{
    bool outbound = str_eq(js_string(js_get(root, "direction")), STR("outbound"));
    if (!outbound) return STR("user");
    if (js_true(js_get(author, "isSurveyUser"))) return STR("survey");
    bool any = !strcmp(s->bot_users, "*"), named = *s->bot_users && !any;
    bool bot =
        any || (named ? is_listed(s->bot_users, author_id) : js_true(js_get(author, "isBotUser")));
    return bot ? STR("bot") : STR("agent");
}

/* payload.text, then text, then what is shown where the content cannot be. */
static str said(const js *root, arena *a)
{
    const js *content = js_get(root, "messageContent");
    str text = text_member(js_get(content, "payload"), "text", a);
    if (!text.n) text = text_member(content, "text", a);
    if (!text.n) text = text_member(content, "fallbackText", a);
    return text;
}

static status read_message(const shape *s, const js *root, str raw, arena *a, piece *out, err *e)
{
    const js *author = js_get(root, "authorUser");
    str author_raw = raw_member(raw, "authorUser");
    str author_id =
        js_type(author) == JS_OBJECT ? id_member(author, author_raw, "id", a) : (str){0};
    out->id = id_member(root, raw, "id", a);
    out->timestamp = text_member(root, "createdAtWithMilliseconds", a);
    if (!out->timestamp.n) out->timestamp = text_member(root, "createdAt", a);
    if (!instant_parse(out->timestamp, &out->at))
        return err_set(e, ST_FAILED, "no usable createdAt (message %.*s)", STR_FMT(out->id));
    out->from = sender(s, root, author, author_id);
    if (str_eq(out->from, STR("bot"))) out->bot = author_id;
    if (js_type(js_get(root, "contentRemoved")) != JS_OBJECT) out->text = said(root, a);
    return ST_OK;
}

static status read_row(const shape *s, const js *root, str raw, bool is_head, arena *a, piece *out,
                       err *e)
{
    return is_head ? read_contact(s, root, raw, a, out, e) : read_message(s, root, raw, a, out, e);
}

static void write_text(buf *out, const char *name, str text)
{
    buf_fmt(out, "\"%s\":", name);
    js_write_string(out, text);
}

static void write_row(const shape *s, const piece *p, bool is_head, buf *out)
{
    buf_char(out, '{');
    write_text(out, "id", p->id);
    buf_char(out, ',');
    write_text(out, "createdAt", p->timestamp);
    if (is_head && p->rating.n) {
        buf_z(out, ",\"customFields\":[{");
        write_text(out, "ident", str_from(s->rating_field));
        buf_fmt(out, ",\"value\":%.*s}]", STR_FMT(p->rating));
    }
    if (!is_head) {
        bool user = str_eq(p->from, STR("user"));
        buf_fmt(out, ",\"direction\":\"%s\",\"authorUser\":{", user ? "inbound" : "outbound");
        write_text(out, "id", p->bot);
        buf_fmt(out, ",\"isBotUser\":%s,\"isSurveyUser\":%s},\"messageContent\":{",
                str_eq(p->from, STR("bot")) ? "true" : "false",
                str_eq(p->from, STR("survey")) ? "true" : "false");
        write_text(out, "text", p->text);
        buf_char(out, '}');
    }
    buf_char(out, '}');
}

const shape dfo_shape = {.api = "dfo",
                         .bot_field = "",
                         .rating_field = "",
                         .bot_users = "",
                         .read = read_row,
                         .write = write_row};
