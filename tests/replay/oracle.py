#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# oracle.py SEED COUNT NODES -- what the collector of this CPython does with
# COUNT random graphs of up to NODES objects, in the form that gc-replay reads.
#
# One node is one tracked object.  The roots are held by a list that is younger
# than all nodes, everything else that refers to nodes is older: the order in
# which a collection meets them shows in what survives.
import gc
import json
import random
import sys
import weakref

SLOTS = ["r%d" % i for i in range(6)]
FINALIZERS = ["none"] * 5 + ["log", "resurrect", "suicide", "raise"]
log = []
saved = []


class Node:
    __slots__ = SLOTS + ["name", "fin", "__weakref__"]


class FNode(Node):
    __slots__ = []

    def __del__(self):
        log.append(["fin", self.name])
        if self.fin == "resurrect":
            saved.append(self)
        elif self.fin == "raise":
            raise RuntimeError
        elif self.fin == "suicide":
            for slot in SLOTS:
                setattr(self, slot, None)


def on_unraisable(what):
    log.append(["unraisable", what.exc_type.__name__])


def callback(number):
    return lambda ref: log.append(["wrcb", number, ref() is None])


def draw(seed, most):
    dice = random.Random("graph %d" % seed)
    count = dice.randint(1, most)
    edges = {}
    for _ in range(int(count * dice.uniform(0.3, 2.5)) + 1):
        edges[dice.randrange(count), dice.randrange(6)] = dice.randrange(count)
    return {
        "seed": seed,
        "nodes": [{"name": i, "fin": dice.choice(FINALIZERS)}
                  for i in range(count)],
        "edges": [[a, slot, b] for (a, slot), b in sorted(edges.items())],
        "weak": [{"target": dice.randrange(count), "cb": dice.random() < 0.6}
                 for _ in range(dice.randrange(6))],
        "age": [dice.randrange(2) for _ in range(dice.randrange(4))],
        "roots": [i for i in range(count) if dice.random() < 0.3],
        "ops": [dice.randrange(3) for _ in range(dice.randrange(1, 5))],
    }


class Run:
    """The steps; alive is looked up by name, the oldest of each counts."""

    def __init__(self, scenario):
        gc.collect()
        log.clear()
        saved.clear()
        self.steps = []
        self.refs = []
        self.nodes = []
        for node in scenario["nodes"]:
            made = Node() if node["fin"] == "none" else FNode()
            made.name = node["name"]
            made.fin = node["fin"]
            self.nodes.append(made)
        made = None
        for a, slot, b in scenario["edges"]:
            setattr(self.nodes[a], SLOTS[slot], self.nodes[b])

    def watch(self, weak):
        for number, ref in enumerate(weak):
            target = self.nodes[ref["target"]]
            self.refs.append(weakref.ref(target, callback(number))
                             if ref["cb"] else weakref.ref(target))

    def drop_nodes(self, roots):
        self.kept = [self.nodes[i] for i in roots]
        while self.nodes:
            self.nodes.pop()
        self.show("drop")

    def collect(self, generation):
        self.show("collect(%d)" % generation, gc.collect(generation))

    def finish(self):
        saved.clear()
        self.show("drop-resurrected")
        self.collect(2)
        self.kept.clear()
        self.refs.clear()
        self.show("drop-roots")
        self.collect(2)

    def show(self, op, result=None):
        alive = {}
        for generation in range(3):
            for thing in gc.get_objects(generation):
                if isinstance(thing, Node):
                    alive[thing.name] = generation
        thing = None
        self.steps.append({
            "op": op, "ret": result, "log": log[:],
            "alive_gen": sorted(alive.items()),
            "weak_dead": [ref() is None for ref in self.refs],
            "resurrected": sorted(node.name for node in saved)})
        log.clear()


def play(scenario):
    run = Run(scenario)
    run.watch(scenario["weak"])
    for generation in scenario["age"]:
        gc.collect(generation)
    run.drop_nodes(scenario["roots"])
    for generation in scenario["ops"]:
        run.collect(generation)
    run.finish()
    scenario["expect"] = run.steps
    return scenario


def main():
    seed, count, most = (int(word) for word in sys.argv[1:4])
    gc.disable()
    sys.unraisablehook = on_unraisable
    scenarios = []
    for i in range(count):
        scenarios.append(play(draw(seed + i, most)))
    json.dump({"python": sys.version.split()[0], "scenarios": scenarios},
              sys.stdout)


main()
