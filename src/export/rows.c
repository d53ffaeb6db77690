/* rows.c - the kept turns as CSV, JSON lines and chat lines.
 *
 * dedup_group is the row's index and similarity_score 1.0, as the reference writes them.
 * The CSV dialect is Python's csv.excel: a field is quoted when it holds a comma, a quote,
 * CR or LF, quotes inside are doubled, lines end in CRLF. */
#include <float.h>
#include <math.h>

#include "base/file.h"
#include "base/json.h"
#include "base/number.h"
#include "export/export.h"
#include "export/row_weights.h"

/* Bytes gathered before they go to the file. */
enum { CHUNK = 1 << 16 };

void csv_write_field(buf *b, str field)
{
    bool quote = false;
    for (size_t i = 0; i < field.n && !quote; i++)
        quote = field.p[i] == ',' || field.p[i] == '"' || field.p[i] == '\r' || field.p[i] == '\n';
    if (!quote) {
        buf_str(b, field);
        return;
    }
    buf_char(b, '"');
    for (size_t i = 0; i < field.n; i++) {
        if (field.p[i] == '"') buf_char(b, '"');
        buf_char(b, field.p[i]);
    }
    buf_char(b, '"');
}

static double mean_rating(const row_weight *w)
{
    return fmin(w->ratings / (double)(w->duplicates + 1) / RATING_UNIT, DBL_MAX);
}

static const char *is_guarded(const export_rows *rows, size_t i)
{
    return rows->guarded[i] ? "true" : "false";
}

static void write_csv(buf *b, const export_rows *rows, const row_weights *weights, size_t i,
                      uint64_t row)
{
    const turn *t = &rows->turns[i];
    const row_weight *w = &weights->of[i];
    const str fields[] = {t->of->id,      t->of->timestamp,  t->of->bot_id,
                          t->rating_text, t->user_utterance, t->bot_response};
    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
        csv_write_field(b, fields[k]);
        buf_char(b, ',');
    }
    buf_fmt(b, "1.0,%llu", (unsigned long long)row);
    if (rows->all_columns) {
        buf_fmt(b, ",%u,%llu,", t->number, (unsigned long long)w->duplicates);
        csv_write_field(b, w->first->timestamp);
        buf_char(b, ',');
        csv_write_field(b, w->last->timestamp);
        buf_char(b, ',');
        number_write_json(b, mean_rating(w));
        buf_char(b, ',');
        csv_write_field(b, origin_name(t->of->origin));
        if (rows->guarded) buf_fmt(b, ",%s", is_guarded(rows, i));
    }
    buf_z(b, "\r\n");
}

static void member(buf *b, const char *name, str text)
{
    js_write_string(b, str_from(name));
    buf_z(b, ": ");
    js_write_string(b, text);
    buf_z(b, ", ");
}

static void write_jsonl(buf *b, const export_rows *rows, const row_weights *weights, size_t i,
                        uint64_t row)
{
    const turn *t = &rows->turns[i];
    const row_weight *w = &weights->of[i];
    buf_char(b, '{');
    member(b, "interaction_id", t->of->id);
    member(b, "timestamp", t->of->timestamp);
    member(b, "bot_id", t->of->bot_id);
    buf_z(b, "\"rating\": ");
    number_write_json(b, t->rating);
    buf_z(b, ", ");
    member(b, "user_utterance", t->user_utterance);
    member(b, "bot_response", t->bot_response);
    buf_fmt(b, "\"similarity_score\": 1.0, \"dedup_group\": %llu, ", (unsigned long long)row);
    buf_fmt(b, "\"conversation_turn\": %u, \"duplicates\": %llu, ", t->number,
            (unsigned long long)w->duplicates);
    member(b, "first_seen", w->first->timestamp);
    member(b, "last_seen", w->last->timestamp);
    buf_z(b, "\"mean_rating\": ");
    number_write_json(b, mean_rating(w));
    buf_z(b, ", \"source\": ");
    str source = origin_name(t->of->origin);
    if (source.n)
        js_write_string(b, source);
    else
        buf_z(b, "null");
    if (rows->guarded) buf_fmt(b, ", \"guarded\": %s", is_guarded(rows, i));
    if (rows->split) buf_fmt(b, ", \"split\": \"%s\"", rows->parts[rows->split[i]]);
    buf_z(b, "}\n");
}

static void write_chat(buf *b, const turn *t)
{
    buf_z(b, "{\"messages\": [{\"role\": \"user\", \"content\": ");
    js_write_string(b, t->user_utterance);
    buf_z(b, "}, {\"role\": \"assistant\", \"content\": ");
    js_write_string(b, t->bot_response);
    buf_z(b, "}]}\n");
}

static void write_row(export_format format, buf *b, const export_rows *rows, const row_weights *w,
                      size_t i, uint64_t row)
{
    if (format == EXPORT_CSV)
        write_csv(b, rows, w, i, row);
    else if (format == EXPORT_JSONL)
        write_jsonl(b, rows, w, i, row);
    else
        write_chat(b, &rows->turns[i]);
}

static status write_rows(export_format format, const export_rows *rows, const row_weights *w,
                         file_out *f, uint64_t *n, err *e)
{
    buf b = {0};
    uint64_t number = 0;
    status st = ST_OK;
    if (format == EXPORT_CSV) {
        buf_z(&b, "interaction_id,timestamp,bot_id,rating,user_utterance,bot_response,"
                  "similarity_score,dedup_group");
        if (rows->all_columns)
            buf_z(&b, ",conversation_turn,duplicates,first_seen,last_seen,mean_rating,source");
        if (rows->all_columns && rows->guarded) buf_z(&b, ",guarded");
        buf_z(&b, "\r\n");
    }
    for (size_t i = 0; st == ST_OK && i < rows->n_turns; i++) {
        if (rows->verdicts[i].kept_row != NO_ROW) continue;
        uint64_t row = number++;
        if (rows->only >= 0 && rows->split[i] != rows->only) continue;
        write_row(format, &b, rows, w, i, row);
        (*n)++;
        if (b.n < CHUNK) continue;
        st = file_write(f, buf_view(&b), e);
        b.n = 0;
    }
    if (st == ST_OK && !buf_ok(&b)) st = err_nomem(e, "writing the rows");
    if (st == ST_OK) st = file_write(f, buf_view(&b), e);
    buf_release(&b);
    return st;
}

status export_file(export_format format, const char *path, const export_rows *rows,
                   export_result *out, err *e)
{
    file_out f = {0};
    row_weights w = {0};
    *out = (export_result){0};
    status st = row_weights_init(&w, rows, e);
    if (st == ST_OK) st = file_begin(&f, path, e);
    if (st == ST_OK) st = write_rows(format, rows, &w, &f, &out->rows, e);
    if (st == ST_OK) st = file_commit(&f, out->sha256, e);
    file_abort(&f);
    row_weights_release(&w);
    return st;
}
