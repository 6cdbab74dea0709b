/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_doctor.c -- heapknot doctor: why is a recording missing or incomplete?
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "reporter/cli.h"
#include "reporter/control.h"
#include "reporter/doctor.h"
#include "reporter/explain.h"
#include "reporter/locate.h"
#include "reporter/model.h"
#include "reporter/read.h"
#include "reporter/symbolise.h"

static int found;

/* Much of it comes out of files: it must not drive the terminal. */
void
doctor_say(enum finding finding, const char *format, ...)
{
    static const char *const words[] = { "ok  ", "note", "BAD " };
    char text[2 * LOCATE_PATH_BYTES];
    va_list args;

    found += finding == BAD;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
    printf("%s  %s\n", words[finding], text);
}

int
doctor_found(void)
{
    return found;
}

/* ---- a recording -------------------------------------------------------- */

static void
examine_end(const char *path, int pid, const struct recording *rec)
{
    struct control c;
    char text[256];
    int alive = -1;
    uint32_t state = rec->header.state;

    if (control_open(&c, path, pid, 0) == 0) {
        alive = control_is_alive(&c);
        control_close(&c);
    }
    explain_state(&rec->header, alive, text, sizeof text);
    doctor_say(state == HKR_STATE_RETIRED ? BAD
               : state == HKR_STATE_LIVE && alive == 0 ? NOTE
                                                       : OK,
               "process %u: %s", rec->header.pid, text);
    if (rec->header.reason[0])
        doctor_say(BAD, "the agent says: %.*s",
                   (int)sizeof rec->header.reason, rec->header.reason);
    if (rec->truncated)
        doctor_say(BAD, "%llu bytes are missing at the end of the file",
                   (unsigned long long)rec->missing_bytes);
    if (rec->torn)
        doctor_say(NOTE, "the agent was in the middle of writing: some numbers "
                   "may be older than others");
}

/* One frame of each module is enough to know whether it has names. */
static uint32_t
first_node(const struct recording *rec, uint32_t module)
{
    for (uint32_t i = 1; i < rec->node_count; i++) {
        if (rec->nodes[i].module == module)
            return i;
    }
    return 0;
}

static void
examine_names(const struct recording *rec)
{
    struct symboliser *s = symboliser_open(rec);
    const struct sym_frame *frames;
    int good = 0;

    for (uint32_t i = 1; s && i < rec->module_count; i++) {
        uint32_t node = first_node(rec, i);
        const char *problem;

        if (!node || (rec->modules[i].flags & HKR_MODULE_VDSO))
            continue;
        symboliser_frames(s, node, &frames);
        problem = symboliser_module_problem(s, i);
        good += !problem;
        if (problem)
            doctor_say(BAD, "no names for %s: it %s",
                       recording_module_path(rec, i), problem);
    }
    doctor_say(OK, "%d objects can be searched for names", good);
    symboliser_close(s);
}

static void
examine_losses(const struct recording *rec)
{
    struct hkr_header header = rec->header;

    puts("What was not seen or not kept:");
    if (explain_losses(&header) == 0)
        puts("  nothing");
    else
        found++;
}

int
doctor_recording(const char *path, int pid)
{
    struct recording *rec;
    struct fail why;

    memset(&why, 0, sizeof why);
    if (recording_open(path, &rec, &why) != 0) {
        doctor_say(BAD, "%s", why.text);
        return HK_EXIT_UNREADABLE;
    }
    doctor_say(OK, "%s can be read: %u stacks, %u objects loaded", path,
               rec->stack_count - 1, rec->module_count - 1);
    examine_end(path, pid, rec);
    examine_names(rec);
    examine_losses(rec);
    recording_close(rec);
    return 0;
}

/* ---- the command -------------------------------------------------------- */

int
cmd_doctor(int argc, char **argv)
{
    char path[LOCATE_PATH_BYTES];
    int pid, status = 0;

    if (argc > 2)
        return cli_usage_error("doctor", "too many arguments after '%s'",
                               argv[1]);
    if (argc > 1 && argv[1][0] == '-')
        return cli_usage_error("doctor", "unknown option %s", argv[1]);
    if (argc < 2)
        doctor_installation();
    else if (!(pid = cli_pid(argv[1])))
        status = doctor_recording(argv[1], 0);
    else {
        doctor_process(pid);
        if (locate_recording(pid, path, sizeof path) == LOCATE_FOUND)
            status = doctor_recording(path, pid);
    }
    if (status)
        return status;
    if (doctor_found() == 0)
        return HK_EXIT_CLEAN;
    printf("%d found\n", doctor_found());
    return HK_EXIT_FINDINGS;
}
