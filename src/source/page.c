/* page.c - finds the records of a page without parsing them.
 *
 * Only brackets and strings are looked at, so that a record that is bad JSON in itself is
 * handed on as it is and rejected alone.  Of equal keys the last wins, as everywhere. */
#include "source/page.h"

#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/number.h"
#include "base/utf8.h"

void source_page_release(source_page *p)
{
    buf_release(&p->body);
    free(p->records);
    *p = (source_page){0};
}

static bool is_bracketed(str raw, char open, char close)
{
    return raw.n >= 2 && raw.p[0] == open && raw.p[raw.n - 1] == close;
}

/* A member that is looked for, and its value as it stands; empty: there is none. */
typedef struct wanted {
    const char *name;
    str value;
} wanted;

/* The end of the object or array that begins the text, or 0; of an object, the last members of
 * these names on the way. */
static size_t walk(str text, wanted *w, size_t n)
{
    js_cutter c = {.text = text};
    str key = {0}, item;
    js_cut_result r;
    while ((r = js_cut(&c, &key, &item)) == JS_CUT_ITEM)
        for (size_t i = 0; i < n; i++)
            if (js_key_is(key, w[i].name)) w[i].value = item;
    if (r == JS_CUT_BROKEN) return 0;
    return is_bracketed((str){text.p, c.at}, *text.p, *text.p == '{' ? '}' : ']') ? c.at : 0;
}

size_t page_value_end(str text)
{
    return walk(text, NULL, 0);
}

str page_value(str object, const char *name)
{
    wanted w = {.name = name};
    if (object.n && *object.p == '{') walk(object, &w, 1);
    return w.value;
}

bool page_find(str object, str *array)
{
    *array = page_value(object, "interactions");
    return is_bracketed(*array, '[', ']');
}

bool page_is_begun(str text)
{
    js_cutter c = {.text = text};
    str key = {0}, item;
    bool begun = text.n && *text.p == '[';
    js_cut_result r;
    do {
        r = js_cut(&c, &key, &item);
        begun |= js_key_is(key, "interactions");
    } while (r == JS_CUT_ITEM);
    return begun && r == JS_CUT_BROKEN;
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

/* The one value of the body, without blanks, and members of it; ST_FAILED: it is not one whole
 * object or, where it may be `bare`, array. */
static status whole_value(source_page *p, bool bare, wanted w[2], str *out, err *e)
{
    str text = utf8_skip_bom(buf_view(&p->body));
    size_t start = js_skip_blank(text, 0);
    if (start) text = (str){text.p + start, text.n - start};
    free(p->records);
    p->records = NULL;
    p->n_records = 0;
    p->total = -1;
    if (!text.n) return err_set(e, ST_FAILED, "it is empty");
    if (*text.p != '{' && (!bare || *text.p != '['))
        return err_set(e, ST_FAILED, "it is not a JSON object");
    size_t end = walk(text, w, w ? 2 : 0);
    if (!end) return err_set(e, ST_FAILED, "its JSON is cut short or broken");
    if (js_skip_blank(text, end) != text.n)
        return err_set(e, ST_FAILED, "something stands behind the JSON object");
    *out = (str){text.p, end};
    return ST_OK;
}

status page_cut_as(source_page *p, const char *array, const char *count, bool bare, err *e)
{
    str text = {0};
    wanted w[2] = {{.name = array}, {.name = count}};
    status st = whole_value(p, bare, w, &text, e);
    if (st || !text.n) return st;
    str list = *text.p == '[' ? text : w[0].value;
    if (!is_bracketed(list, '[', ']'))
        return err_set(e, ST_FAILED, "it has no array \"%s\"", array);
    p->total = count_of(w[1].value);
    collecting c = {.page = p};
    return page_elements(list, collect, &c, e);
}

status page_take_object(source_page *p, err *e)
{
    str text = {0};
    status st = whole_value(p, false, NULL, &text, e);
    collecting c = {.page = p};
    return st ? st : collect(&c, text, e);
}

str page_member(const source_page *p, const char *name)
{
    str text = utf8_skip_bom(buf_view(&p->body));
    size_t start = js_skip_blank(text, 0);
    return page_value((str){text.p + start, text.n - start}, name);
}

status page_cut(source_page *p, err *e)
{
    return page_cut_as(p, "interactions", "totalCount", false, e);
}
