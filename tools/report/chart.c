/* tools/report/chart.c: lines, dots and bars as inline SVG, coloured by the style sheet of the page. */
// flags: -Os
#include "tools/report/page.h"

#include <math.h>

/* A chart that is not `small` is drawn twice: for wide screens, and for telephones, where the letters of the wide chart
 * would be too small. The style sheet shows one of the two. Sizes are in pixels. */
enum { WIDE = 640, NARROW = 360, TALL = 300, LOW = 220, LEFT = 64, RIGHT = 24, TOP = 14, BOTTOM = 44, TICKS = 5 };

/* Axes with their own ticks are only on the page of a study, which MINIMAL does not have. */
#ifdef SAPOR_MINIMAL
#define HAS_TICKS(c) false
#else
#define HAS_TICKS(c) ((c)->ticks > 0)
#endif

typedef struct Frame {
    int width, height;
} Frame;
static Frame frame_of(const Chart *c, int width)
{
    return (Frame){width, c->small ? LOW : TALL};
}

/* The places of labels and dots. They must not overlap. */
typedef struct Label {
    double left, right, y;
} Label;
enum { LINE = 15 };

static bool is_free(const Label *labels, size_t count, const Label *l, Frame f)
{
    for (size_t i = 0; i < count; i++)
        if (l->left < labels[i].right && l->right > labels[i].left && fabs(l->y - labels[i].y) < LINE)
            return false;
    return l->left > LEFT && l->right < f.width && l->y > TOP && l->y < f.height - BOTTOM + 6;
}

/* Returns the free place for n letters that is nearest to the dot at (x, y): to the right, to the left, then on lines
 * below and above. If no place is free, returns the last one. */
static Label place_label(const Label *labels, size_t count, double x, double y, size_t n, Frame f)
{
    double wide = (f.width == NARROW ? 7.2 : 8) * (double)n;
    Label l = {0};
    for (int step = 0; step < 64; step++) {
        double line = y + (step / 2 + 1) / 2 * (step / 2 % 2 ? LINE : -LINE);
        l = step % 2 ? (Label){x - 7 - wide, x - 7, line} : (Label){x + 7, x + 7 + wide, line};
        if (is_free(labels, count, &l, f))
            return l;
    }
    return l;
}

/* Maps the range of an axis to the pixels first .. last. */
typedef struct Axis {
    double low, high, step; /* range of the axis; step: distance of the ticks, or their factor on a logarithmic axis */
    double first, last;
    bool log;
} Axis;

static double place(const Axis *a, double v)
{
    double t = a->log ? log(v / a->low) / log(a->high / a->low) : (v - a->low) / (a->high - a->low);
    return a->first + t * (a->last - a->first);
}

/* Widens a range to round numbers: powers of ten, or multiples of 1, 2 or 5 times a power of ten. */
static Axis axis_of(double low, double high, bool is_log, double first, double last)
{
    Axis a = {.first = first, .last = last, .log = is_log};
    if (!(low <= high)) { /* no value */
        low = is_log ? 1 : 0;
        high = is_log ? 10 : 1;
    }
    if (is_log) {
        a.low = pow(10, floor(log10(low)));
        a.high = pow(10, ceil(log10(high)));
        a.high = a.high > a.low ? a.high : 10 * a.low;
        a.step = 10;
        return a;
    }
    double span = high > low ? high - low : high != 0 ? fabs(high) : 1, unit = pow(10, floor(log10(span / TICKS)));
    a.step = span / TICKS <= unit       ? unit
             : span / TICKS <= 2 * unit ? 2 * unit
             : span / TICKS <= 5 * unit ? 5 * unit
                                        : 10 * unit;
    a.low = a.step * floor(low / a.step);
    a.high = a.step * ceil(high / a.step);
    a.high = a.high > a.low ? a.high : a.low + a.step;
    return a;
}

/* alone: the chart is a separate file, which contains its colours and background. */
static void begin(Page *p, const Chart *c, Frame f, bool alone)
{
    put(p, "<svg%s viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
        alone               ? " xmlns=\"http://www.w3.org/2000/svg\""
        : c->small          ? " class=\"small\""
        : f.width == NARROW ? " class=\"narrow\""
                            : "",
        f.width, f.height);
    put_text(p, text_of(c->about));
    put(p, "\">");
    if (alone)
        put(p,
            "<style>svg{" CHART_PALETTE "}text{fill:#1c2330;font:12px system-ui,sans-serif}.axis{stroke:#d9dee6}"
            "</style><rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
            f.width, f.height);
}

/* Returns an axis with a margin around the ticks that the chart gives. */
static Axis axis_around(const Chart *c, double low, double high, double first, double last)
{
    low = fmin(low, c->tick[0]);
    high = fmax(high, c->tick[c->ticks - 1]);
    double margin = c->log_x ? pow(high / low, 0.06) : 0.06 * (high - low);
    if (!(high > low))
        margin = c->log_x ? 2 : low != 0 ? fabs(low) : 1;
    return (Axis){.low = c->log_x ? low / margin : low - margin,
                  .high = c->log_x ? high * margin : high + margin,
                  .first = first,
                  .last = last,
                  .log = c->log_x};
}

/* Draws the ticks that the chart gives. If a name would overlap the previous one, it is one line lower, or left out. */
static void put_given_ticks(Page *p, const Axis *a, const Chart *c, Frame f)
{
    double end[2] = {0};
    int bottom = f.height - BOTTOM;
    for (size_t k = 0; k < c->ticks; k++) {
        double at = place(a, c->tick[k]), half = 3.6 * (double)strlen(c->tick_name[k]);
        int row = at - half < end[0];
        put(p, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", at, at, bottom, bottom + 4);
        if (at - half < end[row])
            continue;
        put(p, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", at, bottom + 16 + 13 * row);
        put_text(p, text_of(c->tick_name[k]));
        put(p, "</text>");
        end[row] = at + half + 4;
    }
}

static void put_ticks(Page *p, const Axis *a, bool across, Frame f)
{
    double span = a->log ? log10(a->high / a->low) : (a->high - a->low) / a->step;
    for (int k = 0; k <= (int)(span + 0.5); k++) {
        double v = a->log ? a->low * pow(a->step, k) : a->low + k * a->step, at = place(a, v);
        if (across)
            put(p, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.5g</text>", at, f.height - BOTTOM + 16, v);
        else
            put(p,
                "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">%.4g</text>",
                LEFT, f.width - RIGHT, at, at, LEFT - 6, at + 4, fabs(v) < a->step / 1e6 && !a->log ? 0.0 : v);
    }
}

static void put_labels(Page *p, const Chart *c, Frame f)
{
    put(p, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + f.width - RIGHT) / 2, f.height - 8);
    put_text(p, text_of(c->x_label));
    put(p, "</text><text transform=\"translate(13 %d) rotate(-90)\" text-anchor=\"middle\">",
        (TOP + f.height - BOTTOM) / 2);
    put_text(p, text_of(c->y_label));
    put(p, "</text></svg>\n");
}

static void put_key(Page *p, const char *name, int colour)
{
    put(p, "<span style=\"--k:var(--c%d)\">", colour % CHART_COLOURS);
    put_text(p, text_of(name));
    put(p, "</span>");
}

void put_legend(Page *p, const Series *s, size_t n)
{
    put(p, "<div class=\"legend\">");
    for (size_t i = 0; i < n; i++)
        put_key(p, s[i].name, s[i].colour);
    put(p, "</div>\n");
}

static void draw_chart(Page *p, const Chart *c, const Series *s, size_t n, int width, bool alone)
{
    Frame f = frame_of(c, width);
    Label label[256];
    size_t labels = 0;
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < s[i].n; k++) {
            low[0] = fmin(low[0], s[i].x[k]);
            high[0] = fmax(high[0], s[i].x[k]);
            low[1] = fmin(low[1], s[i].y[k]);
            high[1] = fmax(high[1], s[i].y[k]);
        }
    Axis x = HAS_TICKS(c) ? axis_around(c, low[0], high[0], LEFT, f.width - RIGHT)
                          : axis_of(low[0], high[0], c->log_x, LEFT, f.width - RIGHT),
         y = axis_of(low[1], high[1], c->log_y, f.height - BOTTOM, TOP);
    begin(p, c, f, alone);
    if (HAS_TICKS(c))
        put_given_ticks(p, &x, c, f);
    else
        put_ticks(p, &x, true, f);
    put_ticks(p, &y, false, f);
    for (size_t i = 0; i < n; i++) {
        int colour = s[i].colour % CHART_COLOURS;
        if (!s[i].labels && s[i].n) {
            put(p, "<polyline fill=\"none\" stroke=\"var(--c%d)\" stroke-width=\"2\" points=\"", colour);
            for (size_t k = 0; k < s[i].n; k++)
                put(p, "%.1f,%.1f ", place(&x, s[i].x[k]), place(&y, s[i].y[k]));
            put(p, "\"/>");
        }
        for (size_t k = 0; s[i].labels && k < s[i].n; k++) {
            double px = place(&x, s[i].x[k]), py = place(&y, s[i].y[k]);
            put(p, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"var(--c%d)\"/>", px, py,
                *s[i].labels[k] ? "4" : "2.5", colour);
            if (labels < COUNT(label))
                label[labels++] = (Label){px - 5, px + 5, py + 4};
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; s[i].labels && k < s[i].n; k++) {
            double px = place(&x, s[i].x[k]), py = place(&y, s[i].y[k]);
            if (!*s[i].labels[k])
                continue;
            Label l = place_label(label, labels, px, py + 4, strlen(s[i].labels[k]), f);
            bool left = l.left < px;
            if (labels < COUNT(label))
                label[labels++] = l;
            if (l.y != py + 4) /* the label is not next to its dot: a line connects them */
                put(p, "<line class=\"axis\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", px, py,
                    left ? l.right : l.left, l.y - 4);
            put(p, "<text class=\"mark\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", left ? l.right : l.left, l.y,
                left ? "end" : "start");
            put_text(p, text_of(s[i].labels[k]));
            put(p, "</text>");
        }
    for (size_t i = 0; alone && i < n; i++) {
        int at = TOP + 6 + LINE * (int)i;
        put(p, "<rect x=\"%d\" y=\"%d\" width=\"9\" height=\"9\" fill=\"var(--c%d)\"/><text x=\"%d\" y=\"%d\">",
            LEFT + 10, at, s[i].colour % CHART_COLOURS, LEFT + 25, at + 9);
        put_text(p, text_of(s[i].name));
        put(p, "</text>\n");
    }
    put_labels(p, c, f);
}

bool chart_write(const char *path, const Chart *c, const Series *s, size_t n, const Heap *heap, Error *e)
{
    Page p = {.out = out_open(path, heap, e), .heap = heap, .e = e};
    draw_chart(&p, c, s, n, WIDE, true);
    return p.out && out_commit(p.out, e);
}

void put_chart(Page *p, const Chart *c, const Series *s, size_t n)
{
    if (!c->small)
        draw_chart(p, c, s, n, WIDE, false);
    draw_chart(p, c, s, n, NARROW, false);
}

static void draw_bars(Page *p, const Chart *c, const char *const *names, size_t n, const char *const *group,
                      size_t groups, const double *value, int width)
{
    Frame f = frame_of(c, width);
    double most = 0;
    for (size_t i = 0; i < n * groups; i++)
        most = fmax(most, value[i]);
    Axis y = axis_of(0, most > 0 ? most : 1, false, f.height - BOTTOM, TOP);
    double room = (double)(f.width - LEFT - RIGHT) / (double)MAX(groups, (size_t)1),
           bar = 0.8 * room / (double)MAX(n, (size_t)1);
    begin(p, c, f, false);
    put_ticks(p, &y, false, f);
    for (size_t g = 0; g < groups; g++) {
        double left = LEFT + room * (double)g + 0.1 * room;
        for (size_t i = 0; i < n; i++) {
            double at = place(&y, value[i * groups + g]);
            put(p, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--c%d)\"><title>",
                left + bar * (double)i, at, 0.9 * bar, f.height - BOTTOM - at, (int)(i % CHART_COLOURS));
            put_text(p, text_of(names[i]));
            put(p, ": %.4f</title></rect>", value[i * groups + g]);
        }
        put(p, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", left + 0.4 * room, f.height - BOTTOM + 16);
        put_text(p, text_of(group[g]));
        put(p, "</text>");
    }
    put_labels(p, c, f);
}

void put_bars(Page *p, const Chart *c, const char *const *names, size_t n, const char *const *group, size_t groups,
              const double *value)
{
    draw_bars(p, c, names, n, group, groups, value, WIDE);
    draw_bars(p, c, names, n, group, groups, value, NARROW);
    put(p, "<div class=\"legend\">");
    for (size_t i = 0; i < n; i++)
        put_key(p, names[i], (int)i);
    put(p, "</div>\n");
}
