/* safetensors.c - looks tensors up in the header and checks them against the map.
 *
 * What is float32 already is used where it lies; half precision is widened once, which is
 * exact: every float16 and bfloat16 value is a float32 value.  Quantised and double types are
 * refused: rounding them would make it another model. */
#include "embed/safetensors.h"

#include <math.h>

enum { HEADER_LIMIT = 16 << 20 };

typedef struct element {
    str name;
    size_t size;
    float (*widen)(uint16_t bits); /* NULL: it is float32 */
} element;

static float from_bits(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction. */
static float widen_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31) return from_bits(sign | 0x7F800000u | fraction << 13);
    if (exponent) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float small = (float)fraction * 0x1p-24f; /* subnormal, or zero */
    return sign ? -small : small;
}

/* The upper half of a float32. */
static float widen_bf16(uint16_t h)
{
    return from_bits((uint32_t)h << 16);
}

static const element elements[] = {
    {{"F32", 3}, 4, NULL}, {{"F16", 3}, 2, widen_f16}, {{"BF16", 4}, 2, widen_bf16}};

static const element *find_element(str name)
{
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (str_eq(name, elements[i].name)) return &elements[i];
    return NULL;
}

status safetensors_open(safetensors *s, const char *path, err *e)
{
    err why = {0};
    unsigned char length[8];
    uint64_t n = 0;
    s->path = path;
    status st = file_map_open(path, &s->map, e);
    if (st) return st;
    str all = s->map.bytes;
    if (all.n >= sizeof length) memcpy(length, all.p, sizeof length);
    for (size_t i = sizeof length; all.n >= sizeof length && i--;) n = n << 8 | length[i];
    if (all.n < sizeof length || !n || n > HEADER_LIMIT || n > all.n - sizeof length)
        return err_set(e, ST_FAILED, "%s: no safetensors header within its %zu bytes", path, all.n);
    s->data = (str){all.p + sizeof length + n, all.n - sizeof length - (size_t)n};
    if (js_parse((str){all.p + sizeof length, (size_t)n}, &s->header, &why) ||
        js_type(s->header) != JS_OBJECT)
        return err_set(e, ST_FAILED, "%s: its header is not a JSON object%s%s", path,
                       *why.msg ? ": " : "", why.msg);
    return ST_OK;
}

void safetensors_forget(safetensors *s)
{
    js_free(s->header);
    s->header = NULL;
}

void safetensors_release(safetensors *s)
{
    safetensors_forget(s);
    file_unmap(&s->map);
    if (s->converted.head) arena_release(&s->converted);
    *s = (safetensors){0};
}

bool safetensors_has(const safetensors *s, const char *name)
{
    return js_get(s->header, name) != NULL;
}

static status bad(const safetensors *s, const char *name, err *e, const char *what)
{
    return err_set(e, ST_FAILED, "%s: tensor %s %s", s->path, name, what);
}

/* n values from `p` on. */
static status widen(safetensors *s, const char *p, size_t n, const element *el, const char **out,
                    err *e)
{
    float *to = arena_alloc(&s->converted, n, sizeof *to);
    if (!to) return err_nomem(e, "loading the model");
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, p + i * sizeof bits, sizeof bits);
        to[i] = el->widen(bits);
    }
    *out = (const char *)to;
    return ST_OK;
}

static status get(safetensors *s, const char *name, size_t rows, size_t cols, bool is_vector,
                  tensor *out, err *e)
{
    const js *t = js_get(s->header, name);
    if (js_type(t) != JS_OBJECT) return bad(s, name, e, "is missing");
    str type = js_string(js_get(t, "dtype"));
    const element *el = find_element(type);
    if (!el)
        return err_set(e, ST_FAILED,
                       "%s: tensor %s is of type %.*s; F32, F16 and BF16 are supported", s->path,
                       name, STR_FMT(type.n ? type : STR("unknown")));
    const js *shape = js_get(t, "shape"), *offsets = js_get(t, "data_offsets");
    double from = js_number(js_at(offsets, 0), -1), to = js_number(js_at(offsets, 1), -1);
    double n_rows = is_vector ? 1 : js_number(js_at(shape, 0), 0);
    double n_cols = js_number(js_at(shape, is_vector ? 0 : 1), 0);
    if (js_size(shape) != (is_vector ? 1U : 2U) || n_cols != (double)cols || n_rows < 1 ||
        n_rows > INT32_MAX || n_rows != floor(n_rows) || (rows && n_rows != (double)rows))
        return bad(s, name, e, "has not the shape that config.json asks for");
    size_t n = (size_t)n_rows * cols;
    if (!(from >= 0) || from != floor(from) || to > (double)s->data.n ||
        to - from != (double)n * (double)el->size)
        return bad(s, name, e, "does not lie within the file (is it cut short?)");
    *out = (tensor){s->data.p + (size_t)from, (size_t)n_rows, cols};
    return el->widen ? widen(s, out->p, n, el, &out->p, e) : ST_OK;
}

status safetensors_matrix(safetensors *s, const char *name, size_t rows, size_t cols, tensor *out,
                          err *e)
{
    return get(s, name, rows, cols, false, out, e);
}

status safetensors_vector(safetensors *s, const char *name, size_t cols, tensor *out, err *e)
{
    return get(s, name, 1, cols, true, out, e);
}
