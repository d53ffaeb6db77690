/* redact.c - from spans to texts: scanners and patterns, marks, counts.
 *
 * The finds of all rules in the text as it was are joined where they overlap, so nothing shows
 * through between two of them, and the order of rules decides the name alone.  Marks consist
 * of characters in which no built-in rule can find anything, finds that lie within marks are
 * passed over, and a text is looked at again until nothing is found: redacting twice is
 * redacting once. */
#include "curate/redact.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/regex.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "curate/scan_word.h"

typedef struct rule_of_user {
    const char *name;
    regex *regex;
} rule_of_user;

struct redactor {
    bool on[SCAN_RULES];
    rule_of_user *patterns; /* [n_patterns] */
    size_t n_patterns;
    redact_action action;
    unsigned char key[SHA256_SIZE]; /* SHA-256 of the key, which HMAC may use in its place */
    arena texts;
};

enum { HASH_LETTERS = 12, KEY_MARK_BYTES = 8 };

/* --- rules -------------------------------------------------------------------------------- */

void redactor_free(redactor *r)
{
    if (!r) return;
    for (size_t i = 0; i < r->n_patterns; i++) regex_free(r->patterns[i].regex);
    arena_release(&r->texts);
    explicit_bzero(r, sizeof *r);
    free(r);
}

static bool turn_on(redactor *r, str name)
{
    for (size_t i = 0; i < SCAN_RULES; i++)
        if (str_eq(name, str_from(scan_rule_names[i]))) return r->on[i] = true;
    return false;
}

static status read_rules(redactor *r, const char *list, err *e)
{
    for (str rest = str_from(list), one; str_cut(&rest, ',', &one);) {
        one = utf8_strip(one);
        if (one.n && !turn_on(r, one))
            return err_set(e, ST_USAGE,
                           "redact.rules: there is no rule \"%.*s\"; there are card, iban, email, "
                           "phone, ssn and ip",
                           STR_FMT(one));
    }
    return ST_OK;
}

static status read_patterns(redactor *r, const redact_options *o, err *e)
{
    r->patterns = arena_alloc(&r->texts, o->n_patterns, sizeof *r->patterns);
    if (o->n_patterns && !r->patterns) return err_nomem(e, "reading redact.pattern");
    for (size_t i = 0; i < o->n_patterns; i++) {
        err why = {0};
        const redact_pattern *p = &o->patterns[i];
        rule_of_user *u = &r->patterns[r->n_patterns++];
        u->name = arena_str(&r->texts, str_from(p->name)).p;
        if (!u->name) return err_nomem(e, "reading redact.pattern");
        if (regex_new(str_from(p->regex), &u->regex, &why))
            return err_set(e, ST_USAGE, "redact.pattern.%s = %s: %s", p->name, p->regex, why.msg);
    }
    return ST_OK;
}

status redactor_new(const redact_options *o, redactor **out, err *e)
{
    redactor *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r) return err_nomem(e, "reading [redact]");
    r->action = o->action;
    sha256_of(o->key, r->key);
    status st = read_rules(r, o->rules, e);
    if (st == ST_OK) st = read_patterns(r, o, e);
    if (st)
        redactor_free(r);
    else
        *out = r;
    return st;
}

size_t redactor_n_rules(const redactor *r)
{
    return SCAN_RULES + r->n_patterns;
}

bool redactor_rule_is_on(const redactor *r, size_t rule)
{
    return rule >= SCAN_RULES || r->on[rule];
}

const char *redactor_rule_name(const redactor *r, size_t rule)
{
    return rule < SCAN_RULES ? scan_rule_names[rule] : r->patterns[rule - SCAN_RULES].name;
}

void redactor_key_mark(const redactor *r, buf *out)
{
    unsigned char digest[SHA256_SIZE];
    char hex[SHA256_HEX];
    if (r->action != REDACT_HASH) return;
    hmac_sha256((str){(const char *)r->key, sizeof r->key}, STR("which key"), digest);
    sha256_hex(digest, hex);
    buf_fmt(out, "redact.key=%.*s\n", 2 * KEY_MARK_BYTES, hex);
}

/* --- marks -------------------------------------------------------------------------------- */

static bool is_mark_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}

static bool names_rule(const redactor *r, str label)
{
    for (size_t i = 0; i < redactor_n_rules(r); i++) {
        str name = str_from(redactor_rule_name(r, i));
        bool same = name.n == label.n;
        for (size_t k = 0; same && k < name.n; k++)
            same = (is_letter(name.p[k]) ? (char)(name.p[k] & ~0x20) : name.p[k]) == label.p[k];
        if (same) return true;
    }
    return false;
}

/* The end of the mark that begins at `at` ("[CARD]", "[CARD:abcdefghijkl]"), or 0. */
static size_t mark_end(const redactor *r, str t, size_t at)
{
    size_t i = at + 1, letters = 0;
    while (is_mark_letter(byte_at(t, i))) i++;
    str label = {t.p + at + 1, i - at - 1};
    if (!label.n) return 0;
    if (byte_at(t, i) == ':') {
        for (i++; byte_at(t, i) >= 'a' && byte_at(t, i) <= 'p'; i++) letters++;
        if (letters != HASH_LETTERS) return 0;
    }
    return byte_at(t, i) == ']' && names_rule(r, label) ? i + 1 : 0;
}

/* Beyond ASCII: white space, marks of combining, punctuation and symbols, as people type them; no
 * letter or digit of Unicode is among them. */
static bool is_sign(uint32_t c)
{
    static const uint32_t signs[][2] = {
        {0x80, 0xA9},       {0xAB, 0xB1},       {0xB4, 0xB4},     {0xB6, 0xB8},
        {0xBB, 0xBB},       {0xBF, 0xBF},       {0xD7, 0xD7},     {0xF7, 0xF7},
        {0x2EF, 0x36F},     {0x606, 0x60F},     {0x61B, 0x61F},   {0x66A, 0x66D},
        {0x6D4, 0x6D4},     {0x2000, 0x206F},   {0x20A0, 0x20CF}, {0x2190, 0x245F},
        {0x2500, 0x2775},   {0x2794, 0x2BFF},   {0x3000, 0x3004}, {0x3008, 0x3020},
        {0x3030, 0x3030},   {0xFE00, 0xFE6F},   {0xFF00, 0xFF0F}, {0xFF1A, 0xFF20},
        {0xFF3B, 0xFF40},   {0xFF5B, 0xFF65},   {0xFFE0, 0xFFFF}, {0x1F000, 0x1F0FF},
        {0x1F10D, 0x1FAFF}, {0xE0000, 0xE007F},
    };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (c >= signs[i][0] && c <= signs[i][1]) return true;
    return utf8_is_space(c);
}

bool redact_left_empty(const redactor *r, str t)
{
    bool marked = false;
    for (size_t i = 0; i < t.n;) {
        size_t end = t.p[i] == '[' ? mark_end(r, t, i) : 0;
        marked |= end || (t.p[i] == '*' && r->action == REDACT_MASK);
        if (end) {
            i = end;
            continue;
        }
        size_t from = i;
        uint32_t c = utf8_next(t, &i);
        if (is_alnum(t.p[from]) || (c >= 0x80 && !is_sign(c))) return false;
    }
    return marked;
}

/* Takes away the spans that lie in marks. */
static void pass_over_marks(const redactor *r, str t, spans *s)
{
    spans marks = {0};
    size_t n = 0, m = 0;
    for (size_t i = 0; s->n && i < t.n; i++) {
        size_t end = t.p[i] == '[' ? mark_end(r, t, i) : 0;
        if (end) spans_add(&marks, i, end, 0);
    }
    for (size_t i = 0; i < s->n; i++) {
        span one = s->list[i];
        while (m < marks.n && marks.list[m].end < one.end) m++;
        if (m == marks.n || marks.list[m].start > one.start) s->list[n++] = one;
    }
    s->n = n;
    s->oom |= marks.oom;
    spans_release(&marks);
}

static void write_hash(const redactor *r, uint32_t rule, str found, buf *out)
{
    unsigned char digest[SHA256_SIZE];
    buf value = {0};
    buf_z(&value, redactor_rule_name(r, rule));
    buf_char(&value, '\0');
    for (size_t i = 0; i < found.n; i++) {
        char c = found.p[i];
        /* However it is written: cards, accounts and numbers without separators. */
        bool counts = rule >= SCAN_RULES || rule == SCAN_EMAIL || rule == SCAN_IP || is_alnum(c);
        if (counts) buf_char(&value, rule < SCAN_RULES && is_letter(c) ? (char)(c | 0x20) : c);
    }
    hmac_sha256((str){(const char *)r->key, sizeof r->key}, buf_view(&value), digest);
    out->oom |= !buf_ok(&value);
    buf_release(&value);
    buf_char(out, ':');
    for (size_t i = 0; i < HASH_LETTERS; i++)
        buf_char(out, (char)('a' + (digest[i / 2] >> (i % 2 ? 0 : 4) & 15)));
}

static void write_mark(const redactor *r, uint32_t rule, str found, buf *out)
{
    if (r->action == REDACT_MASK) {
        for (size_t i = 0; i < found.n;) {
            size_t from = i;
            uint32_t c = utf8_next(found, &i);
            if (is_alnum(found.p[from]) || (c >= 0x80 && !utf8_is_space(c)))
                buf_char(out, '*');
            else
                buf_add(out, found.p + from, i - from);
        }
        return;
    }
    buf_char(out, '[');
    for (const char *p = redactor_rule_name(r, rule); *p; p++)
        buf_char(out, is_letter(*p) ? (char)(*p & ~0x20) : *p);
    if (r->action == REDACT_HASH) write_hash(r, rule, found, out);
    buf_char(out, ']');
}

/* --- texts -------------------------------------------------------------------------------- */

static void search(const redactor *r, size_t which, str t, spans *out)
{
    size_t at = 0, start, end;
    regex_result found;
    while ((found = regex_search(r->patterns[which].regex, t, at, &start, &end)) == REGEX_FOUND) {
        spans_add(out, start, end, SCAN_RULES + (uint32_t)which);
        at = end;
    }
    if (found == REGEX_GAVE_UP) spans_add(out, 0, t.n, SCAN_RULES + (uint32_t)which);
}

status redact_find(const redactor *r, str t, spans *out, err *e)
{
    static void (*const scanners[SCAN_RULES])(str, spans *) = {
        [SCAN_CARD] = scan_cards,   [SCAN_IBAN] = scan_ibans, [SCAN_EMAIL] = scan_emails,
        [SCAN_PHONE] = scan_phones, [SCAN_SSN] = scan_ssns,   [SCAN_IP] = scan_ips};
    bool may = false; /* each of the built-in rules needs a digit or an '@' */
    for (size_t i = 0; i < t.n && !may; i++) may = is_digit(t.p[i]) || t.p[i] == '@';
    for (size_t i = 0; may && i < SCAN_RULES; i++)
        if (r->on[i]) scanners[i](t, out);
    for (size_t i = 0; t.n && i < r->n_patterns; i++) search(r, i, t, out);
    spans_join(out);
    pass_over_marks(r, t, out);
    return out->oom ? err_nomem(e, "redacting") : ST_OK;
}

/* Appends the text with its finds replaced. */
static void replace(const redactor *r, str text, const spans *found, uint64_t *counts, buf *out)
{
    size_t at = 0;
    for (size_t i = 0; i < found->n; i++) {
        const span *s = &found->list[i];
        buf_add(out, text.p + at, s->start - at);
        write_mark(r, s->rule, (str){text.p + s->start, s->end - s->start}, out);
        if (counts) counts[s->rule]++;
        at = s->end;
    }
    buf_add(out, text.p + at, text.n - at);
}

status redact_text(const redactor *r, str text, buf *scratch, str *out, uint64_t *counts, err *e)
{
    enum { ROUNDS = 8 };
    spans found = {0};
    buf next = {0};
    *out = text;
    buf_clear(scratch);
    status st = redact_find(r, text, &found, e);
    /* What stood beside a find may be one itself without it: again, until nothing is found. */
    for (int i = 0; st == ST_OK && found.n && i < ROUNDS; i++) {
        buf_clear(&next);
        replace(r, *out, &found, counts, &next);
        buf swap = *scratch;
        *scratch = next;
        next = swap;
        *out = buf_view(scratch);
        found.n = 0;
        st = buf_ok(scratch) ? redact_find(r, *out, &found, e) : err_nomem(e, "redacting");
    }
    buf_release(&next);
    spans_release(&found);
    return st;
}
