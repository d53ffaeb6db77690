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

size_t page_value_end(str text)
{
    js_cutter c = {.text = text};
    str key, item;
    js_cut_result r;
    while ((r = js_cut(&c, &key, &item)) == JS_CUT_ITEM) {
    }
    if (r == JS_CUT_BROKEN) return 0;
    return is_bracketed((str){text.p, c.at}, *text.p, *text.p == '{' ? '}' : ']') ? c.at : 0;
}

/* The last member of this name as it stands; empty if there is none. */
static str member(str object, const char *name)
{
    js_cutter c = {.text = object};
    str key = {0}, item = {0}, found = {0};
    while (js_cut(&c, &key, &item) == JS_CUT_ITEM)
        if (js_key_is(key, name)) found = item;
    return found;
}

static bool find(str object, const char *name, str *array)
{
    if (!object.n || *object.p != '{') return false;
    *array = member(object, name);
    return is_bracketed(*array, '[', ']');
}

bool page_find(str object, str *array)
{
    return find(object, "interactions", array);
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
    return err_set(e, ST_FAILED, "JSON broken near byte %zu of an array", c.at);
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

/* The body from its first value on; ST_FAILED: it is not one whole value that begins with `open`
 * (or `other`). */
static status whole_value(source_page *p, char open, char other, str *out, err *e)
{
    str text = page_skip_bom(buf_view(&p->body));
    size_t start = js_skip_blank(text, 0);
    if (start) text = (str){text.p + start, text.n - start};
    free(p->records);
    p->records = NULL;
    p->n_records = 0;
    p->total = -1;
    if (!text.n) return err_set(e, ST_FAILED, "it is empty");
    if (*text.p != open && *text.p != other)
        return err_set(e, ST_FAILED, "it is not a JSON object");
    size_t end = page_value_end(text);
    if (!end) return err_set(e, ST_FAILED, "its JSON is cut short or broken");
    if (js_skip_blank(text, end) != text.n)
        return err_set(e, ST_FAILED, "something stands behind the JSON object");
    *out = text;
    return ST_OK;
}

status page_cut_as(source_page *p, const char *array, const char *count, bool bare, err *e)
{
    str text = {0}, list;
    status st = whole_value(p, '{', bare ? '[' : '{', &text, e);
    if (st || !text.n) return st;
    if (*text.p == '[')
        list = text;
    else if (!find(text, array, &list))
        return err_set(e, ST_FAILED, "it has no array \"%s\"", array);
    if (*text.p == '{') p->total = count_of(member(text, count));
    collecting c = {.page = p};
    return page_elements(list, collect, &c, e);
}

status page_take_object(source_page *p, err *e)
{
    str text = {0};
    status st = whole_value(p, '{', '{', &text, e);
    collecting c = {.page = p};
    return st ? st : collect(&c, text, e);
}

str page_value(str object, const char *name)
{
    return object.n && *object.p == '{' ? member(object, name) : (str){0};
}

str page_member(const source_page *p, const char *name)
{
    str text = page_skip_bom(buf_view(&p->body));
    size_t start = js_skip_blank(text, 0);
    return page_value((str){text.p + start, text.n - start}, name);
}

status page_cut(source_page *p, err *e)
{
    return page_cut_as(p, "interactions", "totalCount", false, e);
}
