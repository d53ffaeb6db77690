/* file.h - whole files in, whole files out. */
#ifndef TAMIS_BASE_FILE_H
#define TAMIS_BASE_FILE_H

#include <stdio.h>

#include "base/buf.h"
#include "base/sha256.h"

/* Appends a file's bytes ("-": standard input), at most `limit`. */
status file_read(const char *path, size_t limit, buf *out, err *e) MUST_USE;

/* A regular file mapped read-only; zero-initialise, release with file_unmap. */
typedef struct file_map {
    str bytes;
} file_map;
status file_map_open(const char *path, file_map *out, err *e) MUST_USE;
void file_unmap(file_map *m);
/* Lets go of the memory that reading took; the bytes stay readable. */
void file_map_cool(const file_map *m);

/* SHA-256 of a file, as hex. */
status file_sha256(const char *path, char out[SHA256_HEX], err *e) MUST_USE;

/* --- replacing a file, all or nothing --------------------------------------
 * The bytes go to a temporary file (mode 0600, or the mode of the file that is
 * there) in the same directory; file_commit syncs it, renames it over `path`
 * and syncs the directory.  file_abort (harmless after a commit, and on a
 * zero-initialised struct) removes the temporary file. */
typedef struct file_out {
    FILE *f;
    char *path; /* links resolved */
    char *temp;
    sha256 hash; /* of all bytes written */
    uint64_t n;  /* bytes written */
} file_out;

status file_begin(file_out *o, const char *path, err *e) MUST_USE;
status file_write(file_out *o, str bytes, err *e) MUST_USE;
status file_commit(file_out *o, char sha256_hex_out[SHA256_HEX], err *e) MUST_USE;
void file_abort(file_out *o);

/* The absolute path, links resolved, of a file that need not be there (its directory must), to be
 * freed; NULL: errno says why. */
char *file_resolve(const char *path) MUST_USE;

/* Makes a directory and its parents (mode 0700 for those made). */
status file_mkdirs(const char *path, err *e) MUST_USE;

#endif
