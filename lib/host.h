/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * host.h -- what the companion needs from the place where it lives.
 *
 * The sources in lib/ are built twice: into libheapknot.so.0 with
 * lib/host_alone.c, and into the agent with agent/host.c.  Nothing else
 * differs.
 */
#ifndef HK_LIB_HOST_H
#define HK_LIB_HOST_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory for metadata, kept for ever; NULL if there is no more (the
   host counts that).  Never the program's allocator. */
void *host_map(size_t bytes);
/* The same, for the length of a collection; in huge pages where it pays. */
void *host_map_scratch(size_t bytes);
void host_unmap_scratch(void *p, size_t bytes);

/* Is this the agent?  It has stacks and a clock for each object then. */
extern const unsigned char host_has_stacks;
int host_is_agent(void); /* and it records */

/* Id of the caller's call stack (struct hkr_stack), without frames of this
   library; 0 where no stacks are taken.  Keeps errno. */
uint32_t host_stack(void);

/*
 * References of types that the user named (refs=): is this one of them?  Then
 * of its objects, by their headers: born with a reference; one more (by 1) or,
 * before it is dropped, one less (-1); dead.  0: of this object no more, its
 * HK_BIT_TRACED is to be cleared.
 */
int host_traces(const char *type_name);
int host_ref_born(const void *header, uint32_t type);
int host_ref_counted(const void *header, int by);
void host_ref_died(const void *header);

/* The note on an object instead of the one before; NULL: none.  0 or an errno
   value. */
int host_note(const void *object, const char *text);

/* Stack of the malloc that made the block at ptr, and from now on a free() of
   it calls quarantine_block_freed(); 0 if unknown. */
uint32_t host_block_adopt(void *ptr);
/* The reverse: a free of ptr is nothing special any more. */
void host_block_forget(void *ptr);

/* Milliseconds since the process started, coarse. */
uint32_t host_now_ms(void);

/* hk_mark and hk_snapshot; name is NULL for the latter. */
void host_mark(const char *name);

/* One line on stderr, capped in number, for an error of the program. */
void host_complain(const char *sentence);

/* Ends the process as abort() does; the recording is brought up to date. */
void host_abort(void) __attribute__((noreturn));

#endif
