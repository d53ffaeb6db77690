/* regex.c - the one door to PCRE2.
 *
 * The interpreter is used and not the compiler of machine code: its limits count the same
 * steps everywhere.  The text must be checked before (utf8_valid): PCRE2 would check all that
 * is left of it at each search. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>
#include <stdlib.h>

enum {
    LONGEST_PATTERN = 4096,
    STEPS = 10000,      /* of a search, whatever the text */
    STEPS_A_BYTE = 200, /* and more for each byte */
    DEPTH = 1000,       /* nested backtracking points */
    HEAP_KIB = 20480
};

struct regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

void regex_free(regex *r)
{
    if (!r) return;
    pcre2_match_context_free(r->limits);
    pcre2_match_data_free(r->data);
    pcre2_code_free(r->code);
    free(r);
}

status regex_new(str pattern, regex **out, err *e)
{
    int code;
    size_t at;
    *out = NULL;
    if (pattern.n > LONGEST_PATTERN)
        return err_set(e, ST_FAILED, "longer than %d bytes", LONGEST_PATTERN);
    regex *r = calloc(1, sizeof *r);
    if (!r) return err_nomem(e, "reading a pattern");
    r->code = pcre2_compile((PCRE2_SPTR)(pattern.p ? pattern.p : ""), pattern.n,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!r->code) {
        unsigned char why[128];
        regex_free(r);
        if (pcre2_get_error_message(code, why, sizeof why) < 0) return err_nomem(e, "a pattern");
        return err_set(e, ST_FAILED, "%s (byte %zu)", (char *)why, at);
    }
    r->data = pcre2_match_data_create(1, NULL);
    r->limits = pcre2_match_context_create(NULL);
    if (!r->data || !r->limits) {
        regex_free(r);
        return err_nomem(e, "reading a pattern");
    }
    pcre2_set_depth_limit(r->limits, DEPTH);
    pcre2_set_heap_limit(r->limits, HEAP_KIB);
    *out = r;
    return ST_OK;
}

regex_result regex_search(const regex *r, str text, size_t from, size_t *start, size_t *end)
{
    if (from >= text.n) return REGEX_NONE;
    const size_t n = text.n - from, most = (UINT32_MAX - STEPS) / STEPS_A_BYTE;
    pcre2_set_match_limit(r->limits, STEPS + STEPS_A_BYTE * (uint32_t)(n < most ? n : most));
    int rc = pcre2_match(r->code, (PCRE2_SPTR)text.p, text.n, from,
                         PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, r->data, r->limits);
    if (rc == PCRE2_ERROR_NOMATCH) return REGEX_NONE;
    if (rc < 0) return REGEX_GAVE_UP;
    const size_t *where = pcre2_get_ovector_pointer(r->data);
    *start = where[0];
    *end = where[1];
    /* \K can move the start behind the end. */
    return *start < *end && *start >= from ? REGEX_FOUND : REGEX_GAVE_UP;
}
