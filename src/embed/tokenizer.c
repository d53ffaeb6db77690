/* tokenizer.c - text to WordPiece ids.
 *
 * The model's own tokenizer cleans the text, spaces out ideographs, decomposes, drops
 * accents, lowers, splits at blanks and around punctuation, and cuts each word greedily
 * into the longest pieces of the vocabulary.  All up to the cutting is a table
 * (unicode_table.h) but for the order of combining characters: within a run of them
 * decomposition sorts by class, which one insertion does here, while the word is collected.
 *
 * The vocabulary is a trie over bytes, one for beginnings and one for continuations ("##").
 * Its nodes lie in breadth-first order, so that the labels of a node's children are
 * neighbours and memchr finds the next node.  Since tokens and words are both well-formed
 * UTF-8, the longest match in bytes is the longest in characters.
 *
 * Special tokens written out in the text ("[SEP]") become their ids, as in the reference. */
#include "embed/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "embed/unicode_table.h"

enum {
    WORD_LIMIT =
        100, /* characters; a longer word is [UNK] (tokenizer.json: max_input_chars_per_word) */
    NO_ID = -1,
    HANGUL_FIRST = 0xAC00, /* Unicode 15, 3.12: conjoining jamo */
    HANGUL_L = 0x1100,
    HANGUL_V = 0x1161,
    HANGUL_T = 0x11A7,
    HANGUL_N_V = 21,
    HANGUL_N_T = 28
};

static const char *const special_names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
enum { SPECIAL_PAD, SPECIAL_UNK, SPECIAL_CLS, SPECIAL_SEP, SPECIAL_MASK, N_SPECIAL };

typedef struct trie {
    unsigned char *label; /* [n] the byte that leads to the node */
    uint32_t *child;      /* [n] first child */
    uint16_t *n_children; /* [n] 0 to 256 */
    int32_t *id;          /* [n] of the token that ends here, or NO_ID */
    uint32_t n, cap;
} trie;

struct tokenizer {
    trie first, later;
    size_t n_vocab;
    int32_t special[N_SPECIAL]; /* NO_ID: not in this vocabulary */
    bool lowercase;
};

/* --- the trie ------------------------------------------------------------------------------- */

typedef struct token {
    str text; /* without "##" */
    int32_t id;
} token;

static int token_cmp(const void *a, const void *b)
{
    const token *x = a, *y = b;
    int c = str_cmp(x->text, y->text);
    return c ? c : (x->id > y->id) - (x->id < y->id);
}

/* Children of a node are a range of the sorted tokens that share its prefix. */
typedef struct range {
    uint32_t from, to, depth;
} range;

static void trie_release(trie *t)
{
    free(t->label);
    free(t->child);
    free(t->n_children);
    free(t->id);
}

static bool trie_alloc(trie *t, size_t n_nodes)
{
    t->label = calloc(n_nodes, sizeof *t->label);
    t->child = calloc(n_nodes, sizeof *t->child);
    t->n_children = calloc(n_nodes, sizeof *t->n_children);
    t->id = calloc(n_nodes, sizeof *t->id);
    t->cap = (uint32_t)n_nodes;
    return t->label && t->child && t->n_children && t->id;
}

/* Splits the range of a node by the next byte; appends its children. */
static void trie_expand(trie *t, uint32_t node, range *ranges, const token *tokens)
{
    range r = ranges[node];
    t->id[node] = NO_ID;
    while (r.from < r.to && tokens[r.from].text.n == r.depth)
        t->id[node] = tokens[r.from++].id; /* of equal lines the last counts */
    t->child[node] = t->n;
    while (r.from < r.to) {
        unsigned char byte = (unsigned char)tokens[r.from].text.p[r.depth];
        uint32_t to = r.from;
        while (to < r.to && (unsigned char)tokens[to].text.p[r.depth] == byte) to++;
        t->label[t->n] = byte;
        ranges[t->n++] = (range){r.from, to, r.depth + 1};
        t->n_children[node]++;
        r.from = to;
    }
}

/* tokens: sorted here. */
static status trie_build(trie *t, token *tokens, size_t n, err *e)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += tokens[i].text.n;
    range *ranges = calloc(bytes + 1, sizeof *ranges);
    if (!ranges || !trie_alloc(t, bytes + 1)) {
        free(ranges);
        return err_nomem(e, "reading the vocabulary");
    }
    qsort(tokens, n, sizeof *tokens, token_cmp);
    ranges[0] = (range){0, (uint32_t)n, 0};
    t->n = 1;
    for (uint32_t node = 0; node < t->n; node++) trie_expand(t, node, ranges, tokens);
    free(ranges);
    return ST_OK;
}

/* The id of the longest token at the front of `word`, and its length; NO_ID: none. */
static int32_t trie_longest(const trie *t, str word, size_t *length)
{
    uint32_t node = 0;
    int32_t best = NO_ID;
    for (size_t i = 0; i < word.n && t->n_children[node]; i++) {
        const unsigned char *labels = t->label + t->child[node];
        const unsigned char *hit = memchr(labels, (unsigned char)word.p[i], t->n_children[node]);
        if (!hit) break;
        node = t->child[node] + (uint32_t)(hit - labels);
        if (t->id[node] == NO_ID) continue;
        best = t->id[node];
        *length = i + 1;
    }
    return best;
}

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
    token *first = calloc(n_lines, sizeof *first), *later = calloc(n_lines, sizeof *later);
    status st = ST_OK;
    if (!first || !later || n_lines > INT32_MAX) {
        st = err_nomem(e, "reading the vocabulary");
        goto done;
    }
    for (str rest = vocab; rest.n;) {
        str line = next_line(&rest);
        int32_t id = (int32_t)t->n_vocab++;
        note_special(t, line, id);
        if (line.n > 2 && memcmp(line.p, "##", 2) == 0)
            later[n_later++] = (token){{line.p + 2, line.n - 2}, id};
        else if (line.n)
            first[n_first++] = (token){line, id};
    }
    st = trie_build(&t->first, first, n_first, e);
    if (st == ST_OK) st = trie_build(&t->later, later, n_later, e);
done:
    free(first);
    free(later);
    return st;
}

status tokenizer_new(str vocab, bool lowercase, tokenizer **out, err *e)
{
    *out = NULL;
    tokenizer *t = calloc(1, sizeof *t);
    if (!t) return err_nomem(e, "reading the vocabulary");
    t->lowercase = lowercase;
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
    const trie *t = &w->t->first;
    int32_t pieces[WORD_LIMIT];
    size_t n = 0;
    while (word.n) {
        size_t length = 0;
        int32_t id = trie_longest(t, word, &length);
        if (id == NO_ID) {
            put_id(w, w->t->special[SPECIAL_UNK]);
            return;
        }
        pieces[n++] = id; /* each takes a character at least */
        word = (str){word.p + length, word.n - length};
        t = &w->t->later;
    }
    for (size_t i = 0; i < n; i++) put_id(w, pieces[i]);
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

static uint16_t table_value(uint32_t c)
{
    uint32_t block = unicode_blocks[c / UNICODE_BLOCK];
    return unicode_values[block * UNICODE_BLOCK + c % UNICODE_BLOCK];
}

static void put_hangul(writer *w, uint32_t c)
{
    uint32_t k = c - HANGUL_FIRST;
    put_starter(w, HANGUL_L + k / (HANGUL_N_V * HANGUL_N_T));
    put_starter(w, HANGUL_V + k / HANGUL_N_T % HANGUL_N_V);
    if (k % HANGUL_N_T) put_starter(w, HANGUL_T + k % HANGUL_N_T);
}

static void put_expansion(writer *w, unsigned k)
{
    str text = {(const char *)unicode_expansions + unicode_expansion_at[k],
                (size_t)(unicode_expansion_at[k + 1] - unicode_expansion_at[k])};
    for (size_t at = 0; at < text.n;) {
        uint32_t c = utf8_next(text, &at);
        if (c == ' ')
            end_word(w);
        else if ((table_value(c) & UNICODE_UNCASED_MASK) == UNICODE_MARK)
            put_mark(w, c);
        else
            put_starter(w, c);
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
        put_expansion(w, value - UNICODE_FIRST_EXPANSION);
        break;
    }
}

static void put_cased(writer *w, uint32_t c, unsigned value)
{
    switch (value) {
    case UNICODE_CASED_SELF:
        put_starter(w, c);
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

size_t tokenizer_ids(const tokenizer *t, str text, int32_t *ids, size_t max)
{
    writer w = {.t = t, .ids = ids, .max = max - 1};
    put_id(&w, t->special[SPECIAL_CLS]);
    for (size_t at = 0; at < text.n && w.n < w.max;) {
        int32_t id;
        size_t n = text.p[at] == '[' ? special_at(t, text, at, &id) : 0;
        if (n) {
            end_word(&w);
            put_id(&w, id);
            at += n;
            continue;
        }
        uint32_t c = utf8_next(text, &at);
        unsigned value = table_value(c);
        if (t->lowercase)
            put_uncased(&w, c, value & UNICODE_UNCASED_MASK);
        else
            put_cased(&w, c, value >> UNICODE_CASED_SHIFT);
    }
    end_word(&w);
    ids[w.n++] = t->special[SPECIAL_SEP];
    return w.n;
}
