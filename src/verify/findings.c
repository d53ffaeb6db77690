/* findings.c - a list that stops growing where nobody reads on, and goes on counting. */
#include "verify/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void findings_release(findings *f)
{
    free(f->list);
    arena_release(&f->texts);
    *f = (findings){0};
}

status findings_add(findings *f, const place *at, err *e, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    f->total++;
    if (f->n == FINDINGS_MAX) return ST_OK;
    if (!f->list) f->list = calloc(FINDINGS_MAX, sizeof *f->list);
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    str id = arena_str(&f->texts, at->interaction_id), words = arena_str(&f->texts, str_from(what));
    if (!f->list || !id.p || !words.p) return err_nomem(e, "verifying");
    f->list[f->n] = (finding){*at, words};
    f->list[f->n++].at.interaction_id = id;
    return ST_OK;
}
