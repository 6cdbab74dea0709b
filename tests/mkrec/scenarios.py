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
