/* scan_phone.c - telephone numbers.
 *
 * Written with a country code they are known by their form.  National ones are not: nine
 * digits may be anything.  So the forms that people use are taken (North American groups; a
 * trunk 0 and nine digits and more), unless the nearest telling word before them says that
 * they are an order, an invoice ...; and any other grouping only where it says that they
 * are a phone. */
#include "curate/scan.h"
#include "curate/scan_word.h"

static const telling words = {
    " tel telephone telefon phone phones mobile mobil cell cellphone handy whatsapp fax sms "
    "call calls contact ph dial ring reach text telefono telefone portable ",
    " order orders invoice ticket ref reference booking tracking case account customer id serial "
    "policy parcel shipment package sku item part model meter contract confirmation transaction "
    "receipt article barcode isbn ean imei pnr code member loyalty voucher flight amount total "
    "price version build zip dated date rma claim batch lot vat tax registration ssn social ip ipv "
    "card iban ",
    6, 3};

enum { MOST_DIGITS = 15 }; /* E.164 */

/* 2026-01-31, 31.01.2026, 1/31/2026 at the head of the groups. */
static bool begins_with_date(const groups *g)
{
    if (g->n < 3 || g->separator[1] == '(' || g->separator[1] != g->separator[2]) return false;
    bool year_first = g->size[0] == 4 && g->size[1] == 2 && g->size[2] == 2;
    bool year_last = g->size[0] <= 2 && g->size[1] <= 2 && g->size[2] == 4;
    return year_first || (year_last && g->separator[1] != ' ');
}

static size_t digits_of(const groups *g, size_t n)
{
    return g->before[n - 1] + g->size[n - 1];
}

/* The most groups that end well and have lo to hi digits; 0: none. */
static size_t groups_within(str t, const groups *g, size_t lo, size_t hi)
{
    for (size_t n = g->n; n && digits_of(g, n) >= lo; n--)
        if (digits_of(g, n) <= hi && number_ends(t, g->end[n - 1])) return n;
    return 0;
}

/* Behind a number that is known by its form another one may follow. */
static bool ends(str t, const groups *g, size_t n)
{
    return number_ends(t, g->end[n - 1]) || parts_numbers(byte_at(t, g->end[n - 1]));
}

/* Three, three and four digits: an area code from 200 on and no 411; an exchange from 100 on, for
 * none is below 200 but in numbers that are made up, 555-123-4567. */
static bool is_nanp(const char *d)
{
    return d[0] >= '2' && d[3] >= '1' && !(d[1] == '1' && d[2] == '1');
}

/* Behind "+" or "00": the groups that make an international number. */
static size_t international(str t, const groups *g, bool plus)
{
    if (!g->n || g->digits[0] == '0') return 0;
    if (g->digits[0] != '1') return groups_within(t, g, 8, MOST_DIGITS);
    size_t n = g->n;
    while (n && digits_of(g, n) > 11) n--;
    bool is_one = n && digits_of(g, n) == 11 && ends(t, g, n);
    return is_one && (plus || is_nanp(g->digits + 1)) ? n : 0;
}

/* 415-555-2671, (415) 555 2671, 1.415.555.2671: the groups that make it. */
static size_t north_american(str t, const groups *g)
{
    size_t lead = g->n > 1 && g->size[0] == 1 && g->digits[0] == '1';
    size_t n = lead + 3;
    if (g->n < n || g->size[lead] != 3 || g->size[lead + 1] != 3 || g->size[lead + 2] != 4)
        return 0;
    return is_nanp(g->digits + lead) && ends(t, g, n) ? n : 0;
}

/* 020 7946 0958, 030/1234567, 06 12 34 56 78, 07700900123. */
static size_t with_trunk(str t, const groups *g)
{
    if (g->digits[0] != '0' || g->n_digits < 2 || g->digits[1] == '0' || g->size[0] < 2) return 0;
    bool pairs = g->n_digits == 2 * g->n;
    for (size_t i = 0; i < g->n; i++) pairs &= g->size[i] == 2;
    if (pairs && g->n != 5) return 0; /* France has five; six are drawn in a lottery */
    return groups_within(t, g, g->n > 1 ? 9 : 10, g->n > 1 ? 12 : 11);
}

/* A number without country code whose first digit stands at `at`; its groups, or 0. */
static size_t national(str t, size_t at, const groups *g)
{
    size_t n = north_american(t, g);
    bool is_tight = n && g->separator[n - 1] != ' '; /* CA 94110 415-555-2671 */
    if (!n && !number_begins(t, at)) return 0;
    if (!n && !begins_with_date(g)) n = with_trunk(t, g);
    char before = at ? t.p[at - 1] : '\0';
    bool is_rest = before == ' ' && at > 1 && is_digit(t.p[at - 2]);
    if (is_rest && !is_tight) return 0;
    int said = before == '#' || before == '$' ? -1 : nearest_word(t, at, &words);
    if (n) return said < 0 ? 0 : n;
    return said > 0 && !begins_with_date(g) ? groups_within(t, g, 7, MOST_DIGITS) : 0;
}

/* A phone that begins at t.p[at], one of "+(0123456789"; its end, or 0. */
static size_t phone_at(str t, size_t at)
{
    groups g = {0};
    size_t n = 0, first = at;
    bool plus = t.p[at] == '+', zeros = t.p[at] == '0' && byte_at(t, at + 1) == '0';
    bool begins = number_begins(t, at);
    if (!begins && (plus || zeros || !at || !parts_numbers(t.p[at - 1]))) return 0;
    if (zeros && at > 1 && t.p[at - 1] == ' ' && is_digit(t.p[at - 2])) return 0;
    if (plus || zeros) {
        first += plus ? 1 : 2;
        char kind;
        first += separator_at(t, first, &kind);
        if (byte_at(t, first) == '(') first++;
        if (!is_digit(byte_at(t, first))) return 0;
        groups_read(t, first, true, MOST_DIGITS + 1, &g);
        n = international(t, &g, plus);
        /* invoice 0045238811 */
        if (zeros && g.n == 1 && nearest_word(t, at, &words) < 0) return 0;
        return n ? g.end[n - 1] : 0;
    }
    if (t.p[at] == '(') first++;
    if (!is_digit(byte_at(t, first))) return 0;
    groups_read(t, first, true, MOST_DIGITS, &g);
    /* A bracket around all of it is of the sentence. */
    if (t.p[at] == '(' && (g.n < 2 || g.separator[1] != '(')) return 0;
    n = g.n ? national(t, at, &g) : 0;
    return n ? g.end[n - 1] : 0;
}

void scan_phones(str t, spans *out)
{
    for (size_t i = 0; i < t.n;) {
        char c = t.p[i];
        if (!is_digit(c) && c != '+' && c != '(') {
            i++;
            continue;
        }
        size_t end = phone_at(t, i);
        if (end) spans_add(out, i, end, SCAN_PHONE);
        if (end)
            i = end;
        else
            i++;
        while (is_digit(c) && is_digit(byte_at(t, i))) i++;
    }
}
