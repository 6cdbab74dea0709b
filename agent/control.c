/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * control.c -- one request at a time from the control page.
 *
 * Called by   worker.c, from the agent's thread.
 * Threads     that one.  No lock is held: what it performs takes lock_publish,
 *             and a page that is lost meanwhile stays mapped (recfile_detach).
 * Memory      on the stack.
 * Fails       with an errno value and a sentence for the asker.
 * Invariants  every request is answered once; answer is stored last.
 */
#include "agent/control.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/os.h"
#include "agent/publish.h"
#include "agent/recfile.h"
#include "agent/say.h"
#include "agent/scan.h"

#define WAIT_NS 1000000000u

struct request {
    uint32_t number, command;
    char argument[sizeof(((struct hkr_control *)0)->argument)];
    char text[sizeof(((struct hkr_control *)0)->text)];
};

static uint32_t seen;

uint32_t *
control_futex(void)
{
    struct hkr_control *c = recfile_control();

    return c ? &c->request : NULL;
}

uint32_t
control_seen(void)
{
    return seen;
}

/* The page, if it can be touched without a SIGBUS. */
static struct hkr_control *
page(void)
{
    return recfile_header() ? recfile_control() : NULL;
}

int
control_is_asked(void)
{
    struct hkr_control *c = page();

    return c && __atomic_load_n(&c->request, __ATOMIC_ACQUIRE) != seen;
}

void
control_set_listening(int is_listening)
{
    struct hkr_control *c = page();

    if (c)
        __atomic_store_n(&c->listening, is_listening ? 1u : 0u,
                         __ATOMIC_RELEASE);
}

void
control_reset(void)
{
    seen = 0;
}

/* ---- commands ------------------------------------------------------------ */

static uint32_t
tell_status(struct request *r)
{
    say_format(r->text, sizeof(r->text),
               "recording for %lu s; %lu bytes in %lu blocks live, %lu "
               "stacks; %lu publications, %lu scans",
               (os_now_ns() - boot_start_ns) / 1000000000u,
               count_get(HKC_live_bytes), count_get(HKC_live_blocks),
               count_get(HKC_stacks), count_get(HKC_publishes),
               count_get(HKC_scans));
    return 0;
}

static uint32_t
report(struct request *r, int ok, const char *what)
{
    say_format(r->text, sizeof(r->text), "%s%s", ok ? "" : "no room for: ",
               what);
    return ok ? 0 : ENOSPC;
}

static uint32_t
mark(struct request *r)
{
    if (!r->argument[0]) {
        say_format(r->text, sizeof(r->text), "a mark needs a name");
        return EINVAL;
    }
    return report(r, publish_snapshot(HKR_SNAP_MARK, r->argument, WAIT_NS),
                  "mark set");
}

static uint32_t
scan(struct request *r)
{
    int err = scan_run(1, r->text, sizeof(r->text));

    publish_now(WAIT_NS);
    return (uint32_t)err;
}

static uint32_t
why(struct request *r)
{
    int err = scan_why(r->argument, r->text, sizeof(r->text));

    publish_now(WAIT_NS);
    return (uint32_t)err;
}

static uint32_t
perform(struct request *r)
{
    r->text[0] = '\0';
    switch (r->command) {
    case HKR_CMD_STATUS:
        publish_now(WAIT_NS);
        return tell_status(r);
    case HKR_CMD_PUBLISH:
        return report(r, publish_now(WAIT_NS), "published");
    case HKR_CMD_SNAPSHOT:
        return report(r, publish_snapshot(HKR_SNAP_MANUAL, NULL, WAIT_NS),
                      "snapshot taken");
    case HKR_CMD_MARK:
        return mark(r);
    case HKR_CMD_SCAN:
        return scan(r);
    case HKR_CMD_WHY:
        return why(r);
    }
    say_format(r->text, sizeof(r->text), "this agent does not know command %u",
               r->command);
    return ENOSYS;
}

/* ---- the page ------------------------------------------------------------ */

static int
take(struct request *r)
{
    struct hkr_control *c = page();

    if (!c)
        return 0;
    r->number = __atomic_load_n(&c->request, __ATOMIC_ACQUIRE);
    if (r->number == seen)
        return 0;
    r->command = __atomic_load_n(&c->command, __ATOMIC_RELAXED);
    memcpy(r->argument, c->argument, sizeof(r->argument));
    r->argument[sizeof(r->argument) - 1] = '\0';
    return 1;
}

static void
answer(const struct request *r, uint32_t status)
{
    struct hkr_control *c = page();

    seen = r->number;
    if (!c)
        return;
    memcpy(c->text, r->text, sizeof(c->text));
    c->text[sizeof(c->text) - 1] = '\0';
    __atomic_store_n(&c->status, status, __ATOMIC_RELAXED);
    __atomic_store_n(&c->answer, r->number, __ATOMIC_RELEASE);
    os_futex_wake(&c->answer, INT_MAX, 1);
}

void
control_answer(void)
{
    struct request r;

    if (take(&r))
        answer(&r, perform(&r));
}
