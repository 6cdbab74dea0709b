#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sampled.py -- sampled recordings of known populations, and their judge.

    sampled.py write SCENARIO FILE TRUTH    a recording, and what is true
    sampled.py check TRUTH REPORT           what heapknot report --json says
                                            of it, beside the truth
    sampled.py list

The model draws as the format says a sampler does: it walks along the bytes
allocated with exponentially distributed steps, and a block that holds the end
of a step is sampled.  It writes the sums of the format's SAMPLING, and keeps
what it allocated and freed.  Seeds are fixed: every run gives the same file.
"""
import json
import math
import random
import sys

from mkrec import UNSAMPLED
from scenarios import base, path

KIB, MIB = 1024, 1 << 20
SCENARIOS = {}


def scenario(f):
    SCENARIOS[f.__name__] = f
    return f


class Sampler:
    """A recording's allocations, sampled with one mean distance."""

    def __init__(self, rec, distance, seed=1):
        self.rec, self.distance = rec, distance
        self.rnd = random.Random(seed)
        self.step = self.draw()
        self.live = {}  # (stack, size): [blocks, sampled blocks]
        self.sums = {}  # stack: weights of a, f, ab, fb as they are
        self.told = {}  # the same, rounded, as in the recording
        rec.exact = rec.exact or [0, 0, 0, 0]
        self.rest = rec.stack([], 0, flags=UNSAMPLED)
        rec.counters["sample_bytes"] = distance

    def draw(self):
        return self.rnd.expovariate(1 / self.distance)

    def stack(self, *pcs):
        r = self.rec
        return r.stack([(0x7e0000000100, r.agent)] + list(pcs)
                       + [0x400010, (0x7f0000002000, r.libc)], r.exe,
                       sample=self.distance)

    def chance(self, size):
        return -math.expm1(-size / self.distance)

    def book(self, stack, size, blocks, sampled, freed):
        """Adds to column a or f, and two further on to its bytes."""
        sums = self.sums.setdefault(stack, [0.0] * 4)
        sums[freed] += sampled / self.chance(size)
        sums[2 + freed] += sampled * size / self.chance(size)
        told = self.told.setdefault(stack, [0] * 4)
        new = [round(x) for x in sums]
        self.rec._change(stack, *(n - o for n, o in zip(new, told)))
        self.told[stack] = new
        self.rec.stacks[stack]["sf" if freed else "sa"] += sampled
        rest = [0] * 4
        rest[freed], rest[2 + freed] = blocks - sampled, size * (
            blocks - sampled)
        self.rec._change(self.rest, *rest)
        self.rec.exact[freed] += blocks
        self.rec.exact[2 + freed] += blocks * size

    def alloc(self, stack, size, blocks):
        sampled, left = 0, blocks
        while True:
            nth = math.ceil(self.step / size)
            if nth > left:
                self.step -= left * size
                break
            sampled, left, self.step = sampled + 1, left - nth, self.draw()
        live = self.live.setdefault((stack, size), [0, 0])
        live[0] += blocks
        live[1] += sampled
        self.book(stack, size, blocks, sampled, 0)
        c = self.rec.counters
        c["sampled_blocks"] = c.get("sampled_blocks", 0) + sampled

    def free(self, stack, size, blocks):
        """Any of the live ones, each as likely as the other."""
        live = self.live[stack, size]
        left, going, freed = live[0], blocks, 0
        for _ in range(live[1]):
            if self.rnd.random() < going / left:
                freed, going = freed + 1, going - 1
            left -= 1
        live[0] -= blocks
        live[1] -= freed
        self.book(stack, size, blocks, freed, 1)


def truth_of(samplers, stack_of):
    """By stack: the live bytes and blocks, and the variance of an estimate
    of the bytes."""
    out = {}
    for s in samplers:
        for (stack, size), (blocks, _) in s.live.items():
            t = out.setdefault(stack_of.get(stack, stack),
                               {"bytes": 0, "blocks": 0, "variance": 0})
            p = s.chance(size)
            t["bytes"] += blocks * size
            t["blocks"] += blocks
            t["variance"] += blocks * size * size * (1 - p) / p
    return out


# A kind of stack: (size, blocks allocated, blocks freed again).
KINDS = {
    "tiny": [(16, 3_000_000, 1_000_000)],
    "small": [(16, 300_000, 100_000), (48, 300_000, 0), (100, 100_000, 50_000),
              (1000, 9000, 1000), (4096, 1000, 500)],
    "wide": [(64, 200_000, 50_000), (5000, 1500, 0), (65536, 300, 150),
             (4 * MIB, 5, 2)],
    "large": [(256 * KIB, 100, 40), (700_000, 40, 0), (2 * MIB, 10, 5)],
    "hidden": [(64, 500_000, 100_000), (20 * MIB, 50, 10)],
    "sparse": [(200, 12_000, 4000)],
    "huge": [(100 * MIB, 3, 1)],
}


@scenario
def kinds(each=700):
    """So many stacks of each kind, 512 KiB between samples; "merged" ones
    have a second stack of the same frames, with 2 MiB."""
    r = base()
    r.minor = 1
    fine, rough = Sampler(r, 512 * KIB, 1), Sampler(r, 2 * MIB, 2)
    r.counters["sample_changes"] = 1
    truth, merged = {}, {}
    for i in range(int(each)):
        for k, name in enumerate(list(KINDS) + ["merged"]):
            pcs = 0x401000 + i * 16, 0x402000 + k * 16
            stack = fine.stack(*pcs)
            truth[stack] = name
            for size, made, freed in KINDS.get(name, KINDS["small"]):
                fine.alloc(stack, size, made)
                fine.free(stack, size, freed)
            if name == "merged":
                second = rough.stack(*pcs)
                merged[second] = stack
                rough.alloc(second, 48, 2_000_000)
                rough.free(second, 48, 200_000)
    r.snapshot(1.0, flags=4)
    out = truth_of((fine, rough), merged)
    for stack, name in truth.items():
        out[stack]["kind"] = name
    return r, out


def timed(churn, growth, seed, each=20, seconds=40, distance=512 * KIB):
    """Stacks of 8 MiB in blocks of 256 bytes.  In each second a share of
    them is replaced, and the first stack grows."""
    r = base()
    r.minor = 1
    s = Sampler(r, distance, 100 + int(seed))
    size, blocks = 256, 32768
    stacks = [s.stack(0x401000 + i * 16) for i in range(int(each))]
    for second in range(int(seconds)):
        for i, stack in enumerate(stacks):
            if second == 0:
                s.alloc(stack, size, blocks)
            more = growth if i == 0 else 0
            s.alloc(stack, size, int(blocks * churn) + more)
            s.free(stack, size, int(blocks * churn))
        r.snapshot(second + 0.2)
    return r, truth_of((s,), {})


@scenario
def calm(seed=0):
    """Nothing grows, blocks are replaced slowly: estimates wander."""
    return timed(0.02, 0, seed)


@scenario
def busy(seed=0):
    """Nothing grows, most blocks are replaced between snapshots."""
    return timed(0.7, 0, seed)


@scenario
def leak(seed=0):
    """The first stack grows by a MiB a second."""
    return timed(0.05, 4096, seed)


@scenario
def replaced():
    """Between two marks: one path grows by much, one by nothing though its
    blocks are others, one by little, one is left alone."""
    r = base()
    r.minor = 1
    s = Sampler(r, 64 * KIB, 4)
    paths = [s.stack(0x401000 + i * 16) for i in range(4)]
    for p in paths:
        s.alloc(p, 256, 32768)
    r.snapshot(1.0, name="a")
    s.alloc(paths[0], 256, 32768)
    s.alloc(paths[1], 256, 32768)
    s.free(paths[1], 256, 32768)
    s.alloc(paths[2], 256, 100)
    r.snapshot(2.0, name="b")
    return r, truth_of((s,), {})


@scenario
def cycle():
    """Objects in a cycle: the stack of three is not known."""
    r = base()
    r.minor = 1
    s = Sampler(r, 64 * KIB, 5)
    known = s.stack(0x401000)
    s.alloc(known, 4096, 100)
    t = r.type("T", 4096)
    r.objects(t, 100)
    r.scan(1, 100, confirmed=1)
    r.group([(t, 1, 1)], [(0, 0, "me")], [(3, s.rest, t), (1, known, t)], [])
    r.snapshot(1.0, flags=4)
    return r, {}


@scenario
def none():
    """Version 1.1, every block recorded."""
    r = base()
    r.minor = 1
    r.alloc(path(r, 0x401000), 3, 300)
    r.snapshot(0.1, flags=4)
    return r, {}


@scenario
def broken():
    """What no agent writes: the numbers of each stack contradict."""
    r = base()
    r.minor = 1
    top = (1 << 64) - 1
    odd = [  # sample_bytes, a, f, ab, fb, sa, sf
        (top, 10, 0, 1000, 0, 5, 0), (top, top, 0, top, 0, top, 0),
        (1, 10, 0, 1000, 0, 5, 0), (4096, 1, 9, 10, 900, 1, 9),
        (4096, 9, 1, 900, 10, 1, 9), (4096, 10, 0, 100000, 0, 0, 0),
        (4096, 0, 0, 0, 0, 9, 1), (4096, 0, 0, 5000, 0, 1, 0),
        (4096, 10, 0, 0, 0, 3, 0), (4096, 10, 0, 100, 0, top, 0),
        (1 << 62, 1, 0, 1, 0, 1, 0), (4096, 1, 0, top, 0, 1, 0)]
    for i, (rate, a, f, ab, fb, sa, sf) in enumerate(odd):
        s = r.stack([0x401000 + 16 * i, 0x400010], r.exe, sample=rate)
        r.stacks[s].update(a=a, f=f, ab=ab, fb=fb, sa=sa, sf=sf)
    rest = r.stack([], 0, flags=UNSAMPLED)
    r.stacks[rest].update(a=5, f=7, ab=100, fb=top, sample=4096)
    r.exact = [10, 0, 1000, 0]
    r.counters.update(sample_bytes=top, sampled_blocks=top,
                      sample_changes=top, overhead_ppm=top, captures=1,
                      walked_frames=top, slow_captures=top,
                      verified_captures=top)
    for i in range(12):
        r.changed = {s: [1, 0, 1 << 60, 0] for s in range(1, 13)}
        r.snapshot(i + 0.2)
    return r, {}


def write(name, file, truth_file, *args):
    rec, truth = SCENARIOS[name](**dict(a.split("=", 1) for a in args))
    rec.write(file)
    live, blocks, a, f, ab = rec.totals()
    with open(truth_file, "w") as out:
        json.dump({"stacks": truth, "totals": {
            "live_bytes": live, "live_blocks": blocks, "allocations": a,
            "frees": f, "allocated_bytes": ab}}, out)


def check(truth_file, report_file):
    """A line for each kind: how many stacks, the share of intervals in
    percent that hold the truth, and the mean error of the estimates in
    standard errors of that mean."""
    truth = json.load(open(truth_file))
    seen = {s["id"]: s for s in json.load(open(report_file))["stacks"]}
    kinds_seen = {}
    for sid, t in truth["stacks"].items():
        s = seen[int(sid)]
        k = kinds_seen.setdefault(t["kind"], [0, 0, 0.0, 0.0])
        k[0] += 1
        k[1] += s["live_bytes_low"] <= t["bytes"] <= s["live_bytes_high"]
        k[2] += s["live_bytes"] - t["bytes"]
        k[3] += t["variance"]
    for name, (n, held, error, variance) in kinds_seen.items():
        print(name, n, round(100 * held / n, 1),
              round(error / math.sqrt(variance), 2) if variance > 1 else
              round(error))
    return 0


def main():
    if sys.argv[1:2] == ["write"]:
        return write(*sys.argv[2:])
    if sys.argv[1:2] == ["check"]:
        return check(*sys.argv[2:])
    print("\n".join(SCENARIOS))
    return 2


if __name__ == "__main__":
    sys.exit(main())
