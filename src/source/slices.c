/* slices.c - when the pages of a slice add up.
 *
 * A pass reads page 1, 2, 3 ... of rows in descending time while the server may insert and
 * delete rows.  An insertion above the place that was reached pushes rows down: the next page
 * repeats some, none is lost.  A deletion above it pulls rows up: the next page begins too
 * late and rows are lost.  So a pass counts only
 *
 *   - if no total was smaller than the one before it: then, as far as totals can tell, nothing
 *     was deleted, hence all rows that were seen are still there; and
 *   - if as many distinct rows were seen as the server counted with the last page: a subset of
 *     the same size is the whole.
 *
 * Else the slice is read again.  Rows inserted above while a pass goes down are counted but not
 * seen.  Therefore a pass that has come to the end and lacks rows, with nothing deleted, reads
 * from the head once more (`swept` below), keeping what it has seen, until it adds up or some
 * pages in a row bring nothing new; then only is it judged.  Rows that arrive late, with
 * timestamps of the last hours, are near the head too.
 *
 * What no reader of pages can see: a deletion above the place that was reached and an insertion
 * below it, both between the same two requests.  Every count stays as it was.  The lookback of
 * later syncs is there for that.
 *
 * Servers are not trusted to end: an empty page may be a hole (it takes some pages in a row
 * without anything new to end a pass), a short page says nothing, and who gives far more rows
 * than it counted is endless.
 *
 * Some give only the first so many rows of any question.  Where the server takes ranges, a slice
 * with more rows than that is cut in the middle of its time, and its parts again; where it takes
 * none, such a slice cannot add up. */
#include "source/slices.h"

enum {
    IDLE_END = 3,       /* pages without anything new, behind the end, that end a reading ... */
    IDLE_INSIDE = 8,    /* ... and before it */
    ENDLESS_FACTOR = 4, /* rows for each one counted at first ... */
    ENDLESS_SLACK = 10000
};

const char slice_lacks_rows[] = "it gave fewer records than it counts";

slice slice_plan(instant cursor, instant since, double lookback, instant hi, uint32_t page_size)
{
    slice s = {.lo = since, .hi = hi, .state = SLICE_OPEN, .newest = INSTANT_MIN};
    if (instant_cmp(cursor, INSTANT_MIN) > 0) {
        instant from = instant_add(cursor, -lookback);
        /* A start behind the cursor is none: what lies between was not read yet.  The bound is
         * exclusive, and others may have come at that very time. */
        if (instant_cmp(from, since) > 0 || instant_cmp(since, cursor) > 0)
            s.lo = instant_add(from, -1e-9);
    }
    slice_restart(&s, page_size);
    return s;
}

void slice_restart(slice *s, uint32_t page_size)
{
    s->state = SLICE_OPEN;
    s->pass++;
    s->page = 1;
    s->page_size = page_size;
    s->idle_pages = 0;
    s->total_first = s->total_last = -1;
    s->shrank = false;
    s->seen = 0;
}

/* Whether the pass has been at the end and reads the head once more: pages 1 to page - 1 cannot
 * hold as many rows as were seen. */
static bool swept(const slice *s)
{
    return s->seen > (uint64_t)(s->page - 1) * s->page_size;
}

static bool endless(const slice *s)
{
    if (s->page == UINT32_MAX) return true;
    if (s->total_first < 0) return false;
    uint64_t expected = (uint64_t)s->total_first;
    return s->seen / ENDLESS_FACTOR > expected + ENDLESS_SLACK / ENDLESS_FACTOR ||
           s->page > expected + ENDLESS_SLACK;
}

static void count(slice *s, const slice_page *p)
{
    if (instant_cmp(p->newest, s->newest) > 0) s->newest = p->newest;
    s->seen += p->n_new;
    s->idle_pages = p->n_new ? 0 : s->idle_pages + 1;
    if (p->total < 0) return;
    if (s->total_first < 0) s->total_first = p->total;
    if (p->total < s->total_last) s->shrank = true;
    s->total_last = p->total;
}

static bool complete(const slice *s, const slice_page *p, bool at_head)
{
    if (s->shrank) return false;
    /* Without a total, the first empty page is all there is to go by. */
    if (p->total < 0)
        return p->n_records == 0 && (s->total_last < 0 || s->seen >= (uint64_t)s->total_last);
    if (s->seen != (uint64_t)p->total) return false;
    /* A full page may be followed by rows that the server did not count: look once. */
    return at_head || p->n_new == 0 || p->n_records < s->page_size;
}

static slice_next again(slice *s, unsigned passes_left, const char *reason, const char **why)
{
    *why = reason;
    slice_restart(s, s->page_size);
    return passes_left ? SLICE_AGAIN : SLICE_GIVE_UP;
}

static slice_next end_of_pass(slice *s, unsigned passes_left, const char **why)
{
    const char *reason = "it gave more records than it counts";
    if (s->shrank)
        reason = "its count fell while the pages were read (records were deleted there; if they "
                 "expire, a later source.since helps)";
    else if (s->total_last < 0)
        reason = "it repeats pages and gives no count";
    else if (s->seen < (uint64_t)s->total_last)
        reason = slice_lacks_rows;
    return again(s, passes_left, reason, why);
}

/* Whether this reading has come to its end. */
static bool ended(const slice *s, const slice_page *p, bool at_head)
{
    /* Before the end, rows that were pushed down can fill some pages. */
    bool behind = s->total_last < 0 || (uint64_t)s->page * s->page_size >= (uint64_t)s->total_last;
    if (s->idle_pages >= (behind ? IDLE_END : IDLE_INSIDE)) return true;
    bool short_page = p->n_records < s->page_size;
    if (at_head) return short_page && p->n_new == 0;
    /* What came meanwhile is all that lacks: no need to look behind the end. */
    bool grew = s->total_first >= 0 && s->total_last > s->total_first;
    return short_page && grew && s->seen >= (uint64_t)s->total_first;
}

/* Whether a reading that has come to its end may add up after another one from the head. */
static bool head_may_help(const slice *s, bool at_head)
{
    if (s->total_last < 0 || s->seen >= (uint64_t)s->total_last) return false;
    if (s->idle_pages == s->page) return false; /* it began there, and all was known */
    /* What came during a reading of the head is little, else something is wrong. */
    return !at_head || (uint64_t)s->total_last - s->seen <= (uint64_t)IDLE_INSIDE * s->page_size;
}

slice_next slice_feed(slice *s, const slice_page *p, unsigned passes_left, const char **why)
{
    bool at_head = swept(s);
    *why = "";
    count(s, p);
    if (complete(s, p, at_head)) {
        s->state = SLICE_DONE;
        return SLICE_FINISHED;
    }
    if (endless(s)) return again(s, 0, "it gives ever more records than it counts", why);
    if (!ended(s, p, at_head)) {
        s->page++;
        return SLICE_MORE;
    }
    if (s->shrank || !head_may_help(s, at_head)) return end_of_pass(s, passes_left, why);
    s->page = 1;
    s->idle_pages = 0;
    return SLICE_MORE;
}

bool slice_goes_on(const slice *s, size_t n_records, int64_t total)
{
    if (total < 0 || n_records < s->page_size || s->idle_pages + 1 >= IDLE_END) return false;
    slice most = *s; /* if all are new */
    most.seen += n_records;
    if (most.total_first < 0) most.total_first = total;
    return most.seen < (uint64_t)total && !endless(&most);
}

/* --- parts ---------------------------------------------------------------------------------- */

static const instant MILLENNIUM = {946684800, 0}; /* 2000-01-01: few rows are older */
static const double CENTURY = 36525 * 86400.0;

static instant whole_ms(instant t)
{
    return (instant){t.s, t.ns / 1000000 * 1000000};
}

instant slice_before(const slice *s)
{
    return instant_add(whole_ms(s->hi), 0.001);
}

/* From where to halve a slice that has no beginning. */
static instant start_of(const slice *s)
{
    if (instant_cmp(s->lo, INSTANT_MIN) > 0) return s->lo;
    return instant_cmp(s->hi, MILLENNIUM) > 0 ? MILLENNIUM : instant_add(s->hi, -CENTURY);
}

bool slice_split(slice *s, slice *upper)
{
    instant lo = start_of(s);
    int64_t ms = (s->hi.s - lo.s) * 1000 + (s->hi.ns - lo.ns) / 1000000;
    instant middle = {lo.s + ms / 2000, lo.ns + (int32_t)(ms / 2 % 1000) * 1000000};
    if (middle.ns >= 1000000000) middle = (instant){middle.s + 1, middle.ns - 1000000000};
    middle = whole_ms(middle);
    if (ms < 4 || instant_cmp(middle, s->lo) <= 0 || instant_cmp(middle, s->hi) >= 0) return false;
    *upper = *s;
    upper->id = 0;
    upper->lo = middle;
    upper->newest = INSTANT_MIN;
    upper->pass = 0;
    slice_restart(upper, s->page_size);
    s->hi = middle;
    s->bounded = true;
    slice_restart(s, s->page_size);
    return true;
}
