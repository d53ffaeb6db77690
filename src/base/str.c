/* str.c - the one thing about str that is not an inline: how far two names are apart. */
#include "base/str.h"

size_t str_distance(str a, str b)
{
    enum { CAP = 64 };
    if (a.n >= CAP || b.n >= CAP) return CAP;
    size_t row[CAP + 1];
    for (size_t j = 0; j <= b.n; j++) row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t best = diagonal + (a.p[i - 1] != b.p[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b.n];
}
