/* report_view.h - gathers what the page of `tamis report` shows. */
#ifndef TAMIS_REPORT_VIEW_H
#define TAMIS_REPORT_VIEW_H

#include "dedup/sweep.h"
#include "pipeline.h"

/* Appends the page about a curated data set; s is its summary, sw its sweep. */
status report_view(const job *j, const dataset *d, const summary *s, const sweep *sw, buf *out,
                   err *e) MUST_USE;

#endif
