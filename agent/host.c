/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * host.c -- what the companion needs, given by the agent.
 *
 * Called by   the files of lib/, inside the agent.
 * Threads     any.
 * Memory      meta.c.
 */
#include "lib/host.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/account.h"
#include "agent/balance.h"
#include "agent/counters.h"
#include "agent/intern.h"
#include "agent/life.h"
#include "agent/meta.h"
#include "agent/notes.h"
#include "agent/os.h"
#include "agent/publish.h"
#include "agent/recfile.h"
#include "agent/sampler.h"
#include "agent/say.h"
#include "agent/thread.h"

#define MARK_WAIT_NS 200000000u
#define COMPLAINTS_MAX 20
#define LOCK_WAIT_NS 50000000u

void *
host_map(size_t bytes)
{
    void *p = meta_commit(bytes) ? meta_reserve(bytes) : NULL;

    if (!p)
        count_add(HKC_object_table_full, 1);
    return p;
}

void *
host_map_scratch(size_t bytes)
{
    return os_map(bytes);
}

void
host_unmap_scratch(void *p, size_t bytes)
{
    os_unmap(p, bytes);
}

const unsigned char host_has_stacks = 1;

int
host_is_agent(void)
{
    return boot_is_recording();
}

uint32_t
host_stack(void)
{
    uint32_t id = 0;
    int saved_errno = errno;

    if (guard_enter()) {
        id = capture_stack(FRAME_RECORD(), 0);
        guard_leave();
    }
    errno = saved_errno;
    return id;
}

/* ---- references and notes ------------------------------------------------ */

int
host_traces(const char *type_name)
{
    return balance_names(type_name);
}

/* Inside now?  Its stack, too; who interrupts the agent itself gets neither,
   and waits for nothing. */
static int
enter(const struct frame_record *frame, uint32_t *stack)
{
    int saved_errno = errno, entered = guard_enter();

    *stack = entered ? capture_stack(frame, 0) : 0;
    errno = saved_errno;
    return entered;
}

static void
leave(int entered)
{
    if (entered)
        guard_leave();
}

static uint64_t
may_wait_ns(int entered)
{
    return entered ? LOCK_WAIT_NS : 0;
}

int
host_ref_born(const void *header, uint32_t type)
{
    uint32_t stack;
    int entered, kept;

    if (!boot_is_recording())
        return 0;
    entered = enter(FRAME_RECORD(), &stack);
    kept = balance_begin(header, type, stack, may_wait_ns(entered));
    leave(entered);
    return kept;
}

int
host_ref_counted(const void *header, int by)
{
    uint32_t stack;
    int entered, kept;

    if (!boot_is_recording())
        return 0;
    entered = enter(FRAME_RECORD(), &stack);
    kept = balance_count(header, stack, by, may_wait_ns(entered));
    leave(entered);
    return kept;
}

void
host_ref_died(const void *header)
{
    int entered;

    if (!boot_is_recording())
        return;
    entered = guard_enter();
    balance_end(header, may_wait_ns(entered));
    leave(entered);
}

int
host_note(const void *object, const char *text)
{
    int entered, error;

    if (!boot_is_recording())
        return 0;
    entered = guard_enter();
    error = notes_set(object, text, may_wait_ns(entered));
    leave(entered);
    return error;
}

/* ---- blocks, time, words ------------------------------------------------- */

uint32_t
host_block_adopt(void *ptr)
{
    uint32_t id = boot_is_recording() ? account_stack_of(ptr, 1) : 0;

    return sampler_is_used && id == STACK_UNSAMPLED ? 0 : id;
}

void
host_block_forget(void *ptr)
{
    if (boot_is_recording())
        account_disown(ptr);
}

uint32_t
host_now_ms(void)
{
    uint64_t now = os_now_coarse_ns(); /* may be a tick behind */

    return now > boot_first_ns ? (uint32_t)((now - boot_first_ns) / 1000000)
                               : 0;
}

void
host_mark(const char *name)
{
    int saved_errno = errno;

    if (life_is_ours() && guard_enter()) {
        if (!publish_snapshot(name ? HKR_SNAP_MARK : HKR_SNAP_MANUAL, name,
                              MARK_WAIT_NS))
            count_add(HKC_marks_lost, 1);
        guard_leave();
    }
    errno = saved_errno;
}

void
host_complain(const char *sentence)
{
    static uint32_t complaints;

    if (__atomic_fetch_add(&complaints, 1, __ATOMIC_RELAXED) < COMPLAINTS_MAX)
        say("%s; heapknot report shows where", sentence);
}

/* Our own, which publishes first. */
void
host_abort(void)
{
    abort();
}
