/* int16.c - which integer kernels an instruction set means; rounding weights. */
#include "embed/int16.h"

#include <string.h>

const int16_kernels *int16_kernels_for(isa i)
{
#ifdef TAMIS_X86_64
    switch (i) {
    case ISA_AVX512VNNI: /* Winograd's pays where additions have units of their own */
        return __builtin_cpu_is("amd") ? &int16_winograd : &int16_vnni;
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

static size_t rows_size(size_t m, size_t k)
{
    return (m + 1) / 2 * INT16_SUMS * (k / 2);
}

static size_t group_size(size_t k)
{
    return INT16_SUMS * INT16_PANEL * (k / 2);
}

static size_t weights_size(size_t k, size_t n)
{
    return (n + INT16_GROUP - 1) / INT16_GROUP * group_size(k);
}

/* Rounds a panel to q: [k / 2][16][2], pairs of k. */
static void round_panel(const float *panel, size_t k, int16_t *q, float *scale,
                        const int16_kernels *by)
{
    float column[INT16_CHUNK];
    int16_t rounded[INT16_PANEL][INT16_CHUNK];
    for (size_t c = 0; c < INT16_PANEL; c++) {
        for (size_t i = 0; i < k; i++) column[i] = panel[i * INT16_PANEL + c];
        scale[c] = by->quantize(column, k, rounded[c]);
    }
    for (size_t i = 0; i < k; i += 2)
        for (size_t c = 0; c < INT16_PANEL; c++, q += 2) memcpy(q, rounded[c] + i, 2 * sizeof *q);
}

static void pack(const int16_weights *w, size_t group, const float *first, const float *second,
                 const int16_kernels *by)
{
    int16_t left[INT16_CHUNK * INT16_PANEL], right[INT16_CHUNK * INT16_PANEL];
    const size_t size = INT16_PANEL * (w->k / 2);
    const int16_t *w11 = left, *w21 = left + size, *w12 = right, *w22 = right + size;
    int16_t *restrict to = w->q + group * group_size(w->k);
    float *scale = w->scale + group * INT16_GROUP;
    round_panel(first, w->k, left, scale, by);
    if (second)
        round_panel(second, w->k, right, scale + INT16_PANEL, by);
    else
        memset(right, 0, sizeof right);
    for (size_t i = 0; i < size; i++) {
        to[i] = (int16_t)(w11[i] - w22[i]);
        to[size + i] = (int16_t)-w11[i];
        to[2 * size + i] = (int16_t)(w12[i] + w22[i]);
        to[3 * size + i] = (int16_t)(w11[i] + w12[i]);
        to[4 * size + i] = (int16_t)(-w21[i] - w11[i]);
        to[5 * size + i] = (int16_t)-w22[i];
        to[6 * size + i] = (int16_t)(-w21[i] - w22[i]);
    }
}

const int16_layout int16_strassen = {rows_size, weights_size, pack};
