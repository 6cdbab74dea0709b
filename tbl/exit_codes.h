/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * exit_codes.h -- what the heapknot command returns.
 * HK_EXIT(NAME, value, "meaning").  `run` passes on the child's status.
 */
HK_EXIT(CLEAN, 0, "success; check: nothing found")
HK_EXIT(FINDINGS, 1, "check: something was found")
HK_EXIT(USAGE, 2, "the command line is wrong")
HK_EXIT(UNREADABLE, 3, "the recording cannot be read")
HK_EXIT(INCOMPLETE, 4, "--strict: the recording has losses")
