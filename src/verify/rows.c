/* rows.c - reads an exported file and finds the turn behind each row.
 *
 * A row names its interaction, not its turn: of the interaction's turns it is the first that says
 * the same and that no earlier row is.  Two turns of one interaction that say the same have the
 * same vectors, of question and answer, so only the first of them can be kept. */
#include "verify/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/lines.h"
#include "verify/csv_reader.h"

enum { N_TEXTS = 6, N_COLUMNS = 8 };

static const char *const columns[N_COLUMNS] = {"interaction_id",   "timestamp",      "bot_id",
                                               "rating",           "user_utterance", "bot_response",
                                               "similarity_score", "dedup_group"};
enum { ID, TIMESTAMP, BOT_ID, RATING, USER_UTTERANCE, BOT_RESPONSE };

/* What a row says. */
typedef struct claim {
    str texts[N_TEXTS];
    bool rating_is_number; /* JSON: then it is here and not among the texts */
    double rating;
    bool is_one;    /* similarity_score is 1.0 */
    bool has_group; /* dedup_group is a number, ... */
    double group;   /* ... this one */
    uint64_t line;
} claim;

typedef struct reading {
    const rows_source *from;
    const turn_index *x;
    rows *out;
    findings *f;
    bool begun;
    uint32_t latest; /* the turn furthest on of those that rows were */
} reading;

void rows_release(rows *r)
{
    free(r->list);
    free(r->row_of);
    arena_release(&r->texts);
    *r = (rows){0};
}

/* --- which turn a row is -------------------------------------------------------------------- */

static bool says(const claim *c, const turn *t, int column)
{
    const str texts[N_TEXTS] = {t->of->id,      t->of->timestamp,  t->of->bot_id,
                                t->rating_text, t->user_utterance, t->bot_response};
    if (column == RATING && c->rating_is_number) return c->rating == t->rating;
    return str_eq(c->texts[column], texts[column]);
}

static int n_said(const claim *c, const turn *t, int *first_difference)
{
    int n = 0;
    for (int k = N_TEXTS - 1; k >= 0; k--) {
        if (says(c, t, k))
            n++;
        else
            *first_difference = k;
    }
    return n;
}

/* The turn; NO_ROW, and why: as the end of a sentence. */
static uint32_t find_turn(const reading *r, const claim *c, const char **why, int *difference)
{
    int best = -1, at = 0;
    str id = c->texts[ID];
    bool taken = false;
    *why = "is of an interaction that the store does not have, or that did not pass the filters";
    for (size_t i = turn_index_find(r->x, id, 0); i < r->x->n; i++) {
        uint32_t k = r->x->by_id[i];
        const turn *t = &r->x->turns[k];
        if (!str_eq(t->of->id, id)) break;
        int n = n_said(c, t, &at);
        bool is_taken = r->out->row_of[k] != NO_ROW;
        if (n == N_TEXTS && !is_taken) return k;
        taken |= n == N_TEXTS;
        if (n > best) *difference = at;
        if (n > best) best = n;
    }
    if (best >= 0) *why = "is not what the store has";
    if (taken) *why = "is there twice";
    return NO_ROW;
}

static status check_row(reading *r, const claim *c, uint32_t k, err *e)
{
    place at = {r->from->path, c->line, c->texts[ID],
                k == NO_ROW ? -1 : (int64_t)r->x->turns[k].number};
    status st = ST_OK;
    if (!c->is_one) st = findings_add(r->f, &at, e, "similarity_score is not 1.0");
    if (st == ST_OK && !(c->has_group && c->group == (double)r->out->n))
        st = findings_add(r->f, &at, e, "dedup_group is not %zu, the number of the row", r->out->n);
    if (st == ST_OK && k != NO_ROW && r->latest != NO_ROW && k < r->latest)
        st = findings_add(r->f, &at, e, "this row is behind one that comes later in order");
    if (k != NO_ROW && (r->latest == NO_ROW || k > r->latest)) r->latest = k;
    return st;
}

static status grow(rows *out, err *e)
{
    enum { FIRST = 1024 };
    if (out->n < out->cap) return ST_OK;
    size_t cap = out->cap ? 2 * out->cap : FIRST;
    row *list = reallocarray(out->list, cap, sizeof *list);
    if (!list || cap >= NO_ROW) return err_nomem(e, "reading rows");
    out->list = list;
    out->cap = cap;
    return ST_OK;
}

static status take_row(reading *r, const claim *c, err *e)
{
    const char *why = "";
    int difference = 0;
    rows *out = r->out;
    status st = grow(out, e);
    if (st) return st;
    uint32_t k = find_turn(r, c, &why, &difference);
    row *mine = &out->list[out->n];
    *mine = (row){.turn = k, .line = c->line};
    if (k == NO_ROW) {
        place at = {r->from->path, c->line, c->texts[ID], -1};
        st =
            findings_add(r->f, &at, e, "%s %s", difference ? columns[difference] : "this row", why);
        mine->interaction_id = arena_str(&out->texts, c->texts[ID]);
        mine->bot_id = arena_str(&out->texts, c->texts[BOT_ID]);
        mine->user_utterance = arena_str(&out->texts, c->texts[USER_UTTERANCE]);
        mine->bot_response = arena_str(&out->texts, c->texts[BOT_RESPONSE]);
        if (!mine->interaction_id.p || !mine->bot_id.p || !mine->user_utterance.p ||
            !mine->bot_response.p)
            st = err_nomem(e, "reading rows");
    } else {
        const turn *t = &r->x->turns[k];
        out->row_of[k] = (uint32_t)out->n;
        mine->interaction_id = t->of->id;
        mine->bot_id = t->of->bot_id;
        mine->user_utterance = t->user_utterance;
        mine->bot_response = t->bot_response;
    }
    if (st == ST_OK) st = check_row(r, c, k, e);
    out->n++;
    return st;
}

/* A row that cannot be read counts as one all the same: those behind it have their numbers. */
static status bad_row(reading *r, uint64_t line, const char *why, err *e)
{
    place at = {r->from->path, line, STR(""), -1};
    status st = grow(r->out, e);
    if (st) return st;
    r->out->list[r->out->n++] = (row){.turn = NO_ROW, .line = line};
    return findings_add(r->f, &at, e, "%s", why);
}

/* --- CSV ------------------------------------------------------------------------------------ */

/* A whole number as it is written, without a sign or zeros in front. */
static bool plain_number(str s, double *out)
{
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        *out = *out * 10 + (s.p[i] - '0');
    }
    return s.n && s.n < 16 && (s.n == 1 || s.p[0] != '0');
}

static status take_header(reading *r, const csv_record *h, size_t *n_columns, err *e)
{
    place at = {r->from->path, h->line, STR(""), -1};
    bool same = !h->fault && h->n >= N_COLUMNS;
    for (size_t i = 0; same && i < N_COLUMNS; i++)
        same = str_eq(h->fields[i], str_from(columns[i]));
    *n_columns = same ? h->n : N_COLUMNS;
    r->begun = true;
    return same ? ST_OK : findings_add(r->f, &at, e, "the header is not that of the eight columns");
}

static status take_record(reading *r, const csv_record *record, size_t n_columns, err *e)
{
    claim c = {.line = record->line};
    if (record->fault) return bad_row(r, record->line, record->fault, e);
    if (record->n != n_columns)
        return bad_row(r, record->line, "not as many fields as the header has", e);
    memcpy(c.texts, record->fields, sizeof c.texts);
    c.is_one = str_eq(record->fields[N_TEXTS], STR("1.0"));
    c.has_group = plain_number(record->fields[N_TEXTS + 1], &c.group);
    return take_row(r, &c, e);
}

static status read_csv(reading *r, err *e)
{
    file_map map = {0};
    csv_record record;
    size_t n_columns = N_COLUMNS;
    status st = file_map_open(r->from->path, &map, e);
    if (st) return st;
    csv_reader in = {.text = map.bytes, .line = 1};
    while (st == ST_OK && csv_next(&in, &record) != CSV_END)
        st = r->begun ? take_record(r, &record, n_columns, e)
                      : take_header(r, &record, &n_columns, e);
    if (st == ST_OK && !r->begun) st = bad_row(r, 1, "the file is empty", e);
    csv_reader_release(&in);
    file_unmap(&map);
    return st;
}

/* --- JSON lines ----------------------------------------------------------------------------- */

static status take_line(reading *r, str line, uint64_t number, err *e)
{
    js *root = NULL;
    err why = {0};
    claim c = {.line = number};
    if (line.p[line.n - 1] != '\n') return bad_row(r, number, "the last line is cut short", e);
    if (js_parse(line, &root, &why)) return bad_row(r, number, why.msg, e);
    for (int k = 0; k < N_TEXTS; k++) c.texts[k] = js_string(js_get(root, columns[k]));
    const js *rating = js_get(root, columns[RATING]), *group = js_get(root, "dedup_group");
    c.rating_is_number = js_type(rating) == JS_NUMBER;
    c.rating = js_number(rating, 0);
    c.is_one = js_number(js_get(root, "similarity_score"), 0) == 1;
    c.has_group = js_type(group) == JS_NUMBER;
    c.group = js_number(group, -1);
    status st = take_row(r, &c, e);
    js_free(root);
    return st;
}

static status read_jsonl(reading *r, err *e)
{
    lines *in = NULL;
    str line = {0};
    status st = lines_open(r->from->path, RECORD_LIMIT, NULL, &in, e);
    while (st == ST_OK) {
        st = lines_next(in, &line, e);
        if (st || !line.n) break;
        st = take_line(r, line, lines_number(in), e);
    }
    lines_close(in);
    return st;
}

/* -------------------------------------------------------------------------------------------- */

status rows_read(const rows_source *from, const turn_index *x, rows *out, findings *f, err *e)
{
    reading r = {.from = from, .x = x, .out = out, .f = f, .latest = NO_ROW};
    *out = (rows){.path = from->path, .row_of = malloc((x->n + 1) * sizeof *out->row_of)};
    if (!out->row_of) return err_nomem(e, "reading rows");
    for (size_t i = 0; i < x->n; i++) out->row_of[i] = NO_ROW;
    if (access(from->path, F_OK) && errno == ENOENT) {
        if (from->optional) return ST_OK;
        return err_set(e, ST_FAILED, "%s is not there: `tamis export` writes it", from->path);
    }
    return from->format == ROWS_CSV ? read_csv(&r, e) : read_jsonl(&r, e);
}
