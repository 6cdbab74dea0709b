/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * boot.c -- the constructor, and what exit calls last.
 *
 * Called by   the loader.
 * Threads     one, so far.
 * Fails       by retiring: the program runs on, unrecorded.
 */
#include "agent/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/resource.h>

#include "agent/capture.h"
#include "agent/counters.h"
#include "agent/index.h"
#include "agent/intern.h"
#include "agent/interpose.h"
#include "agent/lane.h"
#include "agent/life.h"
#include "agent/modules.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/publish.h"
#include "agent/real.h"
#include "agent/recfile.h"
#include "agent/retire.h"
#include "agent/sampler.h"
#include "agent/sandbox.h"
#include "agent/say.h"
#include "agent/snapshot.h"
#include "agent/strings.h"
#include "agent/thread.h"
#include "agent/worker.h"

/* Tables are address space first: about 2 GiB of it. */
#define ADDRESS_SPACE_NEEDED (UINT64_C(8) << 30)

int __cxa_atexit(void (*fn)(void *), void *arg, void *object);

uint32_t boot_phase = PHASE_COLD;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;

static int
is_limited(int resource)
{
    struct rlimit limit;

    return getrlimit(resource, &limit) == 0 &&
           limit.rlim_cur != RLIM_INFINITY &&
           limit.rlim_cur < ADDRESS_SPACE_NEEDED;
}

static int
make_tables(void)
{
    if (is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA)) {
        retire("the address space is limited to less than 8 GiB "
               "(ulimit -v or -d)");
        return 0;
    }
    sampler_start();
    if (!strings_start() || !intern_start() || !snapshot_start() ||
        !index_start(real_granule_shift())) {
        retire("no address space for the tables (ulimit -v, "
               "vm.overcommit_memory=2, or memory= too small)");
        return 0;
    }
    lane_start();
    return 1;
}

static void
note_bypass(void)
{
    if (!real_is_bypassed())
        return;
    count_set(HKC_static_allocator, 1);
    degrade("the program brings an allocator of its own (linked into it): "
            "its allocations are not seen");
}

/* Registered before libc registers the loader's part of exit, so called after
   it: the destructors of all libraries have run. */
static void
finish(void *arg)
{
    (void)arg;
    life_end(HKR_STATE_EXITED, 0);
    if (boot_phase == PHASE_LIVE)
        boot_phase = PHASE_DRAINING;
    worker_stop();
}

static void
set_up(void)
{
    options_read(secure_getenv("HEAPKNOT_OPTIONS"));
    if (!real_resolve() || !make_tables())
        return;
    modules_refresh();
    interpose_start();
    interpose_cxx_start();
    modules_prepare();
    worker_prepare();
    sandbox_note();
    ends_start();
    capture_start();
    note_bypass();
    life_start();
    __cxa_atexit(finish, NULL, NULL);
    if (publish_open() == 0 && opt.verbose)
        say("recording to %s", recfile_path());
    if (boot_phase != PHASE_OFF)
        __atomic_store_n(&boot_phase, PHASE_LIVE, __ATOMIC_RELEASE);
}

__attribute__((constructor(101))) static void
boot(void)
{
    int saved_errno = errno;

    if (getauxval(AT_SECURE)) {
        boot_phase = PHASE_OFF;
        return;
    }
    boot_first_ns = boot_start_ns = os_now_ns();
    boot_start_realtime_ns = os_realtime_ns();
    self.guard = UINTPTR_MAX;
    self.is_own = 1;
    boot_phase = PHASE_RESOLVING;
    set_up();
    self.is_own = 0;
    self.guard = 0;
    errno = saved_errno;
}
