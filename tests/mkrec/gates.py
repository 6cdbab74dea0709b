#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""gates.py SCENARIO FILE [KEY=VALUE ...] -- recordings for heapknot check.

What is wrong in them is planted by the arguments of service(): a type that
leaks, a path that leaks, cycles, mistakes, what is left at the end."""
import sys

from scenarios import base, path

SCENARIOS = {}


def scenario(f):
    SCENARIOS[f.__name__] = f
    return f


@scenario
def service(seconds=30, leak="", path_leak=0, left=100, extra=0, cycles="",
            grows=0, mistake="", holds=0, losses=0, scan=1, depth=1,
            lib="libx.so.1.2", pid=4242, state=2):
    """leak: the name of a type that grows by 4 a second; path_leak: bytes a
    second; left: live objects of type Buffer at the end; extra: the same of
    type Extra; cycles: their fingerprints, NN+NN, and if grows, their type and
    the path of their objects grow; mistake: its sentence; holds: how many of
    one name stand.  The path that leaks calls itself depth times, below a
    function of lib."""
    r = base(pid=int(pid), state=int(state))
    x = r.module("/lib/" + lib, 0x7d0000000000, 0x7d0000100000, b"\6" * 20)
    work, made = path(r, 0x401000), path(r, 0x408000)
    leaks = path(r, 0x402000, *[0x403000] * int(depth),
                 (0x7d0000000500, x))
    buffers, session = r.type("Buffer", 64), r.type("Session", 96)
    if int(extra):
        r.objects(r.type("Extra"), int(extra))
    leaking = r.type(leak) if leak else 0
    for i in range(int(seconds)):
        r.alloc(work, 1000, 64000)
        r.free(work, 1000, 64000)
        r.objects(buffers, 50 if i else 50 + int(left), 50)
        if leak:
            r.objects(leaking, 5, 1)
        if int(grows):
            r.objects(session, 4)
            r.alloc(made, 4, 90000)
        if int(path_leak):
            r.alloc(leaks, 1, int(path_leak))
        r.snapshot(i + 0.2)
    if int(scan):
        r.scan(10, 1000)
    for word in cycles.split("+") if cycles else []:
        r.objects(session, 40)
        r.group([(session, 1, 1)], [(0, 0, "self")], [(40, made, session)],
                [], 40, 40, int(word, 16))
    if mistake:
        r.mistake(2, mistake, session, leaks, count=3)
    if int(holds):
        r.hold("queue", session, work, int(holds), int(holds), oldest=1)
    if int(losses):
        r.counters.update(unknown_frees=int(losses))
    r.snapshot(int(seconds) + 1)
    return r


@scenario
def rounds(deltas="", name="round", work=100):
    """Marks of one name; each delta is what is left of a type in the round.
    Between the marks there are many more objects."""
    r = base()
    a, t = path(r, 0x401000), r.type("Node", 32)
    for i, left in enumerate([500, 500, 500, 500]
                             + [int(d) for d in deltas.split(",")]):
        r.objects(t, int(work) + max(left, 0))
        r.alloc(a, 100, 6400)
        r.free(a, 100, 6400)
        r.snapshot(i + 0.5)
        r.objects(t, 0, int(work) + max(-left, 0))
        r.snapshot(i + 0.9, name=name)
    return r


def main():
    if len(sys.argv) < 3:
        print("\n".join(SCENARIOS))
        return 2
    kw = dict(a.split("=", 1) for a in sys.argv[3:])
    SCENARIOS[sys.argv[1]](**kw).write(sys.argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
