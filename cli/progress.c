/* progress.c - what a job says, and how far it is, on standard error.
 *
 * The progress line is drawn on a terminal only, ten times a second at most, and taken away
 * before anything else is printed. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static struct {
    bool quiet, verbose, terminal;
    bool draws;    /* a progress line */
    bool drawn;    /* a line stands there */
    char what[32]; /* what is being counted */
    double began;  /* when it began, monotonic seconds */
    double last;   /* when it was last drawn */
} state;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress_clear(void)
{
    if (state.drawn) fputs("\r\033[K", stderr);
    state.drawn = false;
}

static void say(void *ctx, tamis_level level, const char *line)
{
    (void)ctx;
    bool shown = level == TAMIS_WARNING || state.verbose ||
                 (level == TAMIS_INFO && state.terminal && !state.quiet);
    if (!shown) return;
    progress_clear();
    fprintf(stderr, "tamis: %s%s\n", level == TAMIS_WARNING ? "warning: " : "", line);
}

static void draw(const char *what, uint64_t done, uint64_t total, double elapsed)
{
    double rate = elapsed > 0 ? (double)done / elapsed : 0;
    progress_clear();
    fprintf(stderr, "%s %llu", what, (unsigned long long)done);
    if (total)
        fprintf(stderr, " of %llu (%.0f %%)", (unsigned long long)total,
                100.0 * (double)done / (double)total);
    if (elapsed > 0.5) fprintf(stderr, ", %.0f/s", rate);
    if (total > done && elapsed > 0.5 && rate > 0) {
        unsigned long left = (unsigned long)((double)(total - done) / rate);
        fprintf(stderr, ", %lu:%02lu left", left / 60, left % 60);
    }
    fflush(stderr);
    state.drawn = true;
}

static void progress(void *ctx, const char *what, uint64_t done, uint64_t total, int finished)
{
    (void)ctx;
    enum { PER_SECOND = 10 };
    double t = now();
    if (strcmp(state.what, what)) {
        snprintf(state.what, sizeof state.what, "%s", what);
        state.began = t;
        state.last = 0;
    }
    if (finished) {
        progress_clear();
        state.what[0] = 0;
    } else if (t - state.last > 1.0 / PER_SECOND) {
        state.last = t;
        draw(what, done, total, t - state.began);
    }
}

void progress_listen(const cli *c, tamis *t)
{
    state.quiet = c->quiet;
    state.verbose = c->verbose;
    state.terminal = isatty(STDERR_FILENO);
    state.draws = state.terminal && !c->quiet && !c->no_progress;
    tamis_listener l = {.say = say, .progress = state.draws ? progress : NULL};
    tamis_set_listener(t, &l);
}

bool progress_is_shown(void)
{
    return state.draws;
}

void progress_show(const char *what, uint64_t done, uint64_t total, bool finished)
{
    if (state.draws) progress(NULL, what, done, total, finished);
}
