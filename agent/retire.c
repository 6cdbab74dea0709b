/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * retire.c -- the agent turns itself off instead of harming its host.
 *
 * Called by   anything that meets what should not be.
 * Threads     the first reason wins.
 * Memory      two static buffers.
 */
#include "agent/retire.h"

#include "agent/boot.h"
#include "agent/recfile.h"
#include "agent/say.h"

static char reason[HKR_REASON_BYTES];
static uint32_t is_retired, is_degraded;

/* Into the recording without lock_publish: the field is ours alone, and a
   torn sentence is better than none. */
static void
write_reason(const char *text, int ends)
{
    struct hkr_header *h = recfile_header();

    if (!h)
        return;
    say_format(h->reason, sizeof(h->reason), "%s", text);
    if (ends)
        h->state = HKR_STATE_RETIRED;
}

void
retire_write_reason(void)
{
    if (reason[0])
        write_reason(reason, is_retired != 0);
}

void
retire(const char *format, ...)
{
    va_list args;

    __atomic_store_n(&boot_phase, PHASE_OFF, __ATOMIC_RELEASE);
    if (__atomic_exchange_n(&is_retired, 1, __ATOMIC_RELAXED))
        return;
    va_start(args, format);
    say_vformat(reason, sizeof(reason), format, args);
    va_end(args);
    say("%s; the program runs on unrecorded", reason);
    write_reason(reason, 1);
}

const char *
retire_reason(void)
{
    return reason;
}

void
degrade(const char *format, ...)
{
    char text[HKR_REASON_BYTES];
    va_list args;

    va_start(args, format);
    say_vformat(text, sizeof(text), format, args);
    va_end(args);
    say("%s", text);
    if (__atomic_exchange_n(&is_degraded, 1, __ATOMIC_RELAXED))
        return;
    say_format(reason, sizeof(reason), "%s", text);
    write_reason(text, 0);
}
