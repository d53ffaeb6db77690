/* diagnosis.c - the list of checks, and how it is shown. */
#include <stdio.h>

#include "base/json.h"
#include "base/utf8.h"
#include "doctor.h"

static const char *const state_names[] = {
    [CHECK_OK] = "ok",
    [CHECK_WARNING] = "warning",
    [CHECK_FAILED] = "failed",
    [CHECK_SKIPPED] = "skipped",
};

check *diagnosis_add(diagnosis *d, const char *name, check_state state, const char *fix,
                     const char *fmt, ...)
{
    check *c = &d->checks[d->n < DOCTOR_CHECKS ? d->n++ : DOCTOR_CHECKS - 1];
    va_list ap;
    *c = (check){.name = name, .state = state, .code = state == CHECK_FAILED ? ST_FAILED : ST_OK};
    va_start(ap, fmt);
    vsnprintf(c->detail, sizeof c->detail, fmt, ap);
    va_end(ap);
    snprintf(c->fix, sizeof c->fix, "%s", fix ? fix : "");
    utf8_make_plain(c->detail);
    utf8_make_plain(c->fix);
    return c;
}

check *diagnosis_fail(diagnosis *d, const char *name, const err *e, const char *fix)
{
    check *c = diagnosis_add(d, name, CHECK_FAILED, fix, "%s", e->msg);
    c->code = e->code;
    return c;
}

status diagnosis_status(const diagnosis *d)
{
    status worst = ST_OK;
    for (size_t i = 0; i < d->n; i++) {
        const check *c = &d->checks[i];
        if (c->state != CHECK_FAILED || worst == ST_USAGE) continue;
        if (c->code == ST_USAGE || c->code == ST_DENIED)
            worst = c->code;
        else if (worst == ST_OK)
            worst = ST_FAILED;
    }
    return worst;
}

static const char *overall(const diagnosis *d)
{
    check_state worst = CHECK_OK;
    for (size_t i = 0; i < d->n; i++) {
        check_state s = d->checks[i].state;
        if (s != CHECK_SKIPPED && s > worst) worst = s;
    }
    return state_names[worst];
}

static void write_json(const diagnosis *d, buf *out)
{
    buf_z(out, "{\"checks\": [");
    for (size_t i = 0; i < d->n; i++) {
        const check *c = &d->checks[i];
        buf_fmt(out, "%s{\"name\": \"%s\", \"status\": \"%s\", \"detail\": ", i ? ", " : "",
                c->name, state_names[c->state]);
        js_write_string(out, str_from(c->detail));
        buf_z(out, ", \"fix\": ");
        js_write_string(out, str_from(c->fix));
        buf_char(out, '}');
    }
    buf_fmt(out, "], \"status\": \"%s\"}\n", overall(d));
}

void diagnosis_write(const diagnosis *d, bool json, buf *out)
{
    if (json) {
        write_json(d, out);
        return;
    }
    for (size_t i = 0; i < d->n; i++) {
        const check *c = &d->checks[i];
        buf_fmt(out, "%-8s %-13s %s%s%s\n", state_names[c->state], c->name, c->detail,
                *c->fix ? " -> " : "", c->fix);
    }
}
