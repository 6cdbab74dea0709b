/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * modules.h -- the loaded objects, with every generation of them.
 *
 * modules_refresh() asks the loader (dl_iterate_phdr), so it is never called
 * with a lock of the agent held that a hook may want, but lock_modules.
 * Records are never removed: an unloaded object keeps its id.
 */
#ifndef HK_AGENT_MODULES_H
#define HK_AGENT_MODULES_H

#include <stdint.h>

struct module {
    uint64_t start, end, bias;
    uint64_t loaded_ns, unloaded_ns;
    uint32_t path; /* id in strings.h */
    uint32_t flags;
    uint32_t build_id_bytes;
    uint8_t build_id[36];
};

/* Looks for new and vanished objects. */
void modules_refresh(void);
/* The same, if there is one at pc at all.  Where glibc can tell (2.35 and
   later) that is asked without a lock, so code that was made at run time never
   waits for the loader. */
void modules_refresh_for(uintptr_t pc);
void modules_prepare(void); /* calls the loader */
/* Id of the object at pc, 0 if unknown; lock-free. */
uint32_t modules_find(uintptr_t pc);
uint32_t modules_count(void); /* ids 1 .. count are published */
const struct module *modules_get(uint32_t id);
/* What dl_iterate_phdr would say of the object at pc; 0 if unknown.
   Lock-free. */
struct dl_phdr_info;
int modules_describe(uintptr_t pc, struct dl_phdr_info *info);
/* Where the agent itself is. */
extern uintptr_t modules_agent_start, modules_agent_end;

static inline int
modules_is_agent(uintptr_t pc)
{
    return pc >= modules_agent_start && pc < modules_agent_end;
}

/* The program called dlclose: something may be gone. */
void modules_note_dlclose(void);
/* Has an object appeared where another one was?  (Unwinders that cache by
   address are wrong then.) */
int modules_reused_addresses(void);

#endif
