/* page.c - finds the records of a page without parsing them.
 *
 * Only brackets and strings are looked at, so that a record that is bad JSON in itself is
 * handed on as it is and rejected alone.  Of equal keys the last wins, as everywhere. */
#include "source/page.h"

#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/number.h"

void source_page_release(source_page *p)
{
    buf_release(&p->body);
    free(p->records);
    *p = (source_page){0};
}

str page_skip_bom(str text)
{
    if (text.n >= 3 && !memcmp(text.p, "\xEF\xBB\xBF", 3)) return (str){text.p + 3, text.n - 3};
    return text;
}

static bool is_bracketed(str raw, char open, char close)
{
    return raw.n >= 2 && raw.p[0] == open && raw.p[raw.n - 1] == close;
}

status page_member(str object, const char *name, str *value, bool *found, err *e)
{
    js_cutter c = {.text = object};
    str key = {0}, item = {0};
    js_cut_result r;
    *found = false;
    while ((r = js_cut(&c, &key, &item)) == JS_CUT_ITEM) {
        if (!js_key_is(key, name)) continue;
        *value = item;
        *found = true;
    }
    if (r == JS_CUT_END) return ST_OK;
    return err_set(e, ST_FAILED, "JSON cut short or broken near byte %zu of %zu", c.at, object.n);
}

status page_elements(str array, status (*fn)(void *ctx, str raw, err *e), void *ctx, err *e)
{
    js_cutter c = {.text = array};
    str key = {0}, item = {0};
    js_cut_result r;
    while ((r = js_cut(&c, &key, &item)) == JS_CUT_ITEM) {
        status st = fn(ctx, item, e);
        if (st) return st;
    }
    if (r == JS_CUT_END && js_skip_blank(array, c.at) == array.n) return ST_OK;
    return err_set(e, ST_FAILED, "JSON cut short or broken near byte %zu of its array", c.at);
}

/* A count, as a number or as a text; -1: nothing that counts. */
static int64_t count_of(str raw)
{
    double v;
    if (is_bracketed(raw, '"', '"')) raw = (str){raw.p + 1, raw.n - 2};
    if (!number_parse(raw, &v) || v < 0 || v != floor(v) || v > 0x1p53) return -1;
    return (int64_t)v;
}

typedef struct collecting {
    source_page *page;
    size_t cap;
} collecting;

static status collect(void *ctx, str raw, err *e)
{
    collecting *c = ctx;
    source_page *p = c->page;
    if (p->n_records == PAGE_RECORDS_LIMIT)
        return err_set(e, ST_FAILED, "more than %d records in a page", PAGE_RECORDS_LIMIT);
    if (p->n_records == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 256;
        str *more = realloc(p->records, cap * sizeof *more);
        if (!more) return err_nomem(e, "cutting a page");
        p->records = more;
        c->cap = cap;
    }
    p->records[p->n_records++] = raw;
    return ST_OK;
}

status page_cut(source_page *p, err *e)
{
    str text = page_skip_bom(buf_view(&p->body)), list, total;
    size_t start = js_skip_blank(text, 0), end = js_value_end(text, start);
    bool found;
    free(p->records);
    p->records = NULL;
    p->n_records = 0;
    p->total = -1;
    if (!text.n) return err_set(e, ST_FAILED, "an empty body");
    if (text.p[start < text.n ? start : 0] != '{')
        return err_set(e, ST_FAILED, "not a JSON object");
    if (!end) return err_set(e, ST_FAILED, "JSON cut short after %zu bytes", text.n);
    if (js_skip_blank(text, end) != text.n)
        return err_set(e, ST_FAILED, "bytes behind the JSON object");
    text = (str){text.p + start, end - start};
    if (!is_bracketed(text, '{', '}')) return err_set(e, ST_FAILED, "brackets do not match");
    status st = page_member(text, "totalCount", &total, &found, e);
    if (st) return st;
    if (found) p->total = count_of(total);
    st = page_member(text, "interactions", &list, &found, e);
    if (st) return st;
    if (!found) return err_set(e, ST_FAILED, "no \"interactions\" in the answer");
    if (!is_bracketed(list, '[', ']'))
        return err_set(e, ST_FAILED, "\"interactions\" is not an array");
    collecting c = {.page = p};
    return page_elements(list, collect, &c, e);
}
