/* complaint.c - a server's own words, as far as they can be trusted in a terminal.
 *
 * A careless server echoes what it was sent, so a text that holds a secret, as it is or encoded the
 * way a request encodes it, is not shown at all.
 * Characters that a terminal acts on become '?'. */
#include "source/complaint.h"

#include <stdio.h>

#include "base/json.h"
#include "base/utf8.h"
#include "source/http.h"

enum { SHOWN = 160, LEAST_SECRET = 4 }; /* bytes; a shorter "secret" would be found in any text */

static js *parse(str body, buf *scratch)
{
    err unused = {0};
    js *root = NULL;
    if (body.n > 64 << 10) return NULL;
    str text = js_mend(body, scratch);
    if (!buf_ok(scratch) || js_parse(text, &root, &unused)) return NULL;
    return root;
}

void complaint_code(str body, char out[COMPLAINT_CODE])
{
    buf scratch = {0};
    js *root = parse(body, &scratch);
    str code = js_string(js_get(root, "error"));
    bool plain = code.n < COMPLAINT_CODE;
    for (size_t i = 0; i < code.n && plain; i++) plain = code.p[i] > ' ' && code.p[i] <= '~';
    snprintf(out, COMPLAINT_CODE, "%.*s", plain ? (int)code.n : 0, code.p ? code.p : "");
    js_free(root);
    buf_release(&scratch);
}

/* What the runs of base64 in a text say, one after the other: Basic sends the secret so. */
static void decode_base64(str text, buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned n = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *digit = memchr(digits, text.p[i], sizeof digits - 1);
        n = digit ? n + 6 : 0;
        if (digit) bits = bits << 6 | (uint32_t)(digit - digits);
        if (n < 8) continue;
        n -= 8;
        buf_char(out, (char)(bits >> n & 0xff));
    }
}

static bool holds_in_base64(str text, str secret)
{
    buf plain = {0};
    decode_base64(text, &plain);
    bool held = !buf_ok(&plain) || (plain.n && memmem(plain.p, plain.n, secret.p, secret.n));
    http_wipe(&plain);
    buf_release(&plain);
    return held;
}

static bool holds(str text, const char *secret)
{
    size_t n = strlen(secret);
    if (n < LEAST_SECRET) return n > 0;
    if (memmem(text.p, text.n, secret, n) || holds_in_base64(text, (str){secret, n})) return true;
    buf encoded = {0};
    http_encode(&encoded, (str){secret, n});
    bool held = !buf_ok(&encoded) || memmem(text.p, text.n, encoded.p, encoded.n);
    http_wipe(&encoded);
    buf_release(&encoded);
    return held;
}

static str pick(const js *root)
{
    static const char *const names[] = {"error_description", "message", "error", "detail"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        str s = js_string(js_get(root, names[i]));
        if (!s.n) s = js_string(js_get(js_get(root, names[i]), "message"));
        if (s.n) return s;
    }
    return (str){0};
}

/* Bidirectional controls could make a message read otherwise than it is. */
static bool is_visible(uint32_t c)
{
    return !utf8_is_control(c) && !(c >= 0x200b && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202e) &&
           !(c >= 0x2060 && c <= 0x2069) && c != 0xfeff;
}

void complaint_words(str body, const char *const *secrets, char out[COMPLAINT_CAP])
{
    buf scratch = {0};
    js *root = parse(body, &scratch);
    str text = pick(root);
    size_t n = 0, at = 0;
    out[0] = 0;
    for (; text.n && *secrets; secrets++)
        if (holds(text, *secrets)) text.n = 0;
    if (text.n) n = (size_t)snprintf(out, COMPLAINT_CAP, ": ");
    while (at < text.n && n < SHOWN) {
        uint32_t c = utf8_next(text, &at);
        if (is_visible(c))
            n += utf8_put(out + n, c);
        else
            out[n++] = c == '\n' || c == '\t' ? ' ' : '?';
    }
    snprintf(out + n, COMPLAINT_CAP - n, "%s", at < text.n ? "..." : "");
    js_free(root);
    buf_release(&scratch);
}
