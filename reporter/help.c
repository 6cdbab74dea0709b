/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * help.c -- the help pages, expanded from the tables.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "reporter/help.h"

#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <string.h>

#include "format/recording.h"
#include "heapknot.h"
#include "reporter/cli.h"

struct page {
    const char *name, *arguments, *help;
};

static const struct page pages[] = {
#define HK_COMMAND(name, arguments, help) { #name, arguments, help },
#include "tbl/commands.h"
#undef HK_COMMAND
};

#define PAGE_COUNT (sizeof pages / sizeof *pages)

static const char examples[] =
    "  heapknot run -o app.hk -- ./app     record a program from its start\n"
    "  heapknot report app.hk              leak, cache or fragmentation?\n"
    "  heapknot cycles 1234                unreachable cycles of a process\n";

static const char files[] =
    "  heapknot.PROGRAM.PID.hk    the recording, unless named otherwise;\n"
    "                             it is complete after any death\n"
    "  HEAPKNOT_OPTIONS           options of the agent: key=value:key=value\n"
    "  HEAPKNOT_AGENT             the agent's library, if it is elsewhere\n";

#define COLUMNS 79

/* Words of text, from column `indent` on; the cursor is at `column`. */
static void
print_wrapped(const char *text, int column, int indent)
{
    while (*text) {
        int n = (int)strcspn(text, " ");

        if (column + n > COLUMNS && column > indent) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        printf("%.*s%s", n, text, text[n] ? " " : "");
        column += n + 1;
        text += n + strspn(text + n, " ");
    }
    putchar('\n');
}

void
help_print_all(void)
{
    puts("heapknot finds memory leaks and reference cycles in running "
         "programs.\n\nExamples:");
    fputs(examples, stdout);
    puts("\nUsage: heapknot COMMAND [ARGUMENT ...]\n\nCommands:");
    for (size_t i = 0; i < PAGE_COUNT; i++) {
        printf("  %-8s ", pages[i].name);
        print_wrapped(pages[i].help, 11, 11);
    }
    puts("  help     explain a command: heapknot help COMMAND, or COMMAND "
         "--help\n\nExit status:");
#define HK_EXIT(name, value, meaning) printf("  %d  %s\n", value, meaning);
#include "tbl/exit_codes.h"
#undef HK_EXIT
    puts("  run passes on the status of its command.\n\nFiles and "
         "environment:");
    fputs(files, stdout);
    puts("\nOptions: --help, --version.  Manual: man heapknot.");
}

void
help_print_version(void)
{
    printf("heapknot %s\n", HK_VERSION);
    printf("recording format %u.%u\n", HKR_VERSION_MAJOR, HKR_VERSION_MINOR);
    printf("symbols: elfutils %s\n", dwfl_version(NULL));
#ifdef PKGLIBDIR
    printf("agent installed in: %s\n", PKGLIBDIR);
#endif
    printf("compiler: %s\n", __VERSION__);
}

static void
print_run_option(const char *name, const char *value, const char *help)
{
    char option[64];
    int n = snprintf(option, sizeof option, "--%s=%s", name, value);

    for (int i = 0; i < n && option[i] != '='; i++) {
        if (option[i] == '_')
            option[i] = '-';
    }
    printf("  %-28s ", option);
    print_wrapped(help, n > 28 ? n + 3 : 31, 31);
}

static void
print_run_details(void)
{
    puts("\nThe command replaces heapknot: its status, signals and terminal "
         "are its own.\nNames that are not found end with 127, names that "
         "cannot be executed with 126.\n\nOptions, with their defaults:");
#define HK_OPTION(name, KIND, value, text, help) \
    print_run_option(#name, text, help);
#include "tbl/options.h"
#undef HK_OPTION
    puts("  -o FILE                      the same as --output=FILE\n"
         "\nSizes: 4096 512KiB 1MiB 2GiB.  Times: 250ms 5s 2m 1h.  Switches: "
         "on off.\nA value may not contain ':', which separates options in "
         "HEAPKNOT_OPTIONS;\nwhat stands there already is kept, and options "
         "given here win.");
}

static void
print_ctl_details(void)
{
    puts("\n  scan        look for unreachable cycles now; a cycle is reported "
         "when two scans\n              found it\n"
         "  snapshot    take a snapshot for the timeline now\n"
         "  mark NAME   the same, with a name that diff can use: FILE@NAME\n"
         "  status      what the recording says about itself; the only one "
         "that works\n              after the process has ended\n"
         "\nWho may write the recording may control the agent: mode 0600, so "
         "its owner.");
}

static void
print_doctor_details(void)
{
    puts("\nWithout an argument: is this installation able to record?  With a "
         "PID: is that\nprocess recorded, and if not, why?  With a FILE: is "
         "it complete, and what is\nmissing from it?  Status 0: all is well, "
         "1: something was found, 3: unreadable.");
}

static const char view_options[] =
    "\n  --json     the same answer as one JSON object\n"
    "  --top=N    how many of each kind to show\n"
    "  --strict   status 4 if the recording has losses\n";

static const char diff_details[] =
    "\nFILE@MARK is the moment of that mark, FILE@N the Nth snapshot of the "
    "timeline,\nFILE@ the start.  With one FILE: from its first snapshot to "
    "its last state; with\none moment: from there to the last state.\n"
    "\n  --json     the same answer as one JSON object\n"
    "  --top=N    how many of each kind to show\n";

static const char why_details[] =
    "\nTYPE is the name of a type, ADDRESS an object as 0x...  The agent of a "
    "process that\nruns is asked for a scan that answers; of one that has "
    "ended the recording tells\nwhat the last scan found of types that grew "
    "or were on cycles.\n"
    "\n  --json     the same answer as one JSON object\n"
    "  --top=N    how many paths to show\n";

static const char export_details[] =
    "\n  --format=folded  one line a stack, outermost frame first: "
    "\"main;run;parse 4096\"\n"
    "  --cost=COST      live_bytes (default), live_blocks, allocations, "
    "frees,\n                   allocated_bytes\n"
    "  --strict         status 4 if the recording has losses\n";

static const char check_details[] =
    "\nFindings: confirmed cycles, types and paths that grow, mistakes with "
    "objects.\nStatus 0: none, 1: findings, 3: unreadable, 4: losses with "
    "--strict.\n"
    "\n  --baseline=FILE       only what is new: a recording, or what check "
    "--json or\n                        report --json wrote; may be repeated\n"
    "  --tolerance=PERCENT   of objects left at the end against the baseline, "
    "10\n"
    "  --ignore=WORD         accept a fingerprint, or KIND:PATTERN such as "
    "type:session\n"
    "  --ignore-file=FILE    the same, one a line; # begins a comment\n"
    "  --max-live=SIZE       more live bytes at the end are a finding\n"
    "  --json                the same answer as one JSON object\n"
    "  --top=N               how many findings to show\n"
    "  --strict              status 4 if a recording has losses\n";

static void
print_view_details(const char *cmd)
{
    if (strcmp(cmd, "export") == 0)
        fputs(export_details, stdout);
    else if (strcmp(cmd, "check") == 0)
        fputs(check_details, stdout);
    else if (strcmp(cmd, "diff") == 0)
        fputs(diff_details, stdout);
    else if (strcmp(cmd, "why") == 0)
        fputs(why_details, stdout);
    else
        fputs(view_options, stdout);
    puts("\nA PID means the recording which that process has open.");
}

void
cli_print_help(const char *cmd)
{
    int column;

    for (size_t i = 0; i < PAGE_COUNT; i++) {
        if (strcmp(pages[i].name, cmd) != 0)
            continue;
        printf("heapknot %s: %s\n\n", cmd, pages[i].help);
        column = printf("Usage: heapknot %s ", cmd);
        print_wrapped(pages[i].arguments, column, column);
        if (strcmp(cmd, "run") == 0)
            print_run_details();
        else if (strcmp(cmd, "ctl") == 0)
            print_ctl_details();
        else if (strcmp(cmd, "doctor") == 0)
            print_doctor_details();
        else
            print_view_details(cmd);
        return;
    }
}

int
cli_wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli_print_help(argv[0]);
            return 1;
        }
    }
    return 0;
}
