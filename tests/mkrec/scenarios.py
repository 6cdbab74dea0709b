#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""scenarios.py NAME FILE [KEY=VALUE ...] -- writes the recording of a
scenario with a known answer.  Without arguments: the list.  chunk_bytes=N
makes smaller chunks; other keys are arguments of the scenario."""
import random
import sys

from mkrec import Recording

SCENARIOS = {}


def scenario(f):
    SCENARIOS[f.__name__] = f
    return f


def base(**kw):
    """Modules as in a real process: program, libc, the agent."""
    r = Recording(**kw)
    r.exe = r.module("/usr/bin/prog", 0x400000, 0x480000, b"\1\2\3\4\5" * 4, 1,
                     bias=0)
    r.libc = r.module("/lib/libc.so.6", 0x7f0000000000, 0x7f0000200000,
                      b"\7" * 20)
    r.agent = r.module("/opt/lib/libheapknot-agent.so", 0x7e0000000000,
                       0x7e0000100000, b"\x08" * 20, 2)
    return r


def path(r, *pcs):
    """A stack of the program below main, with malloc of the agent on top."""
    return r.stack([(0x7e0000000100, r.agent)] + list(pcs)
                   + [0x400010, (0x7f0000002000, r.libc)], r.exe)


def timed(kind, n=40, seed=1):
    """One path of a known kind beside a steady noisy one."""
    r, rnd = base(), random.Random(seed)
    main, other = path(r, 0x401000, 0x402000), path(r, 0x403000)
    for i in range(n):
        r.set_live(other, 4_000_000 + rnd.randrange(200_000))
        r.alloc(other, 1000, 64000)
        r.free(other, 1000, 64000)
        r.set_live(main, int(kind(i, rnd)))
        r.snapshot(i + 0.2)
    return r


@scenario
def leak(seconds=40):
    return timed(lambda i, rnd: 20_000 * i + rnd.randrange(30_000),
                 int(seconds))


@scenario
def cache(seconds=40):
    return timed(lambda i, rnd: min(100_000 * i, 1_500_000), int(seconds))


@scenario
def steady(seconds=40):
    return timed(lambda i, rnd: 500_000 + rnd.randrange(100_000),
                 int(seconds))


@scenario
def fragmented(seconds=40):
    r = base()
    a = path(r, 0x401000)
    for i in range(int(seconds)):
        r.set_live(a, 200_000_000 if i == 5 else 10_000_000)
        r.heap = 210_000_000 if i >= 5 else 11_000_000
        r.rss = r.heap + 5_000_000
        r.alloc(a, 100, 6400)
        r.free(a, 100, 6400)
        r.snapshot(i + 0.2)
    return r


@scenario
def short():
    """A program that ended after 0.1 s with 3 blocks left."""
    r = base()
    a, b = path(r, 0x401000), path(r, 0x402000)
    r.alloc(a, 3, 300)
    r.alloc(b, 10, 1000)
    r.free(b, 10, 1000)
    r.snapshot(0.1, flags=4)
    return r


@scenario
def killed():
    """State LIVE, a pid that cannot be, writing when it died."""
    r = base()
    r.alloc(path(r, 0x401000), 3, 300)
    r.snapshot(0.1)
    r.state, r.seq, r.pid = 1, 9, 0x7ffffff0
    r.facts = [(n, v) for n, v in r.facts if n != "pid"]
    return r


@scenario
def types(seconds=30):
    r = base()
    a = path(r, 0x401000)
    grow, flat = r.type("Session", 96), r.type("Buffer", 4096)
    for i in range(int(seconds)):
        r.objects(grow, 5, 1)
        r.objects(flat, 100, 100 if i else 50)
        r.alloc(a, 1000, 64000)
        r.free(a, 1000, 64000)
        r.snapshot(i + 0.2)
    return r


@scenario
def cycles(seconds=30):
    """Two confirmed groups, one suspect, marks, losses, odd names."""
    r = types(seconds)
    s, c = r.type("Conn;x\ny", 32), r.type("bad\udcff\udcfename", 8)
    new = path(r, 0x401100, 0x402200)
    put = path(r, 0x401300)
    r.scan(10, 1000, suspects=2)
    r.scan(20, 1200, suspects=1, confirmed=2, resurrected=1)
    r.scan(21, 0, status=1)
    r.group([(1, 2, 2), (s, 1, 1)], [(0, 1, "conn"), (1, 0, "user", 3)],
            [(1284, new, 1), (3, 0, s)], [(1284, put, 1)], 1284, 1280,
            0x0123456789abcdef, (1, 2), (10, 640))
    r.group([(c, 1, 1)], [(0, 0, "self")], [(7, new, c)], [], 7, 7, 0x42)
    r.group([(1, 9, 8)], [(0, 0, "me")], [(1, new, 1)], [], 1, 0, 0x43)
    r.counters.update(unknown_frees=3, truncated_stacks=2, scans=3,
                      pause_max_ns=1_500_000, pause_total_ns=3_000_000)
    r.snapshot(int(seconds) + 1, name="after")
    return r


@scenario
def knots(lost=1204):
    """Version 1.3: groups whose remedy is known, scans of every kind."""
    r = base()
    r.minor = 3
    sess, conn, hub, leaf = (r.type(n, 96) for n in
                             ("Session", "Conn", "Hub", "Leaf"))
    new = path(r, 0x401100, 0x402200)
    put, rare = path(r, 0x401300, 0x402300), path(r, 0x401400)
    r.scan(10, 1000, suspects=2, memory=4096, wall=0.5)
    r.scan(20, 0, status=6, reason="the pause would be 40.0 ms, more than "
           "pause_budget= allows")
    r.scan(30, 0, status=3, culprit="Session", reason="signal 11")
    s = r.scan(40, 1200, confirmed=2, method=1, opaque=7, ignored=3,
               seconds_taken=0.25)
    r.scan(45, 0, status=6, reason="no memory\nfor it")
    live = 2408
    # Conn.user is the back edge, by birth; each Session has another reference
    r.group([(sess, 1, 1, 5000), (conn, 1, 1, 6000)],
            [(0, 1, "conn"), (1, 0, "user")],
            [(8, new, sess)], [(5, put, sess), (3, rare, sess), (9, 0, conn)],
            4, 4, 0xa1, (1, s), (6, 600), 1, (4, 34), 10)
    # the same age; 31 of the Hubs' targets have but this reference
    r.group([(hub, 1, 1, 7000), (leaf, 2, 2, 7000)],
            [(0, 1, "leaves", 0), (0, 1, "leaves", 1), (1, 0, "hub")],
            [(1, new, hub)], [(1, 0, hub)], 3, 3, 0xa2, (1, s), (0, 0), 3,
            (7, 7), 10)
    # two rings through one object: no field is in both
    r.group([(sess, 2, 2, 1), (sess, 1, 1, 2), (conn, 1, 1, 3)],
            [(0, 1, "a"), (1, 0, "b"), (0, 2, "c"), (2, 0, "d")],
            [(1, new, sess)], [], 1, 1, 0xa3, (s, s), seen=40)
    # cut: the way back is not shown
    r.group([(sess, 1, 1, 1), (conn, 1, 1, 2)], [(0, 1, "conn")],
            [(1, new, sess)], [], 2, 0, 0xa4, (s, s), objects=900, seen=40)
    # cut, but the part that is shown has a cycle
    r.group([(conn, 1, 1, 9), (conn, 1, 1, 8)],
            [(0, 1, "next"), (1, 0, "next")],
            [(1, new, conn)], [(1, put, conn)], 2, 0, 0xa5, (s, s),
            objects=900, seen=40)
    # born 49 days apart in 32 bits: the Conn is the older one
    day = 86_400_000
    r.group([(conn, 1, 1, 49 * day), (sess, 1, 1, 50 * day)],
            [(0, 1, "owner"), (1, 0, "back")],
            [(1, new, sess)], [(1, put, sess)], 1, 1, 0xa6, (1, s),
            births=(49 * 86400, 50 * 86400))
    # whoever makes a Leaf lets go of it once it is linked, and weak would do
    # at the other end only
    r.group([(hub, 1, 1, 6000), (leaf, 1, 1, 7000)],
            [(0, 1, "rest"), (1, 0, "hub")],
            [(9, new, hub), (9, new, leaf)],
            [(9, path(r, 0x402200), leaf), (6, put, hub), (3, rare, hub)],
            2, 2, 0xa7, (1, s), seen=10)
    r.census(sess, s, int(lost) + live, 9000,
             [(conn, "user", live, 0), (hub, "sessions", live, 40)],
             lost=int(lost))
    r.census(leaf, s, 1210, 1500, [(hub, "leaves", 1204, 31)], lost=6)
    r.census(hub, s, 12, 40, [(leaf, "hub", 12, 12)], lost=3)
    r.snapshot(50)
    return r


@scenario
def named(exe, build_id, made, released):
    """A cycle whose last release was by this stack of a real program."""
    r = Recording()
    m = r.module(exe, 0x400000, 0x480000, bytes.fromhex(build_id), 1, 0)
    conn = r.type("Conn")
    r.scan(1, 2, confirmed=1)
    r.group([(conn, 1, 1)], [(0, 0, "self")],
            [(1, r.stack([int(made, 16)], m), conn)],
            [(1, r.stack([int(a, 16) for a in released.split(",")], m),
              conn)])
    r.snapshot(2)
    return r


@scenario
def census():
    """Who refers to whom, with paths; sums of every kind."""
    r = base()
    hub, sess, chan, root, odd, gone, quiet = (r.type(n, 96) for n in (
        "hub", "session", "channel", "root", "odd", "gone", "quiet"))
    plain, array, few = r.type("plain"), r.type("array", 8), r.type("few")
    made, made2 = path(r, 0x401100), path(r, 0x401200)
    for t in (hub, sess, chan, root, odd, gone, quiet, plain, array, few):
        r.objects(t, 3)
    s = r.scan(12, 700)
    r.census(sess, s, 320, 624,
             [(chan, "subscribers", 300, 0), (hub, "sessions", 312, 311)],
             [(3, 1, [(0x5500, hub, None, -1, made2),
                      (0x5510, chan, "channels", 2, 0),
                      (0x7700, sess, "subscribers", 5, made)]),
              (3, 1, [(0x5500, hub, None, -1, made2),
                      (0x7710, sess, "sessions", 4, made)]),
              (9, 0, [(0x5500, hub, None, -1, 0),
                      (0x5511, chan, "channels", 0, 0),
                      (0x5512, chan, "next", -1, 0),
                      (0x7720, sess, "last", -1, made)], 17)], lost=8)
    r.census(hub, s, 1, 3, [(root, "hub", 1, 0)],
             [(3, 1, [(0x5500, hub, None, -1, made2)])], outside=1)
    r.census(root, s, 2, 2, [], [(1, 0, [(0x9900, root, None, -1, 0)])],
             outside=2)
    r.census(odd, s, 5, 4, [(hub, None, 6, 1)])
    r.census(gone, s, 4, 4, [(gone, "next", 4, 4)], lost=4)
    r.census(quiet, s, 0, 0)
    r.census(plain, s, 10, 30, [(hub, "x", 12, 1)], known=15)
    r.census(few, s, 507, 548, [(few, "next", 541, 3)], lost=500, outside=7)
    r.hold("worker queue", sess, made, 2, 9, oldest=1)
    r.hold("main loop", chan, made, 1, 1, oldest=1)
    r.hold("later", root, made, 3, 3, oldest=1)
    r.minor = 3
    r.snapshot(15)
    return r


@scenario
def census_answer():
    """census(), once the agent was asked for array and for 0x7700."""
    r = census()
    s = r.scan(20, 700)
    r.census(9, s, 1, 1, [(1, "a", 1, 1)], [], asked=1)
    r.census(2, s, 7, 7, [(1, "sessions", 7, 7)],
             [(1, 0, [(0x5500, 1, None, -1, 0),
                      (0x7700, 2, "sessions", 0, 0)])], asked=1)
    return r


@scenario
def mistakes():
    """Mistakes of several kinds, one unknown, one empty; holds and roots."""
    r = base()
    s = r.type("Session", 96)
    new, here, last, hold = (path(r, 0x401000 + 0x1000 * i) for i in range(4))
    r.alloc(new, 5, 480)
    r.objects(s, 5)
    r.mistake(2, "referenced after its death", s, here, new, last, 3, 0xabc0,
              (1, 2.5))
    r.mistake(9, "put twice", s, here, hold, last, address=0xdef0)
    r.mistake(0, "")
    r.mistake(4, "hk_hold of NULL", here=here)
    r.mistake(77, "something new\n", address=0x10)
    r.hold("young", s, hold, 2, 2, oldest=200)
    r.hold("worker queue", s, hold, 12, 40, oldest=4)
    r.hold("gone", s, hold, 0, 9)
    r.hold("table", s, new, 3, 3, 1, oldest=1)
    r.counters.update(mistakes=6, holds=14)
    r.snapshot(204)
    return r


@scenario
def refs():
    """References of two types: even paths, even functions, one that is even
    only with another, a path without frames, one frame twice, names that
    cannot be had."""
    r = base()
    s, n, o = r.type("Session", 96), r.type("Node", 8), r.type("Other", 8, 2)
    # a shared leaf below several callers: frames are innermost first
    new, table, clone = (path(r, 0x401000 + i, 0x402000) for i in (0, 1, 2))
    use, unuse = path(r, 0x404000, 0x403000), path(r, 0x405000, 0x403000)
    drop = path(r, 0x406000, 0x402000)
    again = path(r, 0x402000, 0x402000)
    r.objects(s, 20, 8)
    r.objects(n, 3)
    r.objects(o, 1)
    r.alloc(new, 20, 20 * 96)
    for stack, plus, minus in ((new, 12, 0), (table, 12, 0), (clone, 5, 0),
                               (use, 40, 0), (unuse, 0, 40), (drop, 0, 12),
                               (again, 7, 7), (0, 2, 0)):
        r.balance(s, stack, plus, minus)
    r.balance(n, table, 3, 1)
    r.balance(n, drop, 0, 0)
    e = r.type("Equal", 8)
    r.objects(e, 5)
    for stack, plus, minus in ((table, 5, 0), (clone, 8, 0), (drop, 0, 8)):
        r.balance(e, stack, plus, minus)
    r.balance(0, 0, 0, 0)
    r.facts.append(("options", "publish=1s:refs=Session,Node,Other,Nobody"))
    r.counters.update(refs_lost=4, refs_given_up=1)
    r.snapshot(3)
    return r


@scenario
def marks():
    """Known differences between marks a and b."""
    r = base()
    p, q, t = path(r, 0x401000), path(r, 0x402000), r.type("T")
    r.alloc(p, 10, 1000)
    r.snapshot(1)
    r.snapshot(2, name="a")
    r.alloc(p, 5, 500)
    r.alloc(q, 7, 700)
    r.free(p, 1, 100)
    r.objects(t, 9, 2)
    r.snapshot(3, name="b")
    r.alloc(q, 1, 11)
    r.snapshot(4)
    return r


@scenario
def other_run():
    """marks(), in another process: other addresses and ids."""
    r = Recording(pid=4343)
    r.libc = r.module("/lib/libc.so.6", 0x7a0000000000, 0x7a0000200000,
                      b"\7" * 20)
    r.exe = r.module("/usr/bin/prog", 0x500000, 0x580000, b"\1\2\3\4\5" * 4, 1,
                     bias=0x100000)

    def at(*pcs):
        return r.stack([p + 0x100000 for p in pcs]
                       + [0x500010, (0x7a0000002000, r.libc)], r.exe)
    n, q, p = at(0x409000), at(0x402000), at(0x401000)
    r.alloc(p, 14, 1400)
    r.alloc(q, 8, 900)
    r.alloc(n, 1, 5000)
    r.snapshot(1)
    return r


@scenario
def small_chunks():
    """cycles() over many chunks."""
    r = cycles()
    r.chunk_bytes = 512
    return r


@scenario
def many(stacks=100000, depth=20):
    r = base()
    rnd = random.Random(7)
    for i in range(int(stacks)):
        pcs = [0x400000 + rnd.randrange(0x7ffff)] + [
            0x400100 + 16 * (i % (j * 7 + 3)) for j in range(1, int(depth))]
        r.alloc(r.stack(pcs, r.exe), 1 + i % 5, 100 + i)
    r.snapshot(1)
    return r


@scenario
def empty():
    return Recording()


def main():
    if len(sys.argv) < 3:
        print("\n".join(SCENARIOS))
        return 2
    kw = dict(a.split("=", 1) for a in sys.argv[3:])
    chunk_bytes = int(kw.pop("chunk_bytes", 0))
    rec = SCENARIOS[sys.argv[1]](**kw)
    rec.chunk_bytes = chunk_bytes or rec.chunk_bytes
    rec.write(sys.argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
