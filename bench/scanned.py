# SPDX-License-Identifier: BSD-2-Clause
"""A program under the agent that is scanned on demand: what bench/scan
measures."""
import glob
import json
import os
import subprocess
import tempfile

from tools import build, clean_environment, heapknot_command

HERE = os.path.dirname(os.path.abspath(__file__))
OPTIONS = ("--scan-interval=0", "--max-file=1GiB", "--memory=4GiB")


class Failed(Exception):
    pass


def build_scan(place):
    return build(place, "scan", ["scan.c", "scan_gaps.c"], ["-pthread"])


def run_heapknot(*args):
    done = subprocess.run([heapknot_command(), *args], capture_output=True,
                          text=True, check=False, env=clean_environment())
    if done.returncode:
        raise Failed(done.stderr.strip() or done.stdout.strip())
    return done.stdout


class Scanned:
    """scan.c, under the agent or bare; a context that ends it."""

    def __init__(self, program, options, agent=(), bare=False):
        self.place = tempfile.TemporaryDirectory(prefix="heapknot-scan.")
        self.recording = os.path.join(self.place.name, "x.hk")
        command = [program, *options]
        if not bare:
            command = [heapknot_command(), "run", "-o", self.recording,
                       *OPTIONS, *agent, "--", *command]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=clean_environment())
        ready = self.process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            self.process.wait()
            raise Failed("%s did not start" % os.path.basename(program))
        self.pid, self.mib = int(ready[1]), int(ready[2])
        self.is_real_time = ready[3] == "1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.place.cleanup()

    def ask(self, command):
        """The numbers of its answer."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return [float(n) for n in self.process.stdout.readline().split()[1:]]

    def scan(self):
        run_heapknot("ctl", str(self.pid), "scan")

    def scan_and_weigh(self):
        """The most that a scan's child has of its own, in bytes; None where
        that cannot be seen."""
        scan = subprocess.Popen([heapknot_command(), "ctl", str(self.pid),
                                 "scan"], stdout=subprocess.DEVNULL,
                                env=clean_environment())
        most = 0
        while scan.poll() is None:
            for child in children(self.pid):
                most = max(most, own_bytes(child))
            try:
                scan.wait(0.01)
            except subprocess.TimeoutExpired:
                pass
        return most or None

    def scans(self):
        return scans_of(self.recording)


def scans_of(recording):
    report = json.loads(run_heapknot("report", "--json", "--top=1",
                                     recording))
    for scan in report["scans"]:
        if scan["status"] not in ("done", "skipped"):
            raise Failed("a scan is %s" % scan["status"])
    return [scan for scan in report["scans"] if scan["status"] == "done"]


def children(pid):
    found = []
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        try:
            with open(path) as file:
                found += [int(child) for child in file.read().split()]
        except OSError:
            pass
    return found


def own_bytes(pid):
    """Pages that no other process has: what was shared at the clone and has
    not been written to since is not in it."""
    try:
        with open("/proc/%d/smaps_rollup" % pid) as file:
            for line in file:
                if line.startswith("Private_Dirty:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0
