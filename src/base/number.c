/* number.c - decimal text without setlocale() in the way.
 *
 * strtod and printf follow LC_NUMERIC; the library never calls setlocale, but a
 * host program may, so the point is put right by hand. */
#include "base/number.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static size_t skip_digits(str s, size_t at)
{
    while (at < s.n && isdigit((unsigned char)s.p[at])) at++;
    return at;
}

/* Grammar: [-+]? digits [. digits]? ([eE][-+]? digits)? */
static bool well_formed(str s, bool *integer)
{
    size_t at = s.n && (s.p[0] == '-' || s.p[0] == '+'), start = at;
    *integer = true;
    at = skip_digits(s, at);
    if (at == start) return false;
    if (at < s.n && s.p[at] == '.') {
        *integer = false;
        start = ++at;
        at = skip_digits(s, at);
        if (at == start) return false;
    }
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        *integer = false;
        at++;
        if (at < s.n && (s.p[at] == '-' || s.p[at] == '+')) at++;
        start = at;
        at = skip_digits(s, at);
        if (at == start) return false;
    }
    return at == s.n;
}

bool number_parse(str s, double *out)
{
    enum { USUAL = 1100 };
    char usual[USUAL + 1];
    bool integer;
    if (!well_formed(s, &integer)) return false;
    char *text = s.n <= USUAL ? usual : malloc(s.n + 1);
    if (!text) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    char *point = strchr(text, '.');
    if (point) *point = *localeconv()->decimal_point;
    *out = strtod(text, NULL);
    if (text != usual) free(text);
    return isfinite(*out);
}

bool number_parse_u64(str s, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!isdigit((unsigned char)s.p[i])) return false;
        if (__builtin_mul_overflow(v, 10u, &v)) return false;
        if (__builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v)) return false;
    }
    *out = v;
    return s.n > 0;
}

bool size_parse(str s, uint64_t *out)
{
    static const char units[] = "KMGT";
    size_t n = 0;
    double v, unit = 1;
    while (n < s.n && (isdigit((unsigned char)s.p[n]) || s.p[n] == '.')) n++;
    if (!number_parse((str){s.p, n}, &v)) return false;
    str name = {s.p + n, s.n - n};
    const char *found = name.n ? strchr(units, toupper((unsigned char)name.p[0])) : NULL;
    for (const char *u = units; found && u <= found; u++) unit *= 1024;
    if (found) name = (str){name.p + 1, name.n - 1};
    if (name.n && !str_eq(name, STR("B")) && !(found && str_eq(name, STR("iB")))) return false;
    if (v * unit > 0x1p60) return false;
    *out = (uint64_t)(v * unit);
    return true;
}

/* One more in the last digit of d.ddde+x; false: they are all nines. */
static bool round_up(char *text)
{
    for (char *p = strchr(text, 'e'); p-- > text;) {
        if (!isdigit((unsigned char)*p)) continue;
        *p = *p == '9' ? '0' : (char)(*p + 1);
        if (*p != '0') return true;
    }
    return false;
}

/* The shortest digits d1 d2 ... (no trailing zeros) and exponent with
 * |v| = 0.d1d2... * 10^point; v finite, not 0.  Above a power of two doubles are twice as far
 * apart as below it, so there a text that is too low by less than one digit may have a neighbour
 * that reads back. */
static int shortest(double v, char out[24], int *point)
{
    char text[40];
    v = fabs(v);
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, v);
        const double back = strtod(text, NULL);
        if (back == v || (back < v && round_up(text) && strtod(text, NULL) == v)) break;
    }
    int n = 0;
    char *p = text;
    for (; *p != 'e'; p++)
        if (isdigit((unsigned char)*p)) out[n++] = *p;
    *point = atoi(p + 1) + 1;
    while (n > 1 && out[n - 1] == '0') n--;
    return n;
}

/* CPython: float_repr_style 'short', PyOS_double_to_string with 'r'. */
static void write_repr(buf *b, double v)
{
    char digits[24];
    int point, n;
    if (signbit(v)) buf_char(b, '-');
    if (v == 0) {
        buf_z(b, "0.0");
        return;
    }
    n = shortest(v, digits, &point);
    if (point > 16 || point < -3) {
        buf_char(b, digits[0]);
        if (n > 1) buf_char(b, '.');
        buf_add(b, digits + 1, (size_t)n - 1);
        buf_fmt(b, "e%+03d", point - 1);
        return;
    }
    if (point <= 0) {
        buf_z(b, "0.");
        for (int i = point; i < 0; i++) buf_char(b, '0');
    }
    for (int i = 0; i < n || i < point; i++) {
        if (i == point && i > 0) buf_char(b, '.');
        buf_char(b, i < n ? digits[i] : '0');
    }
    if (n <= point) buf_z(b, ".0");
}

void number_write_python(buf *b, str token)
{
    bool integer;
    double v;
    if (!well_formed(token, &integer) || !number_parse(token, &v)) return;
    if (!integer)
        write_repr(b, v);
    else if (v == 0)
        buf_char(b, '0');
    else
        buf_str(b, token);
}

void number_write_json(buf *b, double v)
{
    if (v == floor(v) && fabs(v) < 1e15)
        buf_fmt(b, "%.0f", v);
    else
        write_repr(b, v);
}
