/* http.c - libcurl, with what it leaves open shut.
 *
 * Known of libcurl 7.88 and guarded here: CURLOPT_MAXFILESIZE stops neither chunked bodies nor
 * gzip bombs (the decoded bytes are counted in the write callback); a body without a length that
 * is cut short is CURLE_OK (the callers demand a complete JSON document).  Stalls are found in
 * the progress callback, which also looks at the stop flag: it is called about once a second even
 * when nothing moves.  A server that dribbles is as bad as a silent one, hence a least speed. */
#include "source/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum {
    HEADER_LIMIT = 256 << 10,  /* bytes of header fields of one answer */
    LONGEST_TIMEOUT = 1000000, /* to connect, s; libcurl takes no more than 2^31 ms */
    LEAST_SPEED = 10,          /* bytes/s over a whole timeout; slower is a stall */
    RECEIVED_AT_ONCE = 128 << 10
};

struct http {
    CURL *curl;
    http_options o;
    uint64_t count;
    atomic_bool cancelled;
    char why[CURL_ERROR_SIZE];
};

/* What the callbacks share during one request. */
typedef struct transfer {
    const http *h;
    const http_request *q;
    http_reply *out;
    size_t header_bytes;
    double since;     /* when the window for the least speed began */
    curl_off_t moved; /* bytes moved until then */
    bool heeds_stop, stopped, stalled, too_large, header_too_large;
} transfer;

/* --- text ------------------------------------------------------------------------------------ */

str http_where(const char *url)
{
    return (str){url, strcspn(url, "?#")};
}

void http_encode(buf *out, str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (!plain) {
            buf_char(out, '%');
            buf_char(out, hex[c >> 4]);
            buf_char(out, hex[c & 15]);
        } else {
            buf_char(out, (char)c);
        }
    }
}

void http_wipe(buf *b)
{
    if (b->p) explicit_bzero(b->p, b->cap);
    buf_clear(b);
}

/* --- addresses ------------------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    char inner[64];
    size_t n = strlen(host);
    if (!strcasecmp(host, "localhost")) return true;
    if (inet_pton(AF_INET, host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    if (n < 3 || n - 2 >= sizeof inner || host[0] != '[') return false;
    memcpy(inner, host + 1, n - 2);
    inner[n - 2] = 0;
    return inet_pton(AF_INET6, inner, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool has_part(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK && text && *text;
    curl_free(text);
    return has;
}

status http_check_url(const char *key, const char *url, err *e)
{
    status st = ST_OK;
    char *scheme = NULL, *host = NULL;
    CURLU *u = curl_url();
    if (!u) return err_nomem(e, "reading an address");
    CURLUcode r = curl_url_set(u, CURLUPART_URL, url, 0);
    if (r == CURLUE_OUT_OF_MEMORY)
        st = err_nomem(e, "reading an address");
    else if (r || curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
             curl_url_get(u, CURLUPART_HOST, &host, 0) ||
             (strcmp(scheme, "https") && strcmp(scheme, "http")))
        st = err_set(e, ST_USAGE, "%s: not an address that begins with https://", key);
    else if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
        st = err_set(e, ST_USAGE,
                     "%s: an address must not hold a user or password; use source.client_id and "
                     "source.client_secret_env",
                     key);
    else if (!strcmp(scheme, "http") && !is_loopback(host))
        st = err_set(e, ST_USAGE,
                     "%s: plain http would show the credentials to the network; use https:// "
                     "(http is for this machine only: localhost, 127.0.0.1, [::1])",
                     key);
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(u);
    return st;
}

status http_host(const char *url, buf *out, err *e)
{
    char *host = NULL;
    CURLU *u = curl_url();
    if (!u) return err_nomem(e, "reading an address");
    if (!curl_url_set(u, CURLUPART_URL, url, 0)) curl_url_get(u, CURLUPART_HOST, &host, 0);
    str name = str_from(host ? host : "");
    if (name.n > 2 && *name.p == '[') name = (str){name.p + 1, name.n - 2};
    buf_str(out, name);
    curl_free(host);
    curl_url_cleanup(u);
    if (!name.n) return err_set(e, ST_USAGE, "not an address with a host");
    return buf_cstr(out) ? ST_OK : err_nomem(e, "reading an address");
}

/* --- callbacks ------------------------------------------------------------------------------- */

static size_t on_body(char *bytes, size_t one, size_t n, void *ctx)
{
    transfer *t = ctx;
    buf *body = &t->out->body;
    n *= one;
    if (n > t->q->limit - body->n) {
        t->too_large = true;
        return 0;
    }
    buf_add(body, bytes, n);
    return buf_ok(body) ? n : 0;
}

static void keep_field(str line, const char *name, char out[HTTP_FIELD])
{
    size_t n = strlen(name);
    if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n)) return;
    line = (str){line.p + n + 1, line.n - n - 1};
    while (line.n && strchr(" \t", *line.p)) line.p++, line.n--;
    while (line.n && strchr(" \t\r\n", line.p[line.n - 1])) line.n--;
    if (line.n >= HTTP_FIELD) line.n = HTTP_FIELD - 1;
    memcpy(out, line.p, line.n);
    out[line.n] = 0;
}

static size_t on_header(char *bytes, size_t one, size_t n, void *ctx)
{
    transfer *t = ctx;
    str line = {bytes, n * one};
    t->header_bytes += line.n;
    if (t->header_bytes > HEADER_LIMIT) {
        t->header_too_large = true;
        return 0;
    }
    if (line.n > 5 && !memcmp(line.p, "HTTP/", 5)) /* the answer behind a 1xx one */
        t->out->retry_after[0] = t->out->date[0] = 0;
    keep_field(line, "Retry-After", t->out->retry_after);
    keep_field(line, "Date", t->out->date);
    return line.n;
}

static int on_progress(void *ctx, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total,
                       curl_off_t ul)
{
    transfer *t = ctx;
    (void)dl_total, (void)ul_total;
    if (t->heeds_stop && t->h->o.stop && *t->h->o.stop) return t->stopped = true;
    if (atomic_load(&t->h->cancelled)) return t->stopped = true;
    double now = clock_monotonic();
    if ((double)(dl + ul - t->moved) > LEAST_SPEED * t->h->o.timeout) {
        t->since = now;
        t->moved = dl + ul;
    }
    if (now - t->since > t->h->o.timeout) return t->stalled = true;
    return 0;
}

/* --- life ------------------------------------------------------------------------------------ */

/* What holds for every request.  Returns the first thing that this libcurl refuses. */
static CURLcode set_always(http *h)
{
    CURL *c = h->curl;
    long connect_ms =
        h->o.timeout < LONGEST_TIMEOUT ? (long)(h->o.timeout * 1000) + 1 : LONGEST_TIMEOUT * 1000L;
    CURLcode r[] = {
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->why),
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https"),
        curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1),
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L),
        curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2),
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L),
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L),
        curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED),
        curl_easy_setopt(c, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L),
        curl_easy_setopt(c, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE),
        curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L),
        curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "gzip"),
        curl_easy_setopt(c, CURLOPT_USERAGENT, "tamis"),
        curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)RECEIVED_AT_ONCE),
        curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L),
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, connect_ms),
        curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L),
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body),
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header),
        curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress),
        h->o.ca_file && *h->o.ca_file ? curl_easy_setopt(c, CURLOPT_CAINFO, h->o.ca_file)
                                      : CURLE_OK,
    };
    for (size_t i = 0; i < sizeof r / sizeof *r; i++)
        if (r[i]) return r[i];
    return CURLE_OK;
}

status http_new(const http_options *o, http **out, err *e)
{
    *out = NULL;
    if (o->ca_file && *o->ca_file && access(o->ca_file, R_OK))
        return err_set(e, ST_USAGE, "source.ca_file: cannot read %s", o->ca_file);
    http *h = calloc(1, sizeof *h);
    if (!h || curl_global_init(CURL_GLOBAL_DEFAULT)) {
        free(h);
        return err_nomem(e, "setting up HTTP");
    }
    h->o = *o;
    h->curl = curl_easy_init();
    CURLcode r = h->curl ? set_always(h) : CURLE_OUT_OF_MEMORY;
    if (r) {
        http_free(h);
        return err_set(e, ST_FAILED, "libcurl %s cannot be set up: %s",
                       curl_version_info(CURLVERSION_NOW)->version, curl_easy_strerror(r));
    }
    *out = h;
    return ST_OK;
}

void http_free(http *h)
{
    if (!h) return;
    if (h->curl) curl_easy_cleanup(h->curl);
    curl_global_cleanup();
    free(h);
}

uint64_t http_count(const http *h)
{
    return h->count;
}

/* --- sending --------------------------------------------------------------------------------- */

static status incomplete(http_reply *out, err *e, str where, const char *what)
{
    out->again = true;
    return err_set(e, ST_INCOMPLETE, "%.*s: %s", STR_FMT(where), what);
}

static status explain_tls(const http *h, str where, CURLcode r, err *e)
{
    const char *why = *h->why ? h->why : curl_easy_strerror(r);
    const char *ca = h->o.ca_file && *h->o.ca_file ? h->o.ca_file : "";
    if (*ca)
        return err_set(e, ST_FAILED,
                       "%.*s: the server's certificate is not good: %s; source.ca_file (%s) must "
                       "hold the authority that signed it, and the address the name in it",
                       STR_FMT(where), why, ca);
    return err_set(e, ST_FAILED,
                   "%.*s: the server's certificate is not good: %s; if an authority of your own "
                   "signed it, name its certificate in source.ca_file",
                   STR_FMT(where), why);
}

static status explain(const transfer *t, CURLcode r, err *e)
{
    const http *h = t->h;
    str where = http_where(t->q->url);
    char what[CURL_ERROR_SIZE + 128];
    const char *why = *h->why ? h->why : curl_easy_strerror(r);
    if (t->stopped)
        return err_set(e, ST_INCOMPLETE, "interrupted; what arrived is kept, run again to go on");
    if (t->too_large)
        return err_set(e, ST_FAILED,
                       "%.*s: the answer is larger than %zu MiB; is this the right address, or "
                       "source.page_size too large?",
                       STR_FMT(where), t->q->limit >> 20);
    if (t->header_too_large)
        return err_set(e, ST_FAILED, "%.*s: the header of the answer is larger than %d KiB",
                       STR_FMT(where), HEADER_LIMIT >> 10);
    if (r == CURLE_OUT_OF_MEMORY || !buf_ok(&t->out->body))
        return err_nomem(e, "receiving an answer");
    if (r == CURLE_PEER_FAILED_VERIFICATION || r == CURLE_SSL_CACERT_BADFILE ||
        r == CURLE_SSL_ISSUER_ERROR)
        return explain_tls(h, where, r, e);
    if (r == CURLE_URL_MALFORMAT) return err_set(e, ST_USAGE, "%s: %s", t->q->key, why);
    if (t->stalled)
        snprintf(what, sizeof what, "no answer for %g s (source.timeout)", h->o.timeout);
    else if (r == CURLE_OPERATION_TIMEDOUT)
        snprintf(what, sizeof what, "no connection within %g s (source.timeout)", h->o.timeout);
    else if (r == CURLE_COULDNT_RESOLVE_HOST || r == CURLE_COULDNT_RESOLVE_PROXY)
        snprintf(what, sizeof what, "cannot resolve the name of the %s; check %s and the network",
                 r == CURLE_COULDNT_RESOLVE_HOST ? "host" : "proxy", t->q->key);
    else if (r == CURLE_COULDNT_CONNECT)
        snprintf(what, sizeof what, "cannot connect: %s", why);
    else if (r == CURLE_PARTIAL_FILE)
        snprintf(what, sizeof what, "the answer was cut short (%s)", why);
    else if (r == CURLE_UNSUPPORTED_PROTOCOL || r == CURLE_WEIRD_SERVER_REPLY)
        snprintf(what, sizeof what, "what answers does not speak HTTP: %s", why);
    else if (r == CURLE_SSL_CONNECT_ERROR)
        snprintf(what, sizeof what, "no TLS connection: %s", why);
    else
        snprintf(what, sizeof what, "the connection broke: %s", why);
    return incomplete(t->out, e, where, what);
}

/* Whether a text repeats a secret, as it is or encoded. */
static bool repeats(str text, const char *secret)
{
    if (!secret || !*secret) return false;
    buf encoded = {0};
    http_encode(&encoded, str_from(secret));
    bool held = !buf_ok(&encoded) || memmem(text.p, text.n, secret, strlen(secret)) ||
                memmem(text.p, text.n, encoded.p, encoded.n);
    http_wipe(&encoded);
    buf_release(&encoded);
    return held;
}

/* Where a redirect leads, as far as it can be shown: of one that answers a body, which holds
 * secrets, no more than the host. */
static str redirect_target(const http_request *q, const char *to)
{
    str target = http_where(to);
    const char *host = strstr(to, "://");
    if (q->form || q->json)
        target.n = host ? (size_t)(host - to) + 3 + strcspn(host + 3, "/?#") : 0;
    bool bad = target.n > 200 || memchr(target.p, '@', target.n) ||
               repeats(target, q->who.bearer) || repeats(target, q->who.value) ||
               repeats(target, q->who.password);
    return bad ? (str){to, 0} : target;
}

static status explain_redirect(const http *h, const http_request *q, long code, err *e)
{
    char *to = NULL;
    curl_easy_getinfo(h->curl, CURLINFO_REDIRECT_URL, &to);
    str from = http_where(q->url), target = redirect_target(q, to ? to : "");
    return err_set(e, ST_FAILED,
                   "%.*s answers with a redirect (HTTP %ld)%s%.*s; none is followed, so that "
                   "credentials go nowhere else: %s must be the final address",
                   STR_FMT(from), code, target.n ? " to " : "", STR_FMT(target), q->key);
}

static void wipe_list(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l; l = l->next) explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

bool http_is_plain(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] > '~') return false;
    return s.n > 0;
}

/* Appends "NAME: VALUE"; false when memory is out. */
static bool add_field(struct curl_slist **list, const char *name, const char *value)
{
    buf line = {0};
    buf_reserve(&line, strlen(name) + strlen(value) + 4); /* in one piece: no copies */
    buf_fmt(&line, "%s: %s", name, value);
    const char *z = buf_cstr(&line);
    struct curl_slist *more = z ? curl_slist_append(*list, z) : NULL;
    if (more) *list = more;
    http_wipe(&line);
    buf_release(&line);
    return more != NULL;
}

/* The header fields of a request; NULL when memory is out. */
static struct curl_slist *fields(const http_request *q)
{
    struct curl_slist *list = NULL;
    bool ok = add_field(&list, "Accept", "application/json");
    if (ok && q->who.bearer) {
        buf token = {0};
        buf_reserve(&token, strlen(q->who.bearer) + 8);
        buf_fmt(&token, "Bearer %s", q->who.bearer);
        const char *z = buf_cstr(&token);
        ok = z && add_field(&list, "Authorization", z);
        http_wipe(&token);
        buf_release(&token);
    }
    if (ok && q->who.field) ok = add_field(&list, q->who.field, q->who.value);
    if (ok && q->json) ok = add_field(&list, "Content-Type", "application/json");
    if (ok) return list;
    wipe_list(list);
    return NULL;
}

static CURLcode set_request(CURL *c, transfer *t, const struct curl_slist *list)
{
    const http_request *q = t->q;
    /* Plain http goes to this machine only; a proxy would be another one. */
    bool plain = !strncasecmp(q->url, "http:", 5);
    const str *body = q->form ? q->form : q->json;
    CURLcode r[] = {
        curl_easy_setopt(c, CURLOPT_URL, q->url),
        curl_easy_setopt(c, CURLOPT_PROXY, plain ? "" : NULL),
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, list),
        curl_easy_setopt(c, CURLOPT_WRITEDATA, t),
        curl_easy_setopt(c, CURLOPT_HEADERDATA, t),
        curl_easy_setopt(c, CURLOPT_XFERINFODATA, t),
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC),
        curl_easy_setopt(c, CURLOPT_USERNAME, q->who.user),
        curl_easy_setopt(c, CURLOPT_PASSWORD, q->who.password),
        body ? curl_easy_setopt(c, CURLOPT_POSTFIELDS, body->p)
             : curl_easy_setopt(c, CURLOPT_HTTPGET, 1L),
        body ? curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->n) : CURLE_OK,
    };
    for (size_t i = 0; i < sizeof r / sizeof *r; i++)
        if (r[i]) return r[i];
    return CURLE_OK;
}

static status exchange(http *h, const http_request *q, bool heeds_stop, http_reply *out, err *e)
{
    transfer t = {.h = h, .q = q, .out = out, .since = clock_monotonic(), .heeds_stop = heeds_stop};
    struct curl_slist *list = fields(q);
    status st = ST_OK;
    buf_clear(&out->body);
    out->status = 0;
    out->again = false;
    out->seconds = 0;
    out->retry_after[0] = out->date[0] = h->why[0] = 0;
    if (!list) return err_nomem(e, "sending a request");
    CURLcode r = set_request(h->curl, &t, list);
    if (!r) {
        h->count++;
        r = curl_easy_perform(h->curl);
    }
    out->seconds = clock_monotonic() - t.since;
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(h->curl, CURLOPT_USERNAME, NULL);
    curl_easy_setopt(h->curl, CURLOPT_PASSWORD, NULL);
    if (r)
        st = explain(&t, r, e);
    else
        curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &out->status);
    if (st == ST_OK && out->status >= 300 && out->status < 400)
        st = explain_redirect(h, q, out->status, e);
    wipe_list(list);
    return st;
}

status http_exchange(http *h, const http_request *q, http_reply *out, err *e)
{
    return exchange(h, q, false, out, e);
}

void http_report(const http *h, const http_request *q, const http_reply *out)
{
    log_say(h->o.log, LOG_DEBUG, "%s %.*s: %ld, %zu bytes, %.3f s",
            q->form || q->json ? "POST" : "GET", STR_FMT(http_where(q->url)), out->status,
            out->body.n, out->seconds);
}

status http_send(http *h, const http_request *q, http_reply *out, err *e)
{
    status st = exchange(h, q, true, out, e);
    http_report(h, q, out);
    return st;
}

void http_cancel(http *h, bool cancel)
{
    atomic_store(&h->cancelled, cancel);
}
