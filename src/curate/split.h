/* split.h - which of three parts a group of rows goes to. */
#ifndef TAMIS_CURATE_SPLIT_H
#define TAMIS_CURATE_SPLIT_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef enum split_part { SPLIT_TRAIN, SPLIT_VALID, SPLIT_TEST, SPLIT_NONE } split_part;

/* Two points; 32 of 100 are no more than that from 0.3. */
#define SPLIT_TOLERANCE (0.02 + 1e-9)

/* "train", "valid", "test", "none". */
extern const char *const split_names[SPLIT_NONE + 1];

typedef struct split_input {
    const str *ids;       /* [n] the interaction of each row */
    const uint32_t *root; /* [n] rows with the same one (a row of it) stay together */
    size_t n;
    double shares[SPLIT_NONE]; /* of train, valid, test; their sum at most 1 */
} split_input;

typedef struct split_sizes {
    uint64_t rows[SPLIT_NONE + 1], groups, largest;
} split_sizes;

/* out: [n].  A group's part is decided by the lowest hash of an id in it, so it stays when rows
 * come that are not in the group.  A group of more than one row in fifty goes to train.
 * Where the shares that come out are off by more than two points, such groups go, the largest
 * first, to train while there is room, then to the part that lacks most; one that is larger than
 * any part goes to train all the same.  Of the others those nearest to the line change sides until
 * the shares are within a point, if groups allow. */
status split_assign(const split_input *in, unsigned char *out, split_sizes *sizes, err *e) MUST_USE;

#endif
