/* complaint.c - a server's own words, as far as they can be trusted in a terminal.
 *
 * A careless server echoes what it was sent, so a text that holds a secret is not shown at all.
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

static bool holds(str text, const char *secret)
{
    size_t n = strlen(secret);
    if (n < LEAST_SECRET) return n > 0;
    if (memmem(text.p, text.n, secret, n)) return true;
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
