/* complaint.h - what a server says of an error, made fit for a message. */
#ifndef TAMIS_SOURCE_COMPLAINT_H
#define TAMIS_SOURCE_COMPLAINT_H

#include "base/str.h"

enum { COMPLAINT_CODE = 64, COMPLAINT_CAP = 256 };

/* The "error" code of an OAuth or API error body; "" if there is none that is a plain word. */
void complaint_code(str body, char out[COMPLAINT_CODE]);

/* ": " and its "error_description" (or "message", or "error"), shortened, without control
 * characters; "" if it has none, or if the text holds one of the secrets (up to a NULL), plain
 * or percent-encoded. */
void complaint_words(str body, const char *const *secrets, char out[COMPLAINT_CAP]);

#endif
