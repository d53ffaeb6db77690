/* int16.c - which integer kernels an instruction set means; rounding weights. */
#include "embed/int16.h"

const int16_kernels *int16_kernels_for(isa i)
{
#ifdef TAMIS_X86_64
    switch (i) {
    case ISA_AVX512VNNI:
        return &int16_vnni;
    case ISA_AVX512:
        return &int16_avx512;
    case ISA_AVX2:
        return &int16_avx2;
    case ISA_SCALAR:
        break;
    }
#else
    (void)i;
#endif
    return NULL;
}

size_t int16_rows_size(size_t m, size_t k)
{
    return (m + 1) / 2 * INT16_SUMS * (k / 2);
}

static size_t group_size(size_t k)
{
    return INT16_SUMS * INT16_PANEL * (k / 2);
}

size_t int16_weights_size(size_t k, size_t n)
{
    return (n + INT16_GROUP - 1) / INT16_GROUP * group_size(k);
}

/* Rounds a panel to q: [16][INT16_CHUNK]. */
static void round_panel(const float *panel, size_t k, int16_t *q, float *scale,
                        const int16_kernels *by)
{
    float row[INT16_CHUNK];
    for (size_t c = 0; c < INT16_PANEL; c++) {
        for (size_t i = 0; i < k; i++) row[i] = panel[i * INT16_PANEL + c];
        scale[c] = by->quantize(row, k, q + c * INT16_CHUNK);
    }
}

void int16_pack(const int16_weights *w, size_t group, const float *first, const float *second,
                const int16_kernels *by)
{
    int16_t q[2][INT16_PANEL][INT16_CHUNK] = {0};
    const size_t half = w->k / 2, size = INT16_PANEL * half;
    int16_t *to = w->q + group * group_size(w->k);
    float *scale = w->scale + group * INT16_GROUP;
    round_panel(first, w->k, q[0][0], scale, by);
    if (second) round_panel(second, w->k, q[1][0], scale + INT16_PANEL, by);
    for (size_t i = 0; i < half; i++)
        for (size_t c = 0; c < INT16_PANEL; c++) {
            const int w11 = q[0][c][i], w21 = q[0][c][half + i];
            const int w12 = q[1][c][i], w22 = q[1][c][half + i];
            const int sums[] = {w11 - w22,  -w11, w12 + w22, w11 + w12,
                                -w21 - w11, -w22, -w21 - w22};
            int16_t *at = to + (i / 2 * INT16_PANEL + c) * 2 + i % 2;
            for (size_t s = 0; s < INT16_SUMS; s++) at[s * size] = (int16_t)sums[s];
        }
}
