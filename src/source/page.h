/* page.h - a page of interactions, cut into its records. */
#ifndef TAMIS_SOURCE_PAGE_H
#define TAMIS_SOURCE_PAGE_H

#include "source/source.h"

/* Most records that a page may have. */
enum { PAGE_RECORDS_LIMIT = 1 << 20 };

/* Cuts p->body into p->records and reads p->total.  ST_FAILED: the body is not one object
 * with an "interactions" array (cut short, a web page ...), and why. */
status page_cut(source_page *p, err *e) MUST_USE;

/* Calls fn for each element of a raw JSON array, as it stands.  ST_FAILED: its brackets do not
 * match; else what fn gave, if it was not ST_OK. */
status page_elements(str array, status (*fn)(void *ctx, str raw, err *e), void *ctx,
                     err *e) MUST_USE;

/* The raw value of the last member of this name ("interactions", "totalCount"); false: there
 * is none.  ST_FAILED as above. */
status page_member(str object, const char *name, str *value, bool *found, err *e) MUST_USE;

/* The text without a leading byte order mark. */
str page_skip_bom(str text);

#endif
