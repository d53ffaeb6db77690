/* status.c - what the store holds, in lines or as one object. */
#include <inttypes.h>

#include "base/json.h"
#include "base/utf8.h"
#include "views.h"

enum { RUNS_SHOWN = 10, REJECTED_SHOWN = 20 };

typedef struct listing {
    bool json;
    buf *out;
    uint64_t n;
} listing;

static void comma(listing *l)
{
    if (l->n++) buf_z(l->out, ", ");
}

/* An instant, or null / a dash where there is none. */
static void write_instant(const listing *l, instant t, instant none)
{
    char text[INSTANT_TEXT];
    if (instant_cmp(t, none) == 0) {
        buf_z(l->out, l->json ? "null" : "-");
        return;
    }
    instant_format(t, text);
    buf_fmt(l->out, l->json ? "\"%s\"" : "%s", text);
}

static status list_slice(void *ctx, str source, const slice *sl, err *e)
{
    listing *l = ctx;
    const char *state = sl->state == SLICE_DONE ? "done" : "open";
    if (l->json) {
        comma(l);
        buf_z(l->out, "{\"source\": ");
        js_write_string(l->out, source);
        buf_z(l->out, ", \"after\": ");
        write_instant(l, sl->lo, INSTANT_MIN);
        buf_z(l->out, ", \"until\": ");
        write_instant(l, sl->hi, INSTANT_MIN);
        buf_fmt(l->out, ", \"state\": \"%s\", \"seen\": %" PRIu64 ", \"total\": %" PRId64 "}",
                state, sl->seen, sl->total_last);
    } else {
        buf_fmt(l->out, "slice    %s: ", state);
        utf8_write_plain(l->out, source);
        buf_z(l->out, " after ");
        write_instant(l, sl->lo, INSTANT_MIN);
        buf_z(l->out, " until ");
        write_instant(l, sl->hi, INSTANT_MIN);
        buf_fmt(l->out, ", %" PRIu64, sl->seen);
        if (sl->total_last >= 0) buf_fmt(l->out, " of %" PRId64, sl->total_last);
        buf_z(l->out, " seen\n");
    }
    return buf_ok(l->out) ? ST_OK : err_nomem(e, "listing");
}

/* Seconds that a run spent waiting, by its summary; 0: none, or it never ended. */
static double waited_of(str result)
{
    err unused = {0};
    js *root = NULL;
    if (!result.n || js_parse(result, &root, &unused)) return 0;
    double waited = js_number(js_get(js_get(root, "seconds"), "waited"), 0);
    js_free(root);
    return waited;
}

static status list_run(void *ctx, const stored_run *r, err *e)
{
    listing *l = ctx;
    double waited = waited_of(r->result);
    if (l->json) {
        comma(l);
        buf_fmt(l->out, "{\"run\": %" PRId64 ", \"command\": ", r->id);
        js_write_string(l->out, r->command);
        buf_z(l->out, ", \"started\": ");
        write_instant(l, r->started, INSTANT_MIN);
        buf_z(l->out, ", \"ended\": ");
        write_instant(l, r->ended, INSTANT_MIN);
        buf_z(l->out, ", \"state\": ");
        js_write_string(l->out, r->state);
        buf_fmt(l->out, ", \"waited\": %.3f}", waited);
    } else {
        buf_fmt(l->out, "run %4" PRId64 " ", r->id);
        utf8_write_plain(l->out, r->command);
        buf_z(l->out, ": ");
        utf8_write_plain(l->out, r->state);
        buf_z(l->out, ", ");
        write_instant(l, r->started, INSTANT_MIN);
        buf_z(l->out, " to ");
        write_instant(l, r->ended, INSTANT_MIN);
        if (waited > 0) buf_fmt(l->out, ", %.1f s waiting", waited);
        buf_char(l->out, '\n');
    }
    return buf_ok(l->out) ? ST_OK : err_nomem(e, "listing");
}

static status list_rejected(void *ctx, const char *reason, instant received, str raw, err *e)
{
    listing *l = ctx;
    if (l->json) {
        comma(l);
        buf_z(l->out, "{\"reason\": ");
        js_write_string(l->out, str_from(reason));
        buf_z(l->out, ", \"received\": ");
        write_instant(l, received, INSTANT_MIN);
        buf_fmt(l->out, ", \"bytes\": %zu}", raw.n);
    } else if (l->n++ < REJECTED_SHOWN) {
        buf_z(l->out, "rejected ");
        write_instant(l, received, INSTANT_MIN);
        buf_fmt(l->out, " (%zu bytes): ", raw.n);
        utf8_write_plain(l->out, str_from(reason));
        buf_char(l->out, '\n');
    }
    return buf_ok(l->out) ? ST_OK : err_nomem(e, "listing");
}

static void write_counts(listing *l, const char *url, const store_counts *c)
{
    buf *b = l->out;
    if (l->json) {
        buf_z(b, "{\"store\": ");
        js_write_string(b, str_from(url));
        buf_fmt(b,
                ", \"bytes\": %" PRIu64 ", \"interactions\": %" PRIu64 ", \"rejected\": %" PRIu64
                ", \"vectors\": %" PRIu64 ", \"kept\": %" PRIu64 ", \"duplicates\": %" PRIu64
                ", \"oldest\": ",
                c->bytes, c->interactions, c->rejected, c->vectors, c->kept, c->duplicates);
        write_instant(l, c->oldest, INSTANT_MIN);
        buf_z(b, ", \"newest\": ");
        write_instant(l, c->newest, INSTANT_MIN);
        return;
    }
    buf_z(b, "store    ");
    utf8_write_plain(b, str_from(url));
    buf_fmt(b, ", %.1f MiB\n", (double)c->bytes / (1 << 20));
    buf_fmt(b, "holds    %" PRIu64 " interactions from ", c->interactions);
    write_instant(l, c->oldest, INSTANT_MIN);
    buf_z(b, " to ");
    write_instant(l, c->newest, INSTANT_MIN);
    buf_fmt(b, ", %" PRIu64 " rejected records, %" PRIu64 " vectors\n", c->rejected, c->vectors);
    buf_fmt(b, "curated  %" PRIu64 " rows kept, %" PRIu64 " near-duplicates\n", c->kept,
            c->duplicates);
}

/* Begins a list; in text the list has no frame. */
static void open_list(listing *l, const char *name)
{
    l->n = 0;
    if (l->json) buf_fmt(l->out, ", \"%s\": [", name);
}

static void close_list(const listing *l)
{
    if (l->json) buf_char(l->out, ']');
}

status view_status(store *s, const char *url, bool json, buf *out, err *e)
{
    listing l = {.json = json, .out = out};
    store_counts c;
    status st = store_count(s, &c, e);
    if (st) return st;
    write_counts(&l, url, &c);
    open_list(&l, "slices");
    st = store_each_slice(s, list_slice, &l, e);
    close_list(&l);
    open_list(&l, "runs");
    if (st == ST_OK) st = store_each_run(s, RUNS_SHOWN, list_run, &l, e);
    close_list(&l);
    open_list(&l, "rejected_records");
    if (st == ST_OK) st = store_each_rejected(s, list_rejected, &l, e);
    close_list(&l);
    if (!json && l.n > REJECTED_SHOWN)
        buf_fmt(out, "... and %" PRIu64 " more rejected records (--json lists them)\n",
                l.n - REJECTED_SHOWN);
    if (json) buf_z(out, "}\n");
    if (st == ST_OK && !buf_ok(out)) st = err_nomem(e, "listing");
    return st;
}
