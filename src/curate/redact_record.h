/* redact_record.h - takes personal data out of a raw record, before it is stored. */
#ifndef TAMIS_CURATE_REDACT_RECORD_H
#define TAMIS_CURATE_REDACT_RECORD_H

#include "curate/redact.h"

/* Appends a record (a JSON object that record_parse took) to `out` with every string in it
 * redacted, at any depth, keys too; a number in which a rule finds something becomes null.  Left
 * as they are: the keys of the record itself and of its messages, its own id, timestamp, botId
 * and rating, the `from` of its messages, and every byte of what holds nothing to redact. */
status redact_record(const redactor *r, str raw, buf *out, err *e) MUST_USE;

#endif
