/* config.c - one table of keys; reading, checking, naming the nearest and writing the
 * template all walk it.
 *
 * Secrets have no key: they come from the environment or a file, so that neither a command
 * line nor tamis.ini ever holds one. */
#include "config.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/ini.h"
#include "base/number.h"
#include "base/regex.h"
#include "base/time.h"
#include "base/utf8.h"

typedef enum {
    KEY_TEXT,
    KEY_CHOICE,
    KEY_LIST,
    KEY_NUMBER,
    KEY_COUNT,
    KEY_DURATION,
    KEY_INSTANT,
    KEY_SIZE /* or empty; changes how something is made, never what */
} key_type;

typedef struct key {
    const char *section, *name;
    key_type type;
    size_t at; /* where in struct config */
    const char *preset;
    const char *choices; /* KEY_CHOICE, and KEY_LIST of such: "a|b|c" */
    double lo, hi;       /* KEY_NUMBER, KEY_COUNT, KEY_DURATION */
    const char *help;
} key;

#define AT(member) offsetof(config, member)
#define DAY 86400.0

static const key keys[] = {
    {"source", "type", KEY_CHOICE, AT(source.type), "interactions-v2",
     "interactions-v2|cognigy-odata|dfo|file", 0, 0, "interactions-v2, cognigy-odata, dfo or file"},
    {"source", "path", KEY_TEXT, AT(source.path), "", NULL, 0, 0,
     "file: a page, an array, or one interaction a line; .gz and .zst too; - is standard input"},
    {"source", "instance", KEY_TEXT, AT(source.instance), "", NULL, 0, 0,
     "acme: https://acme.cxone.com/oauth/token and /api/v2/interactions"},
    {"source", "base_url", KEY_TEXT, AT(source.base_url), "", NULL, 0, 0,
     "instead of instance: {base_url}/oauth/token and {base_url}/api/v2/interactions"},
    {"source", "token_url", KEY_TEXT, AT(source.token_url), "", NULL, 0, 0,
     "instead of {base_url}/oauth/token"},
    {"source", "auth", KEY_CHOICE, AT(source.auth), "client-credentials",
     "client-credentials|password|access-key|api-key", 0, 0,
     "client-credentials, password (an access key and the client), access-key or api-key"},
    {"source", "client_id", KEY_TEXT, AT(source.client_id), "", NULL, 0, 0, "of the OAuth client"},
    {"source", "client_secret_env", KEY_TEXT, AT(source.client_secret_env), "TAMIS_CLIENT_SECRET",
     NULL, 0, 0, "the environment variable that holds the secret (or the API key)"},
    {"source", "client_secret_file", KEY_TEXT, AT(source.client_secret_file), "", NULL, 0, 0,
     "or a file that holds it, not readable by others"},
    {"source", "client_auth", KEY_CHOICE, AT(source.client_auth), "basic", "basic|post", 0, 0,
     "auth = password: id and secret as Basic authorization, or posted with the form"},
    {"source", "issuer", KEY_TEXT, AT(source.issuer), "https://cxone.niceincontact.com", NULL, 0, 0,
     "auth = password, where token_url is empty: whose OpenID metadata name the token endpoint"},
    {"source", "access_key_id", KEY_TEXT, AT(source.access_key_id), "", NULL, 0, 0,
     "auth = password, access-key: of the user's access key"},
    {"source", "access_key_secret_env", KEY_TEXT, AT(source.access_key_secret_env),
     "TAMIS_ACCESS_KEY_SECRET", NULL, 0, 0, "the environment variable that holds its secret"},
    {"source", "access_key_secret_file", KEY_TEXT, AT(source.access_key_secret_file), "", NULL, 0,
     0, "or a file that holds it, not readable by others"},
    {"source", "api_key_header", KEY_TEXT, AT(source.api_key_header), "apikey", NULL, 0, 0,
     "auth = api-key: the header field that the key (client_secret_env) is sent in"},
    {"source", "scope", KEY_TEXT, AT(source.scope), "interactions:read analytics:read", NULL, 0, 0,
     "auth = client-credentials: scopes to ask for"},
    {"source", "since", KEY_INSTANT, AT(source.since), "", NULL, 0, 0,
     "oldest timestamp of a first sync; empty: everything"},
    {"source", "bot_field", KEY_TEXT, AT(source.bot_field), "projectId", NULL, 0, 0,
     "cognigy-odata: the field whose value is the botId (projectId, endpointName, flowName ...)"},
    {"source", "rating_field", KEY_TEXT, AT(source.rating_field), "", NULL, 0, 0,
     "dfo: the ident of the custom field that holds a contact's rating"},
    {"source", "bot_users", KEY_TEXT, AT(source.bot_users), "", NULL, 0, 0,
     "dfo: ids of the users that are bots, separated by commas; empty: those marked as bots; *: "
     "whoever answers"},
    {"source", "page_size", KEY_COUNT, AT(source.page_size), "200", NULL, 1, 10000,
     "interactions a page"},
    {"source", "page_delay", KEY_DURATION, AT(source.page_delay), "0.5s", NULL, 0, 3600,
     "between pages"},
    {"source", "lookback", KEY_DURATION, AT(source.lookback), "7d", NULL, 0, 36500 * DAY,
     "how far back each sync looks again, for late rows and late ratings"},
    {"source", "settle", KEY_DURATION, AT(source.settle), "60s", NULL, 0, 30 * DAY,
     "newest rows left to the next sync"},
    {"source", "max_attempts", KEY_COUNT, AT(source.max_attempts), "5", NULL, 1, 100,
     "per request"},
    {"source", "max_wait", KEY_DURATION, AT(source.max_wait), "60s", NULL, 0, DAY,
     "longest single wait that the server can ask for; longer: exit 3"},
    {"source", "wait_budget", KEY_DURATION, AT(source.wait_budget), "1h", NULL, 0, 365 * DAY,
     "most time spent waiting in a run; more: exit 3; 0: no limit"},
    {"source", "timeout", KEY_DURATION, AT(source.timeout), "30s", NULL, 0.1, 3600,
     "to connect, and without a byte"},
    {"source", "ca_file", KEY_TEXT, AT(source.ca_file), "", NULL, 0, 0,
     "certificates to trust instead of the system's"},
    {"filter", "min_rating", KEY_NUMBER, AT(filter.min_rating), "4", NULL, -HUGE_VAL, HUGE_VAL,
     "interactions rated lower, or not at all, are left out"},
    {"filter", "rating_map", KEY_TEXT, AT(filter.rating_map), "", NULL, 0, 0,
     "other scales: -1=1,1=5"},
    {"filter", "bots", KEY_TEXT, AT(filter.bots), "", NULL, 0, 0,
     "botIds to keep, separated by commas; empty: all"},
    {"redact", "rules", KEY_LIST, AT(redact.rules), "", "card|iban|email|phone|ssn|ip", 0, 0,
     "personal data to take out of texts: card,iban,email,phone,ssn,ip; empty: none.  And of your "
     "own, each a key: pattern.NAME = regular expression"},
    {"redact", "action", KEY_CHOICE, AT(redact.action), "label", "mask|label|hash", 0, 0,
     "what becomes of it: label [CARD], mask ****, or hash [CARD:abcdefghijkl], the same for the "
     "same value"},
    {"redact", "key_env", KEY_TEXT, AT(redact.key_env), "TAMIS_REDACT_KEY", NULL, 0, 0,
     "hash: the environment variable that holds its key"},
    {"redact", "key_file", KEY_TEXT, AT(redact.key_file), "", NULL, 0, 0,
     "or a file that holds it, not readable by others"},
    {"redact", "store", KEY_CHOICE, AT(redact.store), "no", "yes|no", 0, 0,
     "yes: also before anything is stored, so that the store never holds it"},
    {"embed", "model", KEY_TEXT, AT(embed.model), "", NULL, 0, 0,
     "a directory; empty: where `tamis model fetch` put it"},
    {"embed", "precision", KEY_CHOICE, AT(embed.precision), "exact", "exact|fast", 0, 0,
     "exact, or fast: the same rows kept, checked"},
    {"dedup", "threshold", KEY_NUMBER, AT(dedup.threshold), "0.85", NULL, 0.01, 1,
     "cosine from which a turn repeats an earlier one"},
    {"dedup", "domain", KEY_CHOICE, AT(dedup.domain), "all", "all|bot", 0, 0,
     "compare all turns, or those of one bot"},
    {"dedup", "keep", KEY_CHOICE, AT(dedup.keep), "newest", "newest|oldest|best-rated", 0, 0,
     "which of several near-duplicates stays: newest, oldest or best-rated"},
    {"dedup", "answers", KEY_CHOICE, AT(dedup.answers), "ignore", "ignore|distinct", 0, 0,
     "distinct: a turn repeats another only where the answers are as near as the questions; "
     "ignore: the questions alone decide"},
    {"dedup", "pins", KEY_TEXT, AT(dedup.pins), "", NULL, 0, 0,
     "a file of turns to keep or drop whatever the cosine says, a line each: keep ID, drop ID, or "
     "ID/TURN"},
    {"dedup", "memory", KEY_SIZE, AT(dedup.memory), "", NULL, 0, 0,
     "most that comparing may hold in memory, such as 512M or 2G; beyond that vectors lie in "
     "a file meanwhile; empty: no limit"},
    {"guard", "max_loss", KEY_NUMBER, AT(guard.max_loss), "1", NULL, 0, 1,
     "share of its well-rated turns that a bot may lose to near-duplicates; those that lose "
     "more are named; 1: any"},
    {"guard", "floor", KEY_COUNT, AT(guard.floor), "0", NULL, 0, 1e9,
     "distinct utterances that such a bot keeps all the same, if it has so many"},
    {"guard", "by", KEY_CHOICE, AT(guard.by), "bot", "bot|rating", 0, 0,
     "of whom that is asked: bots, or rating bands (4, 5 ...)"},
    {"conflicts", "below", KEY_NUMBER, AT(conflicts.below), "0.6", NULL, -1, 1,
     "cosine of two answers from which on they say the same"},
    {"split", "train", KEY_NUMBER, AT(split.train), "0.8", NULL, 0, 1,
     "share of the rows that export.train gets; the three make 1 at most"},
    {"split", "valid", KEY_NUMBER, AT(split.valid), "0.1", NULL, 0, 1, "of export.valid"},
    {"split", "test", KEY_NUMBER, AT(split.test), "0.1", NULL, 0, 1, "of export.test"},
    {"split", "threshold", KEY_NUMBER, AT(split.threshold), "0.70", NULL, 0.01, 1,
     "cosine from which two rows stay in one part, as those of one interaction do"},
    {"split", "format", KEY_CHOICE, AT(split.format), "chat", "chat|jsonl", 0, 0,
     "of the three files: chat or jsonl"},
    {"store", "url", KEY_TEXT, AT(store.url), "tamis.db", NULL, 0, 0,
     "a path (PostgreSQL is not supported yet)"},
    {"export", "csv", KEY_TEXT, AT(export.csv), "cxone_training_data.csv", NULL, 0, 0,
     "the rows, as the eight columns"},
    {"export", "jsonl", KEY_TEXT, AT(export.jsonl), "", NULL, 0, 0, "the rows as JSON lines"},
    {"export", "chat", KEY_TEXT, AT(export.chat), "", NULL, 0, 0,
     "the rows as chat messages, a line each"},
    {"export", "removed", KEY_TEXT, AT(export.removed), "", NULL, 0, 0,
     "the ledger of what was left out, as JSON lines"},
    {"export", "report", KEY_TEXT, AT(export.report), "", NULL, 0, 0,
     "a page about the curation, as tamis report prints it; it holds conversation text"},
    {"export", "train", KEY_TEXT, AT(export.train), "", NULL, 0, 0,
     "the rows to train with; see [split]"},
    {"export", "valid", KEY_TEXT, AT(export.valid), "", NULL, 0, 0, "those to validate with"},
    {"export", "test", KEY_TEXT, AT(export.test), "", NULL, 0, 0, "those to test with"},
    {"export", "rasa", KEY_TEXT, AT(export.rasa), "", NULL, 0, 0,
     "Rasa NLU YAML: each row an intent, what was removed in its favour its examples"},
    {"export", "cognigy", KEY_TEXT, AT(export.cognigy), "", NULL, 0, 0,
     "the same as CSV for Cognigy's upload of intents"},
    {"export", "conflicts", KEY_TEXT, AT(export.conflicts), "", NULL, 0, 0,
     "rows whose duplicates were answered otherwise, as JSON lines, the largest groups first"},
    {"export", "manifest", KEY_TEXT, AT(export.manifest), "", NULL, 0, 0,
     "a JSON object about the files: hashes, configuration, model, counts"},
    {"export", "columns", KEY_CHOICE, AT(export.columns), "reference", "reference|all", 0, 0,
     "of the CSV: the eight of the reference, or all: also what a row stands for"},
};

enum { N_KEYS = sizeof keys / sizeof *keys };

/* --- names ---------------------------------------------------------------------------------- */

static const key *find_key(str section, str name)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (str_eq(section, str_from(keys[i].section)) && str_eq(name, str_from(keys[i].name)))
            return &keys[i];
    return NULL;
}

static bool is_section(str name)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (str_eq(name, str_from(keys[i].section))) return true;
    return false;
}

/* As much of it as an error message has room for. */
static str shown(str s)
{
    enum { MOST = 120 };
    size_t n = s.n < MOST ? s.n : MOST;
    while (n && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80) n--;
    return (str){s.p, n};
}

static status unknown_section(str section, err *e)
{
    const char *near = "";
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < N_KEYS; i++) {
        size_t d = str_distance(section, str_from(keys[i].section));
        if (d < best) best = d, near = keys[i].section;
    }
    return err_set(e, ST_USAGE, "unknown section [%.*s]; the nearest is [%s]",
                   STR_FMT(shown(section)), near);
}

static status unknown_key(str section, str name, err *e)
{
    if (!is_section(section)) return unknown_section(section, e);
    const char *secret = str_eq(name, STR("access_key_secret")) ? "access_key_secret"
                         : str_eq(name, STR("client_secret")) || str_eq(name, STR("api_key"))
                             ? "client_secret"
                             : NULL;
    if (str_eq(section, STR("source")) && secret)
        return err_set(e, ST_USAGE,
                       "source.%.*s does not exist: put the secret into the environment variable "
                       "that %s_env names, or into %s_file",
                       STR_FMT(name), secret, secret);
    const key *near = keys;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < N_KEYS; i++) {
        /* A key of another section wins only where it is clearly nearer. */
        size_t d = 2 * str_distance(name, str_from(keys[i].name)) +
                   (str_eq(section, str_from(keys[i].section)) ? 0 : 3);
        if (d < best) best = d, near = &keys[i];
    }
    return err_set(e, ST_USAGE, "unknown key %.*s.%.*s; the nearest is %s.%s", STR_FMT(section),
                   STR_FMT(shown(name)), near->section, near->name);
}

/* --- values --------------------------------------------------------------------------------- */

static bool is_choice(const char *choices, str value)
{
    for (str rest = str_from(choices), one; str_cut(&rest, '|', &one);)
        if (str_eq(one, value)) return true;
    return false;
}

static bool are_choices(const char *choices, str value)
{
    for (str rest = value, one; str_cut(&rest, ',', &one);)
        if (utf8_strip(one).n && !is_choice(choices, utf8_strip(one))) return false;
    return true;
}

static status misfit(const key *k, str value, const char *wanted, err *e)
{
    str s = shown(value);
    return err_set(e, ST_USAGE, "%s.%s = %.*s%s: %s", k->section, k->name, STR_FMT(s),
                   s.n < value.n ? "..." : "", wanted);
}

static status check_number(const key *k, str value, double v, err *e)
{
    char wanted[96];
    if (v >= k->lo && v <= k->hi && (k->type != KEY_COUNT || v == floor(v))) return ST_OK;
    snprintf(wanted, sizeof wanted, "it must be %s from %.15g to %.15g%s",
             k->type == KEY_COUNT ? "a whole number" : "a value", k->lo, k->hi,
             k->type == KEY_DURATION ? " seconds" : "");
    return misfit(k, value, wanted, e);
}

/* A text may not hold a NUL: it ends up in C interfaces. */
static status set_text(config *c, const key *k, str value, err *e)
{
    instant at;
    uint64_t bytes = 0;
    char wanted[96];
    snprintf(wanted, sizeof wanted, "%s must be one of %s", k->type == KEY_LIST ? "each" : "it",
             k->choices ? k->choices : "");
    if (k->type == KEY_CHOICE && !is_choice(k->choices, value)) return misfit(k, value, wanted, e);
    if (k->type == KEY_LIST && !are_choices(k->choices, value)) return misfit(k, value, wanted, e);
    if (k->type == KEY_INSTANT && value.n && !instant_parse(value, &at))
        return misfit(k, value, "it must be a time such as 2026-01-31T00:00:00Z", e);
    if (k->type == KEY_SIZE && value.n && !(size_parse(value, &bytes) && bytes))
        return misfit(k, value, "it must be a size such as 512M or 2G", e);
    str copy = arena_str(&c->texts, value);
    if (!copy.p) return err_nomem(e, "reading the configuration");
    *(const char **)((char *)c + k->at) = copy.p;
    return ST_OK;
}

static status set_value(config *c, const key *k, str value, err *e)
{
    double v = 0;
    switch (k->type) {
    case KEY_TEXT:
    case KEY_CHOICE:
    case KEY_LIST:
    case KEY_INSTANT:
    case KEY_SIZE:
        return set_text(c, k, value, e);
    case KEY_DURATION:
        if (!duration_parse(value, &v))
            return misfit(k, value, "it must be a time span such as 500ms, 0.5s, 30s, 5m or 7d", e);
        break;
    case KEY_NUMBER:
    case KEY_COUNT:
        if (!number_parse(value, &v)) return misfit(k, value, "it must be a number", e);
        break;
    }
    status st = check_number(k, value, v, e);
    if (st == ST_OK) *(double *)((char *)c + k->at) = v;
    return st;
}

/* --- redact.pattern.NAME: keys that the user names ------------------------------------------ */

#define PATTERN "pattern."

static bool is_pattern(str section, str name)
{
    size_t n = sizeof PATTERN - 1;
    return str_eq(section, STR("redact")) && name.n >= n && memcmp(name.p, PATTERN, n) == 0;
}

static bool is_pattern_name(str name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    bool good = name.n && name.n <= 32;
    for (size_t i = 0; good && i < name.n; i++) good = memchr(allowed, name.p[i], 37) != NULL;
    return good;
}

/* Its place in the list, a new one at the end; NULL: no memory. */
static struct config_pattern *pattern_place(config *c, str name)
{
    for (size_t i = 0; i < c->redact.n_patterns; i++)
        if (str_eq(name, str_from(c->redact.patterns[i].name))) return &c->redact.patterns[i];
    struct config_pattern *more =
        arena_alloc(&c->texts, c->redact.n_patterns + 1, sizeof *c->redact.patterns);
    if (!more) return NULL;
    if (c->redact.n_patterns) memcpy(more, c->redact.patterns, c->redact.n_patterns * sizeof *more);
    c->redact.patterns = more;
    return &more[c->redact.n_patterns++];
}

/* An empty value takes the pattern away. */
static status set_pattern(config *c, str name, str value, err *e)
{
    err why = {0};
    regex *r = NULL;
    name = (str){name.p + sizeof PATTERN - 1, name.n - (sizeof PATTERN - 1)};
    if (!is_pattern_name(name) || is_choice("card|iban|email|phone|ssn|ip", name))
        return err_set(
            e, ST_USAGE,
            "redact.pattern.%.*s: a name is of letters a to z, digits and _, 32 at most, "
            "and none of the rules there are",
            STR_FMT(shown(name)));
    if (value.n && regex_new(value, &r, &why))
        return err_set(e, ST_USAGE, "redact.pattern.%.*s = %.*s: %s", STR_FMT(name),
                       STR_FMT(shown(value)), why.msg);
    regex_free(r);
    struct config_pattern *p = pattern_place(c, name);
    if (p) p->name = arena_str(&c->texts, name).p;
    if (p) p->regex = arena_str(&c->texts, value).p;
    return p && p->name && p->regex ? ST_OK : err_nomem(e, "reading the configuration");
}

static status set_pair(config *c, str section, str name, str value, err *e)
{
    if (is_pattern(section, name)) return set_pattern(c, name, value, e);
    const key *k = find_key(section, name);
    return k ? set_value(c, k, value, e) : unknown_key(section, name, e);
}

status config_init(config *c, err *e)
{
    *c = (config){0};
    for (size_t i = 0; i < N_KEYS; i++) {
        status st = set_value(c, &keys[i], str_from(keys[i].preset), e);
        if (st) return st;
    }
    return ST_OK;
}

void config_release(config *c)
{
    arena_release(&c->texts);
}

status config_set(config *c, const char *setting, err *e)
{
    const char *eq = strchr(setting, '='), *dot = strchr(setting, '.');
    if (!eq || !dot || dot > eq)
        return err_set(e, ST_USAGE, "--set %s: it must be section.key=value", setting);
    str section = {setting, (size_t)(dot - setting)};
    str name = {dot + 1, (size_t)(eq - dot - 1)};
    return set_pair(c, section, name, utf8_strip(str_from(eq + 1)), e);
}

/* --- the file ------------------------------------------------------------------------------- */

/* *line: where it went wrong. */
static status take_lines(config *c, str text, int *line, err *e)
{
    ini i = {.rest = text};
    status st = ST_OK;
    while (st == ST_OK) {
        ini_kind kind = ini_next(&i);
        if (kind == INI_END) break;
        if (kind == INI_PAIR && !i.section.n)
            st = err_set(e, ST_USAGE, "%.*s stands before any [section]", STR_FMT(shown(i.name)));
        else if (kind == INI_PAIR)
            st = set_pair(c, i.section, i.name, i.value, e);
        else if (kind == INI_BROKEN)
            st = err_set(e, ST_USAGE, "neither [section] nor key = value");
        else if (!is_section(i.section))
            st = unknown_section(i.section, e);
    }
    *line = i.line;
    return st;
}

status config_check(const config *c, err *e)
{
    double sum = c->split.train + c->split.valid + c->split.test;
    if (sum <= 1 + 1e-9) return ST_OK;
    return err_set(e, ST_USAGE, "split: train, valid and test make %g together, more than 1", sum);
}

/* The last line of a share in [split], where the sum became too much; 0: in none. */
static int line_of_shares(str text)
{
    int found = 0;
    ini i = {.rest = text};
    for (ini_kind kind; (kind = ini_next(&i)) != INI_END;)
        if (kind == INI_PAIR && str_eq(i.section, STR("split")) &&
            is_choice("train|valid|test", i.name))
            found = i.line;
    return found;
}

status config_load(config *c, const char *path, err *e)
{
    enum { CONFIG_LIMIT = 1 << 20 };
    buf text = {0};
    status st = file_read(path, CONFIG_LIMIT, &text, e);
    if (st == ST_OK && text.n && memchr(text.p, 0, text.n))
        st = err_set(e, ST_USAGE, "%s is not a text file", path);
    if (st == ST_OK) {
        err why = {0};
        int line = 0;
        st = take_lines(c, buf_view(&text), &line, &why);
        if (st == ST_OK && (st = config_check(c, &why))) line = line_of_shares(buf_view(&text));
        if (st) st = err_set(e, ST_USAGE, "%s, line %d: %s", path, line, why.msg);
        c->file = arena_str(&c->texts, str_from(path)).p;
        if (st == ST_OK && !c->file) st = err_nomem(e, "reading the configuration");
    } else {
        st = e->code = ST_USAGE;
    }
    buf_release(&text);
    return st;
}

void config_write_template(buf *out)
{
    const char *section = "";
    buf_z(out, "; tamis.ini: every key with its default.  A ';' begins a comment.\n"
               "; Any key can be given for one run: --set section.key=value\n");
    for (size_t i = 0; i < N_KEYS; i++) {
        const key *k = &keys[i];
        if (strcmp(section, k->section)) buf_fmt(out, "\n[%s]\n", k->section);
        section = k->section;
        buf_fmt(out, "; %s\n%s =%s%s\n", k->help, k->name, *k->preset ? " " : "", k->preset);
    }
}

static void write_patterns(const config *c, const char *between, buf *out)
{
    for (size_t i = 0; i < c->redact.n_patterns; i++)
        buf_fmt(out, "redact." PATTERN "%s%s%s\n", c->redact.patterns[i].name, between,
                c->redact.patterns[i].regex);
}

void config_write_settings(const config *c, buf *out)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        const key *k = &keys[i];
        const char *value = (const char *)c + k->at;
        if (k->type == KEY_SIZE) continue;
        buf_fmt(out, "%s.%s = ", k->section, k->name);
        if (k->type == KEY_NUMBER || k->type == KEY_COUNT)
            number_write_json(out, *(const double *)value);
        else if (k->type == KEY_DURATION)
            buf_fmt(out, "%.15gs", *(const double *)value);
        else
            buf_z(out, *(const char *const *)value);
        buf_char(out, '\n');
    }
    write_patterns(c, " = ", out);
}

/* The keys of a list of sections that ends with NULL, a line each. */
static void describe(const config *c, const char *const *sections, buf *out)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        const key *k = &keys[i];
        const char *value = (const char *)c + k->at;
        bool matters = false;
        for (const char *const *s = sections; *s; s++) matters |= strcmp(k->section, *s) == 0;
        if (!matters || k->type == KEY_SIZE) continue;
        buf_fmt(out, "%s.%s=", k->section, k->name);
        if (k->type == KEY_NUMBER || k->type == KEY_COUNT)
            number_write_json(out, *(const double *)value);
        else
            buf_z(out, *(const char *const *)value);
        buf_char(out, '\n');
    }
}

void config_describe_curation(const config *c, buf *out)
{
    static const char *const sections[] = {"filter", "redact", "embed", "dedup", "guard", NULL};
    describe(c, sections, out);
    write_patterns(c, "=", out);
}

void config_describe_files(const config *c, buf *out)
{
    static const char *const sections[] = {"conflicts", "split", NULL};
    describe(c, sections, out);
    buf_fmt(out, "export.columns=%s\n", c->export.columns);
}
