/* spans.c - places found in a text. */
#include <stdlib.h>

#include "curate/scan.h"

const char *const scan_rule_names[SCAN_RULES] = {
    [SCAN_CARD] = "card",   [SCAN_IBAN] = "iban", [SCAN_EMAIL] = "email",
    [SCAN_PHONE] = "phone", [SCAN_SSN] = "ssn",   [SCAN_IP] = "ip"};

void spans_release(spans *s)
{
    free(s->list);
    *s = (spans){0};
}

void spans_add(spans *s, size_t start, size_t end, uint32_t rule)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 8;
        span *more = reallocarray(s->list, cap, sizeof *more);
        if (!more) {
            s->oom = true;
            return;
        }
        s->list = more;
        s->cap = cap;
    }
    s->list[s->n++] = (span){start, end, rule};
}

static int by_start(const void *pa, const void *pb)
{
    const span *a = pa, *b = pb;
    if (a->start != b->start) return a->start < b->start ? -1 : 1;
    return (a->rule > b->rule) - (a->rule < b->rule);
}

void spans_join(spans *s)
{
    size_t n = 0;
    if (s->n) qsort(s->list, s->n, sizeof *s->list, by_start);
    for (size_t i = 0; i < s->n; i++) {
        span *last = n ? &s->list[n - 1] : NULL, *one = &s->list[i];
        if (!last || one->start >= last->end) {
            s->list[n++] = *one;
            continue;
        }
        if (one->end > last->end) last->end = one->end;
        if (one->rule < last->rule) last->rule = one->rule;
    }
    s->n = n;
}
