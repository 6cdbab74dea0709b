/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * symbolise.h -- function, file and line of the frames of a recording.
 *
 * One symboliser serves one recording.  A module is opened when its first
 * address is asked for, and only if the file there still has the build-id that
 * was recorded: names from another build are worse than none.  Separate debug
 * files are found by build-id below /usr/lib/debug, over the network
 * (debuginfod) only after symboliser_use_debuginfod(1).
 *
 * Ownership  frames and their strings belong to the symboliser and live until
 *            symboliser_close(); the recording must outlive it.
 * Threads    one at a time.
 * Fails      never for a frame: what is not known is NULL, a line 0.
 */
#ifndef HK_REPORTER_SYMBOLISE_H
#define HK_REPORTER_SYMBOLISE_H

#include <stdint.h>

struct recording;
struct symboliser;

struct sym_frame {
    const char *function; /* demangled; NULL: unknown, print the address */
    const char *file;     /* of the source; NULL: unknown */
    int line;             /* 0: unknown */
    const char *module;   /* path of the object; NULL: unknown */
    int inlined;          /* into the frame that follows */
};

/* NULL: no memory. */
struct symboliser *symboliser_open(const struct recording *rec);

/* Frames of one node of the trie, innermost inlined function first; returns
   their number, at least 1.  Looked up at pc - 1, since nodes hold return
   addresses; cached by (module, pc). */
int symboliser_frames(struct symboliser *s, uint32_t node,
                      const struct sym_frame **frames);

/* Why names of a module are missing ("not found", "changed since it was
   recorded"), NULL if they are not; known once a frame of it was asked for. */
const char *symboliser_module_problem(struct symboliser *s, uint32_t module);

void symboliser_close(struct symboliser *s); /* NULL is allowed */

/* May symbolisers opened later ask debuginfod?  Default: no. */
void symboliser_use_debuginfod(int yes);

#endif
