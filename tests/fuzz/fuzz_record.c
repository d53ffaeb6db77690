/* fuzz_record.c - any bytes as a raw record: parsed, rated and paired, or refused; never a
 * crash.  The two readers of records agree. */
#include "base/json.h"
#include "base/utf8.h"
#include "curate/rating.h"
#include "curate/turns.h"
#include "fuzz.h"
#include "../unit/two_readers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena a = {0};
    err e = {0};
    interaction i;
    rating r;
    rating_map map = {0};
    size_t not_text = 0;
    str key, item, raw = {(const char *)data, size};
    js_cutter cutter = {.text = raw};
    while (js_cut(&cutter, &key, &item) == JS_CUT_ITEM)
        if (item.n == 0 || item.p < raw.p || item.p + item.n > raw.p + raw.n) abort();
    if (record_parse(raw, &a, &i, &e) == ST_OK) {
        turn *turns = arena_alloc(&a, turns_limit(&i) + 1, sizeof *turns);
        if (!i.id.n || !utf8_valid(i.id) || !turns) abort();
        size_t n = turns_pair(&i, turns, &not_text);
        if (n > turns_limit(&i)) abort();
        for (size_t k = 0; k < n; k++)
            if (!turns[k].user_utterance.n || !turns[k].bot_response.n) abort();
        if (rating_read(i.rating, &map, &a, &r, &e)) abort();
    }
    arena_release(&a);
    if (raw.n && *raw.p == '{' && !readers_agree(raw)) abort();
    return 0;
}
