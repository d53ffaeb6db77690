/* budget.c - the formula; test_far.c and test_limit.py hold it against what is really used. */
#include "dedup/budget.h"

#include "dedup/join.h"
#include "dedup/vectors.h"

static const uint64_t KIB = 1 << 10, MIB = 1 << 20;

uint64_t budget_least(const budget *b)
{
    const uint64_t column = join_has_prefix(b->n_vectors, b->dim) ? 64 : b->dim + 4;
    return b->n_vectors * (b->dim + 112) + b->n_rows * (280 + 2 * column) + 8 * MIB +
           64 * KIB * b->dim + 8 * b->dim * b->dim + b->n_threads * (MIB + 2 * KIB * b->dim);
}

uint64_t budget_most(const budget *b)
{
    return budget_least(b) + b->n_vectors * b->dim * sizeof(float);
}

size_t budget_here(const budget *b, uint64_t limit)
{
    if (!limit) return VECTORS_ALL;
    const uint64_t least = budget_least(b), left = limit > least ? limit - least : 0;
    const uint64_t here = left / (b->dim * sizeof(float));
    return here < b->n_vectors ? (size_t)here : (size_t)b->n_vectors;
}

status budget_refuse(const budget *b, const char *limit, const char *where, err *e)
{
    typedef unsigned long long ull;
    return err_set(
        e, ST_USAGE,
        "dedup.memory = %s: %llu distinct texts or vectors in %llu rows of %s take %lluM "
        "at least (%lluM with all vectors in memory): give as much, or leave it empty for "
        "no limit",
        limit, (ull)b->n_vectors, (ull)b->n_rows, where, (ull)(budget_least(b) / MIB) + 1,
        (ull)(budget_most(b) / MIB) + 1);
}
