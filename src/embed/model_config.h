/* model_config.h - what kind of model a directory holds. */
#ifndef TAMIS_EMBED_MODEL_CONFIG_H
#define TAMIS_EMBED_MODEL_CONFIG_H

#include "embed/model.h"

/* Fills in the sizes, the pooling, the longest text and what is known of the tokenizer from the
 * JSON files in m->dir.  ST_FAILED: damaged, or a model that is not supported; the message
 * names the file and the reason. */
status model_config_read(model *m, err *e) MUST_USE;

#endif
