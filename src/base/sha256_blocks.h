/* sha256_blocks.h - the compression function of SHA-256, plain and by the x86 SHA extensions. */
#ifndef TAMIS_BASE_SHA256_BLOCKS_H
#define TAMIS_BASE_SHA256_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

extern const uint32_t sha256_k[64]; /* FIPS 180-4 section 4.2.2 */

/* Takes n blocks of 64 bytes at p into the hash value h. */
typedef void sha256_blocks_fn(uint32_t h[8], const unsigned char *p, size_t n);

sha256_blocks_fn sha256_blocks_plain;
sha256_blocks_fn sha256_blocks_ni; /* needs what sha256_has_ni() looks for */

/* May be called by several threads at once, as all here. */
int sha256_has_ni(void);

#endif
