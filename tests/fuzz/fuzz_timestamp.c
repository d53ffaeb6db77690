/* fuzz_timestamp.c - any bytes as a timestamp or a time span: an instant that is found again when
 * it is written, or refused. */
#include "base/time.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    instant at, again;
    double seconds;
    char text[INSTANT_TEXT];
    str s = {(const char *)data, size};
    if (instant_parse(s, &at)) {
        must(at.ns >= 0 && at.ns < 1000000000);
        instant_format(at, text);
        must(instant_parse(str_from(text), &again));
        /* An offset can lead out of the years that can be written. */
        if (at.s >= -62135596800 && at.s < 253402300799)
            must(again.s == at.s && again.ns == at.ns / 1000000 * 1000000);
        must(instant_cmp(instant_add(at, 1e300), at) > 0);
        must(instant_cmp(instant_add(at, -1e300), at) < 0);
    }
    if (duration_parse(s, &seconds)) must(seconds >= 0 && size > 0);
    return 0;
}
