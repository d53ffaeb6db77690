/* intents.c - rows as intents: a kept utterance and, as further examples, what was removed in its
 * favour.
 *
 * An intent is named after its utterance: its words in ASCII, and eight digits of the SHA-256 of
 * the bot and the utterance, so that a name stays when other rows come and go.
 *
 * Rasa: NLU data 3.1 (https://rasa.com/docs/rasa/nlu-training-data).  An example is one line;
 * "[a](b)", "[a]{b}" and "[a][b]" would be an entity, so a blank is put between; and behind the
 * backslash of "C:\users", for of a file in ASCII Rasa decodes "\u1234" and refuses others.
 * YAML's literal blocks take every printable character as it is; a name that begins with a digit
 * is quoted, as 1234_56789012 is a number in YAML.
 * Cognigy: three columns without a header, name, property and value, LF
 * (https://docs.cognigy.com/ai/platform-features/nlu/intents/overview). */
#include "base/file.h"
#include "base/intern.h"
#include "base/utf8.h"
#include "export/export.h"
#include "export/row_weights.h"

enum { NAME_WORDS = 48, NAME_DIGITS = 8 };

typedef struct writing {
    export_format format;
    const export_rows *rows;
    row_weights weights;
    intern names; /* of intents, to tell equal ones apart */
    arena texts;  /* of names */
    buf out;
} writing;

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* "Where's my parcel?" as where_s_my_parcel, NAME_WORDS bytes at most. */
static void write_words(buf *b, str text)
{
    size_t start = b->n;
    for (size_t i = 0; i < text.n && b->n - start < NAME_WORDS; i++) {
        char c = text.p[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c | 0x20);
        if (is_word(c))
            buf_char(b, c);
        else if (b->n > start && b->p[b->n - 1] != '_')
            buf_char(b, '_');
    }
    if (b->n > start && b->p[b->n - 1] != '_') buf_char(b, '_');
}

/* The name of a row's intent; it lives in w->texts. */
static status name_intent(writing *w, const turn *t, str *out, err *e)
{
    buf b = {0};
    sha256 s;
    unsigned char digest[SHA256_SIZE];
    char hex[SHA256_HEX];
    sha256_init(&s);
    sha256_add(&s, t->of->bot_id.p, t->of->bot_id.n);
    sha256_add(&s, "", 1);
    sha256_add(&s, t->user_utterance.p, t->user_utterance.n);
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    write_words(&b, t->user_utterance);
    buf_fmt(&b, "%.*s", NAME_DIGITS, hex);
    size_t n = b.n;
    for (int k = 2; buf_ok(&b) && intern_find(&w->names, buf_view(&b)) != INTERN_NONE; k++) {
        b.n = n;
        buf_fmt(&b, "_%d", k);
    }
    *out = arena_str(&w->texts, buf_view(&b));
    bool ok = buf_ok(&b) && out->p && intern_add(&w->names, *out) != INTERN_NONE;
    buf_release(&b);
    return ok ? ST_OK : err_nomem(e, "writing intents");
}

/* One line: controls and line ends of any kind become blanks. */
static void write_line(buf *b, str text, bool rasa)
{
    uint32_t last = 0;
    for (size_t at = 0, from = 0; at < text.n; from = at) {
        uint32_t c = utf8_next(text, &at);
        bool control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
                       c == 0xfeff || (c & 0xfffe) == 0xfffe;
        bool entity = last == ']' && (c == '(' || c == '{' || c == '[');
        bool escape = last == '\\' && (c == 'u' || c == 'U');
        if (rasa && (entity || escape)) buf_char(b, ' ');
        last = c;
        if (control)
            buf_char(b, ' ');
        else
            buf_add(b, text.p + from, at - from);
    }
}

static void write_example(writing *w, str name, str text)
{
    buf *b = &w->out;
    if (w->format == EXPORT_RASA) {
        buf_z(b, "    - ");
        write_line(b, text, true);
        buf_char(b, '\n');
        return;
    }
    buf line = {0};
    buf_fmt(b, "%.*s,exampleSentence,", STR_FMT(name));
    write_line(&line, text, false);
    csv_write_field(b, buf_view(&line));
    buf_char(b, '\n');
    b->oom |= !buf_ok(&line);
    buf_release(&line);
}

static status write_intent(writing *w, uint32_t row, err *e)
{
    str name;
    intern seen = {0};
    const turn *t = &w->rows->turns[row];
    status st = name_intent(w, t, &name, e);
    if (st) return st;
    const char *quote = name.p[0] <= '9' ? "\"" : "";
    if (w->format == EXPORT_RASA)
        buf_fmt(&w->out, "- intent: %s%.*s%s\n  examples: |\n", quote, STR_FMT(name), quote);
    write_example(w, name, t->user_utterance);
    bool ok = intern_add(&seen, t->user_utterance) != INTERN_NONE;
    for (uint32_t k = w->weights.of[row].member; ok && k != NO_ROW; k = w->weights.next[k]) {
        str text = w->rows->turns[k].user_utterance;
        uint32_t n = seen.n, number = intern_add(&seen, text);
        if (number == n) write_example(w, name, text);
        ok = number != INTERN_NONE;
    }
    intern_release(&seen);
    if (w->format == EXPORT_COGNIGY) {
        buf_fmt(&w->out, "%.*s,defaultReply,", STR_FMT(name));
        csv_write_field(&w->out, t->bot_response);
        buf_char(&w->out, '\n');
    }
    return ok && buf_ok(&w->out) ? ST_OK : err_nomem(e, "writing intents");
}

status export_intents(export_format format, const char *path, const export_rows *rows,
                      export_result *out, err *e)
{
    file_out f = {0};
    writing w = {.format = format, .rows = rows};
    *out = (export_result){0};
    status st = row_weights_init(&w.weights, rows, e);
    if (st == ST_OK) st = file_begin(&f, path, e);
    if (st == ST_OK && format == EXPORT_RASA) buf_z(&w.out, "version: \"3.1\"\nnlu:\n");
    for (uint32_t i = 0; st == ST_OK && i < rows->n_turns; i++) {
        if (rows->verdicts[i].kept_row != NO_ROW) continue;
        st = write_intent(&w, i, e);
        out->rows++;
        if (st == ST_OK) st = file_write(&f, buf_view(&w.out), e);
        w.out.n = 0;
    }
    if (st == ST_OK) st = file_write(&f, buf_view(&w.out), e); /* of no row: the head */
    if (st == ST_OK) st = file_commit(&f, out->sha256, e);
    file_abort(&f);
    row_weights_release(&w.weights);
    intern_release(&w.names);
    arena_release(&w.texts);
    buf_release(&w.out);
    return st;
}
