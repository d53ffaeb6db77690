/* fuzz_tokenizer.c - any bytes as a text, and any as a vocabulary: ids within it, framed, never
 * more than there is room for, and a shorter room cuts the same ids. */
#include <string.h>

#include "embed/tokenizer.h"
#include "fuzz.h"

static const char words[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nthe\n##s\nreset\npass\n##word\n"
    "caf\xC3\xA9\ncafe\n\xE6\x9D\xB1\n##\xE4\xBA\xAC\n!\n?\n'\n##e\n\xCC\x81\n";

enum { ROOM = 64 };

static void check_ids(const tokenizer *t, str text)
{
    int32_t ids[ROOM], fewer[ROOM];
    size_t n = tokenizer_ids(t, text, ids, ROOM);
    must(n >= 2 && n <= ROOM);
    for (size_t i = 0; i < n; i++) must(ids[i] >= 0 && (size_t)ids[i] < tokenizer_vocab_size(t));
    size_t room = 2 + text.n % (ROOM - 2), m = tokenizer_ids(t, text, fewer, room);
    must(m == (n < room ? n : room));
    must(!memcmp(ids, fewer, (m - 1) * sizeof *ids) && fewer[m - 1] == ids[n - 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static tokenizer *known[4];
    err e = {0};
    if (!size) return 0;
    tokenizer_options o = {data[0] & 1, data[0] & 2};
    str text = {(const char *)data + 1, size - 1};
    tokenizer **t = &known[data[0] & 3], *own = NULL;
    if (!*t) must(tokenizer_new(str_from(words), &o, t, &e) == ST_OK);
    check_ids(*t, text);
    if (data[0] & 4 && tokenizer_new(text, &o, &own, &e) == ST_OK) check_ids(own, text);
    tokenizer_free(own);
    return 0;
}
