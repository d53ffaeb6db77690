/* scan_word.c - characters, groups of digits, words nearby.
 *
 * Whatever looks around a place looks at a bounded number of bytes, so that a scanner stays
 * linear whatever the text. */
#include "curate/scan_word.h"

enum { NEARBY = 48, LONGEST_WORD = 16 };

static bool touches(char c)
{
    return is_alnum(c) || c == '_';
}

bool number_begins(str t, size_t at)
{
    char before = at ? t.p[at - 1] : '\0';
    if (touches(before) || before == '+') return false;
    bool joins = before && strchr(".,:-/", before);
    return !(joins && at > 1 && is_digit(t.p[at - 2]));
}

bool number_ends(str t, size_t at)
{
    char after = byte_at(t, at);
    if (touches(after)) return false;
    bool joins = after && strchr(".,:-/", after);
    return !(joins && is_digit(byte_at(t, at + 1)));
}

size_t separator_at(str t, size_t at, char *kind)
{
    static const struct {
        const char *bytes;
        char kind;
    } known[] = {{" ", ' '},
                 {"-", '-'},
                 {".", '.'},
                 {"/", '/'},
                 {"\xc2\xa0", ' '},      /* no-break space */
                 {"\xe2\x80\x89", ' '},  /* thin space */
                 {"\xe2\x80\xaf", ' '},  /* narrow no-break space */
                 {"\xe2\x80\x90", '-'},  /* hyphen */
                 {"\xe2\x80\x91", '-'},  /* non-breaking hyphen */
                 {"\xe2\x80\x93", '-'}}; /* en dash */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i].bytes);
        if (at + n > t.n || memcmp(t.p + at, known[i].bytes, n)) continue;
        *kind = known[i].kind;
        return n;
    }
    return 0;
}

/* Behind the separators at `at`, where a digit stands; 0: there is none. */
static size_t next_group(str t, size_t at, bool brackets, char *kind)
{
    bool bracket = false;
    *kind = '\0';
    for (int i = 0; i < (brackets ? 3 : 1); i++) {
        char one;
        size_t n = separator_at(t, at, &one);
        if (n && (!*kind || *kind == ' '))
            *kind = one;
        else if (n && one != ' ')
            return 0; /* two dashes are no separator */
        if (!n && brackets && (byte_at(t, at) == '(' || byte_at(t, at) == ')'))
            n = 1, bracket = true;
        if (!n) return 0;
        at += n;
        if (is_digit(byte_at(t, at))) {
            if (bracket) *kind = '(';
            return at;
        }
    }
    return 0;
}

void groups_read(str t, size_t at, bool brackets, size_t most_digits, groups *out)
{
    char kind = '\0';
    out->n = out->n_digits = 0;
    for (bool more = true; more && out->n < GROUPS_MAX; more = at != 0) {
        size_t size = 0;
        while (size <= most_digits && is_digit(byte_at(t, at + size))) size++;
        if (out->n_digits + size > most_digits) return;
        memcpy(out->digits + out->n_digits, t.p + at, size);
        out->separator[out->n] = kind;
        out->size[out->n] = size;
        out->before[out->n] = out->n_digits;
        out->end[out->n] = at + size;
        out->n_digits += size;
        out->n++;
        at = next_group(t, at + size, brackets, &kind);
    }
}

static bool in_list(const char *list, const char *word, size_t n)
{
    char padded[LONGEST_WORD + 3] = " ";
    memcpy(padded + 1, word, n);
    padded[n + 1] = ' ';
    return strstr(list, padded) != NULL;
}

int nearest_word(str t, size_t at, const telling *words)
{
    size_t stop = at > NEARBY ? at - NEARBY : 0;
    for (int seen = 0; at > stop;) {
        char word[LONGEST_WORD];
        size_t end = at;
        while (at > stop && is_alnum(t.p[at - 1])) at--;
        size_t n = end - at;
        seen += n > 0;
        if (n && n <= LONGEST_WORD) {
            for (size_t i = 0; i < n; i++) word[i] = (char)(t.p[at + i] | 0x20);
            if (seen <= words->good_within && in_list(words->good, word, n)) return 1;
            if (seen <= words->bad_within && in_list(words->bad, word, n)) return -1;
        }
        if (!n) at--;
    }
    return 0;
}
