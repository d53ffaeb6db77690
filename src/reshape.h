/* reshape.h - records of conversations that follow the settings by which their parts are read. */
#ifndef TAMIS_RESHAPE_H
#define TAMIS_RESHAPE_H

#include "gather.h"

/* If g->shape has other settings than those by which this source was read last: makes the records
 * that those gave anew, from the parts that they hold. */
status reshape(gathering *g, const char *source_name, err *e) MUST_USE;

#endif
