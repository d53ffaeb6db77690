/* two_readers.h - a record read the quick way, if it is for that, and by the tree. */
#ifndef TAMIS_TESTS_TWO_READERS_H
#define TAMIS_TESTS_TWO_READERS_H

#include "base/buf.h"
#include "record.h"

static bool same_messages(const interaction *a, const interaction *b)
{
    if (a->n_messages != b->n_messages) return false;
    for (size_t i = 0; i < a->n_messages; i++) {
        const message *m = &a->messages[i], *n = &b->messages[i];
        if (!str_eq(m->from, n->from) || !str_eq(m->text, n->text) || m->is_text != n->is_text ||
            m->is_masked != n->is_masked)
            return false;
    }
    return true;
}

/* Whether both read the text, whose first byte is '{', alike.  A key with an escape, which nobody
 * asks for, leaves the tree alone. */
static bool readers_agree(str raw)
{
    arena a = {0};
    err e = {0};
    buf slow = {0};
    interaction quick, tree;
    buf_z(&slow, "{\"\\u0061\":0,");
    buf_add(&slow, raw.p + 1, raw.n - 1);
    status st = record_parse(raw, &a, &quick, &e);
    bool same = st == record_parse(buf_view(&slow), &a, &tree, &e);
    if (same && st == ST_OK)
        same = str_eq(quick.id, tree.id) && str_eq(quick.timestamp, tree.timestamp) &&
               instant_cmp(quick.at, tree.at) == 0 && str_eq(quick.bot_id, tree.bot_id) &&
               str_eq(quick.rating, tree.rating) && same_messages(&quick, &tree);
    buf_release(&slow);
    arena_release(&a);
    return same;
}

#endif
