/* fuzz_page.c - any bytes as the body of a page: cut into records that lie within it, in order, or
 * refused. */
#include "base/utf8.h"
#include "fuzz.h"
#include "source/page.h"

static status count(void *ctx, str raw, err *e)
{
    size_t *n = ctx;
    (void)e;
    must(raw.n > 0);
    ++*n;
    return ST_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    err e = {0};
    source_page p = {0};
    str list, text = utf8_skip_bom((str){(const char *)data, size});
    size_t n = 0;
    buf_add(&p.body, data, size);
    if (page_cut(&p, &e) == ST_OK) {
        const char *at = p.body.p, *end = at + p.body.n;
        must(p.total >= -1);
        for (size_t i = 0; i < p.n_records; i++) {
            must(p.records[i].p >= at && p.records[i].n && p.records[i].p + p.records[i].n <= end);
            at = p.records[i].p + p.records[i].n;
        }
    } else {
        must(e.msg[0] != 0);
    }
    if (page_find(text, &list) && page_elements(list, count, &n, &e) == ST_OK) must(n <= size);
    source_page_release(&p);
    return 0;
}
