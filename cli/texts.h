/* texts.h - texts from standard input, batch by batch, in memory that does not grow with it. */
#ifndef CLI_TEXTS_H
#define CLI_TEXTS_H

#include "cli.h"

enum { TEXTS_BATCH = 4096 };

typedef struct text_reader {
    bool jsonl;              /* a JSON object a line, of which the "text" counts */
    unsigned long long line; /* the last one taken, from 1 */
    tamis_text texts[TEXTS_BATCH];
    size_t n;     /* texts of this batch; valid until the next */
    char *buffer; /* [cap] of which [from, end) is to be taken; lines end not before `scan` */
    size_t cap, from, scan, end;
    bool at_end; /* of the input */
} text_reader;

/* Zero-initialised but for jsonl. */
void text_reader_release(text_reader *r);

/* Reads the next batch of at most `most` texts; r->n is 0 at the end.  Does not wait for more when
 * there is something to do, so a program that writes a line and waits for the answer gets it.  An
 * exit status: 0, or what has been said about a line that is no text or too long (16 MiB). */
int text_reader_fill(text_reader *r, size_t most);

/* How many lines standard input holds from here on; 0: that cannot be known. */
uint64_t text_reader_count_ahead(void);

#endif
