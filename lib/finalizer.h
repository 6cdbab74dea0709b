/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * finalizer.h -- the finalizers that the end of the process runs.
 */
#ifndef HK_LIB_FINALIZER_H
#define HK_LIB_FINALIZER_H

/*
 * Runs what is pending with HK_FINALIZER_ATEXIT, the newest first; those that
 * are added meanwhile run next.  From then on no such finalizer runs any more.
 * exit() calls it by itself; whoever else works at the exit and wants them to
 * have run before calls it first.  A second call finds nothing to do.
 */
void finalizer_at_exit(void);

/* Around a fork. */
void finalizer_before_fork(void);
void finalizer_after_fork(void);

#endif
