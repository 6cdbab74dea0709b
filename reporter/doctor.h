/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * doctor.h -- examinations of heapknot doctor.
 *
 * Each prints a line for what it looked at, on stdout: "ok", "note" (worth
 * knowing) or "BAD" (why there is no recording, or not all of one).
 */
#ifndef HK_REPORTER_DOCTOR_H
#define HK_REPORTER_DOCTOR_H

enum finding { OK, NOTE, BAD };

void doctor_say(enum finding finding, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int doctor_found(void); /* how many BAD lines there were */

void doctor_installation(void);
void doctor_process(int pid);
/* 0, or HK_EXIT_UNREADABLE after a line. */
int doctor_recording(const char *path, int pid);

#endif
