/* model_config.c - what the JSON files of a model directory say.
 *
 *   config.json                 the shape; it has to be there
 *   modules.json                the stages: Transformer, Pooling, and Normalize or not
 *   1_Pooling/config.json       mean or CLS (the folder is the one that modules.json names)
 *   sentence_bert_config.json   max_seq_length
 *   tokenizer_config.json       cased or not, ideographs, names of the special tokens
 *   tokenizer.json              its normalizer, where tokenizer_config.json does not say
 *   config_sentence_transformers.json   a default prompt
 *
 * All but the first may be missing.  Then the pooling is the mean, the longest text 256 tokens, and
 * the vocabulary shows whether it is cased.  A sum divided by a number points where the sum points,
 * and vectors are always scaled to unit length, so pooling_mode_mean_sqrt_len_tokens is the mean,
 * and a missing Normalize makes no difference to any cosine.
 *
 * What would change vectors and is not computed here is refused, with the file and the reason. */
#include "embed/model_config.h"

#include <math.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/json.h"

enum {
    CONFIG_LIMIT = 4 << 20,
    TOKENIZER_LIMIT = 64 << 20,
    DIM_MAX = 4096,
    GRAIN = 16,           /* kernels work on this many columns */
    DEFAULT_TOKENS = 256, /* without sentence_bert_config.json: that of all-MiniLM-L6-v2 */
    MODULES_MAX = 16
};

/* One file of the directory. */
typedef struct config_file {
    const model *m;
    const char *name;
    js *root; /* NULL: it is not there */
    err *e;
} config_file;

static status refuse(const config_file *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

static status refuse(const config_file *f, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return err_set(f->e, ST_FAILED, "%s/%s: %s; %s", f->m->dir, f->name, what, MODEL_REFETCH);
}

/* Reads one JSON value; a missing file gives root NULL. */
static status config_open(config_file *f, const model *m, const char *name, size_t limit, err *e)
{
    buf path = {0}, text = {0};
    err why = {0};
    *f = (config_file){.m = m, .name = name, .e = e};
    buf_fmt(&path, "%s/%s", m->dir, name);
    const char *z = buf_cstr(&path);
    status st = ST_OK;
    if (!z)
        st = err_nomem(e, "opening the model");
    else if (access(z, F_OK) == 0)
        st = file_read(z, limit, &text, e);
    else
        goto done;
    if (st == ST_OK && js_parse(buf_view(&text), &f->root, &why)) {
        f->root = NULL;
        st = refuse(f, "%s", why.msg);
    }
done:
    buf_release(&path);
    buf_release(&text);
    return st;
}

/* --- values --------------------------------------------------------------------------------- */

/* A whole number from 1 to `most`; 0 if it is not one. */
static size_t whole(const js *j, double most)
{
    double v = js_number(j, 0);
    return v >= 1 && v <= most && v == floor(v) ? (size_t)v : 0;
}

static bool is_set(const js *j)
{
    return j && js_type(j) != JS_NULL;
}

/* Absent, null, or the string `wanted`. */
static bool says(const js *j, const char *key, const char *wanted)
{
    const js *value = js_get(j, key);
    return !is_set(value) || str_eq(js_string(value), str_from(wanted));
}

static bool ends_with(str s, str end)
{
    return s.n >= end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

/* --- config.json ---------------------------------------------------------------------------- */

static status check_kind(const config_file *f)
{
    static const char *const wanted[][2] = {
        {"model_type", "bert"}, {"hidden_act", "gelu"}, {"position_embedding_type", "absolute"}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!says(f->root, wanted[i][0], wanted[i][1]))
            return refuse(f, "%s is \"%.*s\", and only \"%s\" is supported", wanted[i][0],
                          STR_FMT(js_string(js_get(f->root, wanted[i][0]))), wanted[i][1]);
    if (js_true(js_get(f->root, "is_decoder")))
        return refuse(f, "is_decoder is true: a decoder is not an encoder of sentences");
    if (is_set(js_get(f->root, "quantization_config")))
        return refuse(f, "quantization_config: quantised weights are not supported");
    return ST_OK;
}

static status take_config(model *m, const config_file *f)
{
    double eps = js_number(js_get(f->root, "layer_norm_eps"), 1e-12);
    struct {
        const char *key;
        size_t *out;
        double most;
    } sizes[] = {{"hidden_size", &m->hidden, DIM_MAX},
                 {"num_hidden_layers", &m->n_layers, MODEL_LAYERS_MAX},
                 {"num_attention_heads", &m->n_heads, DIM_MAX},
                 {"intermediate_size", &m->inner, 16 * DIM_MAX},
                 {"vocab_size", &m->n_vocab, INT32_MAX},
                 {"max_position_embeddings", &m->n_positions, INT32_MAX}};
    if (js_type(f->root) != JS_OBJECT) return refuse(f, "not a JSON object");
    status st = check_kind(f);
    if (st) return st;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        *sizes[i].out = whole(js_get(f->root, sizes[i].key), sizes[i].most);
        if (!*sizes[i].out)
            return refuse(f, "%s is missing, or not a whole number from 1 to %.0f", sizes[i].key,
                          sizes[i].most);
    }
    if (!(eps > 0 && eps < 1)) return refuse(f, "layer_norm_eps is not between 0 and 1");
    m->norm_eps = (float)eps;
    if (m->hidden % m->n_heads || m->hidden / m->n_heads % GRAIN || m->inner % GRAIN)
        return refuse(f, "the size of a head (hidden_size / num_attention_heads) and "
                         "intermediate_size must be multiples of 16");
    return m->n_positions < 2 ? refuse(f, "max_position_embeddings is below 2") : ST_OK;
}

/* --- modules.json, pooling ------------------------------------------------------------------ */

static bool leads_out(str path)
{
    return path.n && (memchr(path.p, 0, path.n) || memmem(path.p, path.n, "..", 2));
}

/* folder: [cap] that of the Pooling module, "" if there is none. */
static status take_modules(const config_file *f, char *folder, size_t cap)
{
    *folder = 0;
    if (js_type(f->root) != JS_ARRAY) return refuse(f, "not a JSON array");
    size_t n = js_size(f->root);
    if (n > MODULES_MAX) return refuse(f, "more than %d modules", MODULES_MAX);
    for (size_t i = 0; i < n; i++) {
        str type = js_string(js_get(js_at(f->root, i), "type"));
        str path = js_string(js_get(js_at(f->root, i), "path"));
        if (i == 0 && ends_with(type, STR(".Transformer"))) {
            if (path.n)
                return refuse(f, "its Transformer lies in %.*s, not beside modules.json",
                              STR_FMT(path));
        } else if (i == 1 && ends_with(type, STR(".Pooling"))) {
            if (path.n >= cap || leads_out(path))
                return refuse(f, "the path of its Pooling is no folder of the model");
            snprintf(folder, cap, "%.*s", STR_FMT(path));
        } else if (i != 2 || !ends_with(type, STR(".Normalize"))) {
            return refuse(f,
                          "module %zu is %.*s; supported are Transformer, Pooling and, if it is "
                          "there, Normalize, in this order",
                          i, STR_FMT(type.n ? type : STR("of no type")));
        }
    }
    return n < 2 ? refuse(f, "no Pooling among its modules") : ST_OK;
}

static status take_pooling(model *m, const config_file *f)
{
    static const struct {
        const char *key, *name;
        int kind; /* -1: not supported */
    } modes[] = {{"pooling_mode_cls_token", "cls", POOLING_CLS},
                 {"pooling_mode_mean_tokens", "mean", POOLING_MEAN},
                 {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", POOLING_MEAN},
                 {"pooling_mode_max_tokens", "max", -1},
                 {"pooling_mode_weightedmean_tokens", "weightedmean", -1},
                 {"pooling_mode_lasttoken", "lasttoken", -1}};
    size_t n_chosen = 0, chosen = 0;
    str name = js_string(js_get(f->root, "pooling_mode"));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (!js_true(js_get(f->root, modes[i].key)) && !str_eq(name, str_from(modes[i].name)))
            continue;
        chosen = i;
        n_chosen++;
    }
    if (n_chosen != 1)
        return refuse(f, "%s pooling mode is chosen; one of cls and mean is supported",
                      n_chosen ? "more than one" : "no known");
    if (modes[chosen].kind < 0)
        return refuse(f, "%s is chosen; cls and mean are supported", modes[chosen].key);
    const js *width = js_get(f->root, "word_embedding_dimension");
    if (is_set(width) && whole(width, DIM_MAX) != m->hidden)
        return refuse(f, "word_embedding_dimension is not the hidden_size of config.json");
    m->pooling = (pooling)modes[chosen].kind;
    return ST_OK;
}

static status read_pooling(model *m, err *e)
{
    char folder[256] = "1_Pooling", name[300];
    config_file f;
    status st = config_open(&f, m, "modules.json", CONFIG_LIMIT, e);
    bool named = f.root != NULL;
    if (st == ST_OK && named) st = take_modules(&f, folder, sizeof folder);
    js_free(f.root);
    if (st) return st;
    snprintf(name, sizeof name, "%s/config.json", folder);
    st = config_open(&f, m, name, CONFIG_LIMIT, e);
    if (st == ST_OK && f.root) st = take_pooling(m, &f);
    if (st == ST_OK && !f.root && named)
        st = refuse(&f, "modules.json names it, but it is not there");
    js_free(f.root);
    return st;
}

/* --- the tokenizer -------------------------------------------------------------------------- */

/* Special tokens must have the names that the tokenizer knows. */
static status check_special(const config_file *f)
{
    static const char *const names[][2] = {{"unk_token", "[UNK]"},
                                           {"cls_token", "[CLS]"},
                                           {"sep_token", "[SEP]"},
                                           {"pad_token", "[PAD]"},
                                           {"mask_token", "[MASK]"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const js *value = js_get(f->root, names[i][0]);
        if (js_type(value) == JS_OBJECT) value = js_get(value, "content");
        if (is_set(value) && !str_eq(js_string(value), str_from(names[i][1])))
            return refuse(f, "%s is not %s", names[i][0], names[i][1]);
    }
    str key;
    const js *token;
    const js *added = js_get(f->root, "added_tokens_decoder");
    for (js_members *it = NULL; (it = js_next(added, it, &key, &token));) {
        str text = js_string(js_get(token, "content"));
        bool known = false;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            known = known || str_eq(text, str_from(names[i][1]));
        if (!known)
            return refuse(f, "the added token %.*s is not supported",
                          STR_FMT(text.n ? text : STR("without content")));
    }
    return ST_OK;
}

/* Accents are stripped where letters are lowered, unless something else is said. */
static status take_case(model *m, const config_file *f, const char *lower_key,
                        const char *spaces_key)
{
    const js *lower = js_get(f->root, lower_key), *strip = js_get(f->root, "strip_accents");
    const js *spaces = js_get(f->root, spaces_key);
    if (is_set(spaces)) m->tokens_as.spaces_ideographs = js_true(spaces);
    if (!is_set(lower)) return ST_OK;
    m->tokens_as.uncased = js_true(lower);
    m->case_known = true;
    m->tokens_as.keeps_accents = m->tokens_as.uncased && is_set(strip) && !js_true(strip);
    if (js_true(strip) && !m->tokens_as.uncased)
        return refuse(f, "strip_accents without %s is not supported", lower_key);
    return ST_OK;
}

static status take_tokenizer_config(model *m, const config_file *f, double *longest)
{
    str class = js_string(js_get(f->root, "tokenizer_class"));
    if (class.n && !str_eq(class, STR("BertTokenizer")) && !str_eq(class, STR("BertTokenizerFast")))
        return refuse(f, "tokenizer_class is %.*s; BertTokenizer is supported", STR_FMT(class));
    *longest = js_number(js_get(f->root, "model_max_length"), 0);
    status st = check_special(f);
    return st ? st : take_case(m, f, "do_lower_case", "tokenize_chinese_chars");
}

static status take_tokenizer_json(model *m, const config_file *f)
{
    const js *normalizer = js_get(f->root, "normalizer"), *clean = js_get(normalizer, "clean_text");
    if (!says(normalizer, "type", "BertNormalizer"))
        return refuse(f, "its normalizer is not a BertNormalizer");
    if (is_set(clean) && !js_true(clean)) return refuse(f, "clean_text is false");
    config_file inner = *f;
    inner.root = (js *)normalizer; /* borrowed */
    return take_case(m, &inner, "lowercase", "handle_chinese_chars");
}

/* longest: model_max_length, 0 if it is not said. */
static status read_tokenizer(model *m, double *longest, err *e)
{
    config_file f;
    *longest = 0;
    m->tokens_as.spaces_ideographs = true;
    status st = config_open(&f, m, "tokenizer_config.json", CONFIG_LIMIT, e);
    if (st == ST_OK && f.root) st = take_tokenizer_config(m, &f, longest);
    js_free(f.root);
    if (st || m->case_known) return st;
    st = config_open(&f, m, "tokenizer.json", TOKENIZER_LIMIT, e);
    if (st == ST_OK && f.root) st = take_tokenizer_json(m, &f);
    js_free(f.root);
    return st;
}

/* --- the longest text, prompts -------------------------------------------------------------- */

/* max_seq_length where it is said; where the file leaves it open, model_max_length; never more
 * than there are positions. */
static status take_longest(model *m, const config_file *f, double longest)
{
    const js *said = js_get(f->root, "max_seq_length");
    double n = DEFAULT_TOKENS;
    if (f->root) {
        n = longest >= 1 ? longest : (double)m->n_positions;
        if (is_set(said)) n = js_number(said, 0);
        if (js_true(js_get(f->root, "do_lower_case")) && m->case_known && !m->tokens_as.uncased)
            return refuse(f, "do_lower_case is true, but the tokenizer is cased");
    }
    if (n > (double)m->n_positions) n = (double)m->n_positions;
    if (!(n >= 2) || n != floor(n))
        return refuse(f, "max_seq_length is not a whole number above 1");
    if (n > MODEL_TOKENS)
        return refuse(f, "texts of %.0f tokens; up to %d are supported", n, MODEL_TOKENS);
    m->max_tokens = (size_t)n;
    return ST_OK;
}

static status check_prompt(const config_file *f)
{
    str name = js_string(js_get(f->root, "default_prompt_name")), key;
    const js *text;
    for (js_members *it = NULL;
         name.n && (it = js_next(js_get(f->root, "prompts"), it, &key, &text));)
        if (str_eq(key, name) && js_string(text).n)
            return refuse(f, "default_prompt_name: prompts are not supported");
    return ST_OK;
}

status model_config_read(model *m, err *e)
{
    config_file f;
    double longest = 0;
    status st = config_open(&f, m, "config.json", CONFIG_LIMIT, e);
    if (st == ST_OK) st = take_config(m, &f);
    js_free(f.root);
    if (st == ST_OK) st = read_pooling(m, e);
    if (st == ST_OK) st = read_tokenizer(m, &longest, e);
    if (st) return st;
    st = config_open(&f, m, "sentence_bert_config.json", CONFIG_LIMIT, e);
    if (st == ST_OK) st = take_longest(m, &f, longest);
    js_free(f.root);
    if (st) return st;
    st = config_open(&f, m, "config_sentence_transformers.json", CONFIG_LIMIT, e);
    if (st == ST_OK && f.root) st = check_prompt(&f);
    js_free(f.root);
    return st;
}
