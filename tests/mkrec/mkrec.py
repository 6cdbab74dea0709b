#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""mkrec.py -- writes recordings without the agent, for tests.

Written from the prose of format/recording.h alone and sharing no code with
the agent or the reporter, so that a mistake in the format shows up as a
disagreement.  A scenario in scenarios.py says what is in a recording.

    rec = Recording()
    exe = rec.module("/bin/x", 0x1000, 0x9000)
    s = rec.stack([0x1100, 0x1200], exe)    # innermost frame first
    rec.alloc(s, 3, 300)
    rec.snapshot(1.0)
    rec.write("x.hk")
"""
import struct

SEC = 1_000_000_000
UNSAMPLED = 2
CHUNK_HEAD = 64


def leb(n):
    out = bytearray()
    while True:
        out.append((n & 0x7F) | (0x80 if n > 0x7F else 0))
        n >>= 7
        if not n:
            return bytes(out)


def pad8(b):
    return b + bytes(-len(b) % 8)


class Recording:
    def __init__(self, chunk_bytes=16384, pid=4242, state=2):
        self.chunk_bytes, self.pid, self.state = chunk_bytes, pid, state
        self.seq, self.major, self.minor = 8, 1, 0
        self.order, self.magic = 0x01020304, b"HEAPKNOT"
        self.reason, self.start = b"", 1_700_000_000 * SEC
        self.facts = [("command", "prog"), ("command", "-x"),
                      ("exe", "/usr/bin/prog"), ("pid", str(pid)),
                      ("host", "testhost"), ("allocator", "glibc 2.36"),
                      ("agent_version", "0.1.0"),
                      ("exe_build_id", "0102030405")]
        self.strings, self.string_ids = bytearray(b"\0"), {}
        self.modules, self.nodes, self.stacks = [b""], [b""], [None]
        self.types, self.scans = [None], [b""]
        self.mistakes, self.holds, self.balances = [b""], [b""], [b""]
        self.node_ids, self.stack_ids = {}, {}
        self.timeline, self.findings, self.censuses = [], [], []
        self.counters, self.changed, self.tchanged = {}, {}, {}
        self.now, self.rss, self.heap, self.marks = 0, 0, 0, 0
        self.published, self.interval = None, 250_000_000
        self.agent_bytes = 1 << 20
        self.exact = None  # totals [a, f, ab, fb] where stacks are estimates

    # --- tables
    def string(self, s):
        if s not in self.string_ids:
            self.string_ids[s] = len(self.strings)
            self.strings += s.encode("utf-8", "surrogateescape") + b"\0"
        return self.string_ids[s]

    def module(self, path, start, end, build_id=b"", flags=0, bias=None):
        self.modules.append(struct.pack(
            "<QQQQQIII36s", start, end, start if bias is None else bias, 0, 0,
            self.string(path), flags, len(build_id), build_id))
        return len(self.modules) - 1

    def node(self, pc, parent, module):
        key = (pc, parent, module)
        if key not in self.node_ids:
            self.nodes.append(struct.pack("<QII", pc, parent, module))
            self.node_ids[key] = len(self.nodes) - 1
        return self.node_ids[key]

    def stack(self, pcs, module, flags=0, sample=0):
        """pcs: innermost first, each a pc or (pc, module).  sample: the mean
        distance of samples; the file is of version 1.1 then."""
        node = 0
        for pc in reversed(pcs):
            pc, m = pc if isinstance(pc, tuple) else (pc, module)
            node = self.node(pc, node, m)
        key = node, sample, flags & UNSAMPLED
        if key not in self.stack_ids:
            self.stacks.append({"node": node, "flags": flags, "a": 0, "f": 0,
                                "ab": 0, "fb": 0, "first": self.now,
                                "sample": sample, "sa": 0, "sf": 0})
            self.stack_ids[key] = len(self.stacks) - 1
        if sample or flags & UNSAMPLED:
            self.minor = max(self.minor, 1)
        return self.stack_ids[key]

    def type(self, name, size=64, flags=0):
        self.types.append({"name": self.string(name), "flags": flags,
                           "size": size, "c": 0, "d": 0})
        return len(self.types) - 1

    # --- events
    def _change(self, stack, a, f, ab, fb):
        s = self.stacks[stack]
        d = self.changed.setdefault(stack, [0, 0, 0, 0])
        for i, (k, n) in enumerate(zip(("a", "f", "ab", "fb"),
                                       (a, f, ab, fb))):
            s[k] += n
            d[i] += n

    def alloc(self, stack, blocks, nbytes):
        self._change(stack, blocks, 0, nbytes, 0)

    def free(self, stack, blocks, nbytes):
        self._change(stack, 0, blocks, 0, nbytes)

    def set_live(self, stack, nbytes, block=64):
        """Allocates or frees blocks until the stack's live bytes are n."""
        s = self.stacks[stack]
        have = (s["ab"] - s["fb"]) // block
        want = nbytes // block
        if want > have:
            self.alloc(stack, want - have, (want - have) * block)
        elif want < have:
            self.free(stack, have - want, (have - want) * block)

    def objects(self, typ, created, destroyed=0):
        t = self.types[typ]
        t["c"] += created
        t["d"] += destroyed
        d = self.tchanged.setdefault(typ, [0, 0])
        d[0] += created
        d[1] += destroyed

    # --- what the companion saw: the file is of version 1.2 then
    def mistake(self, kind, what, typ=0, here=0, origin=0, last=0, count=1,
                address=0, seconds=(1, 1)):
        self.minor = 2
        self.mistakes.append(struct.pack(
            "<6I4Q", kind, self.string(what), typ, here, origin, last, count,
            int(seconds[0] * SEC), int(seconds[1] * SEC), address))

    def hold(self, name, typ=0, stack=0, live=1, ever=1, root=0, oldest=0):
        self.minor = 2
        self.holds.append(struct.pack(
            "<4I3Q", self.string(name), typ, stack, root, live, ever,
            int(oldest * SEC)))

    # --- references by stack: version 1.3
    def balance(self, typ, stack, increments, decrements):
        self.minor = 3
        self.balances.append(struct.pack("<2I2Q", typ, stack, increments,
                                         decrements))

    # --- snapshots, scans, groups
    def totals(self):
        if self.exact:
            a, f, ab, fb = self.exact
            return ab - fb, a - f, a, f, ab
        t = self.stacks[1:]
        a, f = sum(s["a"] for s in t), sum(s["f"] for s in t)
        ab, fb = sum(s["ab"] for s in t), sum(s["fb"] for s in t)
        return ab - fb, a - f, a, f, ab

    def snapshot(self, seconds, name=None, flags=0, merged=1):
        self.now = int(seconds * SEC)
        body, last = b"", 0
        for sid in sorted(self.changed):
            body += leb(sid - last) + b"".join(map(leb, self.changed[sid]))
            last = sid
        last = 0
        for tid in sorted(self.tchanged):
            body += leb(tid - last) + b"".join(map(leb, self.tchanged[tid]))
            last = tid
        live, blocks, a, f, ab = self.totals()
        usable = live + blocks * 8
        self.marks += name is not None
        head = struct.pack(
            "<IQIIIIQQQQQQQQQ", flags | (1 if name else 0), self.now,
            self.string(name) if name else 0, merged, len(self.changed),
            len(self.tchanged), live, blocks, a, f, ab, usable,
            self.rss or live + (8 << 20), self.heap, self.agent_bytes)
        frame = pad8(bytes(4) + head + body)
        self.timeline.append(struct.pack("<I", len(frame)) + frame[4:])
        self.changed, self.tchanged = {}, {}

    def scan(self, seconds, objects, suspects=0, confirmed=0, resurrected=0,
             pause_ms=1.5, seconds_taken=0.01, status=0, unreachable=0,
             culprit="", method=0, reason="", opaque=0, ignored=0, memory=0,
             wall=0):
        """What follows culprit is written in a file of version 1.3."""
        self.scans.append((struct.pack(
            "<IIIIQQQQQQQQQQQQQI", 1, status, 2, 0, int(seconds * SEC),
            objects, objects * 2, unreachable, int(seconds_taken * SEC),
            int(pause_ms * 1e6), int(pause_ms * 1e6), suspects, confirmed,
            resurrected, 0, 0, 0, self.string(culprit) if culprit else 0),
            struct.pack("<IIIQQQQ", method,
                        self.string(reason) if reason else 0, 0, opaque,
                        ignored, memory, int(wall * SEC))))
        return len(self.scans) - 1

    def group(self, members, edges, created, released, instances=1,
              confirmed=1, fingerprint=0xDEADBEEF, scans=(1, 1),
              held=(0, 0), first=0, births=(0, 0), seen=None, objects=0,
              nested=0, notes=()):
        """members: (type, refcount, known[, born in ms]); edges: (from, to,
        label[,i]); sites: (count, stack, type).  In a file of version 1.3:
        first instances, seconds of the oldest and the youngest birth, a note
        for each member."""
        body = b""
        for i, (t, rc, known, *born) in enumerate(members):
            body += struct.pack("<QQQQII", rc, known, 64, 0x1000 + i, t,
                                (born[0] if born else 0) & 0xffffffff)
        for e in edges:
            idx = e[3] if len(e) > 3 else -1
            body += struct.pack("<IIIi", e[0], e[1], self.string(e[2]), idx)
        for count, stack, typ in list(created) + list(released):
            body += struct.pack("<QII", count, stack, typ)
        head = struct.pack(
            "<IQQQQQQQQIIIIIIQ", 2 if confirmed else 1, fingerprint,
            instances, confirmed, 64 * len(members), held[0], held[1],
            self.now if seen is None else int(seen * SEC), self.now, scans[0],
            scans[1], len(members), len(edges), len(created), len(released),
            objects or len(members))
        notes = [self.string(n) if n else 0 for n in notes]
        more = struct.pack("<QQQQII", first,
                           *(int(b * SEC) for b in births), nested,
                           len(notes), 0)
        more += struct.pack("<%dI" % len(notes), *notes)
        self.findings.append((head, more, body))

    def _findings(self):
        out = b""
        for head, more, body in self.findings:
            frame = pad8(bytes(4) + head + body
                         + (more if self.minor >= 3 else b""))
            out += struct.pack("<I", len(frame)) + frame[4:]
        return out

    def census(self, typ, scan, objects, references, referrers=(), paths=(),
               lost=0, outside=0, asked=0, known=None):
        """referrers: (from, label, edges, sole); paths: (refcount, known,
        steps[, left out]), steps: (address, type, label, index, stack[, note]).
        The file is of version 1.3 then."""
        self.minor = 3
        body = b""
        for frm, label, edges, sole in referrers:
            body += struct.pack("<QQII", edges, sole, frm,
                                self.string(label) if label else 0)
        for refcount, kn, steps, *left in paths:
            body += struct.pack("<QQII", refcount, kn, len(steps),
                                left[0] if left else 0)
            for address, t, label, index, stack, *more in steps:
                note = self.string(more[0]) if more else 0
                body += struct.pack("<QIIiIII", address, t,
                                    self.string(label) if label else 0, index,
                                    stack, note, 0)
        if known is None:
            known = sum(r[2] for r in referrers)
        self.censuses.append(struct.pack(
            "<6I5Q", 64 + len(body), typ, scan, len(referrers), len(paths),
            asked, objects, lost, outside, references, known) + body)

    # --- the file
    def _chunk(self, typ, record_bytes, first, count, payload, gen=0):
        head = struct.pack("<4sIQIIQ32x", typ, record_bytes, first, count, 0,
                           gen)
        body = head + payload
        return body + bytes(self.chunk_bytes - len(body))

    def _table(self, typ, records):
        if len(records) < 2:
            return []
        size = len(records[1])
        records = [bytes(size)] + records[1:]
        per, out = (self.chunk_bytes - CHUNK_HEAD) // size, []
        for i in range(0, len(records), per):
            part = records[i:i + per]
            out.append(self._chunk(typ, size, i, len(part), b"".join(part)))
        return out

    def _bytes(self, typ, data, gen=0):
        room, out = self.chunk_bytes - CHUNK_HEAD, []
        for i in range(0, len(data), room):
            part = bytes(data[i:i + room])
            out.append(self._chunk(typ, 1, i, len(part), part, gen))
        return out

    def chunks(self):
        proc = b"".join(n.encode() + b"\0" +
                        v.encode("utf-8", "surrogateescape") + b"\0"
                        for n, v in self.facts)
        stacks = [b""] + [struct.pack(
            "<IIQQQQQ", s["node"], s["flags"], s["a"], s["f"], s["ab"],
            s["fb"], s["first"]) + (struct.pack(
                "<QQQ", s["sample"], s["sa"], s["sf"]) if self.minor else b"")
            for s in self.stacks[1:]]
        types = [b""] + [struct.pack(
            "<IIQQQQ", t["name"], t["flags"], t["size"], t["c"], t["d"],
            t["c"] - t["d"]) for t in self.types[1:]]
        scans = [b""] + [old + (new if self.minor >= 3 else bytes(4))
                         for old, new in self.scans[1:]]
        time, find = b"".join(self.timeline), self._findings()
        graph = b"".join(self.censuses)
        out = self._bytes(b"PROC", proc) + self._bytes(b"STRS", self.strings)
        out += self._table(b"MODL", self.modules)
        out += self._table(b"NODE", self.nodes)
        out += [self._chunk(b"FREE", 0, 0, 0, b"\xa5" * 100)]
        out += self._table(b"STAK", stacks) + self._table(b"TYPE", types)
        # a chunk of the generation before, and of a type nobody knows
        out += [self._chunk(b"TIME", 1, 0, 9, b"old bytes", gen=1),
                self._chunk(b"WHAT", 24, 1, 3, b"?" * 72)]
        out += self._bytes(b"TIME", time, gen=2)
        out += self._bytes(b"FIND", find, gen=5)
        out += self._bytes(b"GRPH", graph, gen=7)
        out += self._table(b"SCAN", scans)
        out += self._table(b"MIST", self.mistakes)
        out += self._table(b"HOLD", self.holds)
        out += self._table(b"BALA", self.balances)
        words = (2 << 40 | len(time), 5 << 40 | len(find),
                 7 << 40 | len(graph))
        return out, words

    def counter_values(self, names):
        live, blocks, a, f, ab = self.totals()
        known = {"live_bytes": live, "live_blocks": blocks, "allocations": a,
                 "frees": f, "allocated_bytes": ab,
                 "usable_bytes": live + 8 * blocks,
                 "stacks": len(self.stacks) - 1, "rss_bytes": self.rss,
                 "heap_bytes": self.heap, "agent_bytes": self.agent_bytes}
        known.update(self.counters)
        return [known.get(n, 0) for n in names]

    def image(self):
        chunks, words = self.chunks()
        values = self.counter_values(COUNTERS)
        published = self.now if self.published is None else self.published
        head = struct.pack(
            "<8sIHHIIIIQIIQQQQQQQIIII", self.magic, self.order, self.major,
            self.minor, 4096, 4096, 4096, self.chunk_bytes, 8192, len(chunks),
            self.state, self.seq, self.start, 1000 * SEC, published,
            self.interval, words[0], words[1], self.pid, 0, len(values),
            self.marks)
        head += struct.pack("<128Q", *(values + [0] * (128 - len(values))))
        head += self.reason.ljust(256, b"\0")
        if self.minor >= 3:
            head += struct.pack("<Q", words[2])
        return (head + bytes(4096 - len(head)) + bytes(4096)
                + b"".join(chunks))

    def write(self, path):
        with open(path, "wb") as f:
            f.write(self.image())


# The order of tbl/counters.h, which the format fixes.
COUNTERS = """live_bytes usable_bytes live_blocks allocations frees
allocated_bytes stacks rss_bytes heap_bytes threads_started unknown_frees
reentrant_calls early_calls truncated_stacks failed_unwinds stack_table_full
index_full huge_spilled arena_blocks static_allocator deepbind vforks
recording_full snapshots_thinned object_table_full objects_freed_raw
scans_skipped scans_failed marks_lost publishes_late agent_bytes
publish_ns publishes scan_cpu_ns pause_total_ns pause_max_ns scans
interned_frames
captures walked_frames slow_captures verified_captures unwind_mismatches
sample_bytes sampled_blocks sample_changes overhead_ppm capture_ns
mistakes mistakes_lost holds holds_lost held_back_bytes refs_lost
refs_given_up""".split()
