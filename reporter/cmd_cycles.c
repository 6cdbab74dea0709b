/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_cycles.c -- heapknot cycles [--json] [--strict] [--top=N] FILE|PID
 */
#include "reporter/cli.h"
#include "reporter/views.h"

int
cmd_cycles(int argc, char **argv)
{
    return views_run(argc, argv, text_cycles, json_cycles);
}
