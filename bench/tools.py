# SPDX-License-Identifier: BSD-2-Clause
"""The ways to run a command: bare, or under one of the tools compared.

A tool is a row of TOOLS.  `base` names the tool that it is measured against:
a profiler that brings an allocator of its own is compared with that allocator
without profiling.  `share` is the part of a workload's operations that a slow
tool gets; those below 1 run once instead of every round.
"""
import dataclasses
import glob
import json
import os
import shutil
import statistics
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
# What would reach into a program that is to be bare.
UNWANTED = ("LD_PRELOAD", "HEAPKNOT_OPTIONS", "HEAPKNOT_OUTPUT", "MALLOC_CONF",
            "HEAPPROFILE", "LSAN_OPTIONS", "GLIBC_TUNABLES")


def build_folder():
    """$BUILD, or where a build is likely to be."""
    build = os.environ.get("BUILD")
    if build is None:
        top = os.path.dirname(HERE)
        build = os.path.join(top, "build")
        if not os.path.exists(os.path.join(build, "Makefile")):
            build = top
    return os.path.abspath(build)


def heapknot_command():
    """The command of the build: $HEAPKNOT, or that of $BUILD."""
    command = os.environ.get("HEAPKNOT", os.path.join(
        build_folder(), "reporter", "heapknot"))
    return os.path.abspath(command)


def build(place, name, sources, flags=()):
    """A program of this folder, linked to the library of the build."""
    libs = os.path.join(build_folder(), "lib", ".libs")
    path = os.path.join(place, name)
    subprocess.run(
        [os.environ.get("CC", "gcc"), "-O2",
         "-I" + os.path.join(os.path.dirname(HERE), "include"), "-o", path,
         *[os.path.join(HERE, source) for source in sources], *flags,
         "-L" + libs, "-lheapknot", "-Wl,-rpath," + libs], check=True)
    return path


def spread(values):
    """The median and the range, as text."""
    return "%.2f (%.2f to %.2f)" % (statistics.median(values), min(values),
                                    max(values))


def shared_library(name):
    """The library's path, or None: only those that a preload would find."""
    for folder in ("/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib",
                   "/usr/local/lib"):
        for path in sorted(glob.glob(os.path.join(folder, name))):
            return path
    return None


def clean_environment():
    env = {k: v for k, v in os.environ.items() if k not in UNWANTED}
    env["LC_ALL"] = "C"
    return env


@dataclasses.dataclass
class Tool:
    name: str
    about: str
    base: str = "bare"
    share: float = 1.0          # of the operations
    library: str = ""           # to preload
    program: str = ""           # that must be installed
    package: str = ""           # Debian's
    env: dict = dataclasses.field(default_factory=dict)
    options: tuple = ()         # of heapknot run, or of the program

    @property
    def slow(self):
        return self.share < 1

    @property
    def is_heapknot(self):
        return self.program == "heapknot"

    def missing(self):
        """Why it cannot run here, or None."""
        if self.is_heapknot:
            if not os.access(heapknot_command(), os.X_OK):
                return "heapknot is not there: build it first, set BUILD"
        elif self.program and shutil.which(self.program) is None:
            return "%s is not installed (Debian: %s)" % (
                self.program, self.package)
        if self.library and shared_library(self.library) is None:
            return "%s is not installed (Debian: %s)" % (
                self.library, self.package)
        return None

    def wrap(self, command, scratch):
        """The command and environment that run `command` under the tool.
        What it writes is scratch/x*."""
        env = clean_environment()
        out = os.path.join(scratch, "x")
        env.update({k: v.replace("@OUT@", out) for k, v in self.env.items()})
        if self.library:
            env["LD_PRELOAD"] = shared_library(self.library)
        if self.is_heapknot:
            command = [heapknot_command(), "run", "-o", out + "%n.hk",
                       *self.options, "--", *command]
        elif self.name == "heaptrack":
            command = self.wrap_heaptrack(command, out)
        elif self.program:
            options = [o.replace("@OUT@", out) for o in self.options]
            command = [self.program, *options, *command]
        return command, env

    @staticmethod
    def wrap_heaptrack(command, out):
        # It records one process and follows no exec; gcc's driver can start
        # the compiler proper under it.  Raw, because its interpreter takes
        # 20 s to die of the data.
        if command[0] == "g++":
            return ["g++", "-wrapper", "heaptrack,-r,-o," + out,
                    *command[1:]]
        return ["heaptrack", "-o", out, *command]


_PROF = "prof:true,prof_active:true,lg_prof_sample:%d"
TOOLS = {tool.name: tool for tool in (
    Tool("bare", "nothing"),
    Tool("heapknot", "every block, complete stacks", program="heapknot"),
    Tool("sampled", "heapknot --sample=512KiB", program="heapknot",
         options=("--sample=512KiB",)),
    Tool("heaptrack", "every block, stacks of at most 64 frames",
         program="heaptrack", package="heaptrack"),
    Tool("jemalloc", "its allocator, not profiling",
         library="libjemalloc.so.2", package="libjemalloc2"),
    Tool("jeprof", "jemalloc's profiler, every block", base="jemalloc",
         share=0.1, library="libjemalloc.so.2", package="libjemalloc2",
         env={"MALLOC_CONF": _PROF % 0}),
    Tool("jeprof512k", "jemalloc's profiler, a block in 512 KiB",
         base="jemalloc", library="libjemalloc.so.2", package="libjemalloc2",
         env={"MALLOC_CONF": _PROF % 19}),
    Tool("tcmalloc", "gperftools' allocator, not profiling",
         library="libtcmalloc.so.4", package="libgoogle-perftools4"),
    Tool("gperftools", "its heap profiler, every block", base="tcmalloc",
         share=0.05, library="libtcmalloc.so.4",
         package="libgoogle-perftools4",
         env={"HEAPPROFILE": "@OUT@",
              "HEAP_PROFILE_ALLOCATION_INTERVAL": "0",
              "HEAP_PROFILE_INUSE_INTERVAL": "0"}),
    Tool("lsan", "LeakSanitizer preloaded; stacks by frame pointer",
         library="liblsan.so.0", package="liblsan0",
         env={"LSAN_OPTIONS": "exitcode=0:log_path=@OUT@"}),
    Tool("valgrind", "memcheck", share=0.05, program="valgrind",
         package="valgrind", options=("--quiet", "--log-file=@OUT@%p")),
)}


def with_bases(names):
    """`names`, with what they are compared with, in the order of TOOLS."""
    wanted = {"bare", *names}
    wanted |= {TOOLS[name].base for name in wanted}
    return [name for name in TOOLS if name in wanted]


def recorded(scratch, of=None):
    """What heapknot itself says in the recordings that it left: of the one
    with most allocations; `of`: only those of commands that contain it."""
    best = None
    for path in glob.glob(os.path.join(scratch, "x*.hk")):
        # --top: a million stacks in full are gigabytes.
        done = subprocess.run([heapknot_command(), "report", "--json",
                               "--top=1", path], capture_output=True,
                              timeout=120, check=False,
                              env=clean_environment())
        if done.returncode != 0:
            continue
        report = json.loads(done.stdout)
        if of is not None and of not in report["process"]["command"]:
            continue
        if best is None or (report["totals"]["allocations"] >
                            best["totals"]["allocations"]):
            best = report
    if best is None:
        return None
    return {"allocations": best["totals"]["allocations"],
            "sample_bytes": best["totals"].get("sample_bytes", 0),
            "stacks": best["totals"]["stacks"],
            "agent_bytes": best["cost"]["agent_bytes"],
            "reason": best["process"].get("reason", ""),
            "losses": {k: v for k, v in best["losses"].items() if v}}
