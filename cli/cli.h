/* cli.h - what the commands of the program share. */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "tamis.h"

enum { EXIT_USAGE = TAMIS_USAGE };

/* The command line, taken apart. */
typedef struct cli {
    tamis *t;                  /* configured */
    const char *configuration; /* what is wrong with it, for doctor; NULL: nothing */
    const char *command;
    char **args; /* [n_args] what is neither option nor command */
    int n_args;
    const char *config; /* --config; NULL: ./tamis.ini if it is there */
    char **settings;    /* [n_settings] of --set */
    int n_settings;
    bool json, quiet, verbose, no_progress, help, version;
    int threads;
    bool jsonl, reembed; /* tokenize and embed; curate */
    const char *format;  /* embed */
    const char *field, *group, *threshold, *removed, *vectors, *dim; /* dedup */
    const char *pairs, *same_from;                                   /* tune */
    const char *resync_from; /* run, sync; NULL: what is new */
} cli;

/* Raised by SIGINT and SIGTERM. */
extern volatile sig_atomic_t cli_stop;

/* One line on standard error (the progress line gives way), and the exit status. */
int cli_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cli_error(const tamis_error *e);

/* Fills c (zeroed) from the arguments; an exit status, 0 to go on.  c->args and c->settings
 * are freed by the caller. */
int cli_parse(int argc, char **argv, cli *c);

/* Prints a result to standard output (to standard error if it is talk) and frees it. */
int cli_print(char *text, FILE *to);

/* Whether nobody reads standard output, a pipe, any more: nothing to complain of, as in
 * `tamis embed | head`. */
bool cli_is_deserted(void);

/* Flushes standard output; an exit status. */
int cli_flush(void);

/* --- commands: each returns the exit status ------------------------------------------------- */

int cmd_job(cli *c);  /* run, sync, curate, export, import, forget */
int cmd_view(cli *c); /* status, explain */
int cmd_doctor(cli *c);
int cmd_init(cli *c);
int cmd_model(cli *c);
int cmd_tokenize(cli *c);
int cmd_embed(cli *c);
int cmd_dedup(cli *c);
int cmd_tune(cli *c);
int cmd_report(cli *c);
int cmd_verify(cli *c);

/* --- help ----------------------------------------------------------------------------------- */

typedef struct command {
    const char *name;
    int (*run)(cli *c);
    const char *synopsis, *summary, *details, *examples;
    int min_args, max_args; /* max -1: any number */
} command;

const command *command_find(const char *name); /* NULL: none such */
const char *command_nearest(const char *name);
void help_all(FILE *to);
void help_one(const command *c, FILE *to);

/* The nearest of `names` (NULL-terminated) by edit distance. */
const char *nearest(const char *name, const char *const *names);

/* --- progress ------------------------------------------------------------------------------- */

/* Starts listening to a job: lines by level, a progress line on a terminal. */
void progress_listen(const cli *c, tamis *t);
/* Takes the progress line away, so that something else can be printed. */
void progress_clear(void);
/* For a command that counts itself, after progress_listen. */
bool progress_is_shown(void);
void progress_show(const char *what, uint64_t done, uint64_t total, bool finished);

#endif
