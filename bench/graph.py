# SPDX-License-Identifier: BSD-2-Clause
"""graph.py -- CPython's collector on the graph of graph.h.

    python3 graph.py COUNT [EDGES [HELD [GARBAGE [TIMES]]]]

Prints "bench WALL CPU" for each full collection, in ns an object.  What is
frozen before the objects are made is outside of the graph.
"""
import collections
import gc
import random
import sys
import time

RING = 10


def is_garbage(i, count, garbage):
    return i // RING * garbage % 100 < garbage and i < count // RING * RING


def alive(nodes, garbage):
    if not garbage:
        return nodes
    return [node for i, node in enumerate(nodes)
            if not is_garbage(i, len(nodes), garbage)]


def set_all(nodes, name, others):
    """Without bytecode for each of millions."""
    descriptor = getattr(type(nodes[0]), name)
    collections.deque(map(descriptor.__set__, nodes, others), maxlen=0)


def tie_ring(nodes, garbage):
    """Returns those whose first reference is still to be set."""
    count = len(nodes)
    for i, node in enumerate(nodes):
        if is_garbage(i, count, garbage):
            node.a = nodes[i // RING * RING + (i + 1) % RING]
    return alive(nodes, garbage)


def tie_tree(nodes, name, first):
    others = nodes[first::2]
    set_all(nodes[:len(others)], name, others)
    return nodes[len(others):]


def tie(nodes, names, held, garbage):
    """All references: those of a ring or a tree, then random ones."""
    live = alive(nodes, garbage)
    for number, name in enumerate(names):
        left = nodes
        if held == "walk" and number < 2:
            left = tie_tree(nodes, name, 1 + number)
        elif garbage and number == 0:
            left = tie_ring(nodes, garbage)
        set_all(left, name, random.choices(live, k=len(left)))


def build(count, edges, held, garbage):
    """What is to be kept, of the graph."""
    names = [chr(ord("a") + i) for i in range(edges)]
    node_type = type("Node", (), {"__slots__": names})
    nodes = [None] * count
    if held != "array":
        gc.freeze()
    nodes[:] = [node_type() for _ in range(count)]
    if held == "walk":
        random.shuffle(nodes)
    tie(nodes, names, held, garbage)
    if held == "walk":
        del nodes[1:]
    else:
        nodes[:] = alive(nodes, garbage)
    return nodes


def main():
    given = sys.argv[1:] + ["", "2", "outside", "0", "1"][len(sys.argv) - 1:]
    count, held = int(given[0]), given[2]
    gc.disable()
    if int(given[3]):
        gc.set_debug(gc.DEBUG_SAVEALL)
    kept = build(count, int(given[1]), held, int(given[3]))
    gc.collect()
    for _ in range(int(given[4])):
        gc.garbage.clear()
        wall, cpu = time.perf_counter(), time.process_time()
        gc.collect()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print("bench %.2f %.2f" % (wall / count * 1e9, cpu / count * 1e9))
    return kept


if __name__ == "__main__":
    main()
