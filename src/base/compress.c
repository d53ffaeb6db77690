/* compress.c - packed blobs by zstd; files read through zlib and zstd.
 *
 * An instream holds one piece of the file and asks the decoder for as much as its caller
 * wants; a call goes on until there is a byte to give, the input ends, or something is wrong.
 * The end of the input is an end only between members (gzip) or frames (zstd): anywhere else
 * the file was cut short.  Behind a gzip member zero bytes are let pass, as gzip does (tapes
 * and block devices pad); any other byte that does not begin a member is damage.  What a
 * failing call had decoded is not given: damage is never mistaken for data. */
#include "base/compress.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* --- blobs ---------------------------------------------------------------------------------- */

enum { PACK_LEVEL = 3 };

struct packer {
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
};

status packer_new(packer **out, err *e)
{
    packer *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p) {
        p->c = ZSTD_createCCtx();
        p->d = ZSTD_createDCtx();
    }
    if (!p || !p->c || !p->d ||
        ZSTD_isError(ZSTD_CCtx_setParameter(p->c, ZSTD_c_compressionLevel, PACK_LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(p->c, ZSTD_c_checksumFlag, 1))) {
        packer_free(p);
        return err_nomem(e, "preparing to pack");
    }
    *out = p;
    return ST_OK;
}

void packer_free(packer *p)
{
    if (!p) return;
    ZSTD_freeCCtx(p->c);
    ZSTD_freeDCtx(p->d);
    free(p);
}

status packer_pack(packer *p, str plain, buf *out, err *e)
{
    size_t room = ZSTD_compressBound(plain.n);
    char *at = ZSTD_isError(room) ? NULL : buf_reserve(out, room);
    if (!at) return err_nomem(e, "packing");
    size_t n = ZSTD_compress2(p->c, at, room, plain.p, plain.n);
    if (ZSTD_isError(n)) return err_set(e, ST_FAILED, "cannot pack: %s", ZSTD_getErrorName(n));
    out->n += n;
    return ST_OK;
}

/* Whether it is one zstd frame and nothing else. */
static bool is_one_frame(str packed)
{
    static const char magic[4] = {0x28, (char)0xb5, 0x2f, (char)0xfd};
    return packed.n > sizeof magic && memcmp(packed.p, magic, sizeof magic) == 0 &&
           ZSTD_findFrameCompressedSize(packed.p, packed.n) == packed.n;
}

status packer_unpack(packer *p, str packed, size_t limit, buf *out, err *e)
{
    if (!is_one_frame(packed)) return err_set(e, ST_FAILED, "damaged: not a whole zstd frame");
    unsigned long long size = ZSTD_getFrameContentSize(packed.p, packed.n);
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR)
        return err_set(e, ST_FAILED, "damaged: its zstd frame does not state its size");
    if (size > limit)
        return err_set(e, ST_FAILED, "it unpacks to %llu bytes, more than %zu", size, limit);
    char *at = buf_reserve(out, (size_t)size);
    if (!at && size) return err_nomem(e, "unpacking");
    size_t n = ZSTD_decompressDCtx(p->d, at, (size_t)size, packed.p, packed.n);
    if (ZSTD_isError(n))
        return err_set(e, ST_FAILED, "damaged: zstd says \"%s\"", ZSTD_getErrorName(n));
    if (n != size)
        return err_set(e, ST_FAILED, "damaged: %zu bytes where zstd announced %llu", n, size);
    out->n += n;
    return ST_OK;
}

size_t packed_size(str packed)
{
    const unsigned long long size = ZSTD_getFrameContentSize(packed.p, packed.n);
    const bool unknown = size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR;
    return unknown || size > SIZE_MAX ? 0 : (size_t)size;
}

/* --- streams -------------------------------------------------------------------------------- */

enum { PIECE = 128 << 10 };

struct instream {
    char *name; /* for messages */
    int fd;
    const stop_flag *stop; /* NULL: none */
    bool is_file;          /* fd is ours to close */
    bool no_input;         /* the file has been read to its end */
    bool inside;           /* within a member or frame */
    bool failed;           /* after that nothing is read */
    enum { PLAIN, GZIP, ZSTD } kind;
    z_stream z;
    bool has_z; /* z is to be ended */
    ZSTD_DStream *d;
    uint64_t offset; /* in the file, of piece[0] */
    size_t at, n;    /* piece[at, n) is still to be used */
    unsigned char piece[PIECE];
};

static unsigned long long where(const instream *s)
{
    return (unsigned long long)(s->offset + s->at);
}

/* Until a read would not wait.  It looks up now and then, for the signal that raises the flag may
 * come between the look and the wait. */
static status await(const instream *s, err *e)
{
    enum { LOOK_MS = 200 };
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    int n = 0;
    while (s->stop && (n == 0 || (n < 0 && errno == EINTR))) {
        if (*s->stop) return err_set(e, ST_INCOMPLETE, "interrupted while reading %s", s->name);
        n = poll(&p, 1, LOOK_MS);
    }
    return ST_OK;
}

/* Reads a next piece behind what is left of the old one. */
static status fill(instream *s, err *e)
{
    s->offset += s->at;
    if (s->at) memmove(s->piece, s->piece + s->at, s->n - s->at);
    s->n -= s->at;
    s->at = 0;
    ssize_t got;
    do {
        status st = await(s, e);
        if (st) return st;
        got = read(s->fd, s->piece + s->n, sizeof s->piece - s->n);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_sys(e, errno, "cannot read %s at byte %llu", s->name,
                       (unsigned long long)(s->offset + s->n));
    s->no_input = got == 0;
    s->n += (size_t)got;
    return ST_OK;
}

static bool begins(const instream *s, const char *magic, size_t n)
{
    return s->n >= n && memcmp(s->piece, magic, n) == 0;
}

/* Looks at the first bytes (of a pipe they may come one by one). */
static status detect(instream *s, err *e)
{
    while (s->n < 4 && !s->no_input) {
        status st = fill(s, e);
        if (st) return st;
    }
    bool skippable = s->n >= 4 && (s->piece[0] & 0xf0) == 0x50 && /* pzstd begins with one */
                     memcmp(s->piece + 1, "\x2a\x4d\x18", 3) == 0;
    /* All that zlib takes: deflate, and no reserved flag.  A float may begin with the first two
     * bytes, but hardly with the others, which make it less than 2^-64. */
    bool deflated = s->n < 4 || (s->piece[2] == 8 && !(s->piece[3] & 0xe0));
    if (begins(s, "\x1f\x8b", 2) && deflated) {
        s->kind = GZIP;
        s->has_z = inflateInit2(&s->z, 16 + MAX_WBITS) == Z_OK;
        if (!s->has_z) return err_nomem(e, "opening a gzip file");
        s->inside = true;
    } else if (skippable || begins(s, "\x28\xb5\x2f\xfd", 4)) {
        s->kind = ZSTD;
        s->d = ZSTD_createDStream();
        if (!s->d) return err_nomem(e, "opening a zstd file");
    }
    return ST_OK;
}

status instream_open(const char *path, const stop_flag *stop, instream **out, err *e)
{
    status st = ST_OK;
    bool standard = strcmp(path, "-") == 0;
    instream *s = malloc(sizeof *s);
    *out = NULL;
    if (!s) return err_nomem(e, "opening a file");
    memset(s, 0, offsetof(instream, piece));
    s->fd = -1;
    s->stop = stop;
    s->name = strdup(standard ? "standard input" : path);
    if (!s->name) {
        st = err_nomem(e, "opening a file");
        goto done;
    }
    s->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    s->is_file = !standard && s->fd >= 0;
    if (s->fd < 0) {
        st = err_sys(e, errno, "cannot open %s", path);
        goto done;
    }
    st = detect(s, e);
done:
    if (st)
        instream_close(s);
    else
        *out = s;
    return st;
}

void instream_close(instream *s)
{
    if (!s) return;
    if (s->is_file) close(s->fd); /* read only: nothing can be lost */
    if (s->has_z) inflateEnd(&s->z);
    ZSTD_freeDStream(s->d);
    free(s->name);
    free(s);
}

static status damaged(const instream *s, const char *what, const char *why, err *e)
{
    return err_set(e, ST_FAILED, "%s: damaged %s data near byte %llu: %s", s->name, what, where(s),
                   why);
}

/* One call of inflate; the members of a file follow each other, maybe with zeros between. */
static status inflate_some(instream *s, char *to, size_t n, size_t *got, err *e)
{
    if (!s->inside) {
        while (s->at < s->n && !s->piece[s->at]) s->at++;
        if (s->at == s->n) return ST_OK;
        if (s->piece[s->at] != 0x1f) return damaged(s, "gzip", "something else follows its end", e);
        if (inflateReset(&s->z) != Z_OK) return err_nomem(e, "reading a gzip file");
        s->inside = true;
    }
    s->z.next_in = s->piece + s->at;
    s->z.avail_in = (unsigned)(s->n - s->at);
    s->z.next_out = (unsigned char *)to;
    s->z.avail_out = n < UINT_MAX ? (unsigned)n : UINT_MAX;
    unsigned room = s->z.avail_out;
    int how = inflate(&s->z, Z_NO_FLUSH);
    s->at = s->n - s->z.avail_in;
    *got = room - s->z.avail_out;
    if (how == Z_STREAM_END) s->inside = false;
    if (how == Z_OK || how == Z_STREAM_END || how == Z_BUF_ERROR) return ST_OK;
    if (how == Z_MEM_ERROR) return err_nomem(e, "reading a gzip file");
    return damaged(s, "gzip", s->z.msg ? s->z.msg : "not readable", e);
}

static status unzstd_some(instream *s, char *to, size_t n, size_t *got, err *e)
{
    ZSTD_inBuffer in = {s->piece + s->at, s->n - s->at, 0};
    ZSTD_outBuffer out = {to, n, 0};
    if (!s->inside && !in.size) return ST_OK;
    size_t how = ZSTD_decompressStream(s->d, &out, &in);
    s->at += in.pos;
    *got = out.pos;
    switch (ZSTD_getErrorCode(how)) {
    case ZSTD_error_no_error:
        break;
    case ZSTD_error_memory_allocation:
        return err_nomem(e, "reading a zstd file");
    case ZSTD_error_frameParameter_windowTooLarge:
        return err_set(e, ST_FAILED,
                       "%s: it was packed with a window of more than 128 MiB: pack it again "
                       "without --long and --ultra",
                       s->name);
    default:
        return damaged(s, "zstd", ZSTD_getErrorName(how), e);
    }
    s->inside = how != 0;
    return ST_OK;
}

static status copy_some(instream *s, char *to, size_t n, size_t *got)
{
    *got = n < s->n - s->at ? n : s->n - s->at;
    memcpy(to, s->piece + s->at, *got);
    s->at += *got;
    return ST_OK;
}

static status decode_some(instream *s, char *to, size_t n, size_t *got, err *e)
{
    *got = 0;
    switch (s->kind) {
    case GZIP:
        return inflate_some(s, to, n, got, e);
    case ZSTD:
        return unzstd_some(s, to, n, got, e);
    case PLAIN:
        break;
    }
    return copy_some(s, to, n, got);
}

static status read_some(instream *s, char *to, size_t n, size_t *got, err *e)
{
    for (;;) {
        size_t before = s->at;
        status st = decode_some(s, to, n, got, e);
        if (st || *got) return st;
        if (s->at != before) continue; /* headers, trailers, padding */
        if (s->no_input) break;
        st = fill(s, e);
        if (st) return st;
    }
    if (!s->inside && s->at == s->n) return ST_OK;
    return err_set(e, ST_FAILED, "%s: cut short: its %s data ends in the middle, at byte %llu",
                   s->name, s->kind == GZIP ? "gzip" : "zstd",
                   (unsigned long long)(s->offset + s->n));
}

status instream_read(instream *s, size_t n, buf *out, bool *end, err *e)
{
    size_t got = 0;
    *end = false;
    if (s->failed) return err_set(e, ST_FAILED, "%s: could not be read to its end", s->name);
    char *to = buf_reserve(out, n);
    if (!to) return err_nomem(e, "reading a file");
    status st = read_some(s, to, n, &got, e);
    s->failed = st != ST_OK;
    if (st) return st;
    out->n += got;
    *end = got == 0;
    return ST_OK;
}
