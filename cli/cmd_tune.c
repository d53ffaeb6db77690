/* cmd_tune.c - tune and report: a second look at the curation. */
#include <math.h>
#include <stdlib.h>

#include "cli.h"

int cmd_tune(cli *c)
{
    tamis_error e = {0};
    tamis_tune_options o = {.pairs = c->pairs, .same_from = 1};
    char *out = NULL, *end = NULL;
    if (c->same_from) {
        o.same_from = strtod(c->same_from, &end);
        if (!*c->same_from || *end || !isfinite(o.same_from))
            return cli_fail(EXIT_USAGE, "--same-from %s: a number", c->same_from);
        if (!c->pairs) return cli_fail(EXIT_USAGE, "--same-from is about --pairs");
    }
    if (tamis_tune(c->t, &o, c->json ? TAMIS_JSON : TAMIS_TEXT, &out, &e)) return cli_error(&e);
    return cli_print(out, stdout);
}

int cmd_report(cli *c)
{
    tamis_error e = {0};
    char *out = NULL;
    if (c->json)
        return cli_fail(EXIT_USAGE, "report writes HTML; for figures: tamis tune --json, "
                                    "tamis status --json");
    return tamis_report(c->t, &out, &e) ? cli_error(&e) : cli_print(out, stdout);
}
