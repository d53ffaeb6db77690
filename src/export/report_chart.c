/* report_chart.c - the charts of the report, drawn by hand as SVG.
 *
 * 30 columns, one for each hundredth of cosine; a dashed line where the threshold is.  Colours
 * are the page's variables, so that they follow light and dark.  Each column has a title, which
 * browsers show under the pointer and screen readers read out. */
#include "export/html.h"
#include "export/report.h"

enum { COLUMN = 20, HEIGHT = 160, LEFT = 64, TOP = 12, BELOW = 24, RIGHT = 12 };
enum { WIDTH = LEFT + REPORT_STEPS * COLUMN + RIGHT };

static uint64_t most(const uint64_t *n)
{
    uint64_t m = 1;
    for (int i = 0; i < REPORT_STEPS; i++) m = n[i] > m ? n[i] : m;
    return m;
}

static double height_of(uint64_t n, uint64_t top)
{
    return (double)n * HEIGHT / (double)top;
}

static void begin(buf *b, const char *label, uint64_t top)
{
    buf_fmt(b, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", WIDTH,
            TOP + HEIGHT + BELOW, label);
    for (int i = 0; i <= 2; i++) {
        int y = TOP + HEIGHT - i * HEIGHT / 2;
        buf_fmt(b, "<path class=\"grid\" d=\"M%d %dH%d\"/><text class=\"end\" x=\"%d\" y=\"%d\">",
                LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4);
        html_count(b, top * (uint64_t)i / 2);
        buf_z(b, "</text>\n");
    }
    for (int i = 0; i <= REPORT_STEPS; i += 5)
        buf_fmt(b, "<text class=\"mid\" x=\"%d\" y=\"%d\">%.2f</text>\n", LEFT + i * COLUMN,
                TOP + HEIGHT + 18, REPORT_LOWEST + i / 100.0);
}

static void end(buf *b, double threshold)
{
    double at = LEFT + (threshold - REPORT_LOWEST) * 100 * COLUMN;
    if (at >= LEFT && at <= WIDTH - RIGHT)
        buf_fmt(b, "<path class=\"line\" d=\"M%.1f %dV%d\"/>\n", at, TOP - 8, TOP + HEIGHT);
    buf_z(b, "</svg>\n");
}

static void column_title(buf *b, uint64_t n, const char *what, int i)
{
    buf_z(b, "<title>");
    html_count(b, n);
    buf_fmt(b, " %s %.2f</title>", what, REPORT_LOWEST + i / 100.0);
}

void report_chart_nearest(const report *r, buf *out)
{
    uint64_t top = most(r->nearest);
    begin(out, "Utterances by their cosine to the nearest earlier kept one", top);
    for (int i = 0; i < REPORT_STEPS; i++) {
        double h = height_of(r->nearest[i], top);
        bool gone = REPORT_LOWEST + i / 100.0 >= r->threshold - 1e-9;
        buf_fmt(out, "<rect class=\"%s\" x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\">",
                gone ? "gone" : "kept", LEFT + i * COLUMN + 1, TOP + HEIGHT - h, COLUMN - 2, h);
        column_title(out, r->nearest[i], "utterances from", i);
        buf_z(out, "</rect>\n");
    }
    end(out, r->threshold);
}

void report_chart_kept(const report *r, buf *out)
{
    uint64_t top = most(r->kept_at);
    begin(out, "Rows kept at each threshold", top);
    buf_z(out, "<path class=\"curve\" d=\"");
    for (int i = 0; i < REPORT_STEPS; i++)
        buf_fmt(out, "%c%d %.1f", i ? 'L' : 'M', LEFT + i * COLUMN,
                TOP + HEIGHT - height_of(r->kept_at[i], top));
    buf_z(out, "\"/>\n");
    for (int i = 0; i < REPORT_STEPS; i++) {
        buf_fmt(out, "<circle class=\"kept\" cx=\"%d\" cy=\"%.1f\" r=\"4\">", LEFT + i * COLUMN,
                TOP + HEIGHT - height_of(r->kept_at[i], top));
        column_title(out, r->kept_at[i], "rows kept at", i);
        buf_z(out, "</circle>\n");
    }
    end(out, r->threshold);
}
