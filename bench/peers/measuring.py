"""Measures several programs in turn, and writes the tables of peers.py."""
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time


# ---- the processor ----------------------------------------------------------------------------------------------------------

def cpu_facts():
    """Returns the fields of the first processor in /proc/cpuinfo. They are empty on other systems."""
    try:
        first = open("/proc/cpuinfo", encoding="utf-8").read().split("\n\n")[0]
    except OSError:
        return {}
    return {k.strip(): v.strip() for k, v in (line.split(":", 1) for line in first.splitlines() if ":" in line)}


def cpu_name(facts=None):
    """Returns the vendor and short name, and the family and model: virtual machines may give several generations of processors one name."""
    facts = cpu_facts() if facts is None else facts
    name = re.sub(r"\((R|TM)\)|@.*|\bwith\b.*|\b(CPU|Processor|[0-9]+-Core)\b", " ", facts.get("model name", ""), flags=re.I)
    vendor = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}.get(facts.get("vendor_id", ""), facts.get("vendor_id", ""))
    if not name.lower().strip().startswith(vendor.lower()):
        name = f"{vendor} {name}"
    numbers = [f"{word} {facts[key]}" for word, key in (("family", "cpu family"), ("model", "model"), ("implementer", "CPU implementer"),
                                                      ("part", "CPU part")) if key in facts]
    return ", ".join([" ".join(name.split()) or platform.machine(), *numbers])


def cpu_file(facts=None):
    """Returns the name of files about this processor, for example amd-epyc-family-25-model-1."""
    return re.sub(r"[^a-z0-9]+", "-", cpu_name(facts).lower()).strip("-")


# ---- times ------------------------------------------------------------------------------------------------------------------

def once(f):
    """For work that takes seconds: one call is one sample."""
    t = time.perf_counter()
    f()
    ms = (time.perf_counter() - t) * 1e3
    return ms, ms


def clock(f, seconds=0.5, calls=3):
    """Calls f for at least this number of seconds and of calls. Returns (fastest, median) in ms. If one call takes longer than that, it is one sample."""
    ms, _ = once(f)
    if ms > 1e3 * seconds:
        calls = 1
    times, begun = [], time.perf_counter()
    while len(times) < calls or time.perf_counter() - begun < seconds:
        t = time.perf_counter()
        f()
        times.append((time.perf_counter() - t) * 1e3)
    return min(times), statistics.median(times)


def all_figures(a, *words, seconds=0.5):
    """Returns bench -> the JSON line of the figures of `sapor bench WORDS`. Of several lines, the last one counts."""
    command = [a.sapor, "bench", *words, "--threads", str(a.threads), "--seconds", str(seconds), "--json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {f["bench"]: f for f in map(json.loads, out.splitlines()) if "ms_min" in f}


def figures(a, *words, name=None):
    """Returns (fastest, median) of `sapor bench WORDS`. If it prints several figures, `name` chooses one."""
    f = all_figures(a, *words)[name or words[0]]
    return f["ms_min"], f["ms_median"]


def peak(a):
    """Returns the GFLOP/s of float32 that `sapor bench peak` measures."""
    command = [a.sapor, "bench", "peak", "--threads", str(a.threads), "--seconds", "0.1", "--json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return max(f.get("gflops", 0) for f in map(json.loads, out.splitlines()) if f["dtype"] == "f32")


class Side:
    """The times of one program: of each round the fastest call and the median, in ms."""

    def __init__(self):
        self.rounds = []

    def add(self, times):
        self.rounds.append(times)

    @property
    def fastest(self):
        return min(fastest for fastest, _ in self.rounds)

    @property
    def median(self):
        return statistics.median(median for _, median in self.rounds)

    @property
    def spread(self):
        """The distance between the quartiles of the rounds, as a share of their median."""
        medians = [median for _, median in self.rounds]
        if len(medians) < 2:
            return 0.0
        low, middle, high = statistics.quantiles(medians, n=4, method="inclusive")
        return (high - low) / middle


def measure(title, sides, rounds):
    """sides: name -> a function that returns (fastest, median) in ms. Every side runs once per round. Returns name -> Side."""
    seen = {name: Side() for name in sides}
    for i in range(rounds):
        print(f"  {title}: round {i + 1} of {rounds}", file=sys.stderr, flush=True)
        for name, side in sides.items():
            seen[name].add(side())
    return seen


# ---- tables -----------------------------------------------------------------------------------------------------------------

def share(x):
    return f"{100 * x:.1f} %"


def compared(ours, theirs):
    """Returns the ratio of the medians of two sides, the larger spread, and whether the medians differ by more than this spread."""
    ratio, spread = theirs.median / ours.median, max(theirs.spread, ours.spread)
    return ratio, spread, max(ratio, 1 / ratio) - 1 >= spread


def verdict(seen):
    """Compares the first side, sapor, with the fastest side of another program."""
    ours, *names = seen
    others = [name for name in names if not name.startswith("sapor")]
    if not others:
        return ""
    best = min(others, key=lambda name: seen[name].median)
    ratio, spread, differ = compared(seen[ours], seen[best])
    fastest = f"fastest calls: {seen[best].fastest / seen[ours].fastest:.2f}"
    if not differ:
        return f"No difference: {ours} and {best} differ by {share(max(ratio, 1 / ratio) - 1)}, and the larger spread is {share(spread)} ({fastest})."
    return f"{ours}: {ratio:.2f} times as fast as {best} ({fastest})."


class Report:
    """Prints lines to the terminal and collects them for the Markdown report."""

    def __init__(self):
        self.lines = []
        self.peak = 0.0

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def head(self, title, columns, note=""):
        self.say(f"\n## {title}\n")
        if note:
            self.say(f"{note}\n")
        self.say("| | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))

    def compare(self, title, sides, rounds, items=0, mflop=0, peak_of=None, notes=()):
        """Measures and writes a table. sides: as in measure(); the first side is sapor. Ratios are of medians.

        - items: the items of one call, for a column with the items per second
        - mflop: the operations of one call in millions, for a column with the share of the peak of float32
        - peak_of: returns the peak in GFLOP/s. It runs before and after the rounds, and the highest peak of the run counts
        - notes: lines after the table
        """
        if mflop:
            self.peak = max(self.peak, peak_of())
        seen = measure(title, sides, rounds)
        if mflop:
            self.peak = max(self.peak, peak_of())
        ours = next(iter(sides))
        self.head(title, ["fastest, ms", "median, ms", "spread", f"of {ours}'s median"] + ["a second"] * bool(items) +
                  [f"of the peak, {self.peak:.1f} GFLOP/s"] * bool(mflop))
        for name, side in seen.items():
            rate = f" {1e3 * items / side.median:.1f} |" if items else ""
            of_peak = f" {share(mflop / side.fastest / self.peak)} |" if mflop else ""
            self.say(f"| {name} | {side.fastest:.3f} | {side.median:.3f} | {share(side.spread)} | {side.median / seen[ours].median:.2f} |{rate}{of_peak}")
        for line in [*notes, verdict(seen)]:
            if line:
                self.say(f"\n{line}")
        return seen


def load():
    return f"load of the machine: {', '.join(f'{x:.1f}' for x in os.getloadavg())} over 1, 5, 15 minutes"
