/* reach.c - codes of vectors, and the plain loops.
 *
 * Why the float32 operations of reach_finish lose nothing.  Let n and e be the lengths of x' and of
 * x - x', m and f those of y' and y - y', S = x'.y', and kept for e and f be
 *
 *   E = e + 2^-20 (n + e),  F = f + 2^-20 (m + f)
 *
 * so that in real numbers the bound  S + n F + E (m + F)  is at least
 *
 *   S + n f + e (m + f) + 2^-20 (n + e)(m + f)
 *
 * No term goes through more than four roundings, which lose at most
 *
 *   4.1 u (|S| + n F + E (m + F))  <=  4.1 u (n + E)(m + F)  <=  4.2 u (n + e)(m + f),  u = 2^-24
 *
 * (|S| <= n m), while the last term above is 16 u (n + e)(m + f).  What is left of it is more than
 * 2^19 times what a sum of 4,096 products can gain in double precision.  Nothing underflows: a
 * vector without a component of 2^-50 has no code, and an error of 2^-20 more. */
#include "verify/reach.h"

#include <math.h>
#include <string.h>

#include "verify/reach_finish.h"

static float rounded_up(double x)
{
    return nextafterf((float)x, INFINITY);
}

reach_head reach_code(const float *x, size_t dim, int most, int8_t *code)
{
    float largest = 0;
    for (size_t k = 0; k < dim; k++) largest = fabsf(x[k]) > largest ? fabsf(x[k]) : largest;
    const float scale = largest < 0x1p-50f ? 0 : largest / (float)most;
    double lengths = 0, errors = 0;
    memset(code, 0, REACH_WORD * reach_words(dim));
    for (size_t k = 0; k < dim; k++) {
        double q = scale > 0 ? rint((double)x[k] / (double)scale) : 0;
        q = q > most ? most : q < -most ? -most : q;
        const double near = q * (double)scale, off = (double)x[k] - near;
        code[k] = (int8_t)q;
        lengths += near * near;
        errors += off * off;
    }
    const double length = sqrt(lengths), error = sqrt(errors) + (scale > 0 ? 0 : 0x1p-20);
    return (reach_head){scale, rounded_up(length), rounded_up(error + 0x1p-20 * (length + error))};
}

void reach_put_column(const reach_kernel *k, const reach_columns *c, size_t j, size_t words,
                      const int8_t *code, reach_head head)
{
    int32_t sum = 0;
    for (size_t i = 0; i < words * REACH_WORD; i++) sum += code[i];
    k->put_column(c->codes, j, code, words);
    c->sums[j] = sum;
    c->scale[j] = head.scale;
    c->error[j] = head.error;
    c->lengths[j] = rounded_up((double)head.length + (double)head.error);
}

/* --- the plain loops ------------------------------------------------------------------------ */

static void put_row(int8_t *row, const int8_t *code, size_t words)
{
    memcpy(row, code, words * REACH_WORD);
}

static void put_column(int8_t *codes, size_t j, const int8_t *code, size_t words)
{
    memcpy(codes + j * words * REACH_WORD, code, words * REACH_WORD);
}

static void multiply(const reach_job *j)
{
    const size_t size = j->words * REACH_WORD;
    for (size_t i = 0; i < j->m; i++)
        for (size_t c = 0; c < j->n; c++) {
            const int8_t *x = j->rows + i * size, *y = j->columns->codes + c * size;
            int32_t sum = 0;
            for (size_t k = 0; k < size; k++) sum += x[k] * y[k];
            reach_finish(j, i, c, 1, &sum);
        }
}

const reach_kernel reach_scalar = {127, put_row, put_column, multiply, reach_highest};

const reach_kernel *reach_for(isa i)
{
#ifdef TAMIS_X86_64
    if (i == ISA_AVX512VNNI) return &reach_vnni;
    if (i != ISA_SCALAR) return &reach_avx2;
#else
    (void)i;
#endif
    return &reach_scalar;
}
