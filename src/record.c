/* record.c - one raw record to an interaction, by the edge rules of the interface.
 *
 * The bytes are mended first (ill-formed UTF-8, lone surrogates), so a stray byte costs
 * one character and not the record.  The rating is cut from the text instead of the parsed
 * tree, because its digits are printed as they stand.
 *
 * Two readers: read_scanned for records without anything unusual, at a tenth of the cost, and
 * read_object for all.  Only the second says what is wrong, so whatever the first does not take
 * goes to the second; the tests and the fuzz target hold one against the other. */
#include "record.h"

#include "base/json.h"
#include "base/json_scan.h"
#include "base/number.h"
#include "base/utf8.h"

static const char *const rule_names[RULE_COUNT] = {
    [RULE_KEPT] = "kept",
    [RULE_UNRATED] = "unrated",
    [RULE_RATING_BELOW_MINIMUM] = "rating-below-minimum",
    [RULE_NO_TURNS] = "no-turns",
    [RULE_BOT_NOT_SELECTED] = "bot-not-selected",
    [RULE_DUPLICATE] = "duplicate",
    [RULE_REDACTED_EMPTY] = "redacted-empty",
    [RULE_MASKED] = "masked",
    [RULE_PINNED] = "pinned",
    [RULE_GUARDED] = "guarded",
};

const char *rule_name(rule r)
{
    return rule_names[r];
}

bool rule_from_name(str name, rule *out)
{
    for (rule r = RULE_KEPT; r < RULE_COUNT; r++)
        if (str_eq(name, str_from(rule_names[r]))) return *out = r, true;
    return false;
}

static const char *const origin_names[ORIGIN_COUNT] = {
    [ORIGIN_UNKNOWN] = "",
    [ORIGIN_INTERACTIONS_V2] = "interactions-v2",
    [ORIGIN_COGNIGY] = "cognigy-odata",
    [ORIGIN_DFO] = "dfo",
    [ORIGIN_FILE] = "file",
    [ORIGIN_IMPORT] = "import",
};

str origin_name(origin o)
{
    return str_from(origin_names[o]);
}

origin origin_from_name(str name)
{
    for (origin o = ORIGIN_COUNT; --o > ORIGIN_UNKNOWN;)
        if (str_eq(name, str_from(origin_names[o]))) return o;
    return ORIGIN_UNKNOWN;
}

int interaction_cmp(const interaction *a, const interaction *b)
{
    int c = instant_cmp(b->at, a->at);
    return c ? c : str_cmp(a->id, b->id);
}

/* --- from a tree ---------------------------------------------------------------------------- */

/* Copies a string node; a node of another kind gives the empty text. */
static bool copy_string(const js *node, arena *a, str *out)
{
    str s = js_string(node);
    *out = s.n ? arena_str(a, s) : STR("");
    return out->p != NULL;
}

static status read_messages(const js *list, bool composed, arena *a, interaction *out, err *e)
{
    size_t n = js_type(list) == JS_ARRAY ? js_size(list) : 0;
    out->messages = arena_alloc(a, n, sizeof *out->messages);
    if (n && !out->messages) return err_nomem(e, "reading an interaction");
    for (size_t i = 0; i < n; i++) {
        const js *node = js_at(list, i), *text = js_get(node, "text");
        js_kind kind = js_type(text);
        if (js_string(text).n > TEXT_LIMIT)
            return err_set(e, ST_FAILED, "message %zu of interaction %.*s is longer than %d bytes",
                           i, STR_FMT(out->id), TEXT_LIMIT);
        message *m = &out->messages[out->n_messages++];
        m->is_masked = composed && js_true(js_get(node, "masked"));
        m->is_text = kind == JS_STRING || kind == JS_NULL || kind == JS_NONE;
        if (!copy_string(js_get(node, "from"), a, &m->from) || !copy_string(text, a, &m->text))
            return err_nomem(e, "reading an interaction");
    }
    return ST_OK;
}

/* The value of the last member of this name, as it stands; empty if there is none. */
static str raw_member(str text, const char *name)
{
    js_cutter c = {.text = text};
    str key = {0}, value, found = STR("");
    while (js_cut(&c, &key, &value) == JS_CUT_ITEM)
        if (js_key_is(key, name)) found = value;
    return found;
}

/* A number is the text that Python prints for it: bots may be numbered. */
static bool copy_bot(const js *node, str text, arena *a, str *out)
{
    if (js_type(node) != JS_NUMBER) return copy_string(node, a, out);
    buf b = {0};
    number_write_python(&b, raw_member(text, "botId"));
    *out = arena_str(a, buf_view(&b));
    bool ok = buf_ok(&b) && out->p;
    buf_release(&b);
    return ok;
}

static status read_object(const js *root, str text, arena *a, interaction *out, err *e)
{
    if (js_type(root) != JS_OBJECT) return err_set(e, ST_FAILED, "not a JSON object");
    const js *id = js_get(root, "id"), *at = js_get(root, "timestamp");
    if (!js_string(id).n) return err_set(e, ST_FAILED, "no id (a string that is not empty)");
    if (!copy_string(id, a, &out->id) || !copy_string(at, a, &out->timestamp) ||
        !copy_bot(js_get(root, "botId"), text, a, &out->bot_id))
        return err_nomem(e, "reading an interaction");
    if (!instant_parse(out->timestamp, &out->at))
        return err_set(e, ST_FAILED, "no usable timestamp (interaction %.*s)", STR_FMT(out->id));
    out->rating = arena_str(a, raw_member(text, "rating"));
    if (!out->rating.p) return err_nomem(e, "reading an interaction");
    bool composed = js_type(js_get(root, "received")) == JS_OBJECT;
    return read_messages(js_get(root, "messages"), composed, a, out, e);
}

/* --- without a tree ------------------------------------------------------------------------- */

/* A value that should be a string; another one is the empty text. */
static bool scan_text(js_scan *s, arena *a, str *out)
{
    str raw;
    *out = STR("");
    return js_scan_kind(s) == JS_STRING ? js_scan_string(s, a, out) : js_scan_value(s, &raw);
}

static bool scan_message(js_scan *s, arena *a, message *m)
{
    str key, raw;
    bool more;
    *m = (message){.from = STR(""), .text = STR(""), .is_text = true};
    if (!js_scan_open(s, JS_OBJECT)) return false;
    for (;;) {
        if (!js_scan_member(s, &key, &more)) return false;
        if (!more) return m->text.n <= TEXT_LIMIT;
        js_kind kind = js_scan_kind(s);
        bool good = true;
        if (str_eq(key, STR("text"))) {
            m->is_text = kind == JS_STRING || kind == JS_NULL;
            good = scan_text(s, a, &m->text);
        } else if (str_eq(key, STR("from"))) {
            good = scan_text(s, a, &m->from);
        } else {
            good = js_scan_value(s, &raw);
            if (str_eq(key, STR("masked"))) m->is_masked = str_eq(raw, STR("true"));
        }
        if (!good) return false;
    }
}

/* Room for one message more. */
static bool make_room(arena *a, interaction *out, size_t *cap)
{
    if (out->n_messages < *cap) return true;
    size_t more = *cap ? *cap * 2 : 8;
    message *wider = arena_alloc(a, more, sizeof *wider);
    if (!wider) return false;
    if (*cap) memcpy(wider, out->messages, *cap * sizeof *wider);
    out->messages = wider;
    *cap = more;
    return true;
}

static bool scan_messages(js_scan *s, arena *a, interaction *out)
{
    size_t cap = 0;
    bool more;
    str raw;
    out->messages = NULL;
    out->n_messages = 0;
    if (js_scan_kind(s) != JS_ARRAY) return js_scan_value(s, &raw);
    if (!js_scan_open(s, JS_ARRAY)) return false;
    for (;;) {
        if (!js_scan_element(s, &more)) return false;
        if (!more) return true;
        if (!make_room(a, out, &cap)) return false;
        if (!scan_message(s, a, &out->messages[out->n_messages++])) return false;
    }
}

static bool scan_member(js_scan *s, str key, arena *a, interaction *out, bool *composed)
{
    str raw;
    if (str_eq(key, STR("id"))) return scan_text(s, a, &out->id);
    if (str_eq(key, STR("timestamp"))) return scan_text(s, a, &out->timestamp);
    if (str_eq(key, STR("botId")))
        return js_scan_kind(s) != JS_NUMBER && scan_text(s, a, &out->bot_id);
    if (str_eq(key, STR("messages"))) return scan_messages(s, a, out);
    if (str_eq(key, STR("received"))) *composed = js_scan_kind(s) == JS_OBJECT;
    if (!js_scan_value(s, &raw)) return false;
    if (str_eq(key, STR("rating"))) out->rating = raw;
    return true;
}

/* As read_object.  false: the record is out of the ordinary, and nothing else is said of it. */
static bool read_scanned(str text, arena *a, interaction *out)
{
    js_scan s;
    str key;
    bool more = true, composed = false;
    if (!js_scan_begin(&s, text) || !js_scan_open(&s, JS_OBJECT)) return false;
    *out = (interaction){.bot_id = STR(""), .rating = STR("")};
    while (more) {
        if (!js_scan_member(&s, &key, &more)) return false;
        if (more && !scan_member(&s, key, a, out, &composed)) return false;
    }
    for (size_t i = 0; i < out->n_messages; i++) out->messages[i].is_masked &= composed;
    out->rating = arena_str(a, out->rating);
    return js_scan_is_over(&s) && out->id.n && out->rating.p &&
           instant_parse(out->timestamp, &out->at);
}

/* --- any record ----------------------------------------------------------------------------- */

static status read_tree(str raw, arena *a, interaction *out, err *e)
{
    buf scratch = {0};
    js *root = NULL;
    str text = js_mend(raw, &scratch);
    status st =
        buf_ok(&scratch) ? js_parse(text, &root, e) : err_nomem(e, "reading an interaction");
    if (st == ST_OK) st = read_object(root, text, a, out, e);
    js_free(root);
    buf_release(&scratch);
    return st;
}

status record_parse(str raw, arena *a, interaction *out, err *e)
{
    *out = (interaction){0};
    if (raw.n > RECORD_LIMIT) return err_set(e, ST_FAILED, "longer than %d bytes", RECORD_LIMIT);
    if (read_scanned(raw, a, out)) return ST_OK;
    *out = (interaction){0};
    return read_tree(raw, a, out, e);
}

status record_id_of_broken(str raw, arena *a, str *id, err *e)
{
    js_cutter c = {.text = raw};
    str key = {0}, value = {0}, last = {0};
    err why = {0};
    buf scratch = {0};
    js *root = NULL;
    while (js_cut(&c, &key, &value) == JS_CUT_ITEM)
        if (js_key_is(key, "id") && *value.p == '"') last = value;
    *id = last;
    if (!last.n) return ST_OK;
    str text = js_mend(last, &scratch);
    bool read = buf_ok(&scratch) && js_parse(text, &root, &why) == ST_OK;
    bool nomem = !buf_ok(&scratch) || err_is_nomem(&why);
    /* What is no string either stands for itself. */
    *id = arena_str(a, read ? js_string(root) : (str){last.p + 1, last.n - 2});
    js_free(root);
    buf_release(&scratch);
    return nomem || !id->p ? err_nomem(e, "reading an interaction") : ST_OK;
}
