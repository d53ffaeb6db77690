/* safetensors.h - the tensors of a safetensors file, as float32, bounds-checked.
 *
 * 8 bytes with the length of a JSON header (little-endian), the header, the data; the header
 * gives each tensor's type, shape and [from, to) within the data (huggingface.co/docs/safetensors).
 * Nothing in it is believed. */
#ifndef TAMIS_EMBED_SAFETENSORS_H
#define TAMIS_EMBED_SAFETENSORS_H

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"

/* float32 values: little-endian, maybe not aligned; read with memcpy. */
typedef struct tensor {
    const char *p; /* [rows, cols] row-major */
    size_t rows, cols;
} tensor;

typedef struct safetensors {
    const char *path; /* borrowed */
    file_map map;     /* tensors of type F32 lie in it */
    js *header;
    str data;
    arena converted; /* tensors of other types lie in it, as float32 */
} safetensors;

/* Zero-initialise; released with safetensors_release also after a failure.  ST_FAILED: not such a
 * file; the message names it and what is wrong. */
status safetensors_open(safetensors *s, const char *path, err *e) MUST_USE;
void safetensors_release(safetensors *s);

/* Lets go of the header; the tensors stay. */
void safetensors_forget(safetensors *s);

bool safetensors_has(const safetensors *s, const char *name);

/* A matrix of rows x cols, rows == 0: of any number of rows, at least one; or a vector of
 * cols (then rows is 1).  F32 lies in the map, F16 and BF16 are converted, exactly; ST_FAILED:
 * missing, of another type or shape, or not within the file. */
status safetensors_matrix(safetensors *s, const char *name, size_t rows, size_t cols, tensor *out,
                          err *e) MUST_USE;
status safetensors_vector(safetensors *s, const char *name, size_t cols, tensor *out,
                          err *e) MUST_USE;

#endif
