/* slices.h - which page to ask for next, and when a slice of time is done.
 *
 * Pure functions over `struct slice` (record.h): no I/O, no clock.  The store keeps
 * the slice and the set of record ids seen in its current pass; both change in the
 * transaction that keeps the page's records. */
#ifndef TAMIS_SOURCE_SLICES_H
#define TAMIS_SOURCE_SLICES_H

#include "record.h"

enum {
    SLICE_PASSES = 3,  /* readings of a slice in one run before giving up */
    RESULT_CAP = 10000 /* rows that a server may well give of one question at most */
};

/* The slice that a sync reads after the ones that are done, from `lookback` before the cursor on,
 * that time included.
 * cursor: newest row scanned by finished slices (INSTANT_MIN: none finished);
 * since: configured start of a first sync (INSTANT_MIN: everything), exclusive bound
 * placed one nanosecond before it;  hi: until when rows have settled. */
slice slice_plan(instant cursor, instant since, double lookback, instant hi, uint32_t page_size);

/* What one page brought, all that matters for progress. */
typedef struct slice_page {
    size_t n_records;
    uint64_t n_new; /* not seen before in this pass */
    int64_t total;  /* -1: the server said none */
    instant newest; /* newest record not newer than slice.hi; INSTANT_MIN: none */
} slice_page;

typedef enum {
    SLICE_MORE,     /* ask for slice.page */
    SLICE_FINISHED, /* the slice is done (state set) */
    SLICE_AGAIN,    /* what was seen and what the server said differ: the slice has been
                      * set to its next pass; forget the seen set and go on */
    SLICE_GIVE_UP   /* the same after SLICE_PASSES passes, or an endless server: end the
                      * run incomplete; the slice stays open and begins anew next time */
} slice_next;

/* Advances the slice by a page.  passes_left: how many readings this run may still
 * begin.  *why (static text) says what differed when the answer is AGAIN or GIVE_UP. */
slice_next slice_feed(slice *s, const slice_page *p, unsigned passes_left, const char **why);

/* Whether a page of so many records, with this total, means that the slice goes on with the page
 * behind it whatever its records are: slice_feed will say SLICE_MORE.  False says nothing. */
bool slice_goes_on(const slice *s, size_t n_records, int64_t total);

/* What slice_feed says where rows lack though none can have been deleted. */
extern const char slice_lacks_rows[];

/* Cuts a slice in the middle of its time: *s becomes the bounded lower part, *upper (its id is
 * 0) the rest, bounded if *s was; both begin anew.  False: it is too short to be cut. */
bool slice_split(slice *s, slice *upper);

/* The end of a bounded slice as a question has it: exclusive, whole milliseconds. */
instant slice_before(const slice *s);

/* Begins the slice anew (a new pass, page 1, nothing seen). */
void slice_restart(slice *s, uint32_t page_size);

#endif
