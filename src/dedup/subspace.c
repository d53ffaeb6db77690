/* subspace.c - orthogonal iteration on the second moment of a sample.
 *
 * How near the basis comes to eigenvectors decides how much a prefix prunes, never what is kept:
 * the bounds of the join (join.c) hold for any matrix, given how far its rows are from
 * orthonormal, and that is computed here from the rounded rows themselves. */
#include "dedup/subspace.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/gemm.h"

enum { ROUNDS = 4, ROWS = 32 };

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Near enough to a normal distribution. */
static void random_row(double *row, size_t dim, uint64_t *state)
{
    for (size_t i = 0; i < dim; i++) {
        double sum = 0;
        for (int k = 0; k < 4; k++) sum += (double)(next_random(state) >> 11) * 0x1p-53 - 0.5;
        row[i] = sum;
    }
}

static double dot(const double *x, const double *y, size_t dim)
{
    double a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < dim; i += 4) {
        a += x[i] * y[i];
        b += x[i + 1] * y[i + 1];
        c += x[i + 2] * y[i + 2];
        d += x[i + 3] * y[i + 3];
    }
    return (a + b) + (c + d);
}

static void subtract(double *restrict row, const double *restrict other, double share, size_t dim)
{
    for (size_t i = 0; i < dim; i += 4) {
        row[i] -= share * other[i];
        row[i + 1] -= share * other[i + 1];
        row[i + 2] -= share * other[i + 2];
        row[i + 3] -= share * other[i + 3];
    }
}

/* Gram and Schmidt, each row `passes` times; what has no direction of its own gets a random one. */
static void orthonormalise(double *q, size_t k, size_t dim, int passes, uint64_t *state)
{
    for (size_t i = 0; i < k; i++) {
        double *row = q + i * dim;
        for (int pass = 0; pass < passes; pass++) {
            double before = dot(row, row, dim);
            for (size_t j = 0; j < i; j++)
                subtract(row, q + j * dim, dot(row, q + j * dim, dim), dim);
            double after = dot(row, row, dim);
            if (!(after > before * 1e-12) || !isfinite(after)) {
                random_row(row, dim, state);
                pass = -1;
                continue;
            }
            for (size_t c = 0; c < dim; c++) row[c] /= sqrt(after);
        }
    }
}

typedef struct moment {
    gemm_fn gemm;
    const float *left; /* [rows, inner] */
    const float *w;    /* packed [inner, columns] */
    float *out;        /* [rows, columns] */
    size_t rows, inner, columns;
} moment;

static void multiply_rows(void *ctx, size_t item, int worker)
{
    const moment *m = ctx;
    const size_t from = item * ROWS, left = m->rows - from;
    (void)worker;
    m->gemm(&(gemm_job){.x = m->left + from * m->inner,
                        .ldx = m->inner,
                        .m = left < ROWS ? left : ROWS,
                        .k = m->inner,
                        .w = m->w,
                        .y = m->out + from * m->columns,
                        .ldy = m->columns,
                        .n = m->columns});
}

static void multiply(const subspace_input *in, moment m)
{
    pool_run(in->pool, (m.rows + ROWS - 1) / ROWS, multiply_rows, &m);
}

/* Row-major [rows, columns] (columns beyond `used` are zeros) as panels. */
static void pack(const float *from, size_t rows, size_t used, size_t columns, float *out)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            out[(c / GEMM_PANEL * rows + r) * GEMM_PANEL + c % GEMM_PANEL] =
                c < used ? from[r * used + c] : 0.0f;
}

status subspace_find(const subspace_input *in, double *out, err *e)
{
    const size_t n = in->n, dim = in->dim, k = in->n_basis;
    const size_t columns = (dim + GEMM_PANEL - 1) / GEMM_PANEL * GEMM_PANEL;
    uint64_t state = 1;
    status st = ST_OK;
    float *across = calloc(n * dim + 1, sizeof *across);
    float *packed = calloc((n > dim ? n : dim) * columns + 1, sizeof *packed);
    float *second = calloc(dim * columns + 1, sizeof *second); /* the second moment */
    float *basis = calloc(k * dim + 1, sizeof *basis),
          *next = calloc(k * columns + 1, sizeof *next);
    if (!across || !packed || !second || !basis || !next) {
        st = err_nomem(e, "deduplicating");
        goto done;
    }
    gemm_fn gemm = gemm_for(in->isa);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < dim; c++) across[c * n + i] = in->vectors[i * dim + c];
    pack(in->vectors, n, dim, columns, packed);
    multiply(in, (moment){gemm, across, packed, second, dim, n, columns});
    for (size_t r = 0; r < dim; r++) /* columns that only fill up, go */
        memmove(second + r * dim, second + r * columns, dim * sizeof *second);
    pack(second, dim, dim, columns, packed);
    for (size_t i = 0; i < k; i++) random_row(out + i * dim, dim, &state);
    orthonormalise(out, k, dim, 1, &state);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < k * dim; i++) basis[i] = (float)out[i];
        multiply(in, (moment){gemm, basis, packed, next, k, dim, columns});
        for (size_t i = 0; i < k; i++)
            for (size_t c = 0; c < dim; c++) out[i * dim + c] = (double)next[i * columns + c];
        orthonormalise(out, k, dim, round + 1 < ROUNDS ? 1 : 2, &state);
    }
done:
    free(across);
    free(packed);
    free(second);
    free(basis);
    free(next);
    return st;
}

/* The cosine transform (DCT-II, orthonormal) of a basis, its signs drawn by lot: each new direction
 * has about as much of each old one. */
static void turn_rows(const double *basis, size_t k, size_t dim, double *out)
{
    uint64_t state = 2;
    for (size_t j = 0; j < k; j++) {
        const double sign = next_random(&state) >> 63 ? 1 : -1;
        for (size_t i = 0; i < k; i++) {
            const double angle = M_PI / (double)k * ((double)j + 0.5) * (double)i;
            const double most = sqrt((i ? 2.0 : 1.0) / (double)k);
            subtract(out + i * dim, basis + j * dim, -sign * most * cos(angle), dim);
        }
    }
}

status subspace_turn(const double *basis, size_t k, size_t dim, float *out, double *error, err *e)
{
    double *turned = calloc(k * dim + 1, sizeof *turned);
    if (!turned) return err_nomem(e, "deduplicating");
    turn_rows(basis, k, dim, turned);
    for (size_t i = 0; i < k * dim; i++) {
        out[i] = (float)turned[i];
        turned[i] = (double)out[i];
    }
    /* Frobenius is not below spectral.  The products' own rounding is below 1e-12. */
    double squares = 0;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j <= i; j++) {
            const double product = dot(turned + i * dim, turned + j * dim, dim);
            squares += i == j ? (product - 1) * (product - 1) : 2 * product * product;
        }
    *error = sqrt(squares) * (1 + 1e-9) + 1e-10;
    free(turned);
    return ST_OK;
}
