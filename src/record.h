/* record.h - the plain records that the stages hand on to each other.
 *
 *   source gives raw records -> store keeps them -> record_parse makes interactions
 *   -> curate makes turns -> embed gives a vector a text -> dedup gives a verdict a
 *   turn -> export writes rows and ledger.
 *
 * All text is UTF-8 (mended, see js_mend) and borrowed from the arena that the
 * record was parsed into. */
#ifndef TAMIS_RECORD_H
#define TAMIS_RECORD_H

#include "base/arena.h"
#include "base/time.h"

/* A message as received; `text` is not stripped.  Text that is null or missing is
 * empty; text that is a number, an object ... makes is_text false. */
typedef struct message {
    str from; /* empty if it is not a string */
    str text;
    bool is_text;
    bool is_masked; /* the API has hidden what was said; of records put together by tamis only */
} message;

/* What an interaction came from last: an API (source.type), the file of `sync`, a file of `import`.
 * The numbers are stored: a new one goes to the end. */
typedef enum origin {
    ORIGIN_UNKNOWN, /* stored by a version that did not note it */
    ORIGIN_INTERACTIONS_V2,
    ORIGIN_COGNIGY,
    ORIGIN_DFO,
    ORIGIN_FILE,
    ORIGIN_IMPORT,
    ORIGIN_COUNT
} origin;

/* "interactions-v2", ..., "import"; empty for ORIGIN_UNKNOWN. */
str origin_name(origin o);
origin origin_from_name(str name); /* ORIGIN_UNKNOWN: no such one */

typedef struct interaction {
    str id;        /* never empty */
    str timestamp; /* as received */
    instant at;
    str bot_id; /* empty if missing, a number as its text */
    str rating; /* the JSON value as it stands in the record; empty if missing */
    message *messages;
    size_t n_messages;
    origin origin; /* the store says it, not the record */
} interaction;

/* Longest text of a message and longest record, in bytes. */
enum { TEXT_LIMIT = 1 << 20, RECORD_LIMIT = 64 << 20 };

/* Reads one raw record.  ST_FAILED: it cannot be used, and why (not JSON, no id,
 * no usable timestamp, a text over TEXT_LIMIT, ...); ids are in the message.
 * Everything in *out lives in `a`. */
status record_parse(str raw, arena *a, interaction *out, err *e) MUST_USE;

/* The id of a record that is not JSON, as far as it can be told: the last member "id" that is a
 * string, read as record_parse reads one.  Empty: it cannot.  *id lives in `a`.  ST_FAILED: no
 * memory. */
status record_id_of_broken(str raw, arena *a, str *id, err *e) MUST_USE;

/* The reference order of interactions: newest first, equal instants by id. */
int interaction_cmp(const interaction *a, const interaction *b);

/* A question and its answer. */
typedef struct turn {
    const interaction *of;
    uint32_t number;                  /* which pair of its interaction, from 0 */
    double rating;                    /* after filter.rating_map */
    str rating_text;                  /* as the CSV shows it */
    str user_utterance, bot_response; /* stripped, not empty */
    bool is_masked;                   /* one of the two is */
    bool is_pinned;                   /* kept by dedup.pins */
} turn;

typedef enum rule {
    RULE_KEPT,
    RULE_UNRATED,
    RULE_RATING_BELOW_MINIMUM,
    RULE_NO_TURNS,
    RULE_BOT_NOT_SELECTED,
    RULE_DUPLICATE,
    RULE_REDACTED_EMPTY,
    RULE_MASKED,
    RULE_PINNED,
    RULE_GUARDED, /* a duplicate that guard.floor gave back: a row; in no ledger */
    RULE_COUNT
} rule;

/* "kept", "unrated", "rating-below-minimum", ... as in the ledger. */
const char *rule_name(rule r);
bool rule_from_name(str name, rule *out);

enum { NO_ROW = UINT32_MAX };

/* A row was dropped by screening (screen.h): there is a kept row near enough before it, but which
 * is the nearest, and how near, was not computed. */
#define SCORE_UNKNOWN (-2.0)

/* What became of a row (a turn, in final order). */
typedef struct verdict {
    uint32_t kept_row; /* the earlier kept row nearest to it; NO_ROW: it is kept */
    double score;      /* the cosine to that row, or SCORE_UNKNOWN; 1.0 for a kept one */
} verdict;

/* A span of time that is being read, or was, from one source.  Rows with timestamp > lo
 * belong to it.  A bounded one ends with the millisecond of hi; else all that is newer belongs
 * to it, and hi says until when its rows had settled. */
typedef enum { SLICE_OPEN, SLICE_DONE } slice_state;

typedef struct slice {
    int64_t id; /* given by the store; 0 before that */
    instant lo; /* exclusive; INSTANT_MIN: from the beginning */
    instant hi; /* inclusive: what is newer was not yet settled */
    slice_state state;
    instant newest;      /* newest row scanned that is not newer than hi; INSTANT_MIN: none */
    uint32_t pass;       /* which reading of it this is, from 1 */
    uint32_t page;       /* next page to ask for, from 1 */
    uint32_t page_size;  /* that the page number counts in */
    uint32_t idle_pages; /* pages in a row that brought nothing new */
    int64_t total_first; /* what the server said at the first page of this pass; -1: nothing */
    int64_t total_last;  /* ... at the last page read */
    bool shrank;         /* a total fell during this pass */
    bool bounded;        /* read by ranges: the server takes upper bounds */
    uint64_t seen;       /* distinct records seen in this pass */
} slice;

#endif
