/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * control.h -- ask the agent of a running process for something.
 */
#ifndef HK_REPORTER_CONTROL_H
#define HK_REPORTER_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "format/recording.h"

struct control {
    int fd;
    int pid;                   /* as this process sees it */
    struct hkr_header header;  /* a copy */
    struct hkr_control *page;  /* shared; NULL: opened for reading only */
    struct hkr_control answer; /* a copy, after control_ask */
    char why[512];             /* after a failure: one sentence */
};

/*
 * Opens a recording; pid is its process, or 0 to believe the file.  writable:
 * to ask something.  0, or -1 with a sentence in c->why.
 */
int control_open(struct control *c, const char *path, int pid, int writable);

/* Does the process still have this file mapped?  1, 0, or -1: cannot tell. */
int control_is_alive(const struct control *c);

/*
 * Sends a request and waits for the answer, at most timeout_ns.  0 when the
 * agent did it: c->answer.text says what.  -1: c->why says why not.
 */
int control_ask(struct control *c, enum hkr_command command,
                const char *argument, uint64_t timeout_ns);

void control_close(struct control *c);

#endif
