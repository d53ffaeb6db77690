/* scan_number.c - cards and social security numbers.
 *
 * A random number passes Luhn's check one time in ten, so the brand's prefix and its lengths
 * and the way the digits are grouped count as well: order numbers, timestamps and bar codes
 * are no cards. */
#include "curate/scan.h"
#include "curate/scan_word.h"

/* --- cards -------------------------------------------------------------------------------- */

/* Prefixes (of four digits: 51 is 5100 to 5199) and lengths of the brands. */
static const struct brand {
    int lo, hi, shortest, longest;
} brands[] = {
    {2200, 2205, 16, 19}, /* Mir */
    {2221, 2720, 16, 16}, /* Mastercard */
    {3000, 3059, 14, 19}, /* Diners Club */
    {3095, 3095, 14, 19}, /* Diners Club */
    {3400, 3499, 15, 15}, /* American Express */
    {3528, 3589, 16, 19}, /* JCB */
    {3600, 3699, 14, 19}, /* Diners Club */
    {3700, 3799, 15, 15}, /* American Express */
    {3800, 3999, 14, 19}, /* Diners Club */
    {4000, 4999, 16, 16}, /* Visa */
    {4000, 4999, 13, 13}, /* Visa, the old ones */
    {4000, 4999, 19, 19}, /* Visa */
    {5000, 5099, 13, 19}, /* Maestro */
    {5100, 5599, 16, 16}, /* Mastercard */
    {5600, 5899, 13, 19}, /* Maestro */
    {6000, 6999, 13, 19}, /* Maestro, Discover, UnionPay, RuPay */
    {8100, 8299, 16, 16}, /* RuPay, UnionPay */
    {9792, 9792, 16, 16}, /* Troy */
};

static bool is_brand(const char *digits, int n)
{
    int head = 0;
    for (int i = 0; i < 4; i++) head = head * 10 + (digits[i] - '0');
    for (size_t i = 0; i < sizeof brands / sizeof *brands; i++)
        if (head >= brands[i].lo && head <= brands[i].hi && n >= brands[i].shortest &&
            n <= brands[i].longest)
            return true;
    return false;
}

static bool luhn(const char *digits, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        int d = digits[n - 1 - i] - '0';
        if (i % 2) d = d > 4 ? 2 * d - 9 : 2 * d;
        sum += d;
    }
    return sum % 10 == 0;
}

/* Groups as people write cards: of three digits and more, but for the last; or all of one
 * size, read out digit by digit or two by two. */
static bool card_groups(const groups *g, size_t n)
{
    bool alike = true, wide = true;
    for (size_t i = 0; i < n; i++) {
        if (i && g->separator[i] != g->separator[1]) return false;
        alike &= g->size[i] == g->size[0];
        wide &= g->size[i] >= 3 || i + 1 == n;
    }
    return wide || (alike && g->size[0] <= 2);
}

/* How many of the groups make a card, the most that do; 0: none. */
static size_t card_length(str t, const groups *g)
{
    for (size_t n = g->n; n; n--) {
        size_t digits = g->before[n - 1] + g->size[n - 1];
        if (digits < 13) return 0;
        /* What goes on with a dash or a point is a longer number; behind a blank may come the
         * card's date. */
        bool goes_on = n < g->n && g->separator[n] != ' ' && g->separator[n] != '/';
        bool ends = number_ends(t, g->end[n - 1]) || parts_numbers(byte_at(t, g->end[n - 1]));
        if (!goes_on && ends && card_groups(g, n) && is_brand(g->digits, (int)digits) &&
            luhn(g->digits, digits))
            return n;
    }
    return 0;
}

void scan_cards(str t, spans *out)
{
    enum { LONGEST_CARD = 19 };
    for (size_t i = 0; i < t.n;) {
        if (!is_digit(t.p[i])) {
            i++;
            continue;
        }
        groups g;
        size_t n = 0;
        if (number_begins(t, i) || (i && parts_numbers(t.p[i - 1]))) {
            groups_read(t, i, false, LONGEST_CARD, &g);
            n = card_length(t, &g);
        }
        if (n) {
            spans_add(out, i, g.end[n - 1], SCAN_CARD);
            i = g.end[n - 1];
        }
        while (is_digit(byte_at(t, i))) i++;
    }
}

/* --- social security numbers -------------------------------------------------------------- */

static bool is_ssn(const char *d)
{
    bool area = memcmp(d, "000", 3) && memcmp(d, "666", 3) && d[0] != '9';
    return area && memcmp(d + 3, "00", 2) && memcmp(d + 5, "0000", 4);
}

/* As it is always written, or near a word that says what it is. */
static bool ssn_form(str t, size_t at, const groups *g)
{
    static const telling words = {" ssn ssns social ", "", 6, 0};
    bool grouped =
        g->n == 3 && g->size[0] == 3 && g->size[1] == 2 && g->separator[1] == g->separator[2];
    if (grouped && g->separator[1] == '-') return true;
    return (g->n == 1 || grouped) && nearest_word(t, at, &words) > 0;
}

void scan_ssns(str t, spans *out)
{
    enum { SSN_DIGITS = 9 };
    for (size_t i = 0; i < t.n;) {
        if (!is_digit(t.p[i])) {
            i++;
            continue;
        }
        groups g;
        if (number_begins(t, i) || (i && parts_numbers(t.p[i - 1]))) {
            groups_read(t, i, false, SSN_DIGITS, &g);
            size_t end = g.n_digits == SSN_DIGITS ? g.end[g.n - 1] : 0;
            bool ends = end && (number_ends(t, end) || parts_numbers(byte_at(t, end)));
            if (ends && is_ssn(g.digits) && ssn_form(t, i, &g)) {
                spans_add(out, i, end, SCAN_SSN);
                i = end;
            }
        }
        while (is_digit(byte_at(t, i))) i++;
    }
}
