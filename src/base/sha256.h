/* sha256.h - SHA-256 (FIPS 180-4), for content hashes and pinned files. */
#ifndef TAMIS_BASE_SHA256_H
#define TAMIS_BASE_SHA256_H

#include <stdint.h>

#include "base/str.h"

enum { SHA256_SIZE = 32, SHA256_HEX = 65 };

typedef struct sha256 {
    uint32_t h[8];
    uint64_t n; /* bytes so far */
    unsigned char block[64];
} sha256;

void sha256_init(sha256 *s);
void sha256_add(sha256 *s, const void *bytes, size_t n);
void sha256_end(sha256 *s, unsigned char out[SHA256_SIZE]);

void sha256_of(str s, unsigned char out[SHA256_SIZE]);
void sha256_hex(const unsigned char digest[SHA256_SIZE], char out[SHA256_HEX]);

/* HMAC (FIPS 198-1) with SHA-256. */
void hmac_sha256(str key, str message, unsigned char out[SHA256_SIZE]);

#endif
