/* utf8.c - a strict decoder; nothing above it sees an ill-formed sequence. */
#include "base/utf8.h"

/* Lowest and highest second byte after a lead byte, and how many bytes follow
 * (Unicode 15, table 3-7).  0: not a lead byte. */
static unsigned tail_length(unsigned lead, unsigned *lo, unsigned *hi)
{
    *lo = 0x80;
    *hi = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) return 1;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0) *lo = 0xA0;
        if (lead == 0xED) *hi = 0x9F;
        return 2;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0) *lo = 0x90;
        if (lead == 0xF4) *hi = 0x8F;
        return 3;
    }
    return 0;
}

/* As utf8_next; *ok tells whether the bytes were well-formed. */
static uint32_t decode(str s, size_t *at, bool *ok)
{
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned lead = p[(*at)++], lo, hi;
    *ok = true;
    if (lead < 0x80) return lead;
    unsigned tail = tail_length(lead, &lo, &hi);
    uint32_t c = lead & (0x3Fu >> tail);
    for (unsigned i = 0; i < tail; i++) {
        if (*at >= s.n || p[*at] < lo || p[*at] > hi) {
            tail = 0;
            break;
        }
        c = c << 6 | (p[(*at)++] & 0x3Fu);
        lo = 0x80;
        hi = 0xBF;
    }
    *ok = tail != 0;
    return *ok ? c : UTF8_REPLACEMENT;
}

uint32_t utf8_next(str s, size_t *at)
{
    bool ok;
    return decode(s, at, &ok);
}

/* How many bytes from `at` on are ASCII, looked at eight at a time. */
static size_t ascii_run(str s, size_t at)
{
    size_t from = at;
    for (uint64_t eight; s.n - at >= sizeof eight; at += sizeof eight) {
        memcpy(&eight, s.p + at, sizeof eight);
        if (eight & UINT64_C(0x8080808080808080)) break;
    }
    return at - from;
}

bool utf8_valid(str s)
{
    bool ok = true;
    for (size_t at = ascii_run(s, 0); at < s.n && ok; at += ascii_run(s, at)) {
        size_t stop = s.n - at > 8 ? at + 8 : s.n;
        while (at < stop && ok) decode(s, &at, &ok);
    }
    return ok;
}

size_t utf8_put(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)((0xF00u >> n & 0xFF) | c);
    return n;
}

void utf8_repair(buf *out, str s)
{
    size_t good = 0; /* start of the run not yet copied */
    for (size_t at = 0; at < s.n;) {
        size_t before = at;
        bool ok;
        decode(s, &at, &ok);
        if (ok) continue;
        buf_add(out, s.p + good, before - good);
        buf_z(out, "\xEF\xBF\xBD");
        good = at;
    }
    if (good < s.n) buf_add(out, s.p + good, s.n - good);
}

bool utf8_is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

bool utf8_is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

void utf8_write_plain(buf *out, str s)
{
    for (size_t from = 0, at = 0; at < s.n; from = at) {
        if (utf8_is_control(utf8_next(s, &at)))
            buf_char(out, ' ');
        else
            buf_add(out, s.p + from, at - from);
    }
}

void utf8_make_plain(char *z)
{
    str s = {z, strlen(z)};
    for (size_t from = 0, at = 0; at < s.n; from = at) {
        bool ok;
        uint32_t c = decode(s, &at, &ok);
        if (!ok || utf8_is_control(c)) memset(z + from, '?', at - from);
    }
}

str utf8_strip(str s)
{
    for (size_t at = 0; s.n;) {
        at = 0;
        if (!utf8_is_space(utf8_next(s, &at))) break;
        s.p += at;
        s.n -= at;
    }
    while (s.n) {
        size_t start = s.n - 1;
        while (start > 0 && ((unsigned char)s.p[start] & 0xC0) == 0x80) start--;
        size_t at = start;
        if (!utf8_is_space(utf8_next(s, &at)) || at < s.n) break; /* at: it is not well-formed */
        s.n = start;
    }
    return s;
}

str utf8_skip_bom(str text)
{
    if (text.n >= 3 && !memcmp(text.p, "\xEF\xBB\xBF", 3)) return (str){text.p + 3, text.n - 3};
    return text;
}
