/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_child.c -- the snapshot child.
 *
 * What        raises the shield, does the work of a scan in its copy of the
 *             process and leaves.
 * Called by   scan_watch.c, right after the clone; never returns.
 * Threads     one: the others did not come along.
 * Memory      os_map(), gone with the process; results in shared memory.
 * Fails       a fault while an object is read skips that object.  Any other
 *             fault, and running out of memory, ends the child; the parent
 *             sees how far it came.
 * Invariants  no lock, no pool, no libc but memcpy and its like; file
 *             descriptors are shared with the program and not touched.
 */
#include "agent/scan_child.h"

#include "agent/os.h"
#include "agent/scan_shield.h"
#include "agent/scan_work.h"

void
scan_child_main(struct results *results, const struct scan_wish *wish,
                int parent_pid, int parent_tid)
{
    static struct scan_work work; /* a copy of the parent's, which is zero */

    shield_raise(results, parent_pid, parent_tid);
    work.wish = wish;
    work.r = results;
    work.guard = shield_guarded;
    if (reader_start(&work.reader, 0) == 0)
        scan_work_run(&work);
    results->cpu_ns = os_process_cpu_ns();
    __atomic_store_n(&results->finished, 1, __ATOMIC_RELEASE);
    os_futex_wake(&results->finished, 1, 1);
    shield_leave(0);
}
