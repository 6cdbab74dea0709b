/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * object.h -- one ELF file with its symbols and debug information.
 */
#ifndef HK_REPORTER_OBJECT_H
#define HK_REPORTER_OBJECT_H

#include <stddef.h>
#include <stdint.h>

struct object;

/* What a file must be like to be the one that was recorded. */
struct object_wish {
    const char *path;
    const uint8_t *build_id;
    size_t build_id_bytes; /* 0: the program had none */
    uint64_t loaded_realtime_ns; /* decides where there is no build-id */
    int pid; /* whose /proc/PID/root may hold the file; 0: nobody's */
};

/* The function at an address, or one that was inlined there. */
struct object_frame {
    const char *name; /* mangled, or NULL */
    const char *file; /* or NULL */
    int line;
};

/* NULL with a phrase in *problem ("not found", ...). */
struct object *object_open(const struct object_wish *wish,
                           const char **problem);

/*
 * Frames at an address of the ELF file, innermost first, at most `size`;
 * returns their number, 0 if nothing is known.  Strings belong to the object.
 */
int object_frames(struct object *o, uint64_t address,
                  struct object_frame *frames, int size);

void object_close(struct object *o);

#endif
