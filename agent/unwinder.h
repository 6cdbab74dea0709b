/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwinder.h -- libunwind, opened so that the program does not notice.
 *
 * RTLD_LOCAL: linked, its _Unwind_* would come before libgcc's in programs
 * that load C++ later, and hijack their exceptions.  Some of its imports are
 * redirected to functions here:
 *
 *   pipe2, read, syscall, close   It asks whether memory can be read by
 *          writing that memory into a pipe.  The pipe would take two low
 *          numbers of the program's, and a program that closes all it does
 *          not know would get stray bytes in the file that comes next.
 *          Answered by rt_sigprocmask, which reads its argument and then
 *          refuses (Abseil's AddressIsReadable does so).
 *   open   It would look for .debug_frame in files.
 *   dl_iterate_phdr   It would take the loader's lock on every miss of its
 *          cache, and a program that holds that lock while it waits for a
 *          thread that allocates would wait for ever.  Answered from
 *          modules.h, which is refreshed first for an address that is not
 *          known there.
 *   pthread_mutex_lock, _unlock   A child forked while another thread holds one
 *          would wait for ever.  fork takes lock_unwind, which stands for all.
 */
#ifndef HK_AGENT_UNWINDER_H
#define HK_AGENT_UNWINDER_H

/* A handle for dlsym, or NULL.  Calls the loader. */
void *unwinder_open(void);

#endif
