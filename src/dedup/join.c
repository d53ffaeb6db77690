/* join.c - near vectors by short integer codes, without missing one.
 *
 * A pair (x, y) is of interest if x.y >= limit.  Three levels say for almost all pairs that it is
 * not, each by an upper bound on x.y that holds whatever the vectors are; what is left goes to
 * the exact cosine (decide.c).
 *
 * First level.  P [k, dim] has nearly orthonormal rows: |P P' - I| <= d (subspace.c; without a turn
 * P = I, d = 0).  The eigenvalues of I - P'P are 1 and, on the span of P's rows, between -d and
 * d, so M = (1 + d) I - P'P has none below 0, and by Cauchy and Schwarz
 *
 *     x.y = Px.Py + x'My - d x.y  <=  Px.Py + r_x r_y + d |x||y|,   r_x^2 = (1 + d)|x|^2 - |Px|^2.
 *
 * With integer codes c at one scale s, Px = s c_x + e_x, and a second time by Cauchy and Schwarz
 *
 *     Px.Py + r_x r_y = s^2 c_x.c_y + s c_x.e_y + e_x.s c_y + (e_x.e_y + r_x r_y)
 *                    <= s^2 c_x.c_y + |s c_x||e_y| + |e_x||s c_y| + l_x l_y,   l^2 = |e|^2 + r^2.
 *
 * The second and the last term become one more word of four bytes in the codes: with numbers
 * rounded up, b_y >= f l_y/s and a_1 + a_2 + a_3 >= l_x/(f s) give
 * (a_1 + a_2 + a_3) b_y >= l_x l_y/s^2 for any f, and likewise for |s c_x| and |e_y|.  |s c_y| is
 * at most `reach`.  So an integer product D of k + 4 bytes is all that differs from pair to pair:
 *
 *     x.y <= s^2 D + |e_x| reach + d L^2,   L the greatest length,
 *
 * and the pair is passed over if D is below the least integer for which the right side reaches
 * the limit.  Columns are bytes without sign (code + 128, or less where codes are narrow, as the
 * instructions want one side), which adds as many times the sum of c_x, a number of the query.
 *
 * Px itself is rounded: a chain of dim fused multiply-adds in float32 is off by at most
 * g |P_i||x|, g = dim u/(1 - dim u), u = 2^-24 (Higham, Accuracy and Stability of Numerical
 * Algorithms, 3.1), so the vector of k of them by sqrt(k) g (1 + d) |x|.  That is added to |e_x|
 * and taken from |Px| before r_x is formed.
 *
 * Second level.  Codes of all dimensions of the vector as it is, each with a scale of its own:
 * x = s_x c_x + e_x gives x.y <= s_x s_y c_x.c_y + |s_x c_x||e_y| + |e_x|(|s_y c_y| + |e_y|).
 *
 * Numbers that are formed in double (norms, limits: a relative error below 1e-12 for dim <= 4096,
 * as has cosine_exact, the sum that a bound must not miss) are rounded up by 1e-9 or more; `fuzz`
 * holds that and d L^2.
 *
 * Between the two, codes as the first ones, but of more dimensions, may sift what is left: the same
 * bound, for a pair at a time.
 *
 * A set keeps the first codes of its members packed in panels, and those to sift by in rows.  A
 * piece of the set stays in the second cache while the queries pass; hits are written down
 * sparsely, then weighed with their second codes fetched ahead. */
#include "dedup/join.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/gemm.h"
#include "dedup/codes.h"
#include "dedup/subspace.h"

enum {
    COLUMN = 0xFFFF,     /* the bits of a hit's column */
    AHEAD = 12,          /* hits whose second codes are on their way */
    LATER = 4,           /* hits that are left, whose vectors are */
    TURN_PAYS = 6000,    /* vectors, from which on */
    SAMPLE = 2000,       /* vectors for the directions; no power of two, by which caches are made */
    TRIAL_COLUMNS = 512, /* and for trying plans, as well as SCAN_QUERIES queries */
    SIFT_LENGTH = 124    /* with its last word, whole registers */
};

/* Codes, and what they are made with. */
typedef struct level {
    codes_input in;
    float *turn; /* [length, dim] or NULL */
    codes codes;
} level;

struct join {
    join_input in;
    join_plan plan;
    const scan_kernels *k;
    level first, sifting;
    size_t sift_bytes; /* of a column; 0: nothing is sifted */
};

static const size_t lengths[JOIN_PLANS] = {
    [JOIN_PREFIX_28] = 28, [JOIN_PREFIX_44] = 44, [JOIN_PREFIX_60] = 60, [JOIN_PREFIX_76] = 76,
    [JOIN_PREFIX_92] = 92, [JOIN_SIFT_36] = 36,   [JOIN_SIFT_52] = 52};

/* Dimensions of the longest turned codes of a plan. */
static size_t needs(join_plan p)
{
    return p == JOIN_SIFT_36 || p == JOIN_SIFT_52 ? SIFT_LENGTH : lengths[p];
}

static bool has_room(join_plan p, size_t dim)
{
    return needs(p) * 3 <= dim;
}

bool join_has_prefix(uint64_t n, uint64_t dim)
{
    return n >= TURN_PAYS && dim >= lengths[JOIN_PREFIX_28] * 4;
}

join_plan join_plan_of(const join *j)
{
    return j->plan;
}

const char *join_plan_name(join_plan p)
{
    static const char *const names[JOIN_PLANS] = {"auto",
                                                  "first 28 dimensions, turned",
                                                  "first 44 dimensions, turned",
                                                  "first 60 dimensions, turned",
                                                  "first 76 dimensions, turned",
                                                  "first 92 dimensions, turned",
                                                  "first 36 dimensions, turned, then 124",
                                                  "first 52 dimensions, turned, then 124",
                                                  "all dimensions"};
    return names[p];
}

/* --- sets ----------------------------------------------------------------------------------- */

static bool make_room(const join *j, join_set *s)
{
    const size_t chunk = s->n / SCAN_COLUMNS;
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : SCAN_COLUMNS;
        uint32_t *vector = reallocarray(s->vector, cap, sizeof *vector);
        if (!vector) return false;
        s->vector = vector;
        uint8_t **chunks = reallocarray(s->chunks, cap / SCAN_COLUMNS, sizeof *chunks);
        if (!chunks) return false;
        s->chunks = chunks;
        s->cap = cap;
    }
    if (chunk < s->n_chunks) return true;
    void *p = NULL;
    const size_t bytes = SCAN_COLUMNS * (4 * j->first.codes.words + j->sift_bytes);
    if (posix_memalign(&p, 64, bytes)) return false;
    s->chunks[s->n_chunks++] = memset(p, 0, bytes);
    return true;
}

/* Four sums of bytes. */
static uint32_t add_bytes(uint32_t x, uint32_t y)
{
    const uint32_t low = 0x7F7F7F7Fu;
    return ((x & low) + (y & low)) ^ ((x ^ y) & ~low);
}

/* What a column holds at the place of a query's last word. */
static void last_word(const codes *c, uint32_t vector, uint8_t last[4])
{
    last[0] = last[1] = last[2] = c->rest[vector][0];
    last[3] = c->rest[vector][1];
}

/* A column of a panel: four bytes of each word lie together, or, of narrow codes, two and two. */
static void put_column(const codes *c, uint32_t vector, uint8_t *panel, size_t column)
{
    const size_t step = c->narrow ? 2 : 4;
    const uint32_t added = 0x01010101u * (uint32_t)codes_added(c);
    const int8_t *code = c->first + (size_t)vector * 4 * c->words;
    uint8_t last[4];
    last_word(c, vector, last);
    uint8_t *to = panel + column * step;
    for (size_t w = 0; w < c->words; w++, code += 4) {
        uint32_t four;
        memcpy(&four, code, sizeof four);
        four = add_bytes(four, added);
        const uint8_t *bytes = w + 1 < c->words ? (const uint8_t *)&four : last;
        for (size_t i = 0; i < 4; i += step, to += step * SCAN_PANEL) memcpy(to, bytes + i, step);
    }
}

/* A column of what is sifted. */
static void put_row(const codes *c, uint32_t vector, uint8_t *to)
{
    const size_t n = 4 * (c->words - 1);
    const int8_t *code = c->first + (size_t)vector * 4 * c->words;
    for (size_t i = 0; i < n; i++) to[i] = (uint8_t)(code[i] + SCAN_NARROW);
    last_word(c, vector, to + n);
}

status join_set_add(const join *j, join_set *s, uint32_t vector, err *e)
{
    if (!make_room(j, s)) return err_nomem(e, "deduplicating");
    const size_t at = s->n % SCAN_COLUMNS;
    uint8_t *panels = s->chunks[s->n / SCAN_COLUMNS];
    put_column(&j->first.codes, vector,
               panels + at / SCAN_PANEL * j->first.codes.words * SCAN_PANEL * 4, at % SCAN_PANEL);
    if (j->sift_bytes)
        put_row(&j->sifting.codes, vector,
                panels + SCAN_COLUMNS * 4 * j->first.codes.words + at * j->sift_bytes);
    s->vector[s->n++] = vector;
    return ST_OK;
}

void join_set_clear(join_set *s)
{
    s->n = 0;
}

void join_set_release(join_set *s)
{
    for (size_t i = 0; i < s->n_chunks; i++) free(s->chunks[i]);
    free(s->chunks);
    free(s->vector);
    *s = (join_set){0};
}

/* --- searching ------------------------------------------------------------------------------ */

status join_scratch_init(const join *j, join_scratch *s, err *e)
{
    const size_t bytes = 4 * j->first.codes.words;
    void *wide = NULL;
    *s = (join_scratch){.queries = malloc(SCAN_QUERIES * bytes),
                        .cosines = calloc(SCAN_QUERIES, sizeof *s->cosines),
                        .limits = calloc(SCAN_QUERIES, sizeof *s->limits),
                        .offsets = calloc(SCAN_QUERIES, sizeof *s->offsets),
                        .hits =
                            malloc(sizeof *s->hits * (SCAN_QUERIES * SCAN_COLUMNS + SCAN_SPARE))};
    bool ok = !posix_memalign(&wide, 64, (SCAN_QUERIES + SCAN_PANEL) * bytes * sizeof *s->wide);
    s->wide = wide;
    if (j->sift_bytes) {
        s->sift_queries = aligned_alloc(64, SCAN_QUERIES * j->sift_bytes);
        s->sift_limits = calloc(SCAN_QUERIES, sizeof *s->sift_limits);
        s->sift_starts = calloc(SCAN_QUERIES, sizeof *s->sift_starts);
        ok = ok && s->sift_queries && s->sift_limits && s->sift_starts;
    }
    ok = ok && s->queries && s->cosines && s->limits && s->offsets && s->hits;
    return ok ? ST_OK : err_nomem(e, "deduplicating");
}

void join_scratch_release(join_scratch *s)
{
    free(s->queries);
    free(s->cosines);
    free(s->limits);
    free(s->offsets);
    free(s->wide);
    free(s->sift_queries);
    free(s->sift_limits);
    free(s->sift_starts);
    free(s->hits);
    *s = (join_scratch){0};
}

/* The least product of the first code, without its offset, that may matter. */
static int32_t limit_of(const codes *c, uint32_t vector, double limit, int64_t offset)
{
    double least = limit - (double)c->error[vector] * c->reach - c->fuzz;
    double steps = floor(least / (c->scale * c->scale));
    if (!(steps > -1e9)) return INT32_MIN;
    if (steps > 1e9) return INT32_MAX;
    return (int32_t)((int64_t)steps + offset);
}

static void take_queries(const codes *c, const join_look *l, join_scratch *s)
{
    const size_t bytes = 4 * c->words;
    for (size_t q = 0; q < l->n; q++) {
        const int8_t *code = c->first + (size_t)l->vectors[q] * bytes;
        int64_t sum = 0;
        memcpy(s->queries + q * bytes, code, bytes);
        for (size_t i = 0; !c->narrow && i + 4 < bytes; i++) sum += code[i];
        s->offsets[q] = codes_added(c) * sum;
        s->cosines[q] = (double)NAN; /* no limit yet */
    }
}

static void take_sifted(const join *j, const join_look *l, join_scratch *s)
{
    const codes *c = &j->sifting.codes;
    const size_t bytes = 4 * c->words;
    for (size_t q = 0; q < l->n; q++) {
        int8_t *to = s->sift_queries + q * j->sift_bytes;
        memcpy(to, c->first + (size_t)l->vectors[q] * bytes, bytes);
        memset(to + bytes, 0, j->sift_bytes - bytes);
        s->sift_starts[q] = c->start[l->vectors[q]];
    }
}

/* Of queries whose cosines were raised meanwhile. */
static void set_limits(const join *j, const join_look *l, join_scratch *s, size_t n)
{
    for (size_t q = 0; q < n; q++) {
        if (s->cosines[q] == l->limits[q]) continue;
        s->cosines[q] = l->limits[q];
        s->limits[q] = limit_of(&j->first.codes, l->vectors[q], l->limits[q], s->offsets[q]);
        if (j->sift_bytes)
            s->sift_limits[q] = limit_of(&j->sifting.codes, l->vectors[q], l->limits[q], 0);
    }
}

/* Of n hits in a piece of the set, those that the longer codes leave. */
static size_t sift(const join *j, join_scratch *s, size_t n, const uint8_t *columns)
{
    s->counts.sifted += n;
    return j->k->sift(&(sift_job){.queries = s->sift_queries,
                                  .starts = s->sift_starts,
                                  .limits = s->sift_limits,
                                  .columns = columns,
                                  .bytes = j->sift_bytes,
                                  .hits = s->hits,
                                  .n_hits = n});
}

/* Can the pair matter, as its second codes see it? */
static bool may_matter(const join *j, uint32_t x, uint32_t y, double limit)
{
    const codes *c = &j->first.codes;
    const size_t dim = j->in.dim;
    const code_head *a = &c->heads[x], *b = &c->heads[y];
    int32_t product = j->k->dot_codes(c->second + x * dim, c->second + y * dim, dim);
    double most = (double)a->scale * (double)b->scale * product +
                  (double)a->norm * (double)b->error +
                  (double)a->error * ((double)b->norm + (double)b->error);
    return !(most + c->fuzz < limit);
}

static void fetch(const join *j, uint32_t vector)
{
    const int8_t *code = j->first.codes.second + (size_t)vector * j->in.dim;
    __builtin_prefetch(&j->first.codes.heads[vector]);
    for (size_t i = 0; i < j->in.dim; i += 64) __builtin_prefetch(code + i);
}

/* What found() is going to look at. */
static void fetch_floats(const join *j, uint32_t vector)
{
    const vector_list *v = &j->in.vectors;
    if (v->file && vector >= v->n_here) return;
    const float *row = v->rows + (size_t)vector * j->in.dim;
    for (size_t i = 0; i < j->in.dim; i += 16) __builtin_prefetch(row + i);
}

static void tell(const join_look *l, uint32_t hit, uint32_t first)
{
    l->found(l->ctx, hit >> 16, first + (hit & COLUMN));
}

/* The hits of a piece of the set that begins at member `first`. */
static void weigh_hits(const join *j, const join_look *l, join_scratch *s, size_t n, uint32_t first)
{
    const uint32_t *vector = l->set->vector + first;
    const bool second = j->first.codes.second != NULL;
    size_t kept = 0, left = 0, told = 0;
    if (l->to - first >= SCAN_COLUMNS) kept = n;
    for (size_t i = kept; i < n; i++) /* columns that only fill up the last panel, go */
        if (first + (s->hits[i] & COLUMN) < l->to) s->hits[kept++] = s->hits[i];
    for (size_t i = 0; second && i < AHEAD && i < kept; i++) fetch(j, vector[s->hits[i] & COLUMN]);
    for (size_t i = 0; i < kept; i++) {
        const size_t q = s->hits[i] >> 16;
        const uint32_t column = s->hits[i] & COLUMN;
        if (second) {
            if (i + AHEAD < kept) fetch(j, vector[s->hits[i + AHEAD] & COLUMN]);
            s->counts.coded++;
            if (!may_matter(j, l->vectors[q], vector[column], l->limits[q])) continue;
        }
        fetch_floats(j, vector[column]);
        s->hits[left++] = s->hits[i]; /* they take the places of those that were weighed */
        if (left > LATER) tell(l, s->hits[told++], first);
    }
    while (told < left) tell(l, s->hits[told++], first);
    s->counts.found += left;
}

void join_search(const join *j, const join_look *l, join_scratch *s)
{
    const codes *c = &j->first.codes;
    if (!l->n) return;
    take_queries(c, l, s);
    if (j->sift_bytes) take_sifted(j, l, s);
    size_t (*scan)(const scan_job *) = c->narrow ? j->k->scan_narrow : j->k->scan;
    size_t active = 0;
    for (uint32_t chunk = l->seen[0] / SCAN_COLUMNS; (size_t)chunk * SCAN_COLUMNS < l->to;
         chunk++) {
        const uint32_t first = chunk * SCAN_COLUMNS;
        const uint32_t columns = l->to - first < SCAN_COLUMNS ? l->to - first : SCAN_COLUMNS;
        while (active < l->n && l->seen[active] < first + columns) active++;
        set_limits(j, l, s, active);
        size_t n = scan(&(scan_job){.queries = s->queries,
                                    .limits = s->limits,
                                    .n_queries = active,
                                    .panels = l->set->chunks[chunk],
                                    .n_panels = (columns + SCAN_PANEL - 1) / SCAN_PANEL,
                                    .words = c->words,
                                    .wide = s->wide,
                                    .hits = s->hits});
        s->counts.scanned += (uint64_t)active * columns;
        if (n && j->sift_bytes)
            n = sift(j, s, n, l->set->chunks[chunk] + SCAN_COLUMNS * 4 * c->words);
        weigh_hits(j, l, s, n, first);
    }
}

/* --- the plan ------------------------------------------------------------------------------- */

/* Codes of all vectors.  basis: [length at least, dim], its prefix is taken; NULL: no turn. */
static status encode_level(const join *j, size_t length, bool sift, const double *basis, level *out,
                           err *e)
{
    const join_input *in = &j->in;
    out->in = (codes_input){.vectors = in->vectors,
                            .n = in->n,
                            .dim = in->dim,
                            .squares = in->squares,
                            .longest = in->longest,
                            .largest = in->largest,
                            .length = length,
                            .sift = sift,
                            .isa = in->isa,
                            .pool = in->pool};
    if (basis) {
        out->in.turn = out->turn = calloc(length * in->dim, sizeof *out->turn);
        if (!out->turn) return err_nomem(e, "deduplicating");
        status st = subspace_turn(basis, length, in->dim, out->turn, &out->in.turn_error, e);
        if (st) return st;
    }
    return codes_make(&out->in, &out->codes, e);
}

static void release_level(level *l)
{
    codes_release(&l->codes);
    free(l->turn);
}

/* Encodes under a plan. */
static status encode(join *j, join_plan plan, const double *basis, err *e)
{
    j->plan = plan;
    if (plan == JOIN_ALL) return encode_level(j, j->in.dim, false, NULL, &j->first, e);
    status st = encode_level(j, lengths[plan], false, basis, &j->first, e);
    if (st || needs(plan) == lengths[plan]) return st;
    st = encode_level(j, needs(plan), true, basis, &j->sifting, e);
    const size_t bytes = 4 * j->sifting.codes.words;
    j->sift_bytes = (bytes + SCAN_SIFT - 1) / SCAN_SIFT * SCAN_SIFT;
    return st;
}

void join_free(join *j)
{
    if (!j) return;
    release_level(&j->first);
    release_level(&j->sifting);
    free(j);
}

typedef struct trial {
    join_input in; /* of the vectors taken on trial */
    float *vectors;
    double *squares;
} trial;

static void count_only(void *ctx, size_t query, uint32_t member)
{
    (void)ctx;
    (void)query;
    (void)member;
}

/* What a pair costs under a plan, in nanoseconds or so: the words of its first code, and shares
 * of the pairs that are sifted, that need the second code, and more.  Measured on one machine, and
 * sifting for AVX-512 guessed, on the high side; the plan is about time alone. */
static double cost_of(isa set, size_t words, const join_counts *n)
{
    static const struct {
        double word, sifted, coded, found;
    } costs[] = {[ISA_SCALAR] = {1.5, 60, 120, 250},
                 [ISA_AVX2] = {0.027, 7, 50, 150},
                 [ISA_AVX512] = {0.04, 10, 70, 120},
                 [ISA_AVX512VNNI] = {0.022, 10, 45, 120}};
    const double all = (double)n->scanned;
    return costs[set].word * (double)words + costs[set].sifted * (double)n->sifted / all +
           costs[set].coded * (double)n->coded / all + costs[set].found * (double)n->found / all;
}

static status try_plan(const trial *t, join_plan plan, const double *basis, double *cost, err *e)
{
    join j = {.in = t->in, .k = scan_kernels_for(t->in.isa)};
    join_set set = {0};
    join_scratch s = {0};
    uint32_t vectors[SCAN_QUERIES], seen[SCAN_QUERIES] = {0};
    double limits[SCAN_QUERIES];
    status st = encode(&j, plan, basis, e);
    for (uint32_t i = 0; st == ST_OK && i < TRIAL_COLUMNS; i++) st = join_set_add(&j, &set, i, e);
    if (st == ST_OK) st = join_scratch_init(&j, &s, e);
    if (st) goto done;
    for (uint32_t q = 0; q < SCAN_QUERIES; q++) {
        vectors[q] = TRIAL_COLUMNS + q;
        limits[q] = t->in.threshold;
    }
    join_search(&j,
                &(join_look){.set = &set,
                             .vectors = vectors,
                             .seen = seen,
                             .to = set.n,
                             .limits = limits,
                             .n = SCAN_QUERIES,
                             .found = count_only},
                &s);
    *cost = cost_of(t->in.isa, j.first.codes.words, &s.counts);
done:
    join_scratch_release(&s);
    join_set_release(&set);
    release_level(&j.first);
    release_level(&j.sifting);
    return st;
}

/* Vectors spread evenly over all. */
static bool take_sample(const join_input *in, size_t n, float *vectors, double *squares)
{
    if (!vectors) return false;
    for (size_t i = 0; i < n; i++) {
        size_t v = (size_t)((unsigned __int128)i * in->n / n);
        float *to = vectors + i * in->dim;
        const float *x = vectors_row(&in->vectors, in->dim, v, to);
        if (x != to) memcpy(to, x, in->dim * sizeof *to);
        if (squares) squares[i] = in->squares[v];
    }
    return true;
}

static status try_plans(const join_input *in, const double *basis, join_plan *best, err *e)
{
    const size_t n = TRIAL_COLUMNS + SCAN_QUERIES;
    trial t = {.in = *in,
               .vectors = calloc(n * in->dim, sizeof *t.vectors),
               .squares = calloc(n, sizeof *t.squares)};
    double least = HUGE_VAL, cost = 0;
    status st = t.squares && take_sample(in, n, t.vectors, t.squares)
                    ? ST_OK
                    : err_nomem(e, "deduplicating");
    t.in.vectors = (vector_list){.rows = t.vectors};
    t.in.squares = t.squares;
    t.in.n = n;
    const join_plan last = in->vectors.file ? JOIN_PREFIX_60 : JOIN_ALL;
    for (join_plan p = JOIN_PREFIX_28; st == ST_OK && p <= last; p++) {
        if (!has_room(p, in->dim)) continue;
        st = try_plan(&t, p, basis, &cost, e);
        if (st || cost >= least) continue;
        least = cost;
        *best = p;
    }
    free(t.vectors);
    free(t.squares);
    return st;
}

static status find_basis(const join_input *in, size_t length, double *basis, err *e)
{
    const size_t n = in->n < SAMPLE ? in->n : SAMPLE;
    float *sample = calloc(n * in->dim + 1, sizeof *sample);
    status st = take_sample(in, n, sample, NULL) ? ST_OK : err_nomem(e, "deduplicating");
    if (st == ST_OK)
        st = subspace_find(&(subspace_input){.vectors = sample,
                                             .n = n,
                                             .dim = in->dim,
                                             .n_basis = length,
                                             .isa = in->isa,
                                             .pool = in->pool},
                           basis, e);
    free(sample);
    return st;
}

status join_new(const join_input *in, join **out, err *e)
{
    *out = NULL;
    join *j = calloc(1, sizeof *j);
    if (!j) return err_nomem(e, "deduplicating");
    *j = (join){.in = *in, .k = scan_kernels_for(in->isa)};
    join_plan plan = in->plan;
    size_t most = 0; /* dimensions of the longest prefix that there is room for */
    for (join_plan p = JOIN_PREFIX_28; p < JOIN_ALL; p++)
        if (has_room(p, in->dim) && needs(p) > most) most = needs(p);
    if (plan == JOIN_AUTO && !join_has_prefix(in->n, in->dim)) plan = JOIN_ALL;
    if (needs(plan) > most) plan = JOIN_ALL;
    double *basis = NULL;
    status st = ST_OK;
    if (plan != JOIN_ALL) {
        basis = calloc(most * in->dim, sizeof *basis);
        st = basis ? find_basis(in, most, basis, e) : err_nomem(e, "deduplicating");
    }
    if (st == ST_OK && plan == JOIN_AUTO) st = try_plans(in, basis, &plan, e);
    if (st == ST_OK) st = encode(j, plan, basis, e);
    free(basis);
    if (st == ST_OK)
        *out = j;
    else
        join_free(j);
    return st;
}
