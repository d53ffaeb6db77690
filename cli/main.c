/* main.c - tamis, the program: a client of include/tamis.h and nothing else.
 *
 * Data goes to standard output, talk to standard error; the exit status is the library's
 * status. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli.h"

volatile sig_atomic_t cli_stop;

static void raise_stop(int sig)
{
    (void)sig;
    cli_stop = 1;
}

/* A second signal ends the program the usual way; SIGPIPE and SIGXFSZ (`ulimit -f`) show as a
 * failed write. */
static void catch_signals(void)
{
    struct sigaction a = {.sa_handler = raise_stop, .sa_flags = SA_RESETHAND};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* What is closed would become the number of the next file that is opened: in its place stands
 * one that cannot be read (0) or written (1, 2), so that use of it fails as it would have. */
static void hold_places(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

/* The secret lies in the environment and in memory: neither is for a core file, nor for other
 * processes of the user to read. */
static void hide_memory(void)
{
    prctl(PR_SET_DUMPABLE, 0);
}

/* Arguments may hold anything; a terminal is not to act on it. */
static void make_plain(char *z)
{
    for (unsigned char *c = (unsigned char *)z; *c; c++)
        if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)) *c = '?';
}

int cli_fail(int status, const char *fmt, ...)
{
    char line[sizeof((tamis_error *)0)->message];
    va_list ap;
    progress_clear();
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    make_plain(line);
    fprintf(stderr, "tamis: %s\n", line);
    return status;
}

int cli_error(const tamis_error *e)
{
    return cli_fail((int)e->status, "%s", e->message);
}

bool cli_is_deserted(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};
    return poll(&p, 1, 0) > 0 && p.revents & POLLERR;
}

int cli_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
    if (errno == EPIPE || cli_is_deserted()) return TAMIS_FAILED;
    return cli_fail(TAMIS_FAILED, "cannot write to standard output: %s", strerror(errno));
}

int cli_print(char *text, FILE *to)
{
    progress_clear();
    fputs(text, to);
    free(text);
    return to == stdout ? cli_flush() : 0;
}

/* The configuration: ./tamis.ini or --config, then every --set. */
static tamis_status read_configuration(const cli *c, tamis_error *e)
{
    const char *path = c->config;
    tamis_status st = TAMIS_OK;
    if (!path && access("tamis.ini", F_OK) == 0) path = "tamis.ini";
    bool asks_api = strcmp(c->command, "run") == 0 || strcmp(c->command, "sync") == 0 ||
                    strcmp(c->command, "doctor") == 0;
    if (!path && asks_api && !c->n_settings) {
        snprintf(e->message, sizeof e->message,
                 "no configuration: ./tamis.ini is not there; `tamis init` writes one, --config "
                 "FILE names another");
        return e->status = TAMIS_USAGE;
    }
    bool is_read = strcmp(c->command, "init") != 0; /* which writes it */
    if (path && is_read) st = tamis_load(c->t, path, e);
    for (int i = 0; !st && i < c->n_settings; i++) st = tamis_set(c->t, c->settings[i], e);
    tamis_error why = {0};
    if (!st && c->resync_from) st = tamis_set_resync(c->t, c->resync_from, &why);
    if (why.status) {
        snprintf(e->message, sizeof e->message, "--resync-from: %.900s", why.message);
        e->status = st;
    }
    return st;
}

static int configure(cli *c)
{
    static tamis_error e;
    tamis_status st = read_configuration(c, &e);
    if (st && strcmp(c->command, "doctor") != 0) return cli_error(&e);
    if (st) c->configuration = e.message;
    tamis_set_threads(c->t, c->threads);
    tamis_set_stop(c->t, &cli_stop);
    progress_listen(c, c->t);
    return 0;
}

static int run_command(cli *c, const command *cmd)
{
    tamis_error e = {0};
    if (c->n_args < cmd->min_args)
        return cli_fail(EXIT_USAGE, "%s: something is missing; usage: tamis %s", cmd->name,
                        cmd->synopsis);
    if (cmd->max_args >= 0 && c->n_args > cmd->max_args)
        return cli_fail(EXIT_USAGE, "%s: \"%s\" is too much; usage: tamis %s", cmd->name,
                        c->args[cmd->max_args], cmd->synopsis);
    if (tamis_new(&c->t, &e)) return cli_error(&e);
    int rc = configure(c);
    return rc ? rc : cmd->run(c);
}

static int dispatch(cli *c)
{
    if (c->version) {
        printf("tamis %s\n", tamis_version());
        return cli_flush();
    }
    bool asks_help = c->command && strcmp(c->command, "help") == 0;
    const char *name = !asks_help ? c->command : c->n_args ? c->args[0] : NULL;
    if (asks_help && name && strcmp(name, "help") == 0) name = NULL;
    const command *cmd = name ? command_find(name) : NULL;
    if (name && !cmd)
        return cli_fail(EXIT_USAGE, "unknown command \"%s\"; the nearest is \"%s\" (tamis help)",
                        name, command_nearest(name));
    if (c->help || asks_help) {
        if (cmd)
            help_one(cmd, stdout);
        else
            help_all(stdout);
        return cli_flush();
    }
    if (!cmd) {
        help_all(stderr);
        return EXIT_USAGE;
    }
    return run_command(c, cmd);
}

int main(int argc, char **argv)
{
    cli c = {0};
    hold_places();
    hide_memory();
    catch_signals();
    int rc = cli_parse(argc, argv, &c);
    if (!rc) rc = dispatch(&c);
    tamis_free(c.t);
    free(c.args);
    free(c.settings);
    return rc;
}
