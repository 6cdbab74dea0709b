/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * interposed.h -- every name of libc that the agent stands in front of.
 *
 * HK_INTERPOSED(name, FAMILY).  FAMILY: ALLOC (allocator), LIFE (threads and
 * the ends of a process), LOAD (the loader), WAIT (calls in which a service
 * waits: a good moment to start the agent's thread).  The operators of C++ are
 * in agent/interpose_cxx.c.
 */
HK_INTERPOSED(malloc, ALLOC)
HK_INTERPOSED(calloc, ALLOC)
HK_INTERPOSED(realloc, ALLOC)
HK_INTERPOSED(reallocarray, ALLOC)
HK_INTERPOSED(free, ALLOC)
HK_INTERPOSED(cfree, ALLOC)
HK_INTERPOSED(posix_memalign, ALLOC)
HK_INTERPOSED(aligned_alloc, ALLOC)
HK_INTERPOSED(memalign, ALLOC)
HK_INTERPOSED(valloc, ALLOC)
HK_INTERPOSED(pvalloc, ALLOC)
HK_INTERPOSED(free_sized, ALLOC)
HK_INTERPOSED(free_aligned_sized, ALLOC)
HK_INTERPOSED(malloc_usable_size, ALLOC)
HK_INTERPOSED(pthread_create, LIFE)
HK_INTERPOSED(_exit, LIFE)
HK_INTERPOSED(_Exit, LIFE)
HK_INTERPOSED(quick_exit, LIFE)
HK_INTERPOSED(abort, LIFE)
HK_INTERPOSED(execve, LIFE)
HK_INTERPOSED(execv, LIFE)
HK_INTERPOSED(execvp, LIFE)
HK_INTERPOSED(execvpe, LIFE)
HK_INTERPOSED(execl, LIFE)
HK_INTERPOSED(execle, LIFE)
HK_INTERPOSED(execlp, LIFE)
HK_INTERPOSED(fexecve, LIFE)
HK_INTERPOSED(execveat, LIFE)
HK_INTERPOSED(dlclose, LOAD)
HK_INTERPOSED(epoll_wait, WAIT)
HK_INTERPOSED(epoll_pwait, WAIT)
HK_INTERPOSED(poll, WAIT)
HK_INTERPOSED(ppoll, WAIT)
HK_INTERPOSED(select, WAIT)
HK_INTERPOSED(pselect, WAIT)
HK_INTERPOSED(accept, WAIT)
HK_INTERPOSED(accept4, WAIT)
HK_INTERPOSED(sigsuspend, WAIT)
HK_INTERPOSED(pause, WAIT)
HK_INTERPOSED(sleep, WAIT)
HK_INTERPOSED(nanosleep, WAIT)
HK_INTERPOSED(clock_nanosleep, WAIT)
