/* scan_word.h - what the scanners share: characters, groups of digits, words nearby. */
#ifndef TAMIS_CURATE_SCAN_WORD_H
#define TAMIS_CURATE_SCAN_WORD_H

#include "base/str.h"

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_letter(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static inline bool is_alnum(char c)
{
    return is_digit(c) || is_letter(c);
}

/* The byte at `at`, or NUL beyond either end. */
static inline char byte_at(str t, size_t at)
{
    return at < t.n ? t.p[at] : '\0';
}

/* Whether a number that begins (ends) here stands by itself: no letter, digit, underscore or plus
 * sign touches it, and it is no part of a decimal, a time or a list ("1.5", "10:30", "3,000"). */
bool number_begins(str t, size_t at);
bool number_ends(str t, size_t at);

/* Whether a comma, a colon or a slash stands there, which parts numbers that are known by their
 * form ("4111111111111111,12/27", "415-555-2671/415-555-2672"). */
static inline bool parts_numbers(char c)
{
    return c == ',' || c == ':' || c == '/';
}

/* The length in bytes of a separator (' ', '-', '.', '/', or a relation of them such as a
 * no-break space), 0 if there is none; *kind: which of the four. */
size_t separator_at(str t, size_t at, char *kind);

enum { GROUPS_MAX = 20, DIGITS_MAX = 20 };

/* Digits in groups.  separator[i] stands before group i ('(' for any with a bracket). */
typedef struct groups {
    size_t n, n_digits;
    size_t end[GROUPS_MAX];     /* byte behind group i */
    size_t size[GROUPS_MAX];    /* digits of group i */
    size_t before[GROUPS_MAX];  /* digits before group i */
    char separator[GROUPS_MAX]; /* [0] is NUL */
    char digits[DIGITS_MAX];
} groups;

/* Reads groups from `at` on (a digit) up to most_digits (at most DIGITS_MAX): a group that
 * would go beyond is left out.  Between groups: one separator, or with `brackets` up to
 * three bytes of separators and brackets. */
void groups_read(str t, size_t at, bool brackets, size_t most_digits, groups *out);

/* Words that tell what a number is, lower case, a blank before and behind each. */
typedef struct telling {
    const char *good, *bad;
    int good_within, bad_within; /* so many words before it */
} telling;

/* Of the words before `at` (in 48 bytes), the nearest that tells: +1 good, -1 bad; 0: none. */
int nearest_word(str t, size_t at, const telling *words);

#endif
