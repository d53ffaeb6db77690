/* tiny_model.h - a model of the published layout, small enough for a test, made on the spot.
 *
 * Its weights come from integer arithmetic, so its files have the same bytes everywhere. */
#ifndef TAMIS_TESTS_TINY_MODEL_H
#define TAMIS_TESTS_TINY_MODEL_H

#include "embed/model.h"

enum {
    TINY_HIDDEN = 32,
    TINY_HEADS = 2,
    TINY_LAYERS = 2,
    TINY_INNER = 64,
    TINY_VOCAB = 19,
    TINY_POSITIONS = 64
};

#define TINY_MODEL_TEMPLATE "/tmp/tamis-tiny-XXXXXX"

/* Makes the directory (the template is filled in) and the three files. */
void tiny_model_write(char *dir);

/* The same, with other data_offsets for embeddings.LayerNorm.weight. */
void tiny_model_write_with(char *dir, const char *offsets);

/* Overwrites n bytes from `at` on; at < 0: the whole file. */
void tiny_model_damage(const char *dir, const char *file, long at, const char *bytes, size_t n);

void tiny_model_remove(const char *dir);

/* The unit vector [TINY_HIDDEN] of a sequence, in double precision, from the tensors of a model
 * of this shape. */
void tiny_model_reference(const model *m, const int32_t *ids, size_t n, double *out);

#endif
