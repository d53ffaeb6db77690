/* components.h - rows that hang together by pairs at or above a threshold. */
#ifndef TAMIS_DEDUP_COMPONENTS_H
#define TAMIS_DEDUP_COMPONENTS_H

#include "dedup/greedy.h"

/* A forest over rows: parent[i] == i is a root.  Begin with each its own. */
void forest_init(uint32_t *parent, size_t n);
uint32_t forest_root(const uint32_t *parent, uint32_t i);
/* The lower root becomes the root of both. */
void forest_unite(uint32_t *parent, uint32_t a, uint32_t b);

/* Unites every two rows of `in` whose vectors have cosine >= in->threshold or the same bits, in
 * `parent` [n_rows], which may have trees already.  Of `in`, group, margin and prior are not looked
 * at.  The roots do not depend on threads, blocks or instruction set; the ways to them may. */
status components_unite(const greedy_input *in, const greedy_options *o, uint32_t *parent,
                        err *e) MUST_USE;

#endif
