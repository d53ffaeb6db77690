/* written.c - what each row is written as, formed anew from the store's turns.
 *
 * A line of chat does not say which row it is: two rows with the same line take it in order.  Their
 * questions are the same text, so no split may part them, and it does not matter which is which. */
#include "verify/written.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/number.h"
#include "verify/csv_reader.h"

enum { N_FIRST = 8, N_MORE = 7 };

/* So that no sum of ratings overflows. */
#define SCALE 0x1p40

static const char *const more_columns[N_MORE] = {
    "conversation_turn", "duplicates", "first_seen", "last_seen",
    "mean_rating",       "source",     "guarded"};
const char *const part_names[N_PARTS + 1] = {"train", "valid", "test", "none"};

/* --- what rows stand for -------------------------------------------------------------------- */

static void count_in(const turn_index *x, weight *w, uint32_t i)
{
    const turn *t = &x->turns[i];
    if (!w->n || instant_cmp(t->of->at, x->turns[w->first].of->at) < 0) w->first = i;
    if (!w->n || instant_cmp(t->of->at, x->turns[w->last].of->at) > 0) w->last = i;
    w->ratings += t->rating / SCALE;
    w->n++;
}

status written_init(written_rows *w, const turn_index *turns, const uint32_t *keeper, err *e)
{
    uint32_t number = 0;
    *w = (written_rows){
        .turns = turns, .of = calloc(turns->n + 1, sizeof *w->of), .part = malloc(turns->n + 1)};
    if (!w->of || !w->part) return err_nomem(e, "verifying");
    for (uint32_t i = 0; i < turns->n; i++) {
        w->part[i] = keeper[i] == i ? PART_OTHER : PART_NO_ROW;
        if (keeper[i] == NO_ROW) continue;
        count_in(turns, &w->of[keeper[i]], i);
        if (keeper[i] == i) w->of[i].number = number++;
    }
    return ST_OK;
}

void written_release(written_rows *w)
{
    for (int k = 0; k < N_LINES; k++) {
        intern_release(&w->lines[k].lines);
        arena_release(&w->lines[k].bytes);
        free(w->lines[k].first);
        free(w->lines[k].next);
    }
    free(w->of);
    free(w->part);
    *w = (written_rows){0};
}

static double mean_rating(const weight *w)
{
    return fmin(w->ratings / (double)w->n * SCALE, DBL_MAX);
}

/* --- lines ---------------------------------------------------------------------------------- */

static void text_member(buf *b, const char *before, str text)
{
    buf_z(b, before);
    js_write_string(b, text);
}

static void form_chat(const turn *t, buf *b)
{
    text_member(b, "{\"messages\": [{\"role\": \"user\", \"content\": ", t->user_utterance);
    text_member(b, "}, {\"role\": \"assistant\", \"content\": ", t->bot_response);
    buf_z(b, "}]");
}

static void form_jsonl(const written_rows *w, uint32_t i, buf *b)
{
    const turn *t = &w->turns->turns[i];
    const weight *mine = &w->of[i];
    text_member(b, "{\"interaction_id\": ", t->of->id);
    text_member(b, ", \"timestamp\": ", t->of->timestamp);
    text_member(b, ", \"bot_id\": ", t->of->bot_id);
    buf_z(b, ", \"rating\": ");
    number_write_json(b, t->rating);
    text_member(b, ", \"user_utterance\": ", t->user_utterance);
    text_member(b, ", \"bot_response\": ", t->bot_response);
    buf_fmt(b, ", \"similarity_score\": 1.0, \"dedup_group\": %u", mine->number);
    buf_fmt(b, ", \"conversation_turn\": %u, \"duplicates\": %llu", t->number,
            (unsigned long long)(mine->n - 1));
    text_member(b, ", \"first_seen\": ", w->turns->turns[mine->first].of->timestamp);
    text_member(b, ", \"last_seen\": ", w->turns->turns[mine->last].of->timestamp);
    buf_z(b, ", \"mean_rating\": ");
    number_write_json(b, mean_rating(mine));
    str source = origin_name(t->of->origin);
    if (source.n)
        text_member(b, ", \"source\": ", source);
    else
        buf_z(b, ", \"source\": null");
    if (w->guarded) buf_fmt(b, ", \"guarded\": %s", w->guarded[i] ? "true" : "false");
}

/* A line without its last member and what closes it. */
static str form_line(const written_rows *w, lines_format format, uint32_t i, buf *b)
{
    b->n = 0;
    if (format == LINES_CHAT)
        form_chat(&w->turns->turns[i], b);
    else
        form_jsonl(w, i, b);
    return buf_view(b);
}

static status form_all(written_rows *w, lines_format format, err *e)
{
    expected_lines *x = &w->lines[format];
    buf b = {0};
    size_t n = w->turns->n;
    uint32_t *last = calloc(n + 1, sizeof *last);
    x->first = calloc(n + 1, sizeof *x->first);
    x->next = calloc(n + 1, sizeof *x->next);
    status st = last && x->first && x->next ? ST_OK : err_nomem(e, "verifying");
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        if (w->part[i] == PART_NO_ROW) continue;
        uint32_t before = x->lines.n, k = INTERN_NONE;
        str line = form_line(w, format, i, &b);
        if (buf_ok(&b)) line = arena_str(&x->bytes, line);
        if (buf_ok(&b) && line.p) k = intern_add(&x->lines, line);
        x->next[i] = NO_ROW;
        if (k == INTERN_NONE)
            st = err_nomem(e, "verifying");
        else if (k == before)
            x->first[k] = i;
        else
            x->next[last[k]] = i;
        if (k != INTERN_NONE) last[k] = i;
    }
    buf_release(&b);
    free(last);
    return st;
}

typedef struct checking {
    const lines_source *from;
    written_rows *w;
    expected_lines *x;
    uint32_t *free_turn; /* [lines.n] the first with this line that no line was yet */
    unsigned char *seen; /* [turns] */
    findings *f;
    uint32_t latest;
    uint64_t number;
} checking;

/* Takes what ends a line off it, and the part that it says; false: it does not end so. */
static bool cut_end(str *line, bool says_part, int *part)
{
    static const char member[] = ", \"split\": \"";
    *part = -1;
    if (line->n < 2 || memcmp(line->p + line->n - 2, "}\n", 2) != 0) return false;
    line->n -= 2;
    for (int k = 0; says_part && k <= PART_OTHER; k++) {
        char end[40];
        size_t n = (size_t)snprintf(end, sizeof end, "%s%s\"", member, part_names[k]);
        if (line->n < n || memcmp(line->p + line->n - n, end, n) != 0) continue;
        line->n -= n;
        *part = k;
        return true;
    }
    return !says_part;
}

/* A line that no row is written as: which it may have been. */
static status tell_unknown(const checking *c, str line, err *e)
{
    js *root = NULL;
    err why = {0};
    buf b = {0};
    place at = {c->from->path, c->number, STR(""), -1};
    if (js_parse(line, &root, &why)) return findings_add(c->f, &at, e, "%s", why.msg);
    double number = js_number(js_get(root, "conversation_turn"), -1);
    uint32_t i = NO_ROW;
    at.interaction_id = js_string(js_get(root, "interaction_id"));
    if (at.interaction_id.p && number >= 0 && number < 1e9 && number == (double)(int64_t)number) {
        at.turn = (int64_t)number;
        i = turn_index_at(c->w->turns, at.interaction_id, at.turn);
    }
    status st;
    if (c->from->format == LINES_CHAT || i == NO_ROW || c->w->part[i] == PART_NO_ROW) {
        st = findings_add(c->f, &at, e, "no row is written as this line");
    } else {
        str want = form_line(c->w, c->from->format, i, &b);
        size_t same = 0;
        while (same < want.n && same < line.n && want.p[same] == line.p[same]) same++;
        st = findings_add(c->f, &at, e, "differs from byte %zu on from what the row is written as",
                          same + 1);
    }
    buf_release(&b);
    js_free(root);
    return st;
}

/* What the line says of its part, or the file by being that part's. */
static status note_part(const checking *c, const place *at, uint32_t i, int says, err *e)
{
    const lines_source *from = c->from;
    unsigned char *part = &c->w->part[i];
    if (from->part >= 0) {
        *part = (unsigned char)from->part;
        if (says >= 0 && says != from->part)
            return findings_add(c->f, at, e, "the row says that it is in %s", part_names[says]);
        return ST_OK;
    }
    if (says < 0 || says == *part) return ST_OK;
    bool is_open = *part == PART_OTHER && says < PART_OTHER && !from->has_file[says];
    if (!is_open)
        return findings_add(c->f, at, e, "the row says that it is in %s, and is in %s",
                            part_names[says], part_names[*part]);
    *part = (unsigned char)says;
    return ST_OK;
}

static status take_line(checking *c, str line, err *e)
{
    int says = -1;
    str body = line;
    place at = {c->from->path, c->number, STR(""), -1};
    bool says_part = c->from->format == LINES_JSONL && c->from->has_file;
    if (line.p[line.n - 1] != '\n') return findings_add(c->f, &at, e, "the last line is cut short");
    uint32_t k = INTERN_NONE;
    if (cut_end(&body, says_part, &says)) k = intern_find(&c->x->lines, body);
    if (k == INTERN_NONE) return tell_unknown(c, line, e);
    uint32_t i = c->free_turn[k];
    if (i == NO_ROW) {
        i = c->x->first[k];
        at.interaction_id = c->w->turns->turns[i].of->id;
        at.turn = c->w->turns->turns[i].number;
        if (c->from->part >= 0 && c->w->part[i] < PART_OTHER && !c->seen[i])
            return findings_add(c->f, &at, e, "the row is in %s too", part_names[c->w->part[i]]);
        return findings_add(c->f, &at, e, "the row is there twice");
    }
    c->free_turn[k] = c->x->next[i];
    c->seen[i] = 1;
    at.interaction_id = c->w->turns->turns[i].of->id;
    at.turn = c->w->turns->turns[i].number;
    status st = ST_OK;
    if (c->latest != NO_ROW && i < c->latest)
        st = findings_add(c->f, &at, e, "the row is behind one that comes later in order");
    else
        c->latest = i;
    return st ? st : note_part(c, &at, i, says, e);
}

/* Rows that an earlier file of a part had are not free any more. */
static status begin_check(checking *c, err *e)
{
    c->free_turn = calloc((size_t)c->x->lines.n + 1, sizeof *c->free_turn);
    c->seen = calloc(c->w->turns->n + 1, 1);
    if (!c->free_turn || !c->seen) return err_nomem(e, "verifying");
    for (uint32_t k = 0; k < c->x->lines.n; k++) {
        uint32_t i = c->x->first[k];
        while (c->from->part >= 0 && i != NO_ROW && c->w->part[i] != PART_OTHER) i = c->x->next[i];
        c->free_turn[k] = i;
    }
    return ST_OK;
}

static status tell_missing(const checking *c, err *e)
{
    status st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && c->from->part < 0 && i < c->w->turns->n; i++) {
        const turn *t = &c->w->turns->turns[i];
        place at = {c->from->path, 0, t->of->id, t->number};
        if (c->w->part[i] != PART_NO_ROW && !c->seen[i])
            st = findings_add(c->f, &at, e, "this row is not in it as it must be written");
    }
    return st;
}

status lines_check(const lines_source *from, written_rows *w, findings *f, err *e)
{
    checking c = {.from = from, .w = w, .x = &w->lines[from->format], .f = f, .latest = NO_ROW};
    file_map map = {0};
    status st = ST_OK;
    if (access(from->path, F_OK) && errno == ENOENT) {
        if (from->optional) return ST_OK;
        return err_set(e, ST_FAILED, "%s is not there: `tamis export` writes it", from->path);
    }
    if (!c.x->first) st = form_all(w, from->format, e);
    if (st == ST_OK) st = begin_check(&c, e);
    if (st == ST_OK) st = file_map_open(from->path, &map, e);
    for (size_t at = 0; st == ST_OK && at < map.bytes.n;) {
        const char *p = map.bytes.p + at, *end = memchr(p, '\n', map.bytes.n - at);
        size_t n = end ? (size_t)(end - p) + 1 : map.bytes.n - at;
        c.number++;
        st = take_line(&c, (str){p, n}, e);
        at += n;
    }
    if (st == ST_OK) st = tell_missing(&c, e);
    file_unmap(&map);
    free(c.free_turn);
    free(c.seen);
    return st;
}

/* --- columns -------------------------------------------------------------------------------- */

/* How many there are behind the eighth. */
static int n_more(const written_rows *w)
{
    return w->guarded ? N_MORE : N_MORE - 1;
}

/* The field as it must be, in scratch or borrowed. */
static str form_field(const written_rows *w, uint32_t i, int column, buf *scratch)
{
    const weight *mine = &w->of[i];
    scratch->n = 0;
    if (column == 0) buf_fmt(scratch, "%u", w->turns->turns[i].number);
    if (column == 1) buf_fmt(scratch, "%llu", (unsigned long long)(mine->n - 1));
    if (column == 2) return w->turns->turns[mine->first].of->timestamp;
    if (column == 3) return w->turns->turns[mine->last].of->timestamp;
    if (column == 4) number_write_json(scratch, mean_rating(mine));
    if (column == 5) return origin_name(w->turns->turns[i].of->origin);
    if (column == 6) buf_z(scratch, w->guarded[i] ? "true" : "false");
    return buf_view(scratch);
}

static status check_header(const char *path, const csv_record *h, int more, findings *f, err *e)
{
    place at = {path, h->line, STR(""), -1};
    bool same = h->n == (size_t)(N_FIRST + more);
    for (int k = 0; same && k < more; k++)
        same = str_eq(h->fields[N_FIRST + k], str_from(more_columns[k]));
    if (same || h->fault) return ST_OK;
    return findings_add(f, &at, e, "behind the eighth, the columns are not those of %s",
                        more ? "export.columns = all" : "export.columns = reference");
}

static status check_record(const rows *r, const csv_record *record, uint32_t i,
                           const written_rows *w, findings *f, err *e)
{
    status st = ST_OK;
    buf scratch = {0};
    place at = {r->path, record->line, w->turns->turns[i].of->id, w->turns->turns[i].number};
    for (int k = 0; st == ST_OK && k < n_more(w); k++) {
        str want = form_field(w, i, k, &scratch);
        if (!buf_ok(&scratch))
            st = err_nomem(e, "verifying");
        else if (!str_eq(record->fields[N_FIRST + k], want))
            st = findings_add(f, &at, e, "%s is not %.*s", more_columns[k], STR_FMT(want));
    }
    buf_release(&scratch);
    return st;
}

status columns_check(const rows *r, bool all, const written_rows *w, findings *f, err *e)
{
    file_map map = {0};
    csv_record record;
    size_t n = 0;
    if (access(r->path, F_OK) && errno == ENOENT) return ST_OK;
    status st = file_map_open(r->path, &map, e);
    if (st) return st;
    csv_reader in = {.text = map.bytes, .line = 1};
    if (csv_next(&in, &record) != CSV_END)
        st = check_header(r->path, &record, all ? n_more(w) : 0, f, e);
    for (; st == ST_OK && all && n < r->n && csv_next(&in, &record) != CSV_END; n++)
        if (!record.fault && record.n == (size_t)(N_FIRST + n_more(w)) && r->list[n].turn != NO_ROW)
            st = check_record(r, &record, r->list[n].turn, w, f, e);
    csv_reader_release(&in);
    file_unmap(&map);
    return st;
}
