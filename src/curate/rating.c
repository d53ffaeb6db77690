/* rating.c - what a rating is worth: numbers and numeric strings, through a map.
 *
 * The reference compares the JSON number with the minimum; scales other than 1 to 5 are
 * brought to it by the map, which looks a value up exactly. */
#include "curate/rating.h"

#include "base/json.h"
#include "base/number.h"
#include "base/utf8.h"

/* The text up to the next `end` (or all), blanks stripped; *rest is what follows. */
static str field(str s, char end, str *rest)
{
    const char *hit = s.n ? memchr(s.p, end, s.n) : NULL;
    size_t n = hit ? (size_t)(hit - s.p) : s.n;
    *rest = hit ? (str){hit + 1, s.n - n - 1} : (str){s.p + s.n, 0};
    return utf8_strip((str){s.p, n});
}

status rating_map_parse(str text, arena *a, rating_map *out, err *e)
{
    size_t commas = 0;
    for (size_t i = 0; i < text.n; i++) commas += text.p[i] == ',';
    *out = (rating_map){.pairs = arena_alloc(a, commas + 1, sizeof *out->pairs)};
    if (!out->pairs) return err_nomem(e, "reading filter.rating_map");
    for (str rest = text; utf8_strip(rest).n;) {
        str pair = field(rest, ',', &rest), to;
        str from = field(pair, '=', &to);
        struct rating_pair *p = &out->pairs[out->n++];
        to = utf8_strip(to);
        p->to_text = arena_str(a, to);
        if (!p->to_text.p) return err_nomem(e, "reading filter.rating_map");
        if (!number_parse(from, &p->from) || !number_parse(to, &p->to))
            return err_set(e, ST_USAGE,
                           "filter.rating_map: \"%.*s\" is not NUMBER=NUMBER (example: -1=1,1=5)",
                           STR_FMT(pair));
        for (size_t i = 0; i + 1 < out->n; i++)
            if (out->pairs[i].from == p->from)
                return err_set(e, ST_USAGE, "filter.rating_map: \"%.*s\": %.*s was given already",
                               STR_FMT(pair), STR_FMT(from));
    }
    return ST_OK;
}

/* A string's contents, in the arena. */
static status string_value(str json, arena *a, str *out, err *e)
{
    js *root = NULL;
    buf scratch = {0};
    status st = js_parse(js_mend(json, &scratch), &root, e);
    if (st == ST_OK) {
        *out = arena_str(a, js_string(root));
        if (!out->p) st = err_nomem(e, "reading a rating");
    }
    js_free(root);
    buf_release(&scratch);
    return st;
}

status rating_read(str json, const rating_map *map, arena *a, rating *out, err *e)
{
    *out = (rating){.text = STR("")};
    if (!json.n) return ST_OK;
    if (json.p[0] == '"') {
        status st = string_value(json, a, &out->text, e);
        if (st) return st;
        out->is_rated = number_parse(utf8_strip(out->text), &out->value);
    } else if (number_parse(json, &out->value)) {
        buf b = {0};
        number_write_python(&b, json);
        out->text = arena_str(a, buf_view(&b));
        bool ok = buf_ok(&b) && out->text.p;
        buf_release(&b);
        if (!ok) return err_nomem(e, "reading a rating");
        out->is_rated = true;
    }
    for (size_t i = 0; out->is_rated && i < map->n; i++) {
        if (map->pairs[i].from != out->value) continue;
        out->value = map->pairs[i].to;
        out->text = map->pairs[i].to_text;
        break;
    }
    return ST_OK;
}
