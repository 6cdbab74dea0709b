# SPDX-License-Identifier: BSD-2-Clause
#
# Compares report --json of victims/sampled with what the program says of
# itself:
#
#       sampling.py DISTANCE REPORT TRUTH...
#
# Prints "LOW HIGH SEEN what" for each number that chance may move, and "0 0 N
# what" for each that it may not.  Limits are such that a right estimate stays
# within in all but one of a million runs: six standard errors, known from the
# truth alone, or the binomial distribution's tails.
import collections
import json
import math
import sys

ODDS = 1e-6
COVERED = 0.94  # in a hundred intervals are 95, but small counts are discrete
NORMAL = 30  # samples from which the interval is value +- 1.96 standard errors


def read_truth(names):
    """{(place, down): [(bytes, allocations, frees)]}"""
    paths = collections.defaultdict(list)
    for name in names:
        with open(name, encoding="ascii") as f:
            for line in f:
                place, down, *numbers = line.split()
                paths[place, int(down)].append(tuple(map(int, numbers)))
    return paths


def read_report(name):
    """Estimates of the same paths; equal frames are one entry or more."""
    with open(name, encoding="utf-8") as f:
        report = json.load(f)
    paths = collections.defaultdict(list)
    for stack in report["stacks"]:
        names = [frame["function"] or "" for frame in stack["frames"]]
        makers = [n for n in names if n.startswith("make_")]
        if makers:  # inside it there may be operator new
            down = sum(n.startswith("down") for n in names) - 1
            paths[makers[0], down].append(stack)
    return report, paths


def chance(size, distance):
    return -math.expm1(-size / distance)


class Sum:
    """An estimate against its truth, with the variance that it must have."""

    def __init__(self):
        self.seen = self.truth = self.variance = 0

    def add(self, seen, pairs):  # pairs: (weight, variance of one, how many)
        self.seen += seen
        for value, variance, count in pairs:
            self.truth += value * count
            self.variance += variance * count

    def error(self):
        if self.variance < 1e-9:
            return 0 if self.seen == self.truth else math.inf
        return (self.seen - self.truth) / math.sqrt(self.variance)


def add_path(sums, stacks, sizes, distance):
    def total(key):
        return sum(s[key] for s in stacks)

    def pairs(of_blocks, live):
        for size, made, freed in sizes:
            p = chance(size, distance)
            value = 1 if of_blocks else size
            yield (value, value * value * (1 - p) / p,
                   made - freed if live else made)

    sums["live bytes"].add(total("live_bytes"), pairs(False, True))
    sums["live blocks"].add(total("live_blocks"), pairs(True, True))
    sums["allocated bytes"].add(total("allocated_bytes"), pairs(False, False))
    sums["allocations"].add(total("allocations"), pairs(True, False))


def tails(n, p):
    """Counts that are left out below have odds under ODDS."""
    log_odds = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
                + k * math.log(p) + (n - k) * math.log1p(-p)
                for k in range(n + 1)]
    total, k = 0, 0
    while k <= n and total + math.exp(log_odds[k]) < ODDS:
        total += math.exp(log_odds[k])
        k += 1
    return k


def main():
    distance = int(sys.argv[1])
    report, seen = read_report(sys.argv[2])
    truth = read_truth(sys.argv[3:])
    places = collections.defaultdict(lambda: collections.defaultdict(Sum))
    held = intervals = 0
    spread, wrong_rate, unknown, twice = [], 0, 0, 0

    for path, sizes in truth.items():
        stacks = seen.pop(path, [])
        made = sum(s[1] for s in sizes)
        live = sum(s[0] * (s[1] - s[2]) for s in sizes)
        if not made:
            unknown += len(stacks)
            continue
        twice += len(stacks) > 1
        add_path(places[path[0]], stacks, sizes, distance)
        wrong_rate += sum(s["sampled_blocks"] is None for s in stacks)
        if not live:
            # What was all freed was taken off as it had been put on.
            unknown += sum(s["live_bytes"] + s["live_blocks"]
                           + s["sampled_blocks"] for s in stacks)
            unknown += sum(s["allocations"] != s["frees"] for s in stacks)
            continue
        intervals += 1
        stack = stacks[0] if stacks else {
            "live_bytes": 0, "live_bytes_low": 0, "sampled_blocks": 0,
            "live_bytes_high": 3.7 * distance}
        held += stack["live_bytes_low"] <= live <= stack["live_bytes_high"]
        half = (stack["live_bytes_high"] - stack["live_bytes_low"]) / 2
        if stack["sampled_blocks"] >= 2 * NORMAL and len(sizes) == 1 \
                and sizes[0][0] <= distance / 2:
            spread.append((stack["live_bytes"] - live) / (half / 1.96))

    print(0, 0, len(seen), "paths that nobody took")
    print(0, 0, unknown, "live in paths where all was freed")
    print(0, 0, wrong_rate, "paths that were not sampled")
    print(0, 0, twice, "paths with two entries")
    if intervals:
        print(tails(intervals, COVERED), intervals, held,
              f"of {intervals} intervals hold the truth")
    if len(spread) >= 50:
        # The mean square of n normal deviates: 1, +- 6 standard errors.
        n = len(spread)
        print(1 - 6 * math.sqrt(2 / n), 1 + 6 * math.sqrt(2 / n),
              sum(e * e for e in spread) / n,
              f"mean square of the error, in intervals' ({n} paths)")
    whole = collections.defaultdict(Sum)
    for place, sums in places.items():
        for what, s in sums.items():
            print(-6, 6, s.error(), f"{place}: {what}, in standard errors")
            whole[what].seen += s.seen
            whole[what].truth += s.truth
            whole[what].variance += s.variance
    for what, s in whole.items():
        print(-6, 6, s.error(), f"all: {what}, in standard errors")


main()
