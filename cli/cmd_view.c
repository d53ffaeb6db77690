/* cmd_view.c - status and explain: what the store holds; doctor: what a run needs; init: a first
 * configuration. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

int cmd_view(cli *c)
{
    tamis_error e = {0};
    tamis_format format = c->json ? TAMIS_JSON : TAMIS_TEXT;
    char *out = NULL;
    tamis_status st = strcmp(c->command, "explain") == 0
                          ? tamis_explain(c->t, c->args[0], format, &out, &e)
                          : tamis_report_status(c->t, format, &out, &e);
    return st ? cli_error(&e) : cli_print(out, stdout);
}

int cmd_doctor(cli *c)
{
    tamis_error e = {0};
    char *out = NULL;
    tamis_status st =
        tamis_doctor(c->t, c->configuration, c->json ? TAMIS_JSON : TAMIS_TEXT, &out, &e);
    if (!out) return cli_error(&e);
    int printed = cli_print(out, stdout);
    return st ? (int)st : printed;
}

static int write_new(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return cli_fail(TAMIS_FAILED, "%s is there already; it is left as it is", path);
    size_t n = strlen(text);
    bool ok = fd >= 0 && write(fd, text, n) == (ssize_t)n;
    int why = errno;
    if (fd >= 0 && close(fd)) {
        ok = false;
        why = errno;
    }
    if (ok) return 0;
    if (fd >= 0) unlink(path);
    return cli_fail(TAMIS_FAILED, "cannot write %s: %s", path, strerror(why));
}

int cmd_init(cli *c)
{
    tamis_error e = {0};
    char *text;
    const char *path = c->config ? c->config : "tamis.ini";
    if (tamis_template(&text, &e)) return cli_error(&e);
    if (strcmp(path, "-") == 0) return cli_print(text, stdout); /* as --config - reads */
    int rc = write_new(path, text);
    free(text);
    if (!rc && !c->quiet)
        fprintf(stderr,
                "%s written: fill in [source], put the client secret into "
                "TAMIS_CLIENT_SECRET, then: tamis run\n",
                path);
    return rc;
}
