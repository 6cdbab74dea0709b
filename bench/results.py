# SPDX-License-Identifier: BSD-2-Clause
"""From measurements to ratios, and from ratios to tables.

Every figure of a tool is compared with the figure of its base in the same
round; what is printed is the median over the rounds and the range.
"""
import statistics

from tools import TOOLS
from workloads import WORKLOADS

SCHEMA = "heapknot-bench-1"
BEGIN = "<!-- bench/run --readme: begin -->"
END = "<!-- bench/run --readme: end -->"
CHURN = ("churn1", "churn2", "churn4")
BASES = {tool.base for tool in TOOLS.values()}
GOAL_MIB = 12           # of memory beside 16 bytes for each live block
GOAL_BLOCK = 16
NOISE_NS = 10


def spread(values):
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values),
            "max": max(values)}


def by_round(cell, other, compare):
    """spread() of compare(ours, theirs); a tool that ran once is compared
    with the first round."""
    return spread([compare(a, b)
                   for a, b in zip(cell["values"], other["values"]) if b])


def of_workload(workload, cells):
    """The measurements of a workload with everything derived from them."""
    if workload.is_memory:
        derive_memory(workload, cells)
    else:
        derive_ratios(workload, cells)
    return {"about": workload.about, "unit": workload.unit,
            "kind": workload.kind,
            "higher_is_better": workload.higher_is_better, "tools": cells}


def derive_ratios(workload, cells):
    for name, cell in cells.items():
        base = cells[TOOLS[name].base]
        cell["base"] = TOOLS[name].base
        cell["value"] = spread(cell["values"])
        cell["ratio"] = by_round(cell, base, lambda a, b: a / b)
        if workload.kind == "wall":
            cell["cpu_ratio"] = spread([
                a / b for a, b in zip(cell["cpu"], base["cpu"]) if b])
        if workload.unit == "ns":
            cell["added"] = by_round(cell, base, lambda a, b: a - b)
    if "added" in cells["bare"] and "heaptrack" in cells:
        for cell in cells.values():
            cell["added_of_heaptrack"] = added_share(cell, cells)


def added_share(cell, cells):
    """What the tool adds, as a part of what heaptrack adds."""
    shares = [(a - b) / (h - b) for a, b, h in
              zip(cell["values"], cells[cell["base"]]["values"],
                  cells["heaptrack"]["values"]) if h != b]
    return spread(shares)


def derive_memory(workload, cells):
    """MiB beside the bare program, and bytes for each block or thread."""
    bare = cells["bare"]["values"]
    for cell in cells.values():
        cell["value"] = spread([v["rss"] for v in cell["values"]])
        cell["helpers"] = spread([v["helpers"] for v in cell["values"]])
        cell["added"] = spread([v["rss"] - b["rss"]
                                for v, b in zip(cell["values"], bare)])
        if cell["added"]:
            cell["bytes_each"] = (cell["added"]["median"] * (1 << 20) /
                                  cell["size"])
        if "recorded" in cell:
            cell["reported"] = cell["recorded"]["agent_bytes"] / (1 << 20)


# --- tables

def number(value):
    """Three digits, about."""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    return "%.*f" % (digits, value)


class Notes:
    """Footnotes, numbered as they come up; equal ones are one."""

    def __init__(self):
        self.texts = []

    def mark(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return "[%d]" % (self.texts.index(text) + 1)

    def lines(self):
        return ["[%d] %s" % (i + 1, text)
                for i, text in enumerate(self.texts)]


def remarks(name, cell, row, runs):
    """What a reader must know of a cell that has a figure."""
    said = []
    seen = cell.get("recorded", {})
    if name == "sampled" and seen.get("sample_bytes") == 0:
        said.append("this build of heapknot does not sample: every block "
                    "was recorded")
    lost = seen.get("losses", {})
    if lost:
        said.append("losses counted: " +
                    ", ".join("%s %d" % kv for kv in sorted(lost.items())))
    if cell.get("remark"):
        said.append(cell["remark"])
    if TOOLS[name].slow and runs > 1 and cell["values"]:
        less = cell["size"] < row["tools"]["bare"]["size"]
        said.append("ran once" + (", with fewer operations" if less else ""))
    if "missing" in cell and cell["values"]:
        said.append("stopped after %d: %s" % (len(cell["values"]),
                                              cell["missing"]))
    return said


def tool_names(found):
    names = []
    for row in found["workloads"].values():
        names += [n for n in row["tools"] if n not in names]
    return [n for n in TOOLS if n in names]


def ratio_rows(found, notes):
    """For each workload: its name, the bare figure, and for each tool the
    ratio, its range, and its footnotes."""
    names = tool_names(found)
    for workload, row in found["workloads"].items():
        if row["kind"] == "memory":
            continue
        bare = row["tools"]["bare"]["value"]
        figure = "%s %s" % (number(bare["median"]), row["unit"]) \
            if bare else "-"
        yield workload, figure, [
            ratio_cell(n, row, found["runs"], notes) for n in names]
        if row["kind"] == "wall":
            yield "... CPU", "", [cpu_cell(n, row) for n in names]


def ratio_cell(name, row, runs, notes):
    cell = row["tools"].get(name)
    if cell is None:
        return "", "", ""
    if cell["ratio"] is None:
        why = cell.get("missing", "nothing to compare with")
        return "-", "", notes.mark(why)
    marks = "".join(notes.mark(r) for r in remarks(name, cell, row, runs))
    return *median_and_range(name, cell["ratio"], cell["values"]), marks


def cpu_cell(name, row):
    """Processor time of the same runs: steadier on a busy machine."""
    cell = row["tools"].get(name)
    if cell is None or not cell.get("cpu_ratio"):
        return "", "", ""
    return *median_and_range(name, cell["cpu_ratio"], cell["cpu"]), ""


def median_and_range(name, ratio, values):
    ends = ""
    if len(values) > 1 and name != "bare":
        ends = "%s-%s" % (number(ratio["min"]), number(ratio["max"]))
    return number(ratio["median"]), ends


def heading(name):
    base = TOOLS[name].base
    return name if base == "bare" else "%s / %s" % (name, base)


def added_rows(found):
    """Of the churn family: what a tool adds to a pair."""
    rows = found["workloads"]
    for workload in CHURN:
        for name, cell in rows.get(workload, {"tools": {}})["tools"].items():
            added = cell.get("added")
            if name in BASES or not added:
                continue
            base = rows[workload]["tools"][cell["base"]]["value"]["median"]
            share = cell.get("added_of_heaptrack")
            yield (workload, heading(name), with_range(added),
                   "%.2f" % (added["median"] / base),
                   "%.3f" % share["median"] if share else "",
                   growth(name, workload, added, rows))


def with_range(found):
    middle = number(found["median"])
    if found["min"] == found["max"]:
        return middle
    return "%s (%s .. %s)" % (middle, number(found["min"]),
                              number(found["max"]))


def growth(name, workload, added, rows):
    """Beside what the tool adds with one thread, if that is more than
    noise."""
    one = rows.get("churn1", {"tools": {}})["tools"].get(name, {})
    one = (one.get("added") or {"median": 0})["median"]
    if workload == "churn1" or min(one, added["median"]) < NOISE_NS:
        return ""
    return "%.2f" % (added["median"] / one)


ADDED = ("workload", "tool / base", "added ns a pair", "added/base",
         "/heaptrack's", "/churn1's")
MEMORY = ("workload", "tool", "resident", "added", "reported", "each",
          "over goal", "helpers")


def memory_rows(found, notes):
    for workload, row in found["workloads"].items():
        if row["kind"] != "memory":
            continue
        for name, cell in row["tools"].items():
            if WORKLOADS[workload].unless.get(name):
                continue
            if not cell["value"]:
                yield (workload, name, "- " + notes.mark(
                    cell.get("missing", "no figure")), *[""] * 5)
                continue
            yield memory_row(workload, name, cell)


def memory_row(workload, name, cell):
    added, over, each = "", "", ""
    if name != "bare" and cell["added"]:
        added = "%.1f" % cell["added"]["median"]
        each = "%.0f B" % cell["bytes_each"]
        if workload == "many-live" and TOOLS[name].is_heapknot:
            over = "%+.1f" % (cell["added"]["median"] - GOAL_MIB -
                              GOAL_BLOCK * cell["size"] / (1 << 20))
    return (workload, name, "%.1f" % cell["value"]["median"], added,
            "%.1f" % cell["reported"] if "reported" in cell else "",
            each, over, "%.1f" % cell["helpers"]["median"]
            if cell["helpers"]["median"] >= 16 else "")


def aligned(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(widths[i]) if i < 2 else
                      text.rjust(widths[i])
                      for i, text in enumerate(row)).rstrip()
            for row in rows]


def preamble(found):
    machine = found["machine"]
    load = machine.get("load")
    return "".join((
        found["heapknot"] or "no heapknot", ", ", found["date"][:10],
        "; %d processors" % machine["processors"],
        " (load %.1f when it began)" % load if load is not None else "",
        ", Linux %s, %s; " % (machine["kernel"], machine["libc"]),
        "median of %d round%s" % (found["runs"],
                                  "" if found["runs"] == 1 else "s"),
        ", --quick" if found["quick"] else ""))


def text(found):
    """All of it, for a terminal."""
    notes = Notes()
    lines = [preamble(found), ""]
    names = tool_names(found)
    others = [n for n in names if n != "bare"]
    table = [("workload", "bare", *others)]
    if any(TOOLS[n].base != "bare" for n in others):
        table.append(("", "compared with:",
                      *[TOOLS[n].base for n in others]))
    for workload, figure, cells in ratio_rows(found, notes):
        cells = [c for n, c in zip(names, cells) if n != "bare"]
        table.append((workload, figure, *[c[0] + c[2] for c in cells]))
        if any(c[1] for c in cells):
            table.append(("", "", *[c[1] for c in cells]))
    if len(table) > 2 or table[-1][0] not in ("", "workload"):
        lines += ["Ratios to the base (redis: of throughput, higher is "
                  "better), and their range:", "", *aligned(table), ""]
    for title, head, rows in (
            ("What a malloc+free pair costs more:", ADDED,
             list(added_rows(found))),
            ("Resident memory, MiB (each: bytes a block or thread):", MEMORY,
             list(memory_rows(found, notes)))):
        if rows:
            lines += [title, "", *aligned([head, *rows]), ""]
    return "\n".join(lines + notes.lines()).rstrip()


def markdown_table(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return lines


def markdown(found):
    """The same, as Markdown; the range stands behind the median."""
    notes = Notes()
    names = tool_names(found)
    others = [n for n in names if n != "bare"]
    table = [("workload", "bare", *[heading(n) for n in others])]
    for workload, figure, cells in ratio_rows(found, notes):
        cells = [c for n, c in zip(names, cells) if n != "bare"]
        table.append((workload, figure, *[
            "%s%s%s" % (c[0], " (%s)" % c[1] if c[1] else "", c[2])
            for c in cells]))
    lines = [preamble(found) + ".", "", *markdown_table(table), ""]
    for head, rows in ((ADDED, list(added_rows(found))),
                       (MEMORY, list(memory_rows(found, notes)))):
        if rows:
            lines += [*markdown_table([head, *rows]), ""]
    lines += ["%s  " % line for line in notes.lines()]
    return "\n".join(lines).rstrip()


def into_readme(found, path):
    """Puts the tables between the two markers."""
    with open(path) as file:
        before, rest = file.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w") as file:
        file.write("%s%s\n%s\n%s%s" % (before, BEGIN, markdown(found), END,
                                       after))
