/* tokenizer.c - text to WordPiece ids.
 *
 * The model's own tokenizer cleans the text, spaces out ideographs, decomposes, drops
 * accents, lowers, splits at blanks and around punctuation, and cuts each word greedily
 * into the longest pieces of the vocabulary.  All up to the cutting is a table
 * (unicode_table.h) but for the order of combining characters: within a run of them
 * decomposition sorts by class, which one insertion does here, while the word is collected.
 *
 * The vocabulary is two tries over bytes, one of beginnings and one of continuations ("##").
 * Since tokens and words are both well-formed UTF-8, the longest match in bytes is the longest
 * in characters.
 *
 * Nearly all that people type is ASCII, where a character becomes one character or nothing: a word
 * of such is copied through a table of 256 bytes, made from the large one, and cut at once.  A
 * word that holds anything else goes the other way from its first character on.
 *
 * Special tokens written out in the text ("[SEP]") become their ids, as in the reference. */
#include "embed/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "embed/trie.h"
#include "embed/unicode_table.h"

enum {
    WORD_LIMIT =
        100, /* characters; a longer word is [UNK] (tokenizer.json: max_input_chars_per_word) */
    NO_ID = TRIE_NONE,
    HANGUL_FIRST = 0xAC00, /* Unicode 15, 3.12: conjoining jamo */
    HANGUL_L = 0x1100,
    HANGUL_V = 0x1161,
    HANGUL_T = 0x11A7,
    HANGUL_N_V = 21,
    HANGUL_N_T = 28
};

static const char *const special_names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
enum { SPECIAL_PAD, SPECIAL_UNK, SPECIAL_CLS, SPECIAL_SEP, SPECIAL_MASK, N_SPECIAL };

/* Classes of bytes; any other value is the byte that stands for it in a word. */
enum { BYTE_OTHER, BYTE_SPACE, BYTE_ALONE };

struct tokenizer {
    trie first, later;
    size_t n_vocab;
    int32_t special[N_SPECIAL]; /* NO_ID: not in this vocabulary */
    tokenizer_options options;
    unsigned char bytes[256]; /* BYTE_OTHER: only the table of characters knows */
};

/* --- the vocabulary ------------------------------------------------------------------------- */

static str next_line(str *rest)
{
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t used = line.n + (end != NULL);
    *rest = (str){rest->p + used, rest->n - used};
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    return line;
}

static void note_special(tokenizer *t, str line, int32_t id)
{
    for (int k = 0; k < N_SPECIAL; k++)
        if (str_eq(line, str_from(special_names[k]))) t->special[k] = id;
}

static status read_vocab(tokenizer *t, str vocab, err *e)
{
    size_t n_lines = 1, n_first = 0, n_later = 0;
    for (size_t i = 0; i < vocab.n; i++) n_lines += vocab.p[i] == '\n';
    trie_token *first = calloc(n_lines, sizeof *first), *later = calloc(n_lines, sizeof *later);
    status st = ST_OK;
    if (!first || !later || n_lines > INT32_MAX) {
        st = err_nomem(e, "reading the vocabulary");
        goto done;
    }
    for (str rest = vocab; rest.n;) {
        str line = next_line(&rest);
        int32_t id = (int32_t)t->n_vocab++;
        note_special(t, line, id);
        if (memchr(line.p, 0, line.n)) continue; /* no word holds a NUL */
        if (line.n > 2 && memcmp(line.p, "##", 2) == 0)
            later[n_later++] = (trie_token){{line.p + 2, line.n - 2}, id};
        else if (line.n)
            first[n_first++] = (trie_token){line, id};
    }
    st = trie_build(&t->first, first, n_first, e);
    if (st == ST_OK) st = trie_build(&t->later, later, n_later, e);
done:
    free(first);
    free(later);
    return st;
}

static uint16_t table_value(uint32_t c)
{
    uint32_t block = unicode_blocks[c / UNICODE_BLOCK];
    return unicode_values[block * UNICODE_BLOCK + c % UNICODE_BLOCK];
}

static unsigned char byte_class_uncased(unsigned char c, unsigned value)
{
    if (value == UNICODE_SELF) return c;
    if (value == UNICODE_SPACE) return BYTE_SPACE;
    if (value == UNICODE_ALONE) return BYTE_ALONE;
    if (value < UNICODE_FIRST_EXPANSION) return BYTE_OTHER;
    unsigned at = unicode_expansion_at[value - UNICODE_FIRST_EXPANSION];
    unsigned end = unicode_expansion_at[value - UNICODE_FIRST_EXPANSION + 1];
    unsigned char to = unicode_expansions[at];
    return end - at == 1 && to > ' ' && to < 0x80 ? to : BYTE_OTHER;
}

static unsigned char byte_class_cased(unsigned char c, unsigned value)
{
    return value == UNICODE_CASED_SELF    ? c
           : value == UNICODE_CASED_SPACE ? BYTE_SPACE
           : value == UNICODE_CASED_ALONE ? BYTE_ALONE
                                          : BYTE_OTHER;
}

/* NULL: lowering leaves it as it is. */
static const struct unicode_lowered *find_lowered(uint32_t c)
{
    size_t lo = 0, hi = unicode_n_lowered;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (unicode_lowered[mid].scalar == c) return &unicode_lowered[mid];
        if (unicode_lowered[mid].scalar < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool lowers_only(const tokenizer *t)
{
    return t->options.uncased && t->options.keeps_accents;
}

static bool strips(const tokenizer *t)
{
    return t->options.uncased && !t->options.keeps_accents;
}

static void classify_bytes(tokenizer *t)
{
    for (unsigned c = 1; c < 0x80; c++) {
        unsigned value = table_value(c);
        const struct unicode_lowered *l = lowers_only(t) ? find_lowered(c) : NULL;
        t->bytes[c] = l ? (unsigned char)l->to[0]
                      : strips(t)
                          ? byte_class_uncased((unsigned char)c, value & UNICODE_UNCASED_MASK)
                          : byte_class_cased((unsigned char)c, value >> UNICODE_CASED_SHIFT);
    }
    t->bytes['['] = BYTE_OTHER; /* a special token may begin there */
}

status tokenizer_new(str vocab, const tokenizer_options *o, tokenizer **out, err *e)
{
    *out = NULL;
    tokenizer *t = calloc(1, sizeof *t);
    if (!t) return err_nomem(e, "reading the vocabulary");
    t->options = *o;
    classify_bytes(t);
    for (int k = 0; k < N_SPECIAL; k++) t->special[k] = NO_ID;
    status st = ST_OK;
    if (!utf8_valid(vocab)) st = err_set(e, ST_FAILED, "not a vocabulary: it is not UTF-8 text");
    if (st == ST_OK) st = read_vocab(t, vocab, e);
    for (int k = SPECIAL_UNK; st == ST_OK && k <= SPECIAL_SEP; k++)
        if (t->special[k] == NO_ID)
            st = err_set(e, ST_FAILED, "not a WordPiece vocabulary: it has no line %s",
                         special_names[k]);
    if (st) {
        tokenizer_free(t);
        return st;
    }
    *out = t;
    return ST_OK;
}

void tokenizer_free(tokenizer *t)
{
    if (!t) return;
    trie_release(&t->first);
    trie_release(&t->later);
    free(t);
}

size_t tokenizer_vocab_size(const tokenizer *t)
{
    return t->n_vocab;
}

/* --- words ---------------------------------------------------------------------------------- */

typedef struct writer {
    const tokenizer *t;
    int32_t *ids;
    size_t n, max;                 /* max leaves room for [SEP] */
    uint32_t word[WORD_LIMIT];     /* the word so far */
    uint8_t combining[WORD_LIMIT]; /* class of each; 0: a starter */
    size_t length;                 /* may pass WORD_LIMIT: then it is [UNK] anyway */
    size_t sortable;               /* characters before this one stay where they are */
} writer;

static void put_id(writer *w, int32_t id)
{
    if (w->n < w->max) w->ids[w->n++] = id;
}

/* The pieces of a word, or one [UNK] if some part of it is in no piece. */
static void put_pieces(writer *w, str word)
{
    int32_t pieces[WORD_LIMIT];
    size_t n = 0, length = 0;
    int32_t id = trie_longest(&w->t->first, word, &length);
    for (; id != NO_ID && length < word.n; id = trie_longest(&w->t->later, word, &length)) {
        pieces[n++] = id; /* each takes a character at least */
        word = (str){word.p + length, word.n - length};
    }
    if (id == NO_ID) {
        put_id(w, w->t->special[SPECIAL_UNK]);
        return;
    }
    for (size_t i = 0; i < n; i++) put_id(w, pieces[i]);
    put_id(w, id);
}

static void end_word(writer *w)
{
    char bytes[WORD_LIMIT * 4];
    size_t n = 0, length = w->length;
    w->length = w->sortable = 0;
    if (!length) return;
    if (length > WORD_LIMIT) {
        put_id(w, w->t->special[SPECIAL_UNK]);
        return;
    }
    for (size_t i = 0; i < length; i++) n += utf8_put(bytes + n, w->word[i]);
    put_pieces(w, (str){bytes, n});
}

static uint8_t combining_class(uint32_t c)
{
    size_t lo = 0, hi = unicode_n_marks;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (unicode_marks[mid].scalar == c) return unicode_marks[mid].combining_class;
        if (unicode_marks[mid].scalar < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}

static void put_starter(writer *w, uint32_t c)
{
    if (w->length < WORD_LIMIT) {
        w->word[w->length] = c;
        w->combining[w->length] = 0;
    }
    w->length++;
    w->sortable = w->length;
}

/* Goes before those of a higher class that follow the last starter. */
static void put_mark(writer *w, uint32_t c)
{
    uint8_t class = combining_class(c);
    size_t at = w->length++;
    if (at >= WORD_LIMIT) return;
    for (; at > w->sortable && w->combining[at - 1] > class; at--) {
        w->word[at] = w->word[at - 1];
        w->combining[at] = w->combining[at - 1];
    }
    w->word[at] = c;
    w->combining[at] = class;
}

static void put_hangul(writer *w, uint32_t c)
{
    uint32_t k = c - HANGUL_FIRST;
    put_starter(w, HANGUL_L + k / (HANGUL_N_V * HANGUL_N_T));
    put_starter(w, HANGUL_V + k / HANGUL_N_T % HANGUL_N_V);
    if (k % HANGUL_N_T) put_starter(w, HANGUL_T + k % HANGUL_N_T);
}

/* What the normalizer takes for an ideograph: these ranges, 0x2B920 for 0x2B820 included. */
static bool is_ideograph(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

/* parts: the blanks in the expansion part words. */
static void put_expansion(writer *w, unsigned k, bool parts)
{
    str text = {(const char *)unicode_expansions + unicode_expansion_at[k],
                (size_t)(unicode_expansion_at[k + 1] - unicode_expansion_at[k])};
    for (size_t at = 0; at < text.n;) {
        uint32_t c = utf8_next(text, &at);
        if (c == ' ') {
            if (parts) end_word(w);
        } else if ((table_value(c) & UNICODE_UNCASED_MASK) == UNICODE_MARK) {
            put_mark(w, c);
        } else {
            put_starter(w, c);
        }
    }
}

static void put_alone(writer *w, uint32_t c)
{
    end_word(w);
    put_starter(w, c);
    end_word(w);
}

static void put_uncased(writer *w, uint32_t c, unsigned value)
{
    switch (value) {
    case UNICODE_SELF:
        put_starter(w, c);
        break;
    case UNICODE_GONE:
        break;
    case UNICODE_GONE_STARTER:
        w->sortable = w->length;
        break;
    case UNICODE_SPACE:
        end_word(w);
        break;
    case UNICODE_ALONE:
        put_alone(w, c);
        break;
    case UNICODE_HANGUL:
        put_hangul(w, c);
        break;
    case UNICODE_MARK:
        put_mark(w, c);
        break;
    default:
        put_expansion(w, value - UNICODE_FIRST_EXPANSION, true);
        break;
    }
}

/* Where nothing is decomposed. */
static void put_letter(writer *w, uint32_t c)
{
    const struct unicode_lowered *l = lowers_only(w->t) ? find_lowered(c) : NULL;
    put_starter(w, l ? l->to[0] : c);
    if (l && l->to[1]) put_starter(w, l->to[1]);
}

static void put_cased(writer *w, uint32_t c, unsigned value)
{
    switch (value) {
    case UNICODE_CASED_SELF:
        put_letter(w, c);
        break;
    case UNICODE_CASED_SPACE:
        end_word(w);
        break;
    case UNICODE_CASED_ALONE:
        put_alone(w, c);
        break;
    default:
        break; /* UNICODE_CASED_GONE */
    }
}

/* The special token written at text.p[at]; its length, 0: none. */
static size_t special_at(const tokenizer *t, str text, size_t at, int32_t *id)
{
    for (int k = 0; k < N_SPECIAL; k++) {
        size_t n = strlen(special_names[k]);
        if (t->special[k] == NO_ID || text.n - at < n) continue;
        if (memcmp(text.p + at, special_names[k], n) != 0) continue;
        *id = t->special[k];
        return n;
    }
    return 0;
}

/* A character in a model that takes ideographs for letters. */
static void put_ideograph(writer *w, uint32_t c, unsigned uncased)
{
    if (strips(w->t) && uncased >= UNICODE_FIRST_EXPANSION)
        put_expansion(w, uncased - UNICODE_FIRST_EXPANSION, false);
    else
        put_starter(w, c);
}

static void put(writer *w, uint32_t c)
{
    unsigned value = table_value(c);
    if (!w->t->options.spaces_ideographs && is_ideograph(c))
        put_ideograph(w, c, value & UNICODE_UNCASED_MASK);
    else if (strips(w->t))
        put_uncased(w, c, value & UNICODE_UNCASED_MASK);
    else
        put_cased(w, c, value >> UNICODE_CASED_SHIFT);
}

/* Between words: takes all that the table of bytes knows; the place of a word that holds
 * anything else, or of such a byte, or the end. */
static size_t put_ascii(writer *w, str text, size_t at)
{
    const unsigned char *classes = w->t->bytes;
    while (at < text.n && w->n < w->max) {
        char word[WORD_LIMIT];
        size_t from = at, n;
        unsigned char class = BYTE_SPACE;
        for (; at < text.n; at++) {
            class = classes[(unsigned char)text.p[at]];
            if (class <= BYTE_ALONE) break;
            if (at - from < WORD_LIMIT) word[at - from] = (char)class;
        }
        n = at - from;
        if (at < text.n && class == BYTE_OTHER) return from;
        if (n > WORD_LIMIT)
            put_id(w, w->t->special[SPECIAL_UNK]);
        else if (n)
            put_pieces(w, (str){word, n});
        if (at < text.n && class == BYTE_ALONE) put_pieces(w, (str){text.p + at, 1});
        at++;
    }
    return at;
}

size_t tokenizer_ids(const tokenizer *t, str text, int32_t *ids, size_t max)
{
    writer w = {.t = t, .ids = ids, .max = max - 1};
    put_id(&w, t->special[SPECIAL_CLS]);
    for (size_t at = 0;;) {
        if (!w.length) at = put_ascii(&w, text, at);
        if (at >= text.n || w.n >= w.max) break;
        int32_t id;
        size_t n = text.p[at] == '[' ? special_at(t, text, at, &id) : 0;
        if (n) {
            end_word(&w);
            put_id(&w, id);
            at += n;
            continue;
        }
        put(&w, utf8_next(text, &at));
    }
    end_word(&w);
    ids[w.n++] = t->special[SPECIAL_SEP];
    return w.n;
}
