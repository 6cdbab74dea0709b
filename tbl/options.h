/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h -- every option of the agent.
 *
 * HK_OPTION(name, KIND, default, "default as text", "one line of help")
 *
 * KIND  TEXT, SIZE (bytes: 512KiB 1MiB 1G), TIME (nanoseconds: 250ms 5s 2m),
 *       COUNT (a number), BOOL (0 1 on off yes no true false),
 *       SHARE (1% or 0.1%, kept in millionths).
 *
 * Read by the agent (HEAPKNOT_OPTIONS="name=value:name=value"), by `heapknot
 * run --name=value` (dashes for underscores), by the help, the manual and the
 * completions.  Sorted by how often one wants them.
 */
HK_OPTION(output, TEXT, "heapknot.%e.%p.hk", "heapknot.%e.%p.hk",
          "file of the recording; %e program, %p pid, %h host, %t time, "
          "%n a number that makes it new")
HK_OPTION(publish, TIME, 250000000, "250ms",
          "how often the recording is brought up to date; what SIGKILL may lose")
HK_OPTION(interval, TIME, 1000000000, "1s", "distance of timeline snapshots")
HK_OPTION(scan_interval, TIME, 10000000000, "10s",
          "distance of background cycle scans; 0: only when asked")
HK_OPTION(min_age, TIME, 5000000000, "5s",
          "youngest age at which an unreachable cycle is confirmed")
HK_OPTION(sample, SIZE, 0, "0",
          "mean distance of sampled blocks, in bytes allocated; 0: every block")
HK_OPTION(overhead, SHARE, 0, "0%",
          "share of the program's CPU that recording may take, kept by "
          "sampling; 0%: no limit")
HK_OPTION(depth, COUNT, 128, "128", "frames kept of a stack, at most 128")
HK_OPTION(memory, SIZE, 1073741824, "1GiB",
          "memory the agent may use for its tables")
HK_OPTION(max_file, SIZE, 268435456, "256MiB", "size limit of the recording")
HK_OPTION(pause_budget, SHARE, 1000, "0.1%",
          "share of time for which scans may block the program")
HK_OPTION(cpu_budget, SHARE, 10000, "1%", "share of one CPU for scans")
HK_OPTION(scan_method, TEXT, "auto", "auto",
          "how to scan: snapshot (in a clone of the process), copy (fields are "
          "copied while the program runs), or auto")
HK_OPTION(refs, TEXT, "", "",
          "types whose references are kept with their stacks, comma-separated")
HK_OPTION(follow, TEXT, "all", "all",
          "children that are recorded too: all, fork, exec or none")
HK_OPTION(thread, BOOL, 1, "on",
          "have a thread of the agent's own; off: publish from the program's")
HK_OPTION(on_crash, BOOL, 0, "off",
          "publish on fatal signals that the program leaves at their default")
HK_OPTION(verify, TEXT, "off", "off",
          "unwind: compare every stack with libunwind's, count differences")
HK_OPTION(verbose, BOOL, 0, "off", "say on stderr where the recording is")
