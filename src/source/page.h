/* page.h - a page of interactions, cut into its records. */
#ifndef TAMIS_SOURCE_PAGE_H
#define TAMIS_SOURCE_PAGE_H

#include "source/source.h"

/* Most records that a page may have. */
enum { PAGE_RECORDS_LIMIT = 1 << 20 };

/* Cuts p->body into p->records and reads p->total.  ST_FAILED: the body is not one object
 * with an "interactions" array (cut short, a web page ...), and why. */
status page_cut(source_page *p, err *e) MUST_USE;

/* The same where the array and the count have other names; `bare`: or the body is the array. */
status page_cut_as(source_page *p, const char *array, const char *count, bool bare,
                   err *e) MUST_USE;

/* Takes p->body for one record, an object. */
status page_take_object(source_page *p, err *e) MUST_USE;

/* A member of the body, or of any raw object, as it stands; empty: there is none. */
str page_member(const source_page *p, const char *name);
str page_value(str object, const char *name);

/* The end of the array or object that text begins with; 0: its brackets do not match. */
size_t page_value_end(str text);

/* The raw array "interactions" of an object (of equal keys the last); false: there is none. */
bool page_find(str object, str *array);

/* Whether an array, or an object that has come to its "interactions", does not end. */
bool page_is_begun(str text);

/* Calls fn for each element of a raw array, as it stands.  ST_FAILED: its brackets do not
 * match; else what fn gave, if it was not ST_OK. */
status page_elements(str array, status (*fn)(void *ctx, str raw, err *e), void *ctx,
                     err *e) MUST_USE;

#endif
