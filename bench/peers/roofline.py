#!/usr/bin/env python3
"""Draws `sapor bench --json` as a roofline (Williams, Waterman & Patterson 2009): python roofline.py FIGURES.json >roofline.svg

Each kernel and shape is a numbered dot. The horizontal axis is operations per byte that must be read or written; the vertical axis is
operations per second. The roofs are the peaks that `sapor bench peak` measured in the same run: the arithmetic of each type, and the
reads from each cache and from memory. Only the standard library of Python is used.
"""
import html
import json
import math
import re
import sys

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM, ROW = 640, 520, 64, 56, 24, 48, 14
INK, SOFT, GRID = "#1a1a1a", "#666666", "#e4e4e4"
COLOURS = {"gemm": "#1f77b4", "conv": "#d62728", "attention": "#9467bd", "norm": "#2ca02c", "spmm": "#ff7f0e", "spmm-train": "#bc5a00",
           "topk": "#17a2b8", "optimizer": "#8c564b", "encoder": "#e377c2"}


class Scale:
    """Maps values between low and high, on a logarithmic scale of whole decades, to pixels."""

    def __init__(self, low, high, begin, end):
        self.low, self.high = math.floor(math.log10(low)), math.ceil(math.log10(high))
        self.begin, self.end = begin, end

    def __call__(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def decades(self):
        return [10.0 ** e for e in range(self.low, self.high + 1)]


def text(x, y, words, size=11, colour=INK, anchor="start", more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"{more}>'
            f'{html.escape(words)}</text>')


def bytes_of(shape):
    """Returns the bytes of a shape: read-32KiB -> 32768."""
    size, unit = re.fullmatch(r"read-(\d+)(KiB|MiB)", shape).groups()
    return int(size) << {"KiB": 10, "MiB": 20}[unit]


def roofs(figures):
    """Returns (type -> GFLOP/s of the best level, [(label, GB/s)]) for the largest number of threads among the peaks."""
    peaks = [f for f in figures if f["bench"] == "peak"]
    threads = max(f["threads"] for f in peaks)
    arithmetic, reading = {}, []
    for f in peaks:
        if f["threads"] != threads:
            continue
        if "gflops" in f:
            arithmetic[f["dtype"]] = max(arithmetic.get(f["dtype"], 0), f["gflops"])
        else:
            reading.append((bytes_of(f["shape"]), f["shape"][5:], f["gbs"]))
    return arithmetic, [(label, gbs) for _, label, gbs in sorted(reading)]


def draw(figures, title):
    arithmetic, reading = roofs(figures)
    dots = [f for f in figures if f["bench"] != "peak" and f.get("gflops") and f.get("gbs")]
    if not dots:
        raise SystemExit("roofline: no figure has both GFLOP/s and GB/s; `sapor bench --json` writes them")
    at = [(f["gflops"] / f["gbs"], f["gflops"]) for f in dots]
    memory, best = reading[-1][1], max(arithmetic.values())
    x = Scale(min(min(a for a, _ in at) / 1.5, 0.5), max(max(a for a, _ in at) * 1.5, best / memory * 2), LEFT, WIDTH - RIGHT)
    y = Scale(min(b for _, b in at) / 1.5, max(best, max(b for _, b in at)) * 1.2, HEIGHT - BOTTOM, TOP)
    height = max(HEIGHT, TOP + ROW * (len(dots) + 3))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 400} {height}" font-family="system-ui, sans-serif" role="img">',
           f"<title>{html.escape(title)}</title>", f'<rect width="{WIDTH + 400}" height="{height}" fill="#ffffff"/>',
           text(LEFT, 22, title, 15), text(LEFT, 40, f"{dots[0]['threads']} thread{'s' * (dots[0]['threads'] > 1)}; "
                                           "roofs as `sapor bench peak` measured them in the same run", 11, SOFT)]
    for v in x.decades():
        out += [f'<path d="M{x(v):.1f} {y.end}V{y.begin}" stroke="{GRID}"/>', text(x(v), y.begin + 16, f"{v:g}", 11, SOFT, "middle")]
    for v in y.decades():
        out += [f'<path d="M{x.begin} {y(v):.1f}H{x.end}" stroke="{GRID}"/>', text(x.begin - 6, y(v) + 4, f"{v:g}", 11, SOFT, "end")]
    out += [text((x.begin + x.end) / 2, HEIGHT - 12, "operations a byte", 12, INK, "middle"),
            text(16, (y.begin + y.end) / 2, "GFLOP/s", 12, INK, "middle", f' transform="rotate(-90 16 {(y.begin + y.end) / 2:.1f})"')]
    left, right, low = 10.0 ** x.low, 10.0 ** x.high, 10.0 ** y.low
    for label, gbs in reading: # one slanted line each, cut at the edges of the plot and at the highest roof
        begin, end = max(left, low / gbs), min(right, best / gbs)
        out += [f'<path d="M{x(begin):.1f} {y(begin * gbs):.1f}L{x(end):.1f} {y(end * gbs):.1f}" stroke="{SOFT}" stroke-dasharray="4 3" fill="none"/>',
                text(x(begin) + 4, y(begin * gbs) - 5, f"{label}: {gbs:.0f} GB/s", 9, SOFT, "start",
                     f' transform="rotate({-slope(x, y):.1f} {x(begin) + 4:.1f} {y(begin * gbs) - 5:.1f})"')]
    for dtype, gflops in sorted(arithmetic.items(), key=lambda p: p[1]):
        out += [f'<path d="M{x(max(gflops / reading[0][1], left)):.1f} {y(gflops):.1f}H{x.end}" stroke="{INK}" fill="none"/>',
                text(x.end - 4, y(gflops) - 4, f"{dtype}: {gflops:.0f} GFLOP/s", 10, INK, "end")]
    out.append(text(WIDTH + 12, TOP - 4, "GFLOP/s, and the share of the nearest roof; dots above a roof are Winograd's", 10, SOFT))
    for i, (f, (a, b)) in enumerate(zip(dots, at), 1):
        colour = COLOURS.get(f["bench"], INK)
        kind = "" if f["dtype"] == "f32" else f" {f['dtype']}"
        share = f", {100 * f['share_of_peak']:.0f} % of {f['bound']}" if f.get("share_of_peak") else ""
        line = f"{f['bench']} {f['shape']}{kind}: {b:.3g}{share}"
        out += [f'<g><title>{html.escape(line)}</title><circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="7" fill="{colour}" fill-opacity="0.85"/>',
                text(x(a), y(b) + 3, str(i), 8, "#ffffff", "middle") + "</g>",
                f'<circle cx="{WIDTH + 18}" cy="{TOP + ROW * i + 2}" r="6" fill="{colour}"/>',
                text(WIDTH + 18, TOP + ROW * i + 5, str(i), 7, "#ffffff", "middle"), text(WIDTH + 30, TOP + ROW * i + 6, line, 10)]
    return "\n".join(out + ["</svg>"]) + "\n"


def slope(x, y):
    """Returns the angle, in degrees, of a line along which GFLOP/s grow with operations per byte."""
    return math.degrees(math.atan2(abs(y.end - y.begin) / (y.high - y.low), (x.end - x.begin) / (x.high - x.low)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as lines:
        figures = [f for f in map(json.loads, filter(str.strip, lines)) if "bench" in f]
    sys.stdout.write(draw(figures, "sapor's kernels against what the machine can do"))
