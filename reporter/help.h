/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * help.h -- what `heapknot --help` and `heapknot CMD --help` say.
 */
#ifndef HK_REPORTER_HELP_H
#define HK_REPORTER_HELP_H

void help_print_all(void);
void help_print_version(void);

#endif
