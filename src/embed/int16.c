/* int16.c - which integer kernels an instruction set means; rounding weights. */
#include "embed/int16.h"

#include <math.h>

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

void int16_pack(int16_weights *w, size_t column, const float *weight, size_t stride,
                const int16_kernels *by)
{
    float row[INT16_CHUNK] = {0};
    int16_t q[INT16_CHUNK];
    int16_t *panel = w->q + column / INT16_PANEL * w->k * INT16_PANEL;
    for (size_t k = 0; k < w->k; k++) row[k] = weight[k * stride];
    w->scale[column] = by->quantize(row, w->k, q);
    for (size_t k = 0; k < w->k; k++)
        panel[(k / 2 * INT16_PANEL + column % INT16_PANEL) * 2 + k % 2] = q[k];
}
