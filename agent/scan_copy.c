/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_copy.c -- a scan on live data.
 *
 * What        does the work of a scan in the agent's thread, in slices, so that
 *             it takes at most half of a processor and publications go on.
 * Called by   scan.c.
 * Threads     the agent's.
 * Memory      os_map(), given back by scan_copy_drop.
 * Fails       see scan_copy.h.  Ends early when the agent does.
 * Invariants  no lock is held; no memory of the program is touched but through
 *             the kernel, but for the registry, which is the agent's.  A child
 *             that is forked meanwhile gets none of the memory.
 */
#include "agent/scan_copy.h"

#include <errno.h>
#include <string.h>

#include "agent/os.h"
#include "agent/publish.h"
#include "agent/sandbox.h"
#include "agent/scan_watch.h"

#define SLICE_NS UINT64_C(2000000)
#define CALLS 16u /* of rest() between looks at the clock */

static struct results *region;
static uint64_t region_bytes;
static struct scan_work work;
static uint64_t slice_start, published;
static uint32_t calls;
static int is_stopped; /* the program is about to end, or the agent's thread */

static int
call(void (*fn)(void *), void *arg)
{
    fn(arg);
    return 1;
}

static int
rest(void)
{
    static uint32_t nothing;
    uint64_t now;

    if (++calls % CALLS || is_stopped)
        return is_stopped;
    now = os_now_ns();
    if (now - slice_start < SLICE_NS)
        return 0;
    if (scan_watch_is_unwanted())
        return is_stopped = 1;
    if (now - published >= publish_interval_ns()) {
        publish_now(0);
        published = now;
    }
    os_futex_wait(&nothing, 0, SLICE_NS, 0);
    slice_start = os_now_ns();
    return 0;
}

static int
map_region(void)
{
    for (region_bytes = scan_watch_most_bytes();
         region_bytes >= RESULTS_BYTES_LEAST;
         region_bytes /= 2) {
        region = os_map_unforked(region_bytes);
        if (region) {
            region->room = region_bytes;
            region->used = sizeof(*region);
            return 0;
        }
    }
    return -ENOMEM;
}

int
scan_copy_run(const struct scan_wish *wish, uint64_t *cpu_ns)
{
    uint64_t before = os_thread_cpu_ns();
    int err = sandbox_is_tightened() ? -EACCES : map_region();

    is_stopped = 0;
    memset(&work, 0, sizeof(work));
    work.wish = wish;
    work.r = region;
    work.guard = call;
    work.rest = rest;
    slice_start = published = os_now_ns();
    if (!err)
        err = reader_start(&work.reader, 1);
    work.reader.rest = rest;
    if (!err) {
        scan_work_run(&work);
        region->finished = 1;
    }
    scan_work_end(&work);
    *cpu_ns = os_thread_cpu_ns() - before;
    return is_stopped ? -ECANCELED : err;
}

const struct results *
scan_copy_results(void)
{
    return region;
}

uint64_t
scan_copy_bytes(void)
{
    return region_bytes;
}

void
scan_copy_drop(void)
{
    struct results *gone = region;

    region = NULL; /* first, lest a child that is forked now do it too */
    if (gone)
        os_unmap(gone, region_bytes);
}

void
scan_copy_reset(void)
{
    region = NULL;
}
