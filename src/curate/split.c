/* split.c - parts by hash, so that they neither depend on order nor change for no reason.
 *
 * Groups stand in a line by their hash; two cuts make three parts of it (a third one, what is
 * in none).  Where the hashes put the cuts they never move a group when others come; only where
 * a part would be off by more than two points they are moved, and then as little as will do. */
#include "curate/split.h"

#include <math.h>
#include <stdlib.h>

#include "base/sha256.h"

const char *const split_names[SPLIT_NONE + 1] = {"train", "valid", "test", "none"};

typedef struct group {
    uint64_t hash; /* the lowest of its ids' */
    uint32_t root;
    uint64_t rows;
    bool is_large;
} group;

typedef struct line {
    group *groups; /* [n] large ones first, then by hash */
    size_t n;
    uint64_t n_rows, n_large_rows;
    uint64_t *before; /* [n + 1] rows of the groups before a place */
} line;

static uint64_t hash_id(str id)
{
    unsigned char digest[SHA256_SIZE];
    uint64_t h = 0;
    sha256 s;
    sha256_init(&s);
    sha256_add(&s, "split", 6);
    sha256_add(&s, id.p, id.n);
    sha256_end(&s, digest);
    for (int i = 0; i < 8; i++) h = h << 8 | digest[i];
    return h;
}

static int in_line(const void *pa, const void *pb)
{
    const group *a = pa, *b = pb;
    if (a->is_large != b->is_large) return a->is_large ? -1 : 1;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return (a->root > b->root) - (a->root < b->root);
}

static status make_line(const split_input *in, line *l, uint32_t *group_of, err *e)
{
    l->groups = calloc(in->n + 1, sizeof *l->groups);
    l->before = calloc(in->n + 2, sizeof *l->before);
    if (!l->groups || !l->before) return err_nomem(e, "splitting");
    for (size_t i = 0; i < in->n; i++) group_of[i] = UINT32_MAX;
    for (size_t i = 0; i < in->n; i++) {
        uint32_t root = in->root[i];
        if (group_of[root] == UINT32_MAX) {
            group_of[root] = (uint32_t)l->n;
            l->groups[l->n++] = (group){.hash = UINT64_MAX, .root = root};
        }
        group *g = &l->groups[group_of[root]];
        uint64_t h = hash_id(in->ids[i]);
        if (h < g->hash) g->hash = h;
        g->rows++;
    }
    l->n_rows = in->n;
    for (size_t k = 0; k < l->n; k++) {
        l->groups[k].is_large = l->groups[k].rows * 50 > l->n_rows;
        if (l->groups[k].is_large) l->n_large_rows += l->groups[k].rows;
    }
    qsort(l->groups, l->n, sizeof *l->groups, in_line);
    for (size_t k = 0; k < l->n; k++) l->before[k + 1] = l->before[k] + l->groups[k].rows;
    return ST_OK;
}

/* Where the hashes put the cut behind which a share of the rows is. */
static size_t cut_by_hash(const line *l, double share)
{
    double n = (double)l->n_rows, large = (double)l->n_large_rows;
    double of_rest = n > large ? (share * n - large) / (n - large) : 0;
    size_t k = 0;
    while (k < l->n &&
           (l->groups[k].is_large || (double)(l->groups[k].hash >> 11) * 0x1p-53 < of_rest))
        k++;
    return k;
}

static double miss(const line *l, size_t cut, double share)
{
    return (double)l->before[cut] / (double)l->n_rows - share;
}

/* The nearest cut that is off by a point at most, or the best there is. */
static size_t move_cut(const line *l, size_t cut, double share)
{
    size_t best = cut;
    while (cut < l->n && miss(l, cut, share) < -0.01) cut++;
    while (cut > 0 && miss(l, cut, share) > 0.01) cut--;
    if (fabs(miss(l, cut, share)) < fabs(miss(l, best, share))) best = cut;
    if (cut < l->n && fabs(miss(l, cut + 1, share)) < fabs(miss(l, best, share))) best = cut + 1;
    return best;
}

static bool off(const line *l, const size_t *cuts, const double *shares)
{
    uint64_t before = 0;
    bool far = false;
    for (int k = 0; k < SPLIT_NONE; k++) {
        uint64_t rows = l->before[cuts[k]] - before;
        far |= fabs((double)rows / (double)l->n_rows - shares[k]) > 0.02;
        before = l->before[cuts[k]];
    }
    return far;
}

status split_assign(const split_input *in, unsigned char *out, split_sizes *sizes, err *e)
{
    line l = {0};
    size_t cuts[SPLIT_NONE];
    double upto = 0;
    *sizes = (split_sizes){0};
    uint32_t *group_of = calloc(in->n + 1, sizeof *group_of);
    status st = group_of ? make_line(in, &l, group_of, e) : err_nomem(e, "splitting");
    if (st == ST_OK && in->n) {
        for (int k = 0; k < SPLIT_NONE; k++) cuts[k] = cut_by_hash(&l, upto += in->shares[k]);
        bool far = off(&l, cuts, in->shares);
        upto = 0;
        for (int k = 0; k < SPLIT_NONE; k++) {
            upto += in->shares[k];
            if (upto > 1 - 1e-9)
                cuts[k] = l.n;
            else if (far)
                cuts[k] = move_cut(&l, cuts[k], upto);
            if (k && cuts[k] < cuts[k - 1]) cuts[k] = cuts[k - 1];
        }
        for (size_t k = 0, part = 0; k < l.n; k++) {
            while (part < SPLIT_NONE && k >= cuts[part]) part++;
            group_of[l.groups[k].root] = (uint32_t)part;
            sizes->rows[part] += l.groups[k].rows;
            if (l.groups[k].rows > sizes->largest) sizes->largest = l.groups[k].rows;
        }
        for (size_t i = 0; i < in->n; i++) out[i] = (unsigned char)group_of[in->root[i]];
        sizes->groups = l.n;
    }
    free(l.groups);
    free(l.before);
    free(group_of);
    return st;
}
