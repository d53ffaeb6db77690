/* scan.h - finding personal data in a text: the built-in rules of redaction.
 *
 * Each scanner walks over a text once, looks a bounded number of bytes around each place, and
 * reports spans of bytes; so all are linear in the text.  They know forms and check sums, not
 * meaning: names and postal addresses are not found. */
#ifndef TAMIS_CURATE_SCAN_H
#define TAMIS_CURATE_SCAN_H

#include <stdint.h>

#include "base/str.h"

/* In order of precedence: where spans overlap, the first rule names the whole. */
typedef enum scan_rule {
    SCAN_IBAN,
    SCAN_CARD,
    SCAN_EMAIL,
    SCAN_SSN,
    SCAN_PHONE,
    SCAN_IP,
    SCAN_RULES
} scan_rule;

/* "iban", "card", ... as in redact.rules. */
extern const char *const scan_rule_names[SCAN_RULES];

typedef struct span {
    size_t start, end; /* bytes */
    uint32_t rule;     /* a scan_rule, or SCAN_RULES + number of a pattern */
} span;

/* Zero-initialise; release.  oom: memory ran out and spans are missing. */
typedef struct spans {
    span *list;
    size_t n, cap;
    bool oom;
} spans;
void spans_add(spans *s, size_t start, size_t end, uint32_t rule);
void spans_release(spans *s);

/* Sorts by start and joins those that overlap. */
void spans_join(spans *s);

/* Payment cards: 13 to 19 digits of a known brand and its lengths, Luhn; plain or in groups
 * with one kind of separator. */
void scan_cards(str text, spans *out);
/* IBAN: length of the country, ISO 7064 mod 97-10; blanks and dashes allowed. */
void scan_ibans(str text, spans *out);
/* local@domain, the last label of letters. */
void scan_emails(str text, spans *out);
/* With country code (+ or 00); North American; with a trunk 0; any other form only where a
 * word such as "phone" or "call" is near before it. */
void scan_phones(str text, spans *out);
/* US social security numbers as AAA-GG-SSSS, groups that are never given out refused; with
 * other separators or none only near the words "SSN" or "social". */
void scan_ssns(str text, spans *out);
/* IPv4 (but for what is called a version) and IPv6. */
void scan_ips(str text, spans *out);

#endif
