/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * frames.h -- a call stack as people want to see it.
 *
 * Innermost frame first, inlined frames opened up, frames of the agent and of
 * the companion left out.  Works without a symboliser: then a frame is an
 * address and a module.
 */
#ifndef HK_REPORTER_FRAMES_H
#define HK_REPORTER_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "reporter/symbolise.h"

struct recording;

/* A recording and, if symbols are wanted, its symboliser (may be NULL). */
struct names {
    const struct recording *rec;
    struct symboliser *sym;
};

#define FRAMES_MAX 512

/* `function` is never NULL: an unknown one is "0x..." (in its ELF file), kept
   in `unnamed`. */
struct frame {
    struct sym_frame at;
    char unnamed[24];
};

struct frames {
    size_t count;
    struct frame *items;
    size_t room;
};

/* Fills *frames (zeroed or used before) with those of the stack that ends in
   node.  Without memory it holds fewer. */
void frames_of(const struct names *names, uint32_t node,
               struct frames *frames);
void frames_free(struct frames *frames);

/* How many of them are the program's: those that call main or the first
   function of a thread are not, and are last. */
size_t frames_without_start(const struct frames *frames);

/* The words for a stack in one line: "inner < caller", without frames of libc
   and of allocator-like wrappers; "unknown stack" if there are none. */
void frames_title(const struct names *names, uint32_t node, char *text,
                  size_t size);

/* The part of a path after the last slash; "" for NULL. */
const char *frames_basename(const char *path);

#endif
