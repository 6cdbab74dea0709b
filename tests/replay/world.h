/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * world.h -- runs a scenario with the objects of heapknot.h, and says what
 * happened in each step.
 *
 * As in the run that made the file, all scenarios share one world: what one
 * leaves behind (a cycle that a finalizer saved) is there in the next.
 */
#ifndef HK_TESTS_REPLAY_WORLD_H
#define HK_TESTS_REPLAY_WORLD_H

#include "tests/replay/vector.h"

/* What was seen in a step.  Lists are valid during the call and may be
   sorted; log is in the order in which things happened. */
typedef void (*world_step_fn)(size_t step, struct vector_step *seen,
                              void *arg);

void world_start(void);
void world_run(const struct vector_scenario *s, world_step_fn fn, void *arg);
void world_end(void);

/* The first mistake that the library reported since the last call, or NULL:
   a scenario makes none. */
const char *world_mistake(void);

#endif
