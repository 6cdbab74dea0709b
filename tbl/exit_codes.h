/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * exit_codes.h -- what the heapknot command returns.
 * HK_EXIT(NAME, value, "meaning").  `run` passes on the child's status.
 */
HK_EXIT(CLEAN, 0, "success")
HK_EXIT(FINDINGS, 1, "check or doctor found something")
HK_EXIT(USAGE, 2, "the command line is wrong")
HK_EXIT(UNREADABLE, 3, "the recording cannot be read")
HK_EXIT(INCOMPLETE, 4, "--strict: the recording has losses")
