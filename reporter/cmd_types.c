/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_types.c -- heapknot types [--json] [--strict] [--top=N] FILE|PID
 */
#include "reporter/cli.h"
#include "reporter/views.h"

int
cmd_types(int argc, char **argv)
{
    return views_run(argc, argv, text_types, json_types);
}
