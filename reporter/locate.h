/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * locate.h -- what a PID has to do with heapknot, as /proc tells it.
 */
#ifndef HK_REPORTER_LOCATE_H
#define HK_REPORTER_LOCATE_H

#include <stddef.h>

#define LOCATE_PATH_BYTES 4096

enum locate_result {
    LOCATE_FOUND,
    LOCATE_NO_PROCESS, /* no such PID */
    LOCATE_DENIED,     /* somebody else's process */
    LOCATE_NONE        /* it maps no recording */
};

/*
 * The recording that a process has mapped, as a path that this process can
 * open: through /proc/PID/map_files or /proc/PID/root where the mapped name
 * means another file here (a container, a deleted file).
 */
enum locate_result locate_recording(int pid, char *path, size_t path_bytes);

/* Path of the agent's library in the process. */
enum locate_result locate_mapped_agent(int pid, char *path,
                                       size_t path_bytes);

/* Does the file begin as a recording does? */
int locate_is_recording(const char *path);

#define LOCATE_AGENT_NAME "libheapknot-agent.so"

#endif
