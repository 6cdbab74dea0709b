# SPDX-License-Identifier: BSD-2-Clause
"""The parts of bench/scan: each measures in rounds, and prints tables."""
import contextlib
import os
import subprocess
import sys
import tempfile
import time

from graph import is_garbage
from scanned import Failed, Scanned, scans_of
from tools import (HERE, build_folder, clean_environment, heapknot_command,
                   spread)

SCANS = 2       # of one program, beside one to weigh
KINDS = ("clock", "fault", "write")
MILLION = 1e6



def table(heads, rows):
    lines = ["| %s |" % " | ".join(heads), "|%s" % ("---|" * len(heads))]
    print("\n".join(lines + ["| %s |" % " | ".join(row) for row in rows]))
    print(flush=True)


def spread_or_none(values):
    values = [value for value in values if value is not None]
    return spread(values) if values else "not here"


# --- an exact scan, beside CPython's collector

class Graph:
    """A graph, and what was measured on it."""

    def __init__(self, held, garbage):
        self.held, self.garbage = held, garbage
        self.child, self.python, self.ratio = [], [], []
        self.told, self.seen = [], []

    def name(self):
        return self.held + (", %d %% garbage" % self.garbage
                            if self.garbage else "")

    def scan(self, program, given):
        """Nanoseconds of the child, an object: of the quickest scan."""
        with Scanned(program, ["--objects=%d" % given.objects,
                               "--edges=%d" % given.edges,
                               "--held=" + self.held,
                               "--garbage=%d" % self.garbage],
                     given.agent) as running:
            for _ in range(SCANS):
                running.scan()
            weight = running.scan_and_weigh()
            scans = running.scans()
        self.check(scans[-1], given)
        timed = [scan["seconds"] * 1e9 / scan["objects"]
                 for scan in scans[:SCANS]]
        self.told.append(of_memory(scans[-1]))
        self.seen.append(weight and weight / scans[-1]["objects"])
        return min(timed)

    def check(self, scan, given):
        """A scan that saw nothing is not fast."""
        expected = (given.objects + (self.held == "array"),
                    sum(is_garbage(i, given.objects, self.garbage)
                        for i in range(given.objects)) if self.garbage else 0)
        if (scan["objects"], scan["unreachable"]) != expected:
            raise Failed("%d objects and %d unreachable, not %d and %d" % (
                scan["objects"], scan["unreachable"], *expected))

    def round(self, program, given):
        self.child.append(self.scan(program, given))
        if given.python:
            self.python.append(cpython(self, given))
            self.ratio.append(self.child[-1] / self.python[-1])


def of_memory(scan):
    """Bytes for each object, as the scan says."""
    if not scan.get("memory_bytes"):
        return None
    return scan["memory_bytes"] / scan["objects"]


def cpython(graph, given):
    """CPU of its quickest collection, an object."""
    done = subprocess.run(
        [sys.executable, HERE + "/graph.py", str(given.objects),
         str(given.edges), graph.held, str(graph.garbage), str(SCANS)],
        capture_output=True, text=True, check=True)
    return min(float(line.split()[2]) for line in done.stdout.splitlines())


def exact(program, given):
    graphs = [Graph(held, garbage) for held, garbage in given.graphs]
    for _ in range(given.rounds):
        for graph in graphs:
            graph.round(program, given)
    print("Exact scan of %d objects with %d references each; ns of CPU an "
          "object, of the quickest of %d\n" % (given.objects, given.edges,
                                               SCANS))
    table(["held", "scan's child", "CPython %d.%d" % sys.version_info[:2],
           "ratio"],
          [[graph.name(), spread(graph.child), spread_or_none(graph.python),
            spread_or_none(graph.ratio)] for graph in graphs])
    print("Its memory, in bytes an object; goal: %d (24 a node, 8 an edge)\n"
          % (24 + 8 * given.edges))
    table(["held", "as the scan says", "seen from outside"],
          [[graph.name(), spread_or_none(graph.told),
            spread_or_none(graph.seen)] for graph in graphs])


# --- for how long the program is held up

class Pauses:
    """Of each kind of watcher the longest gap, in ms, in windows of equal
    length: in which nothing happens, with a bare clone, with a scan."""

    def __init__(self, method):
        self.method = method
        self.gaps = {what: [] for what in ("quiet", "clone", "scan")}
        self.told, self.predicted, self.clones = [], [], []
        self.used, self.is_real_time = set(), True

    def window(self, running, what, seconds):
        """Returns how long it took."""
        running.ask("begin")
        began = time.monotonic()
        if what == "clone":
            self.clones.append(running.ask("clone")[0] / MILLION)
        elif what == "scan":
            running.scan()
        took = time.monotonic() - began
        if what != "scan":
            time.sleep(max(0, seconds - took))
        self.gaps[what].append([ns / MILLION for ns in running.ask("end")])
        return took

    def round(self, program, given):
        agent = [*given.agent, "--scan-method=" + self.method]
        with Scanned(program, ["--watch", "--objects=%d" % given.objects,
                               "--edges=%d" % given.edges], agent) as running:
            self.is_real_time = running.is_real_time
            running.scan()      # the first learns
            running.ask("clone")
            for _ in range(SCANS):
                seconds = max(given.window, self.window(running, "scan", 0))
                self.window(running, "quiet", seconds)
                self.window(running, "clone", seconds)
            for scan in running.scans()[1:]:
                self.told.append(scan["pause_ms"])
                self.predicted.append(scan["predicted_pause_ms"])
                self.used.add(scan.get("method", "it does not say which"))

    def rows(self):
        for i, kind in enumerate(KINDS):
            columns = {what: [gaps[i] for gaps in rows]
                       for what, rows in self.gaps.items()}
            more = [a - b for a, b in zip(columns["scan"], columns["clone"])]
            yield [kind, *(spread(columns[what])
                           for what in ("quiet", "clone", "scan")),
                   spread(more)]


def pause(program, given):
    found = [Pauses("snapshot"), Pauses("copy")]
    for _ in range(given.rounds):
        for pauses in found:
            pauses.round(program, given)
    for pauses in found:
        print("scan_method=%s, %d objects: the longest gap of a thread that "
              "looks at the clock every 100 us, in ms\n"
              % (pauses.method, given.objects))
        if not pauses.is_real_time:
            print("(Without real-time priority: other processes are in it.)\n")
        if pauses.used != {pauses.method}:
            print("(The method used: %s.)\n" % ", ".join(sorted(pauses.used)))
        table(["thread", "without a scan", "with a bare clone", "with a scan",
               "scan - clone (goal: %s)" % (
                   "at most 1" if pauses.method == "snapshot" else
                   "the scan itself under 1")],
              list(pauses.rows()))
        print("The bare clone took %s ms, that of the scan %s; predicted: %s."
              "\n" % (spread(pauses.clones), spread(pauses.told),
                     spread(pauses.predicted)))


# --- a large heap

class Heap:
    def __init__(self, huge):
        self.huge = huge
        self.clone, self.each, self.told = [], [], []
        self.first, self.learnt = [], []

    def round(self, program, given):
        options = ["--objects=1000", "--heap=%d" % given.heap]
        with Scanned(program, options + ["--huge"] * self.huge,
                     given.agent) as running:
            for _ in range(SCANS + 1):
                running.scan()
                self.clone.append(running.ask("clone")[0] / MILLION)
                self.each.append(self.clone[-1] * MILLION / running.mib)
            scans = running.scans()
        self.told += [scan["pause_ms"] for scan in scans]
        predicted = [scan["predicted_pause_ms"] for scan in scans]
        self.first.append(predicted[0])
        self.learnt += predicted[1:]


def heap(program, given):
    found = [Heap(False), Heap(True)]
    for _ in range(given.rounds):
        for heaps in found:
            heaps.round(program, given)
    print("The pause with a heap of %d MiB, in ms\n" % given.heap)
    table(["pages", "bare clone", "ns a MiB", "scan", "predicted at first",
           "predicted later"],
          [["2 MiB" if h.huge else "4 KiB", spread(h.clone), spread(h.each),
            spread(h.told), spread(h.first), spread(h.learnt)]
           for h in found])


# --- a service under load

# The budgets are lifted, so that it is scanned as often as it says.
SERVICES = (("bare", None), ("no scans", "0"), ("every 10 s", "10s"),
            ("every second", "1s"))
LIFTED = ("--pause-budget=100%", "--cpu-budget=100%")


def example(name):
    path = os.path.join(build_folder(), "examples", "knotd", name)
    if not os.access(path, os.X_OK):
        raise Failed("%s is not built" % name)
    return path


@contextlib.contextmanager
def serving(interval, recording, given):
    """knotd, under the agent or bare: its port."""
    command = [example("knotd"), "--port=0", "--ballast=%d" % given.ballast]
    if interval is not None:
        command = [heapknot_command(), "run", "-o", recording, *LIFTED,
                   "--scan-interval=" + interval, *given.agent, "--",
                   *command]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                              env=clean_environment())
    try:
        yield server.stdout.readline().strip().rpartition(":")[2]
    finally:
        server.terminate()
        server.communicate()


def load(port, given):
    """Latencies in us, by name."""
    done = subprocess.run(
        [example("knot-load"), "--port=" + port, "--latency",
         "--rate=%d" % given.rate, "--seconds=%d" % given.seconds],
        capture_output=True, text=True, check=False)
    words = [line.split()[1:] for line in done.stdout.splitlines()
             if line.startswith("latency ")]
    if done.returncode or not words:
        raise Failed("knot-load: " + done.stderr.strip())
    return {name: float(value)
            for name, value in zip(words[0][::2], words[0][1::2])}


def serve_once(interval, given):
    with tempfile.TemporaryDirectory(prefix="heapknot-knotd.") as place:
        recording = os.path.join(place, "x.hk")
        with serving(interval, recording, given) as port:
            seen = load(port, given)
        seen["scans"] = 0 if interval is None else len(scans_of(recording))
    return seen


def knotd(_, given):
    found = {name: [] for name, _ in SERVICES}
    for _ in range(given.rounds):
        for name, interval in SERVICES:
            found[name].append(serve_once(interval, given))
    print("knotd with %d more objects, %d messages a second for %d s: round "
          "trip in us; goal: p99 with scans every 10 s at most 1.05 of that "
          "without\n" % (given.ballast, given.rate, given.seconds))
    table(["knotd", "p50", "p99", "p99.9", "longest", "scans",
           "p99 / no scans"],
          [[name, *(spread([one[key] for one in found[name]])
                    for key in ("p50", "p99", "p99.9", "max")),
            str(sum(one["scans"] for one in found[name])),
            spread([a["p99"] / b["p99"] for a, b in
                    zip(found[name], found["no scans"])])]
           for name, _ in SERVICES])


PARTS = {"exact": exact, "pause": pause, "heap": heap, "knotd": knotd}
