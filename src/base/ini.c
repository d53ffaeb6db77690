/* ini.c - a line says all of itself: no length is too long, and none goes on in the next. */
#include "base/ini.h"

#include "base/utf8.h"

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static str without_comment(str line)
{
    line = utf8_strip(line);
    if (line.n && (*line.p == ';' || *line.p == '#')) return STR("");
    for (size_t i = 1; i < line.n; i++)
        if (line.p[i] == ';' && is_blank(line.p[i - 1])) return utf8_strip((str){line.p, i});
    return line;
}

static ini_kind take_section(ini *i, str line)
{
    const char *end = memchr(line.p, ']', line.n);
    if (!end) return INI_BROKEN;
    str behind = {end + 1, line.n - (size_t)(end + 1 - line.p)};
    if (without_comment(behind).n) return INI_BROKEN;
    i->section = (str){line.p + 1, (size_t)(end - line.p) - 1};
    return INI_SECTION;
}

static ini_kind take_pair(ini *i, str line)
{
    size_t at = 0;
    while (at < line.n && line.p[at] != '=' && line.p[at] != ':') at++;
    if (at == line.n) return INI_BROKEN;
    i->name = utf8_strip((str){line.p, at});
    i->value = utf8_strip((str){line.p + at + 1, line.n - at - 1});
    return INI_PAIR;
}

ini_kind ini_next(ini *i)
{
    str line;
    if (!i->line) i->rest = utf8_skip_bom(i->rest);
    while (str_cut(&i->rest, '\n', &line)) {
        i->line++;
        line = without_comment(line);
        if (line.n) return *line.p == '[' ? take_section(i, line) : take_pair(i, line);
    }
    return INI_END;
}
