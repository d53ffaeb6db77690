/* cmd_job.c - run, sync, curate, export, import: the parts of the job; forget. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int parts_of(const cli *c)
{
    int more = c->reembed ? TAMIS_REEMBED : 0;
    if (strcmp(c->command, "run") == 0) return TAMIS_RUN | more;
    if (strcmp(c->command, "sync") == 0) return TAMIS_SYNC;
    if (strcmp(c->command, "curate") == 0) return TAMIS_CURATE | more;
    return TAMIS_EXPORT | more;
}

int cmd_job(cli *c)
{
    tamis_error e = {0};
    tamis_format format = c->json ? TAMIS_JSON : TAMIS_TEXT;
    char *out = NULL;
    const char *const *args = (const char *const *)c->args;
    size_t n = (size_t)c->n_args;
    tamis_status st =
        strcmp(c->command, "import") == 0   ? tamis_import(c->t, args, n, format, &out, &e)
        : strcmp(c->command, "forget") == 0 ? tamis_forget(c->t, args, n, format, &out, &e)
                                            : tamis_run(c->t, parts_of(c), format, &out, &e);
    int printed = 0;
    if (out && (c->json || !c->quiet))
        printed = cli_print(out, c->json ? stdout : stderr);
    else
        free(out);
    return st ? cli_error(&e) : printed;
}
