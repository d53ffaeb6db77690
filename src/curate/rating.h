/* rating.h - what a rating is worth. */
#ifndef TAMIS_CURATE_RATING_H
#define TAMIS_CURATE_RATING_H

#include "base/arena.h"

/* filter.rating_map: "from=to,from=to", numbers; empty: nothing is mapped. */
typedef struct rating_map {
    struct rating_pair {
        double from, to;
        str to_text; /* as written */
    } * pairs;
    size_t n;
} rating_map;

/* Reads a map into `a`.  ST_USAGE: it is not one. */
status rating_map_parse(str text, arena *a, rating_map *out, err *e) MUST_USE;

typedef struct rating {
    bool is_rated;
    double value; /* after the map */
    str text;     /* as the CSV shows it: a number as Python prints it, a numeric string as it
                   * stands, a mapped one as the map has it */
} rating;

/* json: the value as it stands in the record, empty if missing.  A number, or a string
 * that is one (blanks around it allowed), is rated; anything else is not.  ST_FAILED: no
 * memory. */
status rating_read(str json, const rating_map *map, arena *a, rating *out, err *e) MUST_USE;

#endif
