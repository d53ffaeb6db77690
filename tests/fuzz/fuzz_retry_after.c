/* fuzz_retry_after.c - any bytes as Retry-After: seconds that are none below 0, or nonsense; and a
 * wait that is never above the longest. */
#include <math.h>

#include "fuzz.h"
#include "source/retry.h"

static double middle(void *ctx)
{
    (void)ctx;
    return 0.5;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const instant now = {784111777, 5};
    const retry_policy p = {.max_attempts = 5, .max_wait = 60, .random = middle};
    instant at;
    double seconds = -1, wait = -1;
    str field = {(const char *)data, size};
    err e = {ST_INCOMPLETE, "down"};
    bool has = retry_after_parse(field, now, &seconds);
    must(!has || seconds >= 0);
    if (http_date_parse(field, &at)) must(has && isfinite(seconds));
    status st = retry_next(&p, 1, field, now, &wait, &e);
    must(st == (has && seconds > 60 ? ST_INCOMPLETE : ST_OK));
    if (st == ST_OK) must(wait >= 0 && wait <= 60 && (!has || wait == seconds));
    return 0;
}
