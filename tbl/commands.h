/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * commands.h -- the subcommands of heapknot.
 * HK_COMMAND(name, "arguments", "one line of help"); function: cmd_<name>().
 */
HK_COMMAND(run, "[--KEY=VALUE ...] [--] COMMAND [ARGUMENT ...]",
           "run a command with the agent and record it")
HK_COMMAND(report, "[--json] [--strict] [--top=N] FILE|PID",
           "explain a recording: a verdict first, then why")
HK_COMMAND(diff, "[--json] [--top=N] A [B]",
           "compare two moments or recordings; A and B: FILE, FILE@MARK, FILE@N")
HK_COMMAND(cycles, "[--json] [--strict] [--top=N] FILE|PID",
           "unreachable reference cycles by shape")
HK_COMMAND(why, "[--json] [--top=N] FILE|PID TYPE|ADDRESS",
           "who holds the objects of a type, and what leads to an object")
HK_COMMAND(types, "[--json] [--strict] [--top=N] FILE|PID",
           "objects by type, and their growth")
HK_COMMAND(refs, "[--json] [--strict] [--top=N] [--type=TYPE] FILE|PID",
           "references taken and not dropped, by call path (run --refs=TYPE)")
HK_COMMAND(check, "[--baseline=FILE] [--ignore=WORD] [--ignore-file=FILE] "
           "[--tolerance=PERCENT] [--max-live=SIZE] [--json] [--strict] "
           "[--top=N] FILE|PID ...",
           "for CI: status 1 if something is wrong, or new against a baseline")
HK_COMMAND(ctl, "FILE|PID scan|snapshot|mark NAME|status",
           "ask the agent of a running program for something")
HK_COMMAND(export, "--format=folded [--cost=COST] [--strict] FILE|PID",
           "write stacks in a format other tools read")
HK_COMMAND(doctor, "[FILE|PID]",
           "say why a recording is missing or incomplete")
