/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * core_linked.c -- uses core_library.c.
 */
void core_library(void);

int
main(void)
{
    core_library();
    return 0;
}
