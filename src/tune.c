/* tune.c - the answer of `tamis tune`, for people and for programs. */
#include "tune.h"

#include "base/json.h"
#include "base/utf8.h"

typedef struct telling {
    const dataset *d;
    const sweep *s;
    double threshold;
    buf *out;
} telling;

/* --- JSON ----------------------------------------------------------------------------------- */

static void json_turn(buf *b, const turn *t, const char *prefix)
{
    buf_fmt(b, "\"%sinteraction_id\": ", prefix);
    js_write_string(b, t->of->id);
    buf_fmt(b, ", \"%sturn\": %u, \"%stext\": ", prefix, t->number, prefix);
    js_write_string(b, t->user_utterance);
}

static void json_borderline(const telling *t, const char *name, const sweep_pair *p, size_t n)
{
    buf *b = t->out;
    buf_fmt(b, ", \"%s\": [", name);
    for (size_t i = 0; i < n; i++) {
        buf_z(b, i ? ", {\"score\": " : "{\"score\": ");
        js_write_fixed(b, p[i].score, SCORE_DECIMALS);
        buf_z(b, ", ");
        json_turn(b, &t->d->turns[p[i].row], "");
        buf_z(b, ", ");
        json_turn(b, &t->d->turns[p[i].earlier], "kept_");
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void json_judged(buf *b, const labelled_pairs *p)
{
    buf_fmt(b,
            ", \"pairs\": {\"read\": %llu, \"same\": %llu, \"best_threshold\": %.2f, "
            "\"thresholds\": [",
            (unsigned long long)p->n, (unsigned long long)p->n_same, p->at[p->best].threshold);
    for (size_t i = 0; i < PAIRS_STEPS; i++)
        buf_fmt(b, "%s{\"threshold\": %.2f, \"precision\": %.6f, \"recall\": %.6f, \"f1\": %.6f}",
                i ? ", " : "", p->at[i].threshold, p->at[i].precision, p->at[i].recall,
                p->at[i].f1);
    buf_z(b, "]}");
}

static void write_json(const telling *t, const labelled_pairs *pairs)
{
    buf *b = t->out;
    buf_z(b, "{\"threshold\": ");
    js_write_fixed(b, t->threshold, SCORE_DECIMALS);
    buf_fmt(b, ", \"turns\": %zu, \"thresholds\": [", t->d->n_turns);
    for (size_t i = 0; i < SWEEP_STEPS; i++)
        buf_fmt(b, "%s{\"threshold\": %.2f, \"kept\": %llu, \"duplicates\": %llu}", i ? ", " : "",
                sweep_threshold(i), (unsigned long long)t->s->kept[i],
                (unsigned long long)(t->d->n_turns - t->s->kept[i]));
    buf_char(b, ']');
    json_borderline(t, "removed_pairs", t->s->above, t->s->n_above);
    json_borderline(t, "kept_pairs", t->s->below, t->s->n_below);
    if (pairs) json_judged(b, pairs);
    buf_z(b, "}\n");
}

/* --- text ----------------------------------------------------------------------------------- */

static void text_turn(buf *b, const turn *t)
{
    utf8_write_plain(b, t->user_utterance);
    buf_z(b, "  [");
    utf8_write_plain(b, t->of->id);
    buf_fmt(b, " turn %u]\n", t->number);
}

static void text_borderline(const telling *t, const char *title, const sweep_pair *p, size_t n)
{
    buf *b = t->out;
    buf_fmt(b, "\n%s\n", title);
    if (!n) buf_z(b, "  none\n");
    for (size_t i = 0; i < n; i++) {
        buf_fmt(b, "  %.*f  ", SCORE_DECIMALS, p[i].score);
        text_turn(b, &t->d->turns[p[i].row]);
        buf_z(b, "            ");
        text_turn(b, &t->d->turns[p[i].earlier]);
    }
}

static void text_judged(buf *b, const labelled_pairs *p)
{
    const pairs_at *best = &p->at[p->best];
    buf_fmt(b,
            "\n%llu labelled pairs, %llu of them the same:\nthreshold  precision  recall      F1\n",
            (unsigned long long)p->n, (unsigned long long)p->n_same);
    for (size_t i = 0; i < PAIRS_STEPS; i++)
        if (i % 5 == 0 || i == p->best)
            buf_fmt(b, "%9.2f  %9.3f  %6.3f  %6.3f%s\n", p->at[i].threshold, p->at[i].precision,
                    p->at[i].recall, p->at[i].f1, i == p->best ? "  best" : "");
    buf_fmt(b, "The labels suit dedup.threshold = %.2f best.\n", best->threshold);
}

static void write_text(const telling *t, const labelled_pairs *pairs)
{
    buf *b = t->out;
    buf_z(b, "threshold      kept  near-duplicates\n");
    for (size_t i = 0; i < SWEEP_STEPS; i++) {
        bool here = sweep_threshold(i) == t->threshold;
        buf_fmt(b, "%9.2f  %8llu  %15llu%s\n", sweep_threshold(i),
                (unsigned long long)t->s->kept[i],
                (unsigned long long)(t->d->n_turns - t->s->kept[i]), here ? "  now" : "");
    }
    text_borderline(t, "Removed, but only just (turn, then the earlier kept turn):", t->s->above,
                    t->s->n_above);
    text_borderline(t, "Both kept, but only just:", t->s->below, t->s->n_below);
    if (pairs) text_judged(b, pairs);
}

status tune_write(const dataset *d, const sweep *s, double threshold, const labelled_pairs *pairs,
                  bool json, buf *out, err *e)
{
    const telling t = {.d = d, .s = s, .threshold = threshold, .out = out};
    if (json)
        write_json(&t, pairs);
    else
        write_text(&t, pairs);
    return buf_ok(out) ? ST_OK : err_nomem(e, "tuning");
}
