/* redact_record.c - rewrites the strings of a raw record in place.
 *
 * The record is cut, not parsed, so that its other bytes stay as received: a record that
 * comes again gives the same bytes again, and the store sees that nothing has changed.  The
 * depth is that of record_parse, 64. */
#include "curate/redact_record.h"

#include "base/json.h"

typedef enum { IN_RECORD, IN_MESSAGES, IN_MESSAGE, ELSEWHERE } where;

typedef struct rewriting {
    const redactor *redactor;
    buf *out;
    buf mended, text; /* scratch */
} rewriting;

static bool is_left(where in, str key)
{
    if (in == IN_MESSAGE) return js_key_is(key, "from");
    return in == IN_RECORD && (js_key_is(key, "id") || js_key_is(key, "timestamp") ||
                               js_key_is(key, "botId") || js_key_is(key, "rating"));
}

static where inside(where in, str key)
{
    if (in == IN_RECORD) return js_key_is(key, "messages") ? IN_MESSAGES : ELSEWHERE;
    return in == IN_MESSAGES ? IN_MESSAGE : ELSEWHERE;
}

static status rewrite_string(rewriting *w, str raw, err *e)
{
    js *root = NULL;
    str clean = {0};
    status st = js_parse(js_mend(raw, &w->mended), &root, e);
    str value = js_string(root);
    if (st == ST_OK) st = redact_text(w->redactor, value, &w->text, &clean, NULL, e);
    if (st == ST_OK && clean.p != value.p)
        js_write_string(w->out, clean);
    else if (st == ST_OK)
        buf_str(w->out, raw);
    js_free(root);
    return st;
}

static status rewrite_number(rewriting *w, str raw, err *e)
{
    str clean;
    status st = redact_text(w->redactor, raw, &w->text, &clean, NULL, e);
    if (st == ST_OK) buf_str(w->out, clean.p == raw.p ? raw : STR("null"));
    return st;
}

static status rewrite(rewriting *w, str value, where in, err *e);

static status rewrite_members(rewriting *w, str value, where in, err *e)
{
    js_cutter c = {.text = value};
    str key = {0}, item;
    size_t at = 0;
    js_cut_result cut;
    while ((cut = js_cut(&c, &key, &item)) == JS_CUT_ITEM) {
        size_t start = (size_t)(item.p - value.p);
        if (value.p[0] == '{' && in == ELSEWHERE) { /* of a map, they may be anything */
            str raw = {key.p - 1, key.n + 2};
            size_t quote = (size_t)(raw.p - value.p);
            buf_add(w->out, value.p + at, quote - at);
            status st = rewrite_string(w, raw, e);
            if (st) return st;
            at = quote + raw.n;
        }
        buf_add(w->out, value.p + at, start - at);
        at = start + item.n;
        if (value.p[0] == '{' && is_left(in, key)) {
            buf_str(w->out, item);
            continue;
        }
        status st = rewrite(w, item, inside(in, key), e);
        if (st) return st;
    }
    buf_add(w->out, value.p + at, value.n - at);
    return cut == JS_CUT_END ? ST_OK : err_set(e, ST_FAILED, "its brackets do not match");
}

/* value: a whole JSON value without blanks around it. */
static status rewrite(rewriting *w, str value, where in, err *e)
{
    switch (value.p[0]) {
    case '"':
        return rewrite_string(w, value, e);
    case '{':
    case '[':
        return rewrite_members(w, value, in, e);
    case 't':
    case 'f':
    case 'n':
        buf_str(w->out, value);
        return ST_OK;
    default:
        return rewrite_number(w, value, e);
    }
}

status redact_record(const redactor *r, str raw, buf *out, err *e)
{
    rewriting w = {.redactor = r, .out = out};
    size_t at = js_skip_blank(raw, 0), end = js_value_end(raw, at);
    status st = err_set(e, ST_FAILED, "not a JSON object");
    if (end) {
        buf_add(out, raw.p, at);
        st = rewrite(&w, (str){raw.p + at, end - at}, IN_RECORD, e);
        buf_add(out, raw.p + end, raw.n - end);
    }
    if (st == ST_OK && !buf_ok(out)) st = err_nomem(e, "redacting a record");
    buf_release(&w.mended);
    buf_release(&w.text);
    return st;
}
