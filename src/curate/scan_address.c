/* scan_address.c - e-mail and IP addresses. */
#include "base/utf8.h"
#include "curate/scan.h"
#include "curate/scan_word.h"

/* --- e-mail ------------------------------------------------------------------------------- */

enum { LONGEST_LOCAL = 64, LONGEST_DOMAIN = 253 }; /* RFC 5321, 4.5.3.1 */

/* The length of a letter of Latin, Greek or Cyrillic script beyond ASCII at `at`, else 0: other
 * scripts put no blank between an address and what stands beside it. */
static size_t letter_beyond_ascii(str t, size_t at)
{
    size_t end = at;
    if (at >= t.n || (unsigned char)t.p[at] < 0x80) return 0;
    uint32_t c = utf8_next(t, &end);
    bool letter = c >= 0xC0 && c <= 0x52F && c != 0xD7 && c != 0xF7;
    return letter ? end - at : 0;
}

static bool is_local(char c)
{
    return is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

/* Where the local part before the '@' at `at` begins; `at` if there is none. */
static size_t local_begin(str t, size_t at)
{
    size_t i = at, stop = at > LONGEST_LOCAL ? at - LONGEST_LOCAL : 0;
    while (i > stop) {
        if (is_local(t.p[i - 1]))
            i--;
        else if (i > stop + 1 && letter_beyond_ascii(t, i - 2) == 2)
            i -= 2;
        else
            break;
    }
    /* Punctuation before the address is of the sentence. */
    while (i < at && !is_alnum(t.p[i]) && t.p[i] != '_' && !letter_beyond_ascii(t, i)) i++;
    return i;
}

/* The end of the domain that begins at `at`: labels with points between, the last of two
 * letters at least; 0: none. */
static size_t domain_end(str t, size_t at)
{
    size_t end = 0, label = at, limit = at + LONGEST_DOMAIN;
    bool letters = true; /* only, in this label */
    for (size_t i = at; i <= limit; i++) {
        size_t wide = letter_beyond_ascii(t, i);
        char c = byte_at(t, i);
        if (is_letter(c) || wide) {
            if (wide) i += wide - 1;
            continue;
        }
        if (is_digit(c) || c == '-') {
            if (c == '-' && label > at && i >= label + 2 && letters) end = i;
            letters = false;
            continue;
        }
        bool punycode = i > label + 4 && memcmp(t.p + label, "xn--", 4) == 0;
        if (label > at && i >= label + 2 && (letters || punycode)) end = i;
        if (c != '.' || i == label) break;
        label = i + 1;
        letters = true;
    }
    return end;
}

void scan_emails(str t, spans *out)
{
    const char *hit;
    for (size_t at = 0; at < t.n && (hit = memchr(t.p + at, '@', t.n - at)); at++) {
        at = (size_t)(hit - t.p);
        size_t begin = local_begin(t, at), end = begin < at ? domain_end(t, at + 1) : 0;
        if (end) spans_add(out, begin, end, SCAN_EMAIL);
    }
}

/* --- IP ----------------------------------------------------------------------------------- */

/* Four numbers of 0 to 255 without leading zeros: the end, or 0. */
static size_t ipv4_end(str t, size_t at)
{
    for (int part = 0; part < 4; part++) {
        int value = 0, n = 0;
        if (part && byte_at(t, at++) != '.') return 0;
        for (; n < 4 && is_digit(byte_at(t, at)); n++) value = value * 10 + (t.p[at++] - '0');
        if (!n || value > 255 || (n > 1 && t.p[at - (size_t)n] == '0')) return 0;
    }
    return at;
}

static bool called_a_version(str t, size_t at)
{
    static const telling words = {" v ver version versions release firmware build software driver "
                                  "update upgrade section chapter clause paragraph ios android ",
                                  " ip ipv ips address server host from network ", 2, 2};
    return nearest_word(t, at, &words) > 0;
}

static size_t ipv4_at(str t, size_t at)
{
    char before = at ? t.p[at - 1] : '\0';
    size_t end = ipv4_end(t, at);
    if (!end || is_alnum(before) || before == '.' || before == '_') return 0;
    char after = byte_at(t, end), then = byte_at(t, end + 1);
    bool goes_on = is_alnum(after) || after == '_' || (after == '.' && is_digit(then)) ||
                   (after == '-' && is_letter(then));                 /* 1.2.3.4-beta */
    bool of_name = before == '-' && at > 1 && is_letter(t.p[at - 2]); /* name-1.2.3.4 */
    return goes_on || of_name || called_a_version(t, at) ? 0 : end;
}

static bool is_hex(char c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Groups of one to four hexadecimal digits, eight of them or fewer with one "::"; the last two
 * can be an IPv4 address.  A name space ("a::b") is none: four digits are wanted, and one of
 * them below ten. */
static size_t ipv6_at(str t, size_t at)
{
    size_t parts = 0, digits = 0, i = at;
    bool gap = false, decimal = false;
    if (byte_at(t, i) == ':' && byte_at(t, i + 1) == ':') gap = true, i += 2;
    for (;;) {
        size_t four = ipv4_end(t, i), n = 0;
        if (four && parts) {
            parts += 2, digits += 4, decimal = true, i = four;
            break;
        }
        for (; n < 4 && is_hex(byte_at(t, i)); n++) decimal |= is_digit(t.p[i++]);
        if (!n) break;
        parts++, digits += n;
        if (byte_at(t, i) != ':') break;
        bool two = byte_at(t, i + 1) == ':';
        if (two && gap) return 0;
        if (!two && !is_hex(byte_at(t, i + 1))) break;
        gap |= two;
        i += two ? 2 : 1;
    }
    bool ends = !is_alnum(byte_at(t, i)) && byte_at(t, i) != '_' &&
                !(byte_at(t, i) == ':' && is_hex(byte_at(t, i + 1)));
    bool whole = gap ? parts && parts < 8 && digits >= 4 : parts == 8;
    return ends && whole && decimal ? i : 0;
}

/* Whether what is before the colon at `colon` is a label ("ip:2001:db8::1") and no group. */
static bool is_label(str t, size_t colon)
{
    size_t n = 0;
    for (; n < 5 && n < colon && is_alnum(t.p[colon - n - 1]); n++)
        if (!is_hex(t.p[colon - n - 1])) return true;
    return n == 5;
}

void scan_ips(str t, spans *out)
{
    for (size_t i = 0; i < t.n;) {
        char c = t.p[i], before = i ? t.p[i - 1] : '\0';
        bool begins = (is_hex(c) || c == ':') && !is_alnum(before) && before != '_';
        size_t end = begins && is_digit(c) ? ipv4_at(t, i) : 0;
        if (begins && !end && (before != ':' || is_label(t, i - 1))) end = ipv6_at(t, i);
        if (end) spans_add(out, i, end, SCAN_IP);
        i = end ? end : i + 1;
    }
}
