/* scan_iban.c - international bank account numbers (ISO 13616): country, its length, check
 * digits by ISO 7064 mod 97-10. */
#include "curate/scan.h"
#include "curate/scan_word.h"

/* Lengths from the IBAN registry; a country and its length, in two characters each. */
static const char registry[] =
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24"
    "FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32"
    "LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24"
    "RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

enum { LONGEST_IBAN = 34 };

static char upper(char c)
{
    return is_letter(c) ? (char)(c & ~0x20) : c;
}

static size_t country_length(char a, char b)
{
    for (const char *r = registry; *r; r += 4)
        if (r[0] == upper(a) && r[1] == upper(b)) return (size_t)((r[2] - '0') * 10 + r[3] - '0');
    return 0;
}

/* The number is right when, its first four characters moved to the end and letters read as
 * 10 to 35, it leaves 1 by 97. */
static bool mod97_is_one(const char *iban, size_t n)
{
    unsigned rest = 0;
    for (size_t i = 0; i < n; i++) {
        char c = upper(iban[(i + 4) % n]);
        unsigned v = is_digit(c) ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
        rest = (rest * (v > 9 ? 100 : 10) + v) % 97;
    }
    return rest == 1;
}

/* The end of an IBAN that begins at `at`, or 0. */
static size_t iban_at(str t, size_t at)
{
    char iban[LONGEST_IBAN], any;
    size_t n = 0, want = country_length(t.p[at], t.p[at + 1]);
    size_t apart = separator_at(t, at + 2, &any), check = at + 2 + apart;
    if (!want || !is_digit(byte_at(t, check)) || !is_digit(byte_at(t, check + 1))) return 0;
    /* "DE 89 3704 ...", but not "at 624 Avalon Avenue for ..." */
    if (apart && (t.p[at] >= 'a' || t.p[at + 1] >= 'a' || !separator_at(t, check + 2, &any)))
        return 0;
    while (n < want) {
        char c = byte_at(t, at), kind;
        if (is_alnum(c)) {
            iban[n++] = c;
            at++;
            continue;
        }
        size_t skip = separator_at(t, at, &kind);
        if (!skip || !is_alnum(byte_at(t, at + skip))) return 0;
        at += skip;
    }
    bool ends = !is_alnum(byte_at(t, at)) && byte_at(t, at) != '_';
    return ends && mod97_is_one(iban, n) ? at : 0;
}

void scan_ibans(str t, spans *out)
{
    for (size_t i = 0; i + 1 < t.n;) {
        bool begins = is_letter(t.p[i]) && is_letter(t.p[i + 1]) &&
                      !(i && (is_alnum(t.p[i - 1]) || t.p[i - 1] == '_'));
        size_t end = begins ? iban_at(t, i) : 0;
        if (end) spans_add(out, i, end, SCAN_IBAN);
        i = end ? end : i + 1;
    }
}
