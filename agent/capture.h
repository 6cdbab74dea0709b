/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * capture.h -- the call stack of this thread, as return addresses.
 *
 * The unwinder is libunwind, opened RTLD_LOCAL; where it is missing a stack
 * has one frame.  A faster one fits behind the same functions.
 */
#ifndef HK_AGENT_CAPTURE_H
#define HK_AGENT_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

#define CAPTURE_MAX 128
#define CAPTURE_ROOM (CAPTURE_MAX + 16) /* the agent's frames come first */

/* Finds the unwinder; calls the loader, so never with a lock held. */
void capture_start(void);
const char *capture_unwinder_name(void);

/*
 * Fills pcs, innermost first, without the agent's own frames; returns how
 * many (0: failed, counted).  pcs has CAPTURE_ROOM elements: it is the only
 * array there is, for some threads have no more than 16 KiB of stack.  *flags
 * gets HKR_STACK_TRUNCATED.  caller is the return address of the hook.  Needs
 * the guard; changes errno.
 */
size_t capture_stack(uintptr_t *pcs, uintptr_t caller, uint32_t *flags);

#endif
