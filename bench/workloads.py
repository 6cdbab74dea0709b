# SPDX-License-Identifier: BSD-2-Clause
"""The workloads: a row each in WORKLOADS, and how each kind is measured.

measure(workload, tool, size, place) returns one number, or for memory a
dictionary; it raises Failed with the reason when there is none.
"""
import contextlib
import dataclasses
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import time

from tools import HERE

LIMIT_S = 300       # after that a run is given up: make bench must end
FLAGS = ["-O2", "-g", "-pthread", "-std=gnu11", "-I", os.path.dirname(HERE)]
PYTHON = "/usr/bin/python3"


class Failed(Exception):
    """No figure, and why."""


@dataclasses.dataclass
class Workload:
    name: str
    about: str
    unit: str
    size: int                   # operations, rows, blocks ...
    command: tuple              # @ is the size
    kind: str = "figure"        # figure, wall, redis or memory
    scales: bool = True         # fewer operations give the same figure
    quick: int = 10             # --quick divides the size by that
    env: dict = dataclasses.field(default_factory=dict)
    stdin: str = ""             # a file of bench/; ROWS is the size
    process: str = ""           # part of the command that must be recorded
    unless: dict = dataclasses.field(default_factory=dict)  # tool: why not
    remarks: dict = dataclasses.field(default_factory=dict)  # tool: what of it

    @property
    def higher_is_better(self):
        return self.kind == "redis"

    @property
    def is_memory(self):
        return self.kind == "memory"

    def sized(self, tool, quick):
        """Operations for this tool: fewer for a slow one."""
        size = self.size // self.quick if quick else self.size
        if tool.slow and self.scales:
            size = max(int(size * tool.share), 1000)
        return size

    def missing(self):
        """Why it cannot run here, or None."""
        program = "redis-server" if self.kind == "redis" else self.command[0]
        if program.startswith("./"):
            return None
        if shutil.which(program) is None:
            return program + " is not installed"
        return None


_MEMORY = {name: "its memory is another allocator's, or another process's"
           for name in ("jemalloc", "jeprof", "jeprof512k", "tcmalloc",
                        "gperftools", "lsan", "valgrind", "sampled")}
_SLOW = {"valgrind": "for small programs only: left out"}

WORKLOADS = {w.name: w for w in (
    Workload("churn1", "malloc+free, 20 frames deep, 100,000 blocks live",
             "ns", 5000000, ("./churn", "1", "@")),
    Workload("churn2", "the same in each of 2 threads", "ns", 3000000,
             ("./churn", "2", "@")),
    Workload("churn4", "the same in each of 4 threads", "ns", 1000000,
             ("./churn", "4", "@")),
    Workload("handover", "blocks that another thread frees", "ns", 2000000,
             ("./handover", "@")),
    Workload("grow", "realloc by half, 16 bytes to 16 KiB", "ns", 3000000,
             ("./grow", "@")),
    Workload("paths", "100,000 different call paths of 17 frames", "ns",
             1000000, ("./paths", "@"), scales=False),
    Workload("deep", "recursion to 500 frames, a block on each", "ns",
             2000000, ("./deep", "deep", "@")),
    Workload("tree", "a recursive tree, the depth ever changing", "ns",
             4000000, ("./deep", "tree", "@")),
    Workload("redis", "redis-benchmark -P 16 -t set,lpush", "requests/s",
             1000000, (), kind="redis"),
    Workload("json", "python3 parsing JSON, PYTHONMALLOC=malloc", "s", 30,
             (PYTHON, "parse.py", "@"), kind="wall", scales=False,
             env={"PYTHONMALLOC": "malloc"}, unless=_SLOW),
    Workload("compile", "g++ -O1 of <regex>, <map>, <iostream> and others",
             "s", 1, ("g++", "-O1", "-S", "-o", "compile.s", "compile.cc"),
             kind="wall", scales=False, quick=1, process="cc1plus",
             unless=_SLOW, remarks={
                 "heaptrack": "recorded raw (-r), of cc1plus alone: its "
                 "interpreter dies of std::bad_alloc on that data"}),
    Workload("sqlite", "sqlite3 :memory:, inserts, indexes, selects", "s",
             60000, ("sqlite3", ":memory:"), kind="wall", scales=False,
             quick=4, stdin="inserts.sql", unless=_SLOW),
    Workload("many-live", "10 million live blocks of 48 bytes", "MiB",
             10000000, ("./hold", "blocks", "@"), kind="memory",
             scales=False, unless=_MEMORY),
    Workload("threads1000", "1,000 threads alive that have allocated",
             "MiB", 1000, ("./hold", "threads", "@"), kind="memory",
             scales=False, quick=1, unless=_MEMORY),
)}


def prepare(place, names):
    """Builds and copies into the folder `place` what the workloads need."""
    for name in os.listdir(HERE):
        source = os.path.join(HERE, name)
        if name in ("parse.py", "compile.cc", "inserts.sql"):
            shutil.copy(source, place)
        elif name.endswith(".c") and uses(names, name[:-2]):
            subprocess.run([*os.environ.get("CC", "cc").split(), *FLAGS, "-o",
                            os.path.join(place, name[:-2]), source],
                           check=True)


def uses(names, program):
    return any("./" + program in WORKLOADS[name].command for name in names)


@contextlib.contextmanager
def started(command, **options):
    """A process in a session of its own, of which nothing stays behind."""
    try:
        process = subprocess.Popen(command, start_new_session=True, **options)
    except OSError as error:
        raise Failed("%s: %s" % (command[0], error.strerror)) from error
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()


def ended(status):
    if status < 0:
        return "died of " + signal.Signals(-status).name
    return "ended with status %d" % status


def last_words(path):
    """Why: the last line that a process left on stderr."""
    with open(path, errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    return ": " + lines[-1][:100] if lines else ""


def run_to_end(workload, tool, size, place):
    """Runs the command: its output and the seconds that it took."""
    command = [str(size) if word == "@" else word
               for word in workload.command]
    command, env = tool.wrap(command, place)
    env.update(workload.env)
    stdin = os.devnull
    if workload.stdin:
        stdin = os.path.join(place, "stdin")
        with open(os.path.join(place, workload.stdin)) as source, \
                open(stdin, "w") as sink:
            sink.write(source.read().replace("ROWS", str(size)))
    errors = os.path.join(place, "stderr")
    with open(stdin) as given, open(errors, "w") as stderr:
        began = time.monotonic()
        with started(command, cwd=place, env=env, stdin=given, stderr=stderr,
                     stdout=subprocess.PIPE, text=True,
                     errors="replace") as process:
            try:
                output, _ = process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired as error:
                raise Failed("given up after %d s" % LIMIT_S) from error
        seconds = time.monotonic() - began
    if process.returncode != 0:
        raise Failed(ended(process.returncode) + last_words(errors))
    return output, seconds


def measure_figure(workload, tool, size, place):
    output, _ = run_to_end(workload, tool, size, place)
    match = re.search(r"^bench ([0-9.]+)$", output, re.MULTILINE)
    if match is None:
        raise Failed("printed no figure")
    return float(match.group(1))


def measure_wall(workload, tool, size, place):
    return run_to_end(workload, tool, size, place)[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask_redis(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(request + b"\r\n")
        return s.recv(64)


def await_redis(server, port):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if server.poll() is not None:
            raise Failed("redis-server " + ended(server.returncode))
        with contextlib.suppress(OSError):
            if ask_redis(port, b"PING").startswith(b"+PONG"):
                return
        time.sleep(0.05)
    raise Failed("redis-server did not answer")


def requests_per_second(port, count):
    """Over all the requests of the kinds of the benchmark."""
    try:
        done = subprocess.run(
            ["redis-benchmark", "-p", str(port), "-n", str(count), "-r",
             "100000", "-P", "16", "--csv", "-t", "set,lpush"],
            capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed("redis-benchmark: %s" % error) from error
    rates = [float(line.split('"')[3]) for line in done.stdout.splitlines()
             if re.match(r'"[A-Z]+","[0-9.]+"', line)]
    if len(rates) != 2:
        raise Failed("redis-benchmark " + ended(done.returncode))
    return len(rates) / sum(1 / rate for rate in rates)


def measure_redis(_workload, tool, size, place):
    port = free_port()
    command, env = tool.wrap(["redis-server", "--save", "", "--port",
                              str(port), "--bind", "127.0.0.1"], place)
    with started(command, cwd=place, env=env, stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL) as server:
        await_redis(server, port)
        rate = requests_per_second(port, size)
        with contextlib.suppress(OSError):
            ask_redis(port, b"SHUTDOWN NOSAVE")
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(60)
    return rate


def await_held(process):
    """The process id that `hold` prints once it holds everything."""
    seen = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        end = time.monotonic() + LIMIT_S
        while selector.select(max(end - time.monotonic(), 0)):
            part = os.read(process.stdout.fileno(), 4096)
            seen += part
            match = re.search(rb"^held (\d+)$", seen, re.MULTILINE)
            if match:
                return int(match.group(1))
            if not part:
                raise Failed(ended(process.wait()))
    raise Failed("given up after %d s" % LIMIT_S)


def resident_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid) as file:
        return int(re.search(r"^Rss: +(\d+)", file.read(),
                             re.MULTILINE).group(1))


def settled_kib(pid):
    """Resident memory, once a tool's own thread has caught up."""
    seen, end = -1, time.monotonic() + 20
    while time.monotonic() < end:
        now = resident_kib(pid)
        if abs(now - seen) <= 16:
            break
        seen = now
        time.sleep(1)
    return now


def others_kib(session, pid):
    """What other processes of the session hold: a tool's helpers."""
    total = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, AttributeError):
            if int(name) != pid and os.getsid(int(name)) == session:
                total += resident_kib(int(name))
    return total


def measure_memory(workload, tool, size, place):
    command = [str(size) if word == "@" else word
               for word in workload.command]
    command, env = tool.wrap(command, place)
    with started(command, cwd=place, env=env, stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE,
                 stderr=subprocess.DEVNULL) as process:
        pid = await_held(process)
        try:
            weighed = settled_kib(pid) / 1024
            helpers = others_kib(process.pid, pid) / 1024
        except OSError as error:
            raise Failed("it went away: %s" % error) from error
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LIMIT_S)
        process.stdin = None
    if process.returncode != 0:
        raise Failed(ended(process.returncode))
    return {"rss": weighed, "helpers": helpers}


def measure(workload, tool, size, place):
    how = {"figure": measure_figure, "wall": measure_wall,
           "redis": measure_redis, "memory": measure_memory}
    return how[workload.kind](workload, tool, size, place)
