/* doctor_api.c - what a sync needs: secret, name, TLS, token, scopes, a page, filter, clock,
 * retention.
 *
 * Each is tried once, without the waits of a sync.  The secret is not needed to find out
 * whether the server can be reached, so a source with none is opened for that. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "doctor.h"
#include "source_settings.h"

typedef struct api {
    const doctor_job *job;
    diagnosis *d;
    source_settings settings;
    source *source;
    source_finding found;
    bool reached, has_secret, has_token, has_page;
} api;

enum { SKEW = 30, DAY = 86400 }; /* seconds: more is worth a warning */

static void skip(api *a, const char *name, const char *needs)
{
    diagnosis_add(a->d, name, CHECK_SKIPPED, NULL, "needs %s", needs);
}

static const char busy_fix[] = "the server fails or has too much to do: try again later";

/* One trial; a failure is added, with what to do. */
static bool try(api *a, source_trial what, const char *name, const char *fix)
{
    err e = {0};
    status st = source_try(a->source, what, &a->found, &e);
    if (st)
        diagnosis_fail(a->d, name, &e, a->found.is_busy ? busy_fix : fix);
    else if (*a->found.text)
        diagnosis_add(a->d, name, CHECK_OK, NULL, "%s", a->found.text);
    return st == ST_OK;
}

static void examine_secret(api *a)
{
    err e = {0};
    a->has_secret = source_settings_secrets(&a->settings, a->job->config, &e) == ST_OK;
    if (a->has_secret)
        diagnosis_add(a->d, "secret", CHECK_OK, NULL, "from the %s", a->settings.secret_from.p);
    else
        diagnosis_fail(a->d, "secret", &e,
                       "export the variable in the shell or unit that starts tamis, or write the "
                       "secret into a file of mode 600");
}

/* Whether libcurl may go by a proxy (no_proxy is its to read). */
static bool has_proxy(const api *a)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    if (!strncasecmp(a->settings.o.base_url, "http:", 5)) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *proxy = getenv(names[i]);
        if (proxy && *proxy) return true;
    }
    return false;
}

static void examine_way(api *a)
{
    if (has_proxy(a))
        diagnosis_add(a->d, "name", CHECK_SKIPPED, NULL, "a proxy looks it up");
    else if (!try(a, TRIAL_NAME, "name",
                  "check source.instance or source.base_url, and this machine's DNS")) {
        skip(a, "tls", "the name");
        return;
    }
    a->reached = try(a, TRIAL_REACH, "tls",
                     "check the address, proxy and firewall (https_proxy is honoured); for an "
                     "authority of your own name its certificate in source.ca_file");
}

/* What to do where no token is given: of credentials that are turned down, or of anything else. */
static const char *token_fix(auth_kind auth, status st)
{
    if (st != ST_DENIED && auth == AUTH_PASSWORD)
        return "check source.issuer, or name the token endpoint in source.token_url";
    if (st != ST_DENIED) return "check source.instance, source.base_url or source.token_url";
    if (auth == AUTH_CLIENT_CREDENTIALS)
        return "copy client id and secret anew from the CXone administration console; the grant "
               "and the scopes must be allowed for that client";
    if (auth == AUTH_PASSWORD)
        return "copy the client's id and secret anew from what NICE sent, or make a new access "
               "key of an active user";
    return "make a new access key of an active user; source.base_url must be of its area";
}

static void examine_token(api *a)
{
    err e = {0};
    if (!a->has_secret || !a->reached) {
        skip(a, "token", a->reached ? "the secret" : "the server");
        return;
    }
    status st = source_try(a->source, TRIAL_TOKEN, &a->found, &e);
    a->has_token = st == ST_OK;
    if (st)
        diagnosis_fail(a->d, "token", &e,
                       a->found.is_busy ? busy_fix : token_fix(a->settings.o.auth, st));
    else
        diagnosis_add(a->d, "token", CHECK_OK, NULL, "%s", a->found.text);
}

static bool has_word(const char *list, str word)
{
    for (const char *p = list; (p = strstr(p, word.p)) != NULL; p += word.n)
        if ((p == list || p[-1] == ' ') && (p[word.n] == ' ' || !p[word.n])) return true;
    return false;
}

/* The scopes asked for and not granted, one blank before each. */
static void missing_scopes(const char *asked, const char *granted, buf *out)
{
    for (const char *p = asked; *p;) {
        size_t n = strcspn(p, " ");
        char word[128];
        snprintf(word, sizeof word, "%.*s", (int)n, p);
        if (n && !has_word(granted, str_from(word))) buf_fmt(out, " %s", word);
        p += n + (p[n] == ' ');
    }
}

static void examine_scopes(api *a)
{
    static const char fix[] = "add them to the allowed scopes of the OAuth client, or ask for less "
                              "in source.scope";
    buf missing = {0};
    const char *granted = a->found.granted;
    if (!a->has_token) {
        skip(a, "scopes", "a token");
        return;
    }
    if (a->settings.o.auth != AUTH_CLIENT_CREDENTIALS) {
        diagnosis_add(a->d, "scopes", CHECK_OK, NULL,
                      "none are asked for with this source.auth; the page tells");
        return;
    }
    if (*granted) missing_scopes(a->settings.o.scope, granted, &missing);
    const char *lacks = buf_cstr(&missing);
    if (!*granted)
        diagnosis_add(a->d, "scopes", CHECK_OK, NULL,
                      "the server does not name them; the page tells");
    else if (!lacks || !*lacks)
        diagnosis_add(a->d, "scopes", CHECK_OK, NULL, "granted: %s", granted);
    else if (strstr(lacks, "interactions:read"))
        diagnosis_add(a->d, "scopes", CHECK_FAILED, fix, "not granted:%s", lacks)->code = ST_DENIED;
    else
        diagnosis_add(a->d, "scopes", CHECK_WARNING, fix, "not granted:%s", lacks);
    buf_release(&missing);
}

static void examine_pages(api *a)
{
    if (!a->has_token) {
        skip(a, "page", "a token");
        skip(a, "filter", "a page");
        return;
    }
    a->has_page = try(a, TRIAL_PAGE, "page", source_page_advice(a->source));
    if (a->has_page)
        try(a, TRIAL_FILTER, "filter",
            "later syncs ask for what is newer than a time (timestamp gt "
            "'YYYY-MM-DDTHH:MM:SS.mmmZ' or "
            "ge and lt): the API must take it");
    else
        skip(a, "filter", "a page");
}

static void examine_clock(api *a)
{
    if (!a->found.has_date) {
        skip(a, "clock", "an answer with a Date");
        return;
    }
    instant now = clock_now();
    double ahead = (double)(a->found.date.s - now.s);
    if (fabs(ahead) <= SKEW)
        diagnosis_add(a->d, "clock", CHECK_OK, NULL, "within %d s of the server's", SKEW);
    else
        diagnosis_add(a->d, "clock", CHECK_WARNING,
                      "set this machine's clock (timedatectl set-ntp true); nothing is lost "
                      "meanwhile, the earlier of the two clocks counts",
                      "the server's clock is %.0f s %s this machine's", fabs(ahead),
                      ahead > 0 ? "ahead of" : "behind");
}

static void examine_retention(api *a)
{
    err e = {0};
    instant since;
    const char *asked = a->job->config->source.since;
    char oldest[INSTANT_TEXT];
    if (!a->has_page) {
        skip(a, "retention", "a page");
        return;
    }
    if (source_try(a->source, TRIAL_OLDEST, &a->found, &e) || !a->found.has_oldest) {
        diagnosis_add(a->d, "retention", CHECK_SKIPPED, NULL, "%s",
                      e.code ? e.msg : "the API has nothing yet, or does not count");
        return;
    }
    instant_format(a->found.oldest, oldest);
    if (!*asked || !instant_parse(str_from(asked), &since))
        diagnosis_add(a->d, "retention", CHECK_OK, NULL, "the oldest interaction is of %s", oldest);
    else if (instant_cmp(instant_add(since, DAY), a->found.oldest) < 0)
        diagnosis_add(a->d, "retention", CHECK_WARNING,
                      "what is older is gone from the API (retention) unless the store or a file "
                      "has it; sync more often than the retention is long",
                      "source.since is %s, but the oldest interaction is of %s", asked, oldest);
    else
        diagnosis_add(a->d, "retention", CHECK_OK, NULL,
                      "source.since is %s, the oldest interaction is of %s", asked, oldest);
}

static void skip_all(api *a, const char *needs)
{
    static const char *const names[] = {"name", "tls",    "token", "scopes",
                                        "page", "filter", "clock", "retention"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) skip(a, names[i], needs);
}

void doctor_examine_api(const doctor_job *j, diagnosis *d)
{
    api a = {.job = j, .d = d, .found = {.total = -1}};
    err e = {0};
    bool plain = source_settings_plain(&a.settings, j->config, &e) == ST_OK;
    examine_secret(&a);
    a.settings.o.log = j->log;
    a.settings.o.stop = j->stop;
    a.settings.o.page_delay = 0;
    a.settings.o.max_attempts = 1;
    if (!a.has_secret)
        a.settings.o.client_secret = a.settings.o.access_key_secret = "none"; /* never sent */
    if (!plain || source_open(&a.settings.o, &a.source, &e)) {
        if (plain) diagnosis_fail(d, "address", &e, "correct it in [source]");
        skip_all(&a, "an address");
    } else {
        examine_way(&a);
        examine_token(&a);
        examine_scopes(&a);
        examine_pages(&a);
        examine_clock(&a);
        examine_retention(&a);
    }
    source_close(a.source);
    source_settings_release(&a.settings);
}
