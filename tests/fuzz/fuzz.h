/* fuzz.h - what the targets share: the entry, bytes as a file, and a way to give up. */
#ifndef TAMIS_FUZZ_H
#define TAMIS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A finding, where nothing crashes by itself. */
static inline void must(int is)
{
    if (!is) abort();
}

enum { FUZZ_PATH = 64 };

/* Bytes as a file in memory, which goes with the descriptor; path: room for FUZZ_PATH. */
static inline int fuzz_file(const uint8_t *data, size_t size, char *path)
{
    int fd = memfd_create("fuzz", 0);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, FUZZ_PATH, "/proc/self/fd/%d", fd);
    return fd;
}

#endif
