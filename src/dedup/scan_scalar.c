/* scan_scalar.c - the inner loops of the join as plain C: the oracle of the others. */
#include "dedup/quantise.h"
#include "dedup/scan.h"

static size_t scan(const scan_job *j)
{
    size_t n = 0;
    for (size_t p = 0; p < j->n_panels; p++) {
        const uint8_t *panel = j->panels + p * j->words * SCAN_PANEL * 4;
        for (size_t q = 0; q < j->n_queries; q++) {
            const int8_t *x = j->queries + q * j->words * 4;
            int32_t sums[SCAN_PANEL] = {0};
            for (size_t w = 0; w < j->words; w++)
                for (size_t c = 0; c < SCAN_PANEL; c++)
                    for (size_t k = 0; k < 4; k++)
                        sums[c] += x[w * 4 + k] * panel[(w * SCAN_PANEL + c) * 4 + k];
            for (size_t c = 0; c < SCAN_PANEL; c++)
                if (sums[c] >= j->limits[q])
                    j->hits[n++] = (uint32_t)(q << 16 | (p * SCAN_PANEL + c));
        }
    }
    return n;
}

static size_t sift(const sift_job *j)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n_hits; i++) {
        const uint32_t hit = j->hits[i];
        const size_t q = hit >> 16;
        const int8_t *x = j->queries + q * j->bytes;
        const uint8_t *y = j->columns + (hit & 0xFFFF) * j->bytes;
        int32_t sum = j->starts[q];
        for (size_t k = 0; k < j->bytes; k++) sum += x[k] * y[k];
        if (sum >= j->limits[q]) j->hits[n++] = hit;
    }
    return n;
}

static int32_t dot_codes(const int8_t *x, const int8_t *y, size_t dim)
{
    int32_t sum = 0;
    for (size_t i = 0; i < dim; i++) sum += x[i] * y[i];
    return sum;
}

static float dot_floats(const float *x, const float *y, size_t dim)
{
    float sums[8] = {0};
    for (size_t i = 0; i < dim; i += 8)
        for (size_t l = 0; l < 8; l++) sums[l] += x[i + l] * y[i + l];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
           ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

const scan_kernels scan_scalar = {scan,       NULL,     sift,     dot_codes,
                                  dot_floats, quantise, greatest, sum_of_squares};
