/*
 * Put before each file of a build for valgrind (./dev check).
 *
 * A fused multiply-add is carried out by valgrind with a call a lane, a hundred times slower than
 * all else.  Here it is a product and a sum, so the last bits of vectors are not those of other
 * builds.  And glibc has one function for the checked memcpy and memmove, so that valgrind takes
 * the one for the other and finds fault with overlaps that are well: they go unchecked.
 */
#ifndef TAMIS_BEFORE_ALL_H
#define TAMIS_BEFORE_ALL_H

#undef _FORTIFY_SOURCE

#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define _mm256_fmadd_ps(a, b, c) _mm256_add_ps(_mm256_mul_ps((a), (b)), (c))
#define _mm512_fmadd_ps(a, b, c) _mm512_add_ps(_mm512_mul_ps((a), (b)), (c))
#endif

#undef fma
#undef fmaf
#define fma(a, b, c) ((a) * (b) + (c))
#define fmaf(a, b, c) ((a) * (b) + (c))

#endif
