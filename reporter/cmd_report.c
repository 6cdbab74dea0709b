/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_report.c -- heapknot report [--json] [--strict] [--top=N] FILE|PID
 */
#include "reporter/cli.h"
#include "reporter/views.h"

int
cmd_report(int argc, char **argv)
{
    return views_run(argc, argv, text_report, json_report);
}
