/* compress.h - the one door to zstd and zlib: packed blobs, and compressed files read as
 * streams. */
#ifndef TAMIS_BASE_COMPRESS_H
#define TAMIS_BASE_COMPRESS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/time.h"

/* --- blobs: one zstd frame that states its size and carries a checksum ---------------------- */

typedef struct packer packer; /* the working memory of both directions; one thread */

status packer_new(packer **out, err *e) MUST_USE;
void packer_free(packer *p);

/* Appends the packed form of `plain` to out.  The same bytes in give the same bytes out. */
status packer_pack(packer *p, str plain, buf *out, err *e) MUST_USE;

/* Appends what was packed.  ST_FAILED: damaged, or larger than `limit` bytes. */
status packer_unpack(packer *p, str packed, size_t limit, buf *out, err *e) MUST_USE;

/* How long it says that it is unpacked; 0: it does not say. */
size_t packed_size(str packed);

/* --- streams -------------------------------------------------------------------------------- */

/* A file ("-": standard input) read from the front, decompressed if its first bytes are the
 * magic number of gzip or zstd; members and frames that follow each other are one stream. */
typedef struct instream instream;

/* stop: ends a wait for more with ST_INCOMPLETE; NULL: nothing does. */
status instream_open(const char *path, const stop_flag *stop, instream **out, err *e) MUST_USE;
void instream_close(instream *s);

/* Appends up to `n` (> 0) more bytes to out; *end: no more will come (then nothing was
 * appended).  ST_FAILED: cannot be read, cut short or damaged: the message names the file and the
 * offset in it. */
status instream_read(instream *s, size_t n, buf *out, bool *end, err *e) MUST_USE;

#endif
