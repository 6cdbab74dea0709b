/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_child.c -- the snapshot child.
 *
 * What        lowers its priority, catches faults, copies the graph of all
 *             registered objects, finds the unreachable cycles and leaves.
 * Called by   scan.c, right after the clone; never returns.
 * Threads     one: the others did not come along.
 * Memory      os_map(), gone with the process; results in shared memory.
 * Fails       a fault while an object is read skips that object.  Any other
 *             fault, and running out of memory, ends the child; the parent
 *             sees how far it came.
 * Invariants  no lock, no pool, no libc but memcpy and its like; file
 *             descriptors are shared with the program and not touched.
 */

#include "agent/scan_child.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "agent/os.h"
#include "agent/scan_components.h"
#include "agent/scan_emit.h"
#include "agent/scan_graph.h"
#include "lib/registry.h"
#include "lib/type.h"

#define ALTSTACK_BYTES 65536u
#define AHEAD_OBJECTS 8u
#define SA_RESTORER_KERNEL 0x04000000ul

/* The kernel's struct sigaction; libc's may be the program's own. */
struct kernel_action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

static sigjmp_buf fault_jump;
static volatile int fault_armed;

struct child {
    struct results *r;
    struct graph g;
    uint32_t at;   /* node being traversed */
    int no_memory; /* an edge did not fit */
    int endless;   /* this object's references have no end */
};

static void leave(int status) __attribute__((noreturn));
static void finish(struct child *c, uint32_t status)
    __attribute__((noreturn));

static void
leave(int status)
{
    for (;;)
        os_call(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

/* ---- faults ------------------------------------------------------------- */

static void
on_fault(int signal)
{
    if (!fault_armed)
        leave(128 + signal);
    fault_armed = 0;
    siglongjmp(fault_jump, 1);
}

/* Never reached: on_fault does not return. */
static void
after_handler(void)
{
    leave(127);
}

/* SA_NODEFER, since the handler is left by a jump. */
static void
catch_faults(void)
{
    struct kernel_action act = {
        .handler = on_fault,
        .flags = SA_ONSTACK | SA_NODEFER | SA_RESTORER_KERNEL,
        .restorer = after_handler,
    };
    stack_t alt = {.ss_size = ALTSTACK_BYTES};
    unsigned long unblock = 0;

    alt.ss_sp = os_map(ALTSTACK_BYTES);
    if (alt.ss_sp)
        os_call(SYS_sigaltstack, (long)&alt, 0, 0, 0, 0, 0);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        os_call(SYS_rt_sigaction, faults[i], (long)&act, 0,
                sizeof act.mask, 0, 0);
        unblock |= 1ul << (faults[i] - 1);
    }
    os_call(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&unblock, 0,
            sizeof unblock, 0, 0);
}

int
scan_child_guarded(void (*fn)(void *), void *arg)
{
    if (sigsetjmp(fault_jump, 0))
        return 0;
    fault_armed = 1;
    fn(arg);
    fault_armed = 0;
    return 1;
}

/* ---- being a good neighbour --------------------------------------------- */

/* Dies with its parent, leaves no core, runs when nobody else wants to. */
static void
settle_down(int parent_pid)
{
    int no_priority = 0;

    os_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    if (os_call(SYS_getppid, 0, 0, 0, 0, 0, 0) != parent_pid)
        leave(1);
    os_call(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0);
    os_call(SYS_sched_setscheduler, 0, SCHED_BATCH, (long)&no_priority, 0, 0,
            0);
    os_call(SYS_setpriority, PRIO_PROCESS, 0, 19, 0, 0, 0);
}

static uint64_t
cpu_ns(void)
{
    struct timespec t = {0, 0};

    os_call(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, (long)&t, 0, 0, 0,
            0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
finish(struct child *c, uint32_t status)
{
    struct results *r = c->r;

    if (r->status == HKR_SCAN_DONE)
        r->status = status;
    r->edges = c->g.edge_count - c->g.unknown;
    r->unknown = c->g.unknown;
    r->excess = c->g.excess;
    r->skipped = c->g.skipped;
    r->unreachable = c->g.unreachable;
    r->objects = c->g.count - c->g.skipped;
    r->cpu_ns = cpu_ns();
    __atomic_store_n(&r->finished, 1, __ATOMIC_RELEASE);
    os_futex_wake(&r->finished, 1, 1);
    leave(0);
}

static void
enter_phase(struct child *c, enum scan_phase phase)
{
    __atomic_store_n(&c->r->phase, phase, __ATOMIC_RELAXED);
    c->r->progress++;
}

/* ---- copying the graph -------------------------------------------------- */

/* The registry is the agent's memory, whole at every instant. */
static int
copy_objects(struct child *c)
{
    uint32_t limit = registry_limit();

    if (graph_start(&c->g, limit))
        return -1;
    for (uint32_t slot = 1; slot < limit; slot++) {
        const struct record *rec = registry_record(slot);
        const hk_type *type;

        if (!rec || rec->state != RECORD_TRACKED || !rec->object)
            continue;
        type = type_get(rec->type);
        if (type)
            graph_add_node(&c->g, rec->object, type->spec.header_offset, slot,
                           rec->type);
        if (slot % 4096 == 0)
            c->r->progress++;
    }
    return graph_index(&c->g);
}

static int
visit(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct child *c = arg;

    (void)label;
    (void)index;
    if (!child)
        return 0;
    c->endless |= c->g.pending_count >= GRAPH_REFERENCES_MAX;
    if (c->endless)
        return 1;
    if ((c->g.pending_count & 1023) == 1023)
        c->r->progress++;
    c->no_memory |= graph_add_edge(&c->g, child) != 0;
    return c->no_memory;
}

/* A header that does not name the record back belongs to an object that is
   being made, or to a newer one at the same address. */
static int
is_current(const hk_type *type, const struct graph_node *n)
{
    const char *object = (const char *)(uintptr_t)n->object;
    const hk_object *header;

    if (type->spec.flags & HK_TYPE_FOREIGN)
        return 1;
    header = (const hk_object *)(const void *)(object +
                                               type->spec.header_offset);
    return header->slot == n->slot;
}

/* Its references cannot be known, so whatever it refers to stays reachable. */
static void
skip(struct child *c, uint32_t i)
{
    c->endless = 0;
    if (!c->r->fault_type)
        c->r->fault_type = c->g.nodes[i].type;
    graph_drop_node(&c->g, i);
}

static void
traverse_one(struct child *c, uint32_t i)
{
    struct graph_node *n = &c->g.nodes[i];
    void *object = (void *)(uintptr_t)n->object;
    const hk_type *type = type_get(n->type);
    uint64_t refs;

    c->r->slot = n->slot;
    c->r->type = n->type;
    c->r->progress++;
    refs = is_current(type, n) ? type_refcount(type, object) : 0;
    if (refs == 0) {
        graph_drop_node(&c->g, i);
        return;
    }
    graph_set_refs(&c->g, i, refs);
    type_traverse(type, object, visit, c);
    if (c->endless)
        skip(c, i);
}

/* Goes on from c->at; a fault leaves it in the middle of that one. */
static void
traverse_from(void *arg)
{
    struct child *c = arg;
    uint32_t count = c->g.count;

    for (; c->at < count && !c->no_memory; c->at++) {
        if (c->at + AHEAD_OBJECTS < count)
            __builtin_prefetch(
                (void *)(uintptr_t)c->g.nodes[c->at + AHEAD_OBJECTS].object);
        if (graph_open_node(&c->g, c->at)) {
            c->no_memory = 1;
            return;
        }
        traverse_one(c, c->at);
    }
}

static int
copy_references(struct child *c)
{
    while (c->at < c->g.count && !c->no_memory) {
        if (!scan_child_guarded(traverse_from, c))
            skip(c, c->at++);
    }
    return c->no_memory ? -1 : graph_close(&c->g);
}

void
scan_child_main(struct results *results, int parent_pid)
{
    static struct child child; /* a copy of the parent's, which is zero */
    static struct components parts;
    struct child *c = &child;

    c->r = results;
    settle_down(parent_pid);
    catch_faults();
    enter_phase(c, SCAN_PHASE_COPY);
    if (copy_objects(c))
        finish(c, HKR_SCAN_NO_MEMORY);
    enter_phase(c, SCAN_PHASE_TRAVERSE);
    if (copy_references(c))
        finish(c, HKR_SCAN_NO_MEMORY);
    results->type = 0;
    enter_phase(c, SCAN_PHASE_REACH);
    if (graph_reach(&c->g))
        finish(c, HKR_SCAN_NO_MEMORY);
    enter_phase(c, SCAN_PHASE_COMPONENTS);
    if (c->g.unreachable && components_find(&c->g, &parts))
        finish(c, HKR_SCAN_NO_MEMORY);
    enter_phase(c, SCAN_PHASE_EMIT);
    if (c->g.unreachable && scan_emit_cycles(results, &c->g, &parts))
        finish(c, HKR_SCAN_NO_MEMORY);
    finish(c, HKR_SCAN_DONE);
}
