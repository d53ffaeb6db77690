/* cmd_verify.c - verify: the proof of an export. */
#include <stdlib.h>

#include "cli.h"

int cmd_verify(cli *c)
{
    tamis_error e = {0};
    char *out = NULL;
    int printed = 0;
    tamis_status st = tamis_verify(c->t, c->json ? TAMIS_JSON : TAMIS_TEXT, &out, &e);
    if (out && (c->json || !c->quiet || st == TAMIS_VIOLATION))
        printed = cli_print(out, stdout);
    else
        free(out);
    return st ? cli_error(&e) : printed;
}
