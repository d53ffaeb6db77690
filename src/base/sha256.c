/* sha256.c - SHA-256 as FIPS 180-4 section 6.2 gives it.
 *
 * Ours because one digest does not deserve a cryptographic library.  Not for
 * secrets: nothing here is constant-time by design. */
#include "base/sha256.h"

#include <stdatomic.h>

#include "base/sha256_blocks.h"

const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotr(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

/* One round; instead of moving the eight words on, the caller names them in turn. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                           \
    do {                                                                                           \
        uint32_t t = (h) + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) +                              \
                     (((e) & (f)) ^ (~(e) & (g))) + sha256_k[i] + w[i];                            \
        (d) += t;                                                                                  \
        (h) = t + (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) +                                       \
              (((a) & (b)) ^ ((a) & (c)) ^ ((b) & (c)));                                           \
    } while (0)

static void compress(uint32_t h[8], const unsigned char *p)
{
    uint32_t w[64];
    for (unsigned i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotr(a, 7) ^ rotr(a, 18) ^ a >> 3) + w[i - 7] +
               (rotr(b, 17) ^ rotr(b, 19) ^ b >> 10);
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
    for (unsigned i = 0; i < 64; i += 8) {
        ROUND(a, b, c, d, e, f, g, k, i);
        ROUND(k, a, b, c, d, e, f, g, i + 1);
        ROUND(g, k, a, b, c, d, e, f, i + 2);
        ROUND(f, g, k, a, b, c, d, e, i + 3);
        ROUND(e, f, g, k, a, b, c, d, i + 4);
        ROUND(d, e, f, g, k, a, b, c, i + 5);
        ROUND(c, d, e, f, g, k, a, b, i + 6);
        ROUND(b, c, d, e, f, g, k, a, i + 7);
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
    h[5] += f;
    h[6] += g;
    h[7] += k;
}

void sha256_blocks_plain(uint32_t h[8], const unsigned char *p, size_t n)
{
    for (; n; n--, p += 64) compress(h, p);
}

static void choose(uint32_t h[8], const unsigned char *p, size_t n);

static sha256_blocks_fn *_Atomic blocks = choose;

/* The first block's way: finds the way of all the others.  Two threads may find it twice. */
static void choose(uint32_t h[8], const unsigned char *p, size_t n)
{
    sha256_blocks_fn *best = sha256_blocks_plain;
#if defined(TAMIS_X86_64)
    if (sha256_has_ni()) best = sha256_blocks_ni;
#endif
    atomic_store_explicit(&blocks, best, memory_order_relaxed);
    best(h, p, n);
}

static void add_blocks(sha256 *s, const unsigned char *p, size_t n)
{
    atomic_load_explicit(&blocks, memory_order_relaxed)(s->h, p, n);
}

void sha256_init(sha256 *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->h, start, sizeof start);
    s->n = 0;
}

void sha256_add(sha256 *s, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    size_t have = s->n % 64;
    s->n += n;
    if (have) {
        size_t room = 64 - have < n ? 64 - have : n;
        memcpy(s->block + have, p, room);
        if (have + room < 64) return;
        add_blocks(s, s->block, 1);
        p += room;
        n -= room;
    }
    if (n >= 64) add_blocks(s, p, n / 64);
    if (n % 64) memcpy(s->block, p + n / 64 * 64, n % 64);
}

void sha256_end(sha256 *s, unsigned char out[SHA256_SIZE])
{
    static const unsigned char pad[64] = {0x80};
    uint64_t bits = s->n * 8;
    unsigned char tail[8];
    for (unsigned i = 0; i < 8; i++) tail[i] = (unsigned char)(bits >> (56 - 8 * i));
    sha256_add(s, pad, 1 + (119 - s->n % 64) % 64);
    sha256_add(s, tail, sizeof tail);
    for (unsigned i = 0; i < SHA256_SIZE; i++)
        out[i] = (unsigned char)(s->h[i / 4] >> (24 - i % 4 * 8));
}

void sha256_of(str s, unsigned char out[SHA256_SIZE])
{
    sha256 ctx;
    sha256_init(&ctx);
    sha256_add(&ctx, s.p, s.n);
    sha256_end(&ctx, out);
}

void sha256_hex(const unsigned char digest[SHA256_SIZE], char out[SHA256_HEX])
{
    for (unsigned i = 0; i < SHA256_SIZE; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[SHA256_HEX - 1] = 0;
}

void hmac_sha256(str key, str message, unsigned char out[SHA256_SIZE])
{
    unsigned char block[64] = {0}, pad[64];
    sha256 ctx;
    if (key.n > sizeof block)
        sha256_of(key, block);
    else if (key.n)
        memcpy(block, key.p, key.n);
    for (unsigned i = 0; i < sizeof block; i++) pad[i] = block[i] ^ 0x36;
    sha256_init(&ctx);
    sha256_add(&ctx, pad, sizeof pad);
    sha256_add(&ctx, message.p, message.n);
    sha256_end(&ctx, out);
    for (unsigned i = 0; i < sizeof block; i++) pad[i] = block[i] ^ 0x5c;
    sha256_init(&ctx);
    sha256_add(&ctx, pad, sizeof pad);
    sha256_add(&ctx, out, SHA256_SIZE);
    sha256_end(&ctx, out);
    explicit_bzero(block, sizeof block);
    explicit_bzero(pad, sizeof pad);
    explicit_bzero(&ctx, sizeof ctx);
}
