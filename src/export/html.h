/* html.h - text into HTML, safe whatever the text is. */
#ifndef TAMIS_EXPORT_HTML_H
#define TAMIS_EXPORT_HTML_H

#include "base/buf.h"

/* Appends `text` (UTF-8) for use as character data or in a quoted attribute: & < > " ' become
 * references; control characters and those that turn the direction of the line around become
 * blanks, so that a text can neither leave its place nor disguise another. */
void html_text(buf *b, str text);

/* The same, cut off behind `limit` characters with an ellipsis. */
void html_excerpt(buf *b, str text, size_t limit);

/* 1234567 as "1,234,567". */
void html_count(buf *b, uint64_t n);

#endif
