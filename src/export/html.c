/* html.c - what stands between the texts of strangers and a browser. */
#include "export/html.h"

#include <stdio.h>

#include "base/utf8.h"

/* Controls; the marks, embeddings, overrides and isolates of bidirectional text. */
static bool is_unsafe(uint32_t c)
{
    return utf8_is_control(c) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static const char *reference_of(uint32_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return is_unsafe(c) ? " " : NULL;
    }
}

void html_excerpt(buf *b, str text, size_t limit)
{
    for (size_t from = 0, at = 0; at < text.n; from = at) {
        if (!limit--) {
            buf_z(b, "…");
            return;
        }
        const char *reference = reference_of(utf8_next(text, &at));
        if (reference)
            buf_z(b, reference);
        else
            buf_add(b, text.p + from, at - from);
    }
}

void html_text(buf *b, str text)
{
    html_excerpt(b, text, SIZE_MAX);
}

void html_count(buf *b, uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) buf_char(b, ',');
        buf_char(b, digits[i]);
    }
}
