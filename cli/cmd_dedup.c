/* cmd_dedup.c - dedup: rows in, distinct rows out. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int write_rows(void *ctx, const char *bytes, size_t n)
{
    (void)ctx;
    if (!n) return fflush(stdout) || ferror(stdout);
    return fwrite(bytes, 1, n, stdout) != n;
}

static int choose_vectors(const cli *c, tamis_dedup_options *o)
{
    enum { DIM_MAX = 4096 };
    char *end;
    if (c->field || c->group)
        return cli_fail(EXIT_USAGE, "--%s is about JSON lines; --vectors has none",
                        c->field ? "field" : "group");
    if (c->n_args)
        return cli_fail(EXIT_USAGE, "dedup: either --vectors %s or %s", c->vectors, c->args[0]);
    if (!c->dim) return cli_fail(EXIT_USAGE, "--vectors needs --dim, the floats in a row");
    long dim = strtol(c->dim, &end, 10);
    if (!*c->dim || *end || dim < 1 || dim > DIM_MAX)
        return cli_fail(EXIT_USAGE, "--dim %s: a number from 1 to %d", c->dim, DIM_MAX);
    o->path = c->vectors;
    o->dimension = (size_t)dim;
    return 0;
}

static int set_threshold(const cli *c)
{
    tamis_error e = {0};
    size_t n = strlen("dedup.threshold=") + strlen(c->threshold) + 1;
    char *setting = malloc(n);
    if (!setting) return cli_fail(TAMIS_FAILED, "out of memory");
    snprintf(setting, n, "dedup.threshold=%s", c->threshold);
    tamis_status st = tamis_set(c->t, setting, &e);
    free(setting);
    return st ? cli_error(&e) : 0;
}

int cmd_dedup(cli *c)
{
    tamis_error e = {0};
    char *figures = NULL;
    tamis_dedup_options o = {.path = c->n_args ? c->args[0] : "-",
                             .field = c->field,
                             .group = c->group,
                             .removed = c->removed,
                             .write = write_rows};
    int rc = 0;
    if (c->vectors)
        rc = choose_vectors(c, &o);
    else if (c->dim)
        rc = cli_fail(EXIT_USAGE, "--dim is about --vectors");
    if (!rc && c->threshold) rc = set_threshold(c);
    if (rc) return rc;
    if (tamis_dedup(c->t, &o, c->json ? TAMIS_JSON : TAMIS_TEXT, &figures, &e))
        return ferror(stdout) && cli_is_deserted() ? TAMIS_FAILED : cli_error(&e);
    if (c->quiet && !c->json)
        free(figures);
    else
        cli_print(figures, stderr);
    return 0;
}
