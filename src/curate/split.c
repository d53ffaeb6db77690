/* split.c - parts by hash, so that they neither depend on order nor change for no reason.
 *
 * Groups stand in a line by their hash; two cuts make three parts of it (a third one, what is
 * in none), and large groups are in the first.  Where the hashes put the cuts they never move a
 * group when others come; only where a part would be off by more than two points the large groups
 * are shared out by size, and the cuts through the others moved as little as will do. */
#include "curate/split.h"

#include <math.h>
#include <stdlib.h>

#include "base/sha256.h"

const char *const split_names[SPLIT_NONE + 1] = {"train", "valid", "test", "none"};

typedef struct group {
    uint64_t hash; /* the lowest of its ids' */
    uint32_t root;
    uint64_t rows;
    bool is_large; /* more than one row in fifty */
    unsigned char part;
} group;

typedef struct line {
    group *groups; /* [n] large ones first, then by hash */
    size_t n, n_large;
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
        if (!l->groups[k].is_large) continue;
        l->n_large++;
        l->n_large_rows += l->groups[k].rows;
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

/* The nearest cut behind the large groups that is off by a point at most, or the best there is. */
static size_t move_cut(const line *l, size_t cut, double share)
{
    size_t best = cut;
    while (cut < l->n && miss(l, cut, share) < -0.01) cut++;
    while (cut > l->n_large && miss(l, cut, share) > 0.01) cut--;
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
        far |= fabs((double)rows / (double)l->n_rows - shares[k]) > SPLIT_TOLERANCE;
        before = l->before[cuts[k]];
    }
    return far;
}

/* Where a large group goes: to train if it has room or no part ever had, else to the part that
 * lacks most.  left: [SPLIT_NONE + 1] the rows that the parts lack; whole: all that they want. */
static int part_of_large(const group *g, const double *left, const double *whole, double slack)
{
    int most = 0;
    bool hopeless = true;
    for (int k = 0; k <= SPLIT_NONE; k++) {
        if (left[k] > left[most]) most = k;
        hopeless &= (double)g->rows > whole[k] + fmax(slack, 1);
    }
    return hopeless || (double)g->rows <= left[SPLIT_TRAIN] + slack ? SPLIT_TRAIN : most;
}

/* Shares the large groups out, the largest first; left: what the parts lack then. */
static void share_out_large(line *l, double *left)
{
    double whole[SPLIT_NONE + 1];
    memcpy(whole, left, sizeof whole);
    for (size_t k = 0; k < l->n_large; k++) l->groups[k].part = SPLIT_NONE + 1;
    for (size_t done = 0; done < l->n_large; done++) { /* fewer than fifty */
        group *g = NULL;
        for (size_t k = 0; k < l->n_large; k++) {
            group *one = &l->groups[k];
            if (one->part > SPLIT_NONE && (!g || one->rows > g->rows)) g = one;
        }
        g->part = (unsigned char)part_of_large(g, left, whole, (double)l->n_rows / 50);
        left[g->part] -= (double)g->rows;
    }
}

/* Where the parts are off: the large groups by size, then cuts through the others. */
static void share_out(line *l, const double *shares, size_t *cuts)
{
    double n = (double)l->n_rows, n_small = (double)(l->n_rows - l->n_large_rows);
    double left[SPLIT_NONE + 1], lacking = 0, upto = 0, rest = 1;
    for (int k = 0; k < SPLIT_NONE; rest -= shares[k++]) left[k] = shares[k] * n;
    left[SPLIT_NONE] = rest > 1e-9 ? rest * n : 0;
    share_out_large(l, left);
    for (int k = 0; k <= SPLIT_NONE; k++) lacking += left[k] = fmax(left[k], 0);
    for (int k = 0; k < SPLIT_NONE; k++) {
        upto += lacking > 0 ? left[k] / lacking * n_small : 0;
        double share = ((double)l->n_large_rows + upto) / n;
        cuts[k] = move_cut(l, cut_by_hash(l, share), share);
    }
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
        if (off(&l, cuts, in->shares)) share_out(&l, in->shares, cuts);
        upto = 0;
        for (int k = 0; k < SPLIT_NONE; k++) {
            upto += in->shares[k];
            if (upto > 1 - 1e-9) cuts[k] = l.n;
            if (k && cuts[k] < cuts[k - 1]) cuts[k] = cuts[k - 1];
        }
        for (size_t k = 0, at = 0; k < l.n; k++) {
            while (at < SPLIT_NONE && k >= cuts[at]) at++;
            size_t part = k < l.n_large ? l.groups[k].part : at;
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
