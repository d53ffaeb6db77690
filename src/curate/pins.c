/* pins.c - reads a file of pins, and finds those of an interaction.
 *
 * An id may itself end in "/3": "X/3" is a pin of turn 3 of X and of an interaction called X/3,
 * should there be both. */
#include "curate/pins.h"

#include <stdlib.h>

#include "base/number.h"
#include "base/utf8.h"

void pins_release(pins *p)
{
    free(p->list);
    free(p->first);
    free(p->by_name);
    intern_release(&p->ids);
    *p = (pins){0};
}

/* "keep ID": what follows the word, which must be followed by a blank. */
static bool takes(str line, str word, str *rest)
{
    bool is = line.n > word.n && memcmp(line.p, word.p, word.n) == 0 &&
              (line.p[word.n] == ' ' || line.p[word.n] == '\t');
    if (is) *rest = utf8_strip((str){line.p + word.n, line.n - word.n});
    return is;
}

/* "ID/3" has a turn. */
static void split_name(pin *p)
{
    const char *slash = memrchr(p->name.p, '/', p->name.n);
    uint64_t number;
    p->id = p->name;
    p->turn = -1;
    if (!slash || slash == p->name.p) return;
    str digits = {slash + 1, p->name.n - (size_t)(slash + 1 - p->name.p)};
    if (!digits.n || digits.n > 9 || !number_parse_u64(digits, &number)) return;
    p->id.n = (size_t)(slash - p->name.p);
    p->turn = (int64_t)number;
}

static status add(pins *p, const char *path, pin *new, err *e)
{
    uint32_t k = (uint32_t)p->n;
    split_name(new);
    uint32_t name = intern_add(&p->ids, new->name), id = intern_add(&p->ids, new->id);
    if (name == INTERN_NONE || id == INTERN_NONE) return err_nomem(e, "reading dedup.pins");
    if (p->by_name[name] != NO_ROW) {
        const pin *old = &p->list[p->by_name[name]];
        if (old->keeps == new->keeps) return ST_OK;
        return err_set(e, ST_USAGE, "%s, line %zu: %.*s: line %zu says the contrary", path,
                       new->line, STR_FMT(new->name), old->line);
    }
    new->next = NO_ROW;
    if (new->turn >= 0) {
        new->next = p->first[id];
        p->first[id] = k;
    }
    p->by_name[name] = k;
    p->list[p->n++] = *new;
    return ST_OK;
}

status pins_parse(str text, const char *path, pins *out, err *e)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.n; i++) lines += text.p[i] == '\n';
    *out = (pins){.list = calloc(lines, sizeof *out->list),
                  .first = calloc(lines, 2 * sizeof *out->first),
                  .by_name = calloc(lines, 2 * sizeof *out->by_name)};
    if (!out->list || !out->first || !out->by_name) return err_nomem(e, "reading dedup.pins");
    memset(out->first, 0xFF, lines * 2 * sizeof *out->first);
    memset(out->by_name, 0xFF, lines * 2 * sizeof *out->by_name);
    if (lines > NO_ROW / 4) return err_set(e, ST_USAGE, "%s: too many lines", path);
    str line;
    for (size_t n = 1; str_cut(&text, '\n', &line); n++) {
        line = utf8_strip(line);
        pin one = {.line = n};
        if (!line.n || line.p[0] == '#' || line.p[0] == ';') continue;
        one.keeps = takes(line, STR("keep"), &one.name);
        if (!one.keeps && !takes(line, STR("drop"), &one.name))
            return err_set(e, ST_USAGE,
                           "%s, line %zu: neither \"keep ID\" nor \"drop ID\" (or ID/TURN)", path,
                           n);
        status st = add(out, path, &one, e);
        if (st) return st;
    }
    return ST_OK;
}

static uint32_t pin_named(const pins *p, str id)
{
    uint32_t k = intern_find(&p->ids, id);
    return k == INTERN_NONE ? NO_ROW : p->by_name[k];
}

static uint32_t first_of(const pins *p, str id)
{
    uint32_t k = intern_find(&p->ids, id);
    return k == INTERN_NONE ? NO_ROW : p->first[k];
}

void pins_meet(pins *p, str id, size_t n_turns)
{
    uint32_t named = pin_named(p, id);
    if (named != NO_ROW) p->list[named].is_met = true;
    for (uint32_t k = first_of(p, id); k != NO_ROW; k = p->list[k].next)
        p->list[k].is_met |= (uint64_t)p->list[k].turn < n_turns;
}

pin_verdict pins_of(const pins *p, str id, uint32_t number)
{
    uint32_t best = pin_named(p, id);
    for (uint32_t k = first_of(p, id); k != NO_ROW; k = p->list[k].next)
        if (p->list[k].turn == number) best = k;
    return best == NO_ROW ? PIN_NONE : p->list[best].keeps ? PIN_KEEP : PIN_DROP;
}

bool pins_drop_all(const pins *p, str id)
{
    uint32_t named = pin_named(p, id);
    if (named == NO_ROW || p->list[named].keeps) return false;
    for (uint32_t k = first_of(p, id); k != NO_ROW; k = p->list[k].next)
        if (p->list[k].keeps) return false;
    return true;
}
