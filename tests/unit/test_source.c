/* test_source.c - the API adapter against real HTTP servers that misbehave.
 *
 * Each scenario of fault_tenant.py is a server of its own, in a child process.  After each, the
 * secret and the tokens must not be found in any message or log line. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "source/source.h"

#define SECRET "s3cr&t /+"

/* --- the servers ----------------------------------------------------------------------------- */

/* fault_tenant.py, one server at a time. */
static struct {
    bool there;
    pid_t pid;
    FILE *in, *out; /* its standard input and output */
} child;

static int child_start(void **state)
{
    (void)state;
    int to[2], from[2];
    signal(SIGPIPE, SIG_IGN);
    if (system("python3 -c '' 2>/dev/null") != 0) return 0;
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)) return -1;
    child.pid = fork();
    if (child.pid < 0) return -1;
    if (!child.pid) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execlp("python3", "python3", "tests/unit/fault_tenant.py", (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    child.in = fdopen(to[1], "w");
    child.out = fdopen(from[0], "r");
    child.there = child.in && child.out;
    return child.there ? 0 : -1;
}

static int child_stop(void **state)
{
    (void)state;
    if (!child.there) return 0;
    fclose(child.in);
    fclose(child.out);
    return waitpid(child.pid, NULL, 0) == child.pid ? 0 : -1;
}

/* Its answer to a command, valid until the next one. */
static const char *tell(const char *command, const char *word)
{
    static char line[1 << 16];
    fprintf(child.in, "%s %s\n", command, word);
    fflush(child.in);
    if (!fgets(line, sizeof line, child.out)) fail_msg("the server ended at: %s", command);
    return line;
}

static js *report(void)
{
    js *root = NULL;
    err e = {0};
    assert_int_equal(js_parse(str_from(tell("report", "")), &root, &e), ST_OK);
    return root;
}

static void need_python(void)
{
    if (child.there) return;
    print_message("SKIPPED: there is no python3 to run the simulated tenant\n");
    skip();
}

/* --- a run ----------------------------------------------------------------------------------- */

typedef struct run {
    const char *scenario;
    source_options o;
    char url[100], ca[256], token_url[300];
    buf log; /* every line, and the last error */
    logger logger;
    source *source;
    source_page page;
    err e;
} run;

static pthread_t caller;

static void log_line(void *ctx, log_level level, const char *line)
{
    buf *log = ctx;
    (void)level;
    assert_true(pthread_equal(pthread_self(), caller));
    buf_z(log, line);
    buf_char(log, '\n');
}

static void begin(run *r, const char *scenario)
{
    *r = (run){.scenario = scenario};
    caller = pthread_self();
    sscanf(tell("start", scenario), "listening %99s %255s", r->url, r->ca);
    snprintf(r->token_url, sizeof r->token_url, "%s/oauth/token", r->url);
    r->logger = (logger){.say = log_line, .ctx = &r->log};
    r->o = (source_options){.type = "interactions-v2",
                            .base_url = r->url,
                            .token_url = r->token_url,
                            .client_id = "me",
                            .client_secret = SECRET,
                            .scope = "interactions:read analytics:read",
                            .ca_file = "",
                            .max_wait = 2,
                            .timeout = 1,
                            .max_attempts = 3,
                            .log = &r->logger};
}

static void open_it(run *r)
{
    if (source_open(&r->o, &r->source, &r->e)) fail_msg("%s", r->e.msg);
}

static status get(run *r, uint32_t page)
{
    source_query q = {.after = INSTANT_MIN, .page = page, .page_size = 10};
    memset(&r->e, 0, sizeof r->e);
    status st = source_get(r->source, &q, &r->page, &r->e);
    assert_int_equal(st, st ? r->e.code : ST_OK);
    buf_z(&r->log, r->e.msg);
    buf_char(&r->log, '\n');
    return st;
}

/* Ends the run; `tokens` and `pages`: how many requests of each there must have been (-1: any). */
static void finish(run *r, int tokens, int pages)
{
    js *seen = report();
    const js *issued = js_get(seen, "issued");
    double n_tokens = js_number(js_get(seen, "tokens"), -1);
    double n_pages = js_number(js_get(seen, "pages"), -1);
    source_stats stats = source_statistics(r->source);
    if ((tokens >= 0 && n_tokens != tokens) || (pages >= 0 && n_pages != pages))
        fail_msg("%s: %g token and %g page requests", r->scenario, n_tokens, n_pages);
    if (tokens >= 0 && pages >= 0) assert_int_equal(stats.requests, tokens + pages);
    source_close(r->source);
    source_page_release(&r->page);
    tell("stop", "");
    assert_non_null(buf_cstr(&r->log));
    assert_null(strstr(r->log.p, SECRET));
    assert_null(strstr(r->log.p, "s3cr%26t"));
    for (size_t i = 0; i < js_size(issued); i++)
        assert_null(strstr(r->log.p, js_string(js_at(issued, i)).p));
    js_free(seen);
    buf_release(&r->log);
}

/* --- what goes well -------------------------------------------------------------------------- */

static void test_pages(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "plain");
    open_it(&r);
    static const size_t sizes[] = {10, 10, 5, 0};
    for (uint32_t page = 1; page <= 4; page++) {
        if (get(&r, page)) fail_msg("%s", r.e.msg);
        assert_int_equal(r.page.n_records, sizes[page - 1]);
        assert_int_equal(r.page.total, 25);
        assert_true(r.page.has_server_date);
        assert_true(llabs(r.page.server_date.s - clock_now().s) < 60);
    }
    assert_int_equal(get(&r, 3), ST_OK);
    assert_non_null(memmem(r.page.records[4].p, r.page.records[4].n, "int_00", 6));
    /* `after` is exclusive, and cut downwards to the millisecond. */
    source_query q = {.after = {1767225622, 999999}, .page = 1, .page_size = 10};
    assert_int_equal(source_get(r.source, &q, &r.page, &r.e), ST_OK);
    assert_int_equal(r.page.total, 2);
    js *seen = report();
    const js *headers = js_get(seen, "headers"), *form = js_get(seen, "form");
    assert_true(str_eq(js_string(js_get(form, "client_secret")), STR(SECRET)));
    assert_true(str_eq(js_string(js_get(form, "grant_type")), STR("client_credentials")));
    assert_true(str_eq(js_string(js_get(form, "scope")), STR("interactions:read analytics:read")));
    assert_true(str_eq(js_string(js_get(headers, "user-agent")), STR("tamis")));
    assert_true(str_eq(js_string(js_get(headers, "accept")), STR("application/json")));
    js_free(seen);
    assert_int_equal(source_statistics(r.source).retries, 0);
    finish(&r, 1, 6);
}

static void test_scope_left_out(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "plain");
    r.o.scope = "";
    open_it(&r);
    assert_int_equal(get(&r, 1), ST_OK);
    js *seen = report();
    assert_null(js_get(js_get(seen, "form"), "scope"));
    js_free(seen);
    finish(&r, 1, 1);
}

/* --- scenarios ------------------------------------------------------------------------------- */

/* Page 1 and, if that went well and `pages` > 1, the next ones. */
static const struct {
    const char *scenario;
    int pages;         /* to get */
    status want;       /* of the last */
    int tokens, asked; /* requests there must have been; -1: any */
    const char *says;  /* in the message, or in the log */
} scenarios[] = {
    {"gzip", 3, ST_OK, 1, 3, ""},
    {"right_secret", 1, ST_OK, 1, 1, ""},
    {"wrong_secret", 1, ST_DENIED, 1, 0, "source.client_id"},
    {"mid_run_401", 3, ST_OK, 2, 4, "asking for another"},
    {"always_401", 1, ST_DENIED, 2, 2, "interactions:read"},
    {"forbidden", 1, ST_DENIED, 1, 1, "View Interaction Logs"},
    {"echo_403", 1, ST_DENIED, 1, 1, "interactions:read"},
    {"life_missing", 3, ST_OK, 1, 3, ""},
    {"life_text", 3, ST_OK, 1, 3, ""},
    {"life_zero", 3, ST_OK, 1, 3, ""},
    {"throttle_once", 1, ST_OK, 1, 2, "waiting 1.0 s"},
    {"throttle_long", 1, ST_INCOMPLETE, 1, 1, "86400"},
    {"throttle_always", 1, ST_INCOMPLETE, 1, 3, "3 tries"},
    {"throttle_date", 1, ST_OK, 1, 2, "waiting 1.0 s"},
    {"throttle_far_date", 1, ST_INCOMPLETE, 1, 1, "source.max_wait"},
    {"throttle_past", 1, ST_OK, 1, 2, "waiting 0.0 s"},
    {"throttle_token", 1, ST_OK, 2, 1, "waiting 0.0 s"},
    {"clock_behind", 1, ST_OK, 1, 2, "waiting 1.0 s"},
    {"status_503_twice", 1, ST_OK, 1, 3, "HTTP 503"},
    {"status_501", 1, ST_FAILED, 1, 1, "HTTP 501"},
    {"truncate_once", 1, ST_OK, 1, 2, "cut short"},
    {"truncate_always", 1, ST_INCOMPLETE, 1, 3, "cut short"},
    {"stall_once", 1, ST_OK, 1, 2, "no answer for 1 s"},
    {"redirect", 1, ST_FAILED, 1, 1, "https://elsewhere.example/login;"},
    {"redirect_token", 1, ST_FAILED, 1, 0, "source.token_url"},
    {"reset_once", 1, ST_OK, -1, 2, ""}, /* libcurl itself tries a connection it kept again */
    {"reset_always", 1, ST_INCOMPLETE, -1, -1, "broke"},
    {"reset_token_once", 1, ST_OK, 2, 1, "broke"},
    {"html_once", 1, ST_OK, 1, 2, "not a JSON object"},
    {"html_always", 1, ST_INCOMPLETE, 1, 3, "not with a page of interactions"},
    {"empty_body", 1, ST_OK, 1, 2, "it is empty"},
    {"no_content", 1, ST_OK, 1, 1, ""},
    {"bomb", 1, ST_FAILED, 1, 1, "larger than 64 MiB"},
    {"token_bomb", 1, ST_FAILED, 1, 0, "larger than 1 MiB"},
    {"bad_filter", 1, ST_FAILED, 1, 1, "filter rejected (HTTP 400: Unsupported filter: ?[2Jgt)"},
    {"bad_request", 1, ST_FAILED, 1, 1, "pageSize is too large"},
    {"not_there", 1, ST_FAILED, 1, 1, "source.base_url"},
    {"token_not_there", 1, ST_FAILED, 1, 0, "source.token_url"},
    {"token_html", 1, ST_INCOMPLETE, 3, 0, "no access_token"},
    {"token_echo", 1, ST_FAILED, 1, 0, "HTTP 400)"},
    {"token_scope", 1, ST_DENIED, 1, 0, "source.scope"},
    {"token_newline", 1, ST_INCOMPLETE, 3, 0, "no access_token"},
    {"total_text", 1, ST_OK, 1, 1, ""},
    {"total_nonsense", 1, ST_OK, 1, 1, ""},
    {"raw_close_cut", 1, ST_OK, -1, -1, "cut short"},
    {"raw_chunk_cut", 1, ST_OK, -1, -1, ""},
    {"raw_bad_gzip", 1, ST_INCOMPLETE, -1, -1, "3 tries"},
    {"raw_garbage", 1, ST_INCOMPLETE, -1, -1, "3 tries"},
    {"raw_two_answers", 1, ST_OK, -1, -1, "HTTP 503"},
    {"raw_header_flood", 1, ST_FAILED, -1, -1, "larger than 256 KiB"},
    {"raw_endless", 1, ST_FAILED, -1, -1, "larger than 64 MiB"},
    {"raw_dribble", 1, ST_INCOMPLETE, -1, -1, "no answer for 1 s"},
};

/* matrix: 14, 16, 18, 20, 21, 22, 23, 24, 25 */
static void test_scenarios(void **state)
{
    (void)state;
    need_python();
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        const char *name = scenarios[i].scenario;
        run r;
        status st = ST_OK;
        begin(&r, name);
        open_it(&r);
        for (int page = 1; page <= scenarios[i].pages && st == ST_OK; page++)
            st = get(&r, (uint32_t)page);
        if (st != scenarios[i].want) fail_msg("%s: %d %s", name, (int)st, r.e.msg);
        if (!strstr(buf_cstr(&r.log), scenarios[i].says)) fail_msg("%s says:\n%s", name, r.log.p);
        if (st) print_message("%s: %s\n", name, r.e.msg);
        finish(&r, scenarios[i].tokens, scenarios[i].asked);
    }
}

/* matrix: 9 */
static void test_totals(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "total_text");
    open_it(&r);
    assert_int_equal(get(&r, 1), ST_OK);
    assert_int_equal(r.page.total, 25);
    finish(&r, 1, 1);
    begin(&r, "total_nonsense");
    open_it(&r);
    assert_int_equal(get(&r, 1), ST_OK);
    assert_int_equal(r.page.total, -1);
    finish(&r, 1, 1);
}

/* A token that lives for a second is renewed at half its life, not for each page. */
/* matrix: 18 */
static void test_short_lived_token(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "short_lived");
    r.o.page_delay = 0.15;
    open_it(&r);
    for (uint32_t page = 1; page <= 8; page++) assert_int_equal(get(&r, page), ST_OK);
    assert_int_equal(source_statistics(r.source).retries, 0);
    js *seen = report();
    double tokens = js_number(js_get(seen, "tokens"), -1);
    js_free(seen);
    assert_true(tokens >= 2 && tokens <= 4);
    finish(&r, -1, 8);
}

/* A failed page changes nothing: the next one is got all the same. */
static void test_goes_on_after_a_failure(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "status_503_twice");
    r.o.max_attempts = 1;
    open_it(&r);
    assert_int_equal(get(&r, 1), ST_INCOMPLETE);
    assert_int_equal(get(&r, 1), ST_INCOMPLETE);
    assert_int_equal(get(&r, 1), ST_OK);
    assert_int_equal(r.page.n_records, 10);
    finish(&r, 1, 3);
}

static void test_page_delay(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "plain");
    r.o.page_delay = 0.4;
    open_it(&r);
    double began = clock_monotonic();
    assert_int_equal(get(&r, 1), ST_OK);
    assert_true(clock_monotonic() - began < 0.35); /* none before the first */
    began = clock_monotonic();
    assert_int_equal(get(&r, 2), ST_OK);
    assert_true(clock_monotonic() - began > 0.35);
    assert_true(source_statistics(r.source).seconds_waited == 0);
    finish(&r, 1, 2);
}

/* --- ahead ----------------------------------------------------------------------------------- */

static void ask_ahead(run *r, uint32_t page)
{
    source_query q = {.after = INSTANT_MIN, .page = page, .page_size = 10};
    source_ask_ahead(r->source, &q);
}

static int pages_asked_for(void)
{
    js *seen = report();
    int n = (int)js_number(js_get(seen, "pages"), -1);
    js_free(seen);
    return n;
}

/* Waits until the server has had as many requests for pages. */
static void await_pages(int n)
{
    double end = clock_monotonic() + 10;
    while (pages_asked_for() < n && clock_monotonic() < end) clock_sleep(0.02, NULL);
    assert_int_equal(pages_asked_for(), n);
}

static void test_ahead(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "plain");
    open_it(&r);
    ask_ahead(&r, 1); /* without a token nothing is sent */
    assert_int_equal(get(&r, 1), ST_OK);
    assert_int_equal(r.page.n_records, 10);
    str first = r.page.records[0];
    ask_ahead(&r, 3);
    await_pages(2);
    assert_non_null(memmem(first.p, first.n, "int_24", 6)); /* the page is as it was */
    assert_int_equal(get(&r, 3), ST_OK);
    assert_int_equal(r.page.n_records, 5);
    ask_ahead(&r, 3);
    await_pages(3);
    assert_int_equal(get(&r, 1), ST_OK); /* another question: its own answer */
    assert_int_equal(r.page.n_records, 10);
    finish(&r, 1, 4);
}

/* An answer that came ahead is a first try like others. */
static void test_what_goes_wrong_ahead(void **state)
{
    (void)state;
    need_python();
    static const struct {
        const char *scenario;
        int tokens, pages;
        unsigned retries;
    } cases[] = {{"mid_run_401", 2, 3, 0}, {"later_503", 1, 3, 1}, {"later_cut", 1, 3, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run r;
        begin(&r, cases[i].scenario);
        open_it(&r);
        assert_int_equal(get(&r, 1), ST_OK);
        ask_ahead(&r, 2);
        if (get(&r, 2)) fail_msg("%s: %s", cases[i].scenario, r.e.msg);
        assert_int_equal(r.page.n_records, 10);
        assert_int_equal(source_statistics(r.source).retries, cases[i].retries);
        finish(&r, cases[i].tokens, cases[i].pages);
    }
}

static void test_no_delay_no_ahead(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "plain");
    r.o.page_delay = 0.4;
    open_it(&r);
    assert_int_equal(get(&r, 1), ST_OK);
    double began = clock_monotonic();
    ask_ahead(&r, 2);
    assert_int_equal(get(&r, 2), ST_OK);
    assert_true(clock_monotonic() - began > 0.35);
    finish(&r, 1, 2);
}

/* What is under way is left within a second or so, and the source works on. */
static void test_drop_ahead(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "later_silent");
    r.o.timeout = 20;
    open_it(&r);
    source_drop_ahead(r.source);
    assert_int_equal(get(&r, 1), ST_OK);
    double began = clock_monotonic();
    ask_ahead(&r, 2);
    await_pages(2);
    source_drop_ahead(r.source);
    assert_true(clock_monotonic() - began < 5);
    assert_int_equal(get(&r, 1), ST_OK);
    ask_ahead(&r, 2);
    await_pages(4);
    began = clock_monotonic();
    source_close(r.source);
    assert_true(clock_monotonic() - began < 5);
    open_it(&r);
    finish(&r, -1, 4);
}

/* --- no connection, no trust ----------------------------------------------------------------- */

/* matrix: 20 */
static void test_refused(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "plain");
    r.o.base_url = "http://127.0.0.1:1";
    r.o.max_attempts = 2;
    open_it(&r);
    assert_int_equal(get(&r, 1), ST_INCOMPLETE);
    assert_non_null(strstr(r.e.msg, "http://127.0.0.1:1/api/v2/interactions: cannot connect"));
    assert_int_equal(source_statistics(r.source).retries, 1);
    finish(&r, 1, -1);
}

/* matrix: 20 */
static void test_unknown_host(void **state)
{
    (void)state;
    need_python();
    run r;
    begin(&r, "plain");
    r.o.token_url = "https://tenant.invalid/oauth/token";
    r.o.max_attempts = 1;
    r.o.timeout = 5;
    open_it(&r);
    assert_int_equal(get(&r, 1), ST_INCOMPLETE);
    assert_non_null(strstr(r.e.msg, "https://tenant.invalid/oauth/token: "));
    print_message("%s\n", r.e.msg);
    finish(&r, 0, -1);
}

static void tls_run(const char *scenario, bool with_ca, const char *host, status want,
                    const char *says)
{
    run r;
    char url[200];
    begin(&r, scenario);
    if (!r.url[0]) {
        print_message("SKIPPED: no openssl to make a certificate\n");
        skip();
    }
    r.o.timeout = 5;
    r.o.max_attempts = 2;
    if (with_ca) r.o.ca_file = r.ca;
    if (host) {
        snprintf(url, sizeof url, "https://%s%s", host, strrchr(r.url, ':'));
        snprintf(r.token_url, sizeof r.token_url, "%s/oauth/token", url);
        r.o.base_url = url;
    }
    open_it(&r);
    if (get(&r, 1) != want || !strstr(r.e.msg, says)) fail_msg("%d %s", r.e.code, r.e.msg);
    if (want) print_message("%s\n", r.e.msg);
    if (want == ST_FAILED) assert_int_equal(source_statistics(r.source).requests, 1);
    finish(&r, -1, -1);
}

/* matrix: 20 */
static void test_tls(void **state)
{
    (void)state;
    need_python();
    tls_run("tls", true, NULL, ST_OK, "");
    tls_run("tls", false, NULL, ST_FAILED, "source.ca_file");
    tls_run("tls", true, "localhost", ST_FAILED, "certificate");
    tls_run("tls_old", true, NULL, ST_INCOMPLETE, "");
}

static source_options usual_options(void)
{
    return (source_options){.type = "interactions-v2",
                            .token_url = "https://a/t",
                            .client_id = "me",
                            .client_secret = SECRET,
                            .scope = "",
                            .ca_file = "",
                            .timeout = 1,
                            .max_attempts = 1};
}

static void test_urls_that_cannot_work(void **state)
{
    (void)state;
    static const struct {
        const char *base, *token, *says;
    } cases[] = {
        {"http://acme.cxone.com", "https://acme.cxone.com/t", "source.base_url: plain http"},
        {"https://acme.cxone.com", "http://acme.cxone.com/t", "source.token_url: plain http"},
        {"http://127.0.0.1.evil.example", "https://a/t", "plain http"},
        {"http://128.0.0.1", "https://a/t", "plain http"},
        {"http://localhost.evil.example", "https://a/t", "plain http"},
        {"http://[::2]", "https://a/t", "plain http"},
        {"https://u:p@acme.cxone.com", "https://a/t", "user or password"},
        {"http://127.0.0.1@evil.example", "https://a/t", "user or password"},
        {"ftp://acme.cxone.com", "https://a/t", "https://"},
        {"file:///etc/passwd", "https://a/t", "https://"},
        {"acme.cxone.com", "https://a/t", "https://"},
        {"", "https://a/t", "https://"},
        {"https://", "https://a/t", "https://"},
        {"https://acme.cxone.com/?x=1", "https://a/t", "without ?"},
        {"https://acme.cxone.com\r\nX: y", "https://a/t", "https://"},
    };
    source_options o = usual_options();
    source *s;
    err e = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        o.base_url = cases[i].base;
        o.token_url = cases[i].token;
        status st = source_open(&o, &s, &e);
        if (st != ST_USAGE || !strstr(e.msg, cases[i].says))
            fail_msg("%s %s: %d %s", cases[i].base, cases[i].token, (int)st, e.msg);
        assert_null(s);
    }
}

static void test_other_options_that_cannot_work(void **state)
{
    (void)state;
    static const char *const good[] = {"https://acme.cxone.com", "http://127.0.0.1:80",
                                       "http://127.9.8.7",       "http://[::1]:8080",
                                       "HTTP://LocalHost:1/x",   "https://192.168.1.1"};
    source_options o = usual_options();
    source *s;
    err e = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        o.base_url = good[i];
        if (source_open(&o, &s, &e)) fail_msg("%s: %s", good[i], e.msg);
        source_close(s);
    }
    source_options bad = o;
    bad.type = "soap";
    assert_int_equal(source_open(&bad, &s, &e), ST_USAGE);
    bad = o, bad.client_secret = "";
    assert_int_equal(source_open(&bad, &s, &e), ST_USAGE);
    assert_non_null(strstr(e.msg, "source.client_secret_env"));
    bad = o, bad.client_id = "";
    assert_int_equal(source_open(&bad, &s, &e), ST_USAGE);
    bad = o, bad.ca_file = "/nowhere/ca.pem";
    assert_int_equal(source_open(&bad, &s, &e), ST_USAGE);
    assert_non_null(strstr(e.msg, "source.ca_file"));
    bad = o, bad.timeout = 0;
    assert_int_equal(source_open(&bad, &s, &e), ST_USAGE);
    bad = o, bad.auth = (auth_kind)7;
    assert_int_equal(source_open(&bad, &s, &e), ST_USAGE);
    bad = o, bad.timeout = 1e12;
    assert_int_equal(source_open(&bad, &s, &e), ST_OK);
    source_close(s);
    bad = o, bad.max_attempts = 0;
    assert_int_equal(source_open(&bad, &s, &e), ST_USAGE);
    source_close(NULL);
}

/* --- being stopped --------------------------------------------------------------------------- */

static stop_flag stopped;

static void raise_stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static void stop_during(const char *scenario, uint32_t first, uint32_t second, double page_delay,
                        bool ahead)
{
    run r;
    begin(&r, scenario);
    r.o.stop = &stopped;
    r.o.timeout = r.o.max_wait = 20;
    r.o.page_delay = page_delay;
    stopped = 0;
    open_it(&r);
    if (first) assert_int_equal(get(&r, first), ST_OK);
    struct itimerval timer = {.it_value.tv_usec = 300000};
    assert_true(signal(SIGALRM, raise_stop) != SIG_ERR);
    double began = clock_monotonic();
    setitimer(ITIMER_REAL, &timer, NULL);
    if (ahead) ask_ahead(&r, second);
    assert_int_equal(get(&r, second), ST_INCOMPLETE);
    assert_non_null(strstr(r.e.msg, "interrupted"));
    assert_true(clock_monotonic() - began < 3);
    finish(&r, -1, -1);
}

/* matrix: 30 */
static void test_stop(void **state)
{
    (void)state;
    need_python();
    stop_during("silent", 0, 1, 0, false);
    stop_during("plain", 1, 2, 20, false);
    stop_during("throttle_wait", 0, 1, 0, false);
    stop_during("later_silent", 1, 2, 0, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_that_cannot_work),
        cmocka_unit_test(test_other_options_that_cannot_work),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_scope_left_out),
        cmocka_unit_test(test_scenarios),
        cmocka_unit_test(test_totals),
        cmocka_unit_test(test_short_lived_token),
        cmocka_unit_test(test_goes_on_after_a_failure),
        cmocka_unit_test(test_page_delay),
        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_what_goes_wrong_ahead),
        cmocka_unit_test(test_no_delay_no_ahead),
        cmocka_unit_test(test_drop_ahead),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unknown_host),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests_name("source", tests, child_start, child_stop);
}
