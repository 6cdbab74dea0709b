/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * start.c -- what the library asks for when it is loaded: to be told of forks.
 *
 * Handlers of pthread_atfork that are registered first are called last before
 * a fork, and first after it.  So the program's own, which may lock what its
 * threads hold while they call this library, come before ours lock anything.
 *
 * Called by   the loader.
 * Threads     one yet.
 * Memory      none.
 * Fails       without handlers a forked child of a threaded program may find
 *             a lock held.
 * Invariants  a program that never used the library pays a free lock and two
 *             tests a fork.
 */
#include <pthread.h>

#include "lib/finalizer.h"
#include "lib/gc.h"
#include "lib/shard.h"
#include "lib/start.h"
#include "lib/weak.h"

/* A finalizer's lock comes before those of weak references. */
static void
before_fork(void)
{
    finalizer_before_fork();
    weak_before_fork();
}

static void
after_fork_parent(void)
{
    weak_after_fork();
    finalizer_after_fork();
}

static void
after_fork_child(void)
{
    after_fork_parent();
    shard_after_fork();
    gc_after_fork();
}

__attribute__((constructor(102))) static void
start(void)
{
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

void
start_is_linked(void)
{
}
