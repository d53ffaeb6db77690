/* options.c - the command line, taken apart: options anywhere, "--" ends them. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef enum {
    OPT_CONFIG,
    OPT_SET,
    OPT_JSON,
    OPT_QUIET,
    OPT_VERBOSE,
    OPT_NO_PROGRESS,
    OPT_THREADS,
    OPT_HELP,
    OPT_VERSION,
    OPT_JSONL,
    OPT_FORMAT,
    OPT_REEMBED,
    OPT_RESYNC_FROM,
    OPT_FIELD,
    OPT_GROUP,
    OPT_THRESHOLD,
    OPT_REMOVED,
    OPT_VECTORS,
    OPT_DIM,
    OPT_PAIRS,
    OPT_SAME_FROM
} option_id;

static const struct option {
    const char *name;
    option_id id;
    bool takes_value;
    const char *commands; /* " a b " the ones that know it; NULL: all */
} options[] = {
    {"--config", OPT_CONFIG, true, NULL},
    {"--set", OPT_SET, true, NULL},
    {"--json", OPT_JSON, false, NULL},
    {"--quiet", OPT_QUIET, false, NULL},
    {"--verbose", OPT_VERBOSE, false, NULL},
    {"--no-progress", OPT_NO_PROGRESS, false, NULL},
    {"--threads", OPT_THREADS, true, NULL},
    {"--help", OPT_HELP, false, NULL},
    {"-h", OPT_HELP, false, NULL},
    {"--version", OPT_VERSION, false, NULL},
    {"--jsonl", OPT_JSONL, false, " tokenize embed "},
    {"--format", OPT_FORMAT, true, " embed "},
    {"--reembed", OPT_REEMBED, false, " run curate export "},
    {"--resync-from", OPT_RESYNC_FROM, true, " run sync "},
    {"--field", OPT_FIELD, true, " dedup "},
    {"--group", OPT_GROUP, true, " dedup "},
    {"--threshold", OPT_THRESHOLD, true, " dedup "},
    {"--removed", OPT_REMOVED, true, " dedup "},
    {"--vectors", OPT_VECTORS, true, " dedup "},
    {"--dim", OPT_DIM, true, " dedup "},
    {"--pairs", OPT_PAIRS, true, " tune "},
    {"--same-from", OPT_SAME_FROM, true, " tune "},
};

enum { N_OPTIONS = sizeof options / sizeof *options, LONGEST_NAME = 64 };

static size_t distance(const char *a, const char *b)
{
    size_t row[LONGEST_NAME + 1], n = strlen(b);
    if (strlen(a) > LONGEST_NAME || n > LONGEST_NAME) return LONGEST_NAME;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0]++;
        for (size_t j = 0; j < n; j++) {
            size_t swap = corner + (a[i] != b[j]);
            corner = row[j + 1];
            size_t edit = (corner < row[j] ? corner : row[j]) + 1;
            row[j + 1] = swap < edit ? swap : edit;
        }
    }
    return row[n];
}

const char *nearest(const char *name, const char *const *names)
{
    const char *best = *names;
    for (; *names; names++)
        if (distance(name, *names) < distance(name, best)) best = *names;
    return best;
}

static const struct option *find_option(const char *arg, size_t n)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (strlen(options[i].name) == n && memcmp(options[i].name, arg, n) == 0)
            return &options[i];
    return NULL;
}

static int unknown_option(const char *arg)
{
    const char *names[N_OPTIONS + 1] = {0};
    char name[LONGEST_NAME] = "";
    for (size_t i = 0; i < N_OPTIONS; i++) names[i] = options[i].name;
    strncat(name, arg, strcspn(arg, "=") < sizeof name ? strcspn(arg, "=") : sizeof name - 1);
    return cli_fail(EXIT_USAGE, "unknown option %s; the nearest is %s", name, nearest(name, names));
}

static int set_threads(cli *c, const char *value)
{
    char *end;
    long n = strtol(value, &end, 10);
    if (!*value || *end || n < 1 || n > 256)
        return cli_fail(EXIT_USAGE, "--threads %s: a number from 1 to 256", value);
    c->threads = (int)n;
    return 0;
}

static void apply_text(cli *c, option_id id, const char *value)
{
    const char **const places[] = {
        [OPT_FIELD] = &c->field,         [OPT_GROUP] = &c->group,
        [OPT_THRESHOLD] = &c->threshold, [OPT_REMOVED] = &c->removed,
        [OPT_VECTORS] = &c->vectors,     [OPT_DIM] = &c->dim,
        [OPT_PAIRS] = &c->pairs,         [OPT_SAME_FROM] = &c->same_from};
    *places[id] = value;
}

static int apply(cli *c, option_id id, char *value)
{
    switch (id) {
    case OPT_CONFIG:
        c->config = value;
        break;
    case OPT_SET:
        c->settings[c->n_settings++] = value;
        break;
    case OPT_JSON:
        c->json = true;
        break;
    case OPT_QUIET:
        c->quiet = true;
        break;
    case OPT_VERBOSE:
        c->verbose = true;
        break;
    case OPT_NO_PROGRESS:
        c->no_progress = true;
        break;
    case OPT_THREADS:
        return set_threads(c, value);
    case OPT_HELP:
        c->help = true;
        break;
    case OPT_VERSION:
        c->version = true;
        break;
    case OPT_JSONL:
        c->jsonl = true;
        break;
    case OPT_FORMAT:
        c->format = value;
        break;
    case OPT_REEMBED:
        c->reembed = true;
        break;
    case OPT_RESYNC_FROM:
        c->resync_from = value;
        break;
    default:
        apply_text(c, id, value);
    }
    return 0;
}

/* An option that the command does not know is an error only when the command is known,
 * which may be later on the line. */
static int check_commands(const cli *c, char **argv, int n)
{
    for (int i = 1; i < n && c->command; i++) {
        if (strcmp(argv[i], "--") == 0) break;
        const struct option *o = find_option(argv[i], strcspn(argv[i], "="));
        if (!o) continue;
        char word[LONGEST_NAME + 2];
        snprintf(word, sizeof word, " %s ", c->command);
        if (o->commands && !strstr(o->commands, word))
            return cli_fail(EXIT_USAGE, "%s has no option %s (it belongs to:%s)", c->command,
                            o->name, o->commands);
        i += o->takes_value && !strchr(argv[i], '=');
    }
    return 0;
}

int cli_parse(int argc, char **argv, cli *c)
{
    bool ended = false;
    c->args = calloc((size_t)argc + 1, sizeof *c->args);
    c->settings = calloc((size_t)argc + 1, sizeof *c->settings);
    if (!c->args || !c->settings) return cli_fail(TAMIS_FAILED, "out of memory");
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        if (!ended && strcmp(arg, "--") == 0) {
            ended = true;
            continue;
        }
        if (ended || arg[0] != '-' || !arg[1]) {
            if (c->command)
                c->args[c->n_args++] = arg;
            else
                c->command = arg;
            continue;
        }
        size_t n = strcspn(arg, "=");
        const struct option *o = find_option(arg, n);
        if (!o) return unknown_option(arg);
        char *value = arg[n] ? arg + n + 1 : "";
        if (arg[n] && !o->takes_value) return cli_fail(EXIT_USAGE, "%s takes no value", o->name);
        if (!arg[n] && o->takes_value) {
            if (i + 1 == argc) return cli_fail(EXIT_USAGE, "%s needs a value", o->name);
            value = argv[++i];
        }
        int rc = apply(c, o->id, value);
        if (rc) return rc;
    }
    return check_commands(c, argv, argc);
}
