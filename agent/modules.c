/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * modules.c -- which object is mapped where, and since when.
 *
 * The loader's list is read again when its counters of additions and removals
 * moved.  Look-up goes through a sorted array of what is loaded now, of which
 * there are two: a refresh fills the idle one and switches.
 *
 * Called by   intern.c for a new pc, life.c after dlclose, publish.c.
 * Threads     refresh under lock_modules; look-up is lock-free (a reader that
 *             meets two switches at once tries again, then says 0).
 * Memory      meta.c.
 * Fails       0 (unknown module); frames then have an address only.
 */
#include "agent/modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/imports.h"
#include "agent/intern.h"
#include "agent/lock.h"
#include "agent/meta.h"
#include "agent/os.h"
#include "agent/rules.h"
#include "agent/strings.h"
#include "format/recording.h"

#define MODULE_MAX 16384u
#define LIVE_MAX 4096u
#define LOCK_WAIT_NS 50000000u

struct range {
    uintptr_t start, end;
    const ElfW(Phdr) *headers;
    uint32_t id;
    uint16_t header_count;
};
struct live {
    uint32_t count;
    struct range ranges[LIVE_MAX];
};

static struct module *modules;
static uint32_t module_count;
static struct live *lives; /* two */
static uint32_t live_seq;  /* live_seq & 1 is the one to read */
static uint64_t adds, subs;
static uint32_t reused;
uintptr_t modules_agent_start, modules_agent_end;

static int
start(void)
{
    if (!modules) {
        lives = meta_reserve(2 * sizeof(*lives));
        modules = meta_reserve(MODULE_MAX * sizeof(*modules));
    }
    return modules && lives;
}

struct visit {
    struct live *next;
    uint8_t seen[MODULE_MAX / 8];
    int is_first, is_same, is_any_new;
};

static void
bounds(const struct dl_phdr_info *info, uint64_t *lo, uint64_t *hi)
{
    *lo = UINT64_MAX;
    *hi = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type != PT_LOAD)
            continue;
        if (info->dlpi_addr + p->p_vaddr < *lo)
            *lo = info->dlpi_addr + p->p_vaddr;
        if (info->dlpi_addr + p->p_vaddr + p->p_memsz > *hi)
            *hi = info->dlpi_addr + p->p_vaddr + p->p_memsz;
    }
}

static void
read_build_id(struct module *m, const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        const char *at = (const char *)(info->dlpi_addr + p->p_vaddr);
        const char *end = at + p->p_memsz;

        if (p->p_type != PT_NOTE)
            continue;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *n = (const void *)at;
            const char *name = at + sizeof(*n);
            const char *desc = name + ((n->n_namesz + 3) & ~3u);

            if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 &&
                memcmp(name, "GNU", 4) == 0 &&
                n->n_descsz <= sizeof(m->build_id)) {
                memcpy(m->build_id, desc, n->n_descsz);
                m->build_id_bytes = n->n_descsz;
                return;
            }
            at = desc + ((n->n_descsz + 3) & ~3u);
        }
    }
}

static const char *
module_path(const struct dl_phdr_info *info, int is_exe, char *buf,
            size_t size)
{
    long n;

    if (!is_exe)
        return info->dlpi_name;
    n = os_call(SYS_readlinkat, -100, (long)"/proc/self/exe", (long)buf,
                (long)size - 1, 0, 0);
    if (n <= 0)
        return "";
    buf[n] = '\0';
    return buf;
}

/* A live module that is this one, or 0. */
static uint32_t
find_same(uint64_t lo, uint64_t hi, uint64_t bias)
{
    for (uint32_t id = module_count; id > 0; id--)
        if (!modules[id].unloaded_ns && modules[id].start == lo &&
            modules[id].end == hi && modules[id].bias == bias)
            return id;
    return 0;
}

static void
note_reuse(uint64_t lo, uint64_t hi)
{
    for (uint32_t id = 1; id <= module_count; id++)
        if (modules[id].unloaded_ns && modules[id].start < hi &&
            lo < modules[id].end)
            __atomic_store_n(&reused, 1, __ATOMIC_RELAXED);
}

/* Bound at load to another malloc than ours (RTLD_DEEPBIND)?  A lazy slot
   still points into the object itself. */
static void
check_malloc(const char *name, uintptr_t *slot, void *arg)
{
    const struct module *m = arg;
    int is_lazy = *slot >= m->start && *slot < m->end;

    if (strcmp(name, "malloc") == 0 && !is_lazy && *slot &&
        !modules_is_agent(*slot) && !count_get(HKC_static_allocator))
        count_add(HKC_deepbind, 1);
}

static void
check_binding(struct module *m, const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum && boot_is_recording(); i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_DYNAMIC)
            imports_visit((const void *)(info->dlpi_addr + p->p_vaddr),
                          info->dlpi_addr, check_malloc, m);
    }
}

static uint32_t
add_module(const struct dl_phdr_info *info, uint64_t lo, uint64_t hi,
           int is_exe)
{
    uint32_t id = module_count + 1;
    struct module *m = &modules[id];
    static char buf[1024];
    const char *path = module_path(info, is_exe, buf, sizeof(buf));

    if (id >= MODULE_MAX)
        return 0;
    note_reuse(lo, hi);
    m->start = lo;
    m->end = hi;
    m->bias = info->dlpi_addr;
    m->loaded_ns = os_now_ns() - boot_start_ns;
    m->path = strings_add(path);
    m->flags = is_exe ? HKR_MODULE_EXE : 0;
    if (strstr(path, "linux-vdso"))
        m->flags |= HKR_MODULE_VDSO;
    if (lo <= (uintptr_t)&modules_refresh && (uintptr_t)&modules_refresh < hi) {
        m->flags |= HKR_MODULE_AGENT;
        modules_agent_start = lo;
        modules_agent_end = hi;
    }
    read_build_id(m, info);
    check_binding(m, info);
    __atomic_store_n(&module_count, id, __ATOMIC_RELEASE);
    return id;
}

/* Keeps the next live list sorted by address. */
static void
add_live(struct live *next, const struct dl_phdr_info *info, uintptr_t lo,
         uintptr_t hi, uint32_t id)
{
    uint32_t i = next->count;

    if (i >= LIVE_MAX)
        return;
    for (; i > 0 && next->ranges[i - 1].start > lo; i--)
        next->ranges[i] = next->ranges[i - 1];
    next->ranges[i] =
        (struct range){lo, hi, info->dlpi_phdr, id, info->dlpi_phnum};
    next->count++;
}

static int
visit_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct visit *v = arg;
    uint64_t lo, hi;
    uint32_t id;
    int is_exe = v->is_first;

    (void)size;
    if (v->is_first) {
        v->is_first = 0;
        v->is_same = module_count && info->dlpi_adds == adds &&
                     info->dlpi_subs == subs;
        if (v->is_same)
            return 1;
        adds = info->dlpi_adds;
        subs = info->dlpi_subs;
    }
    bounds(info, &lo, &hi);
    if (lo >= hi)
        return 0;
    id = find_same(lo, hi, info->dlpi_addr);
    if (!id)
        id = add_module(info, lo, hi, is_exe);
    if (id) {
        v->seen[id / 8] |= (uint8_t)(1u << id % 8);
        add_live(v->next, info, lo, hi, id);
    }
    return 0;
}

static void
drop_unseen(const struct visit *v)
{
    for (uint32_t id = 1; id <= module_count; id++) {
        struct module *m = &modules[id];

        if (m->unloaded_ns || v->seen[id / 8] & 1u << id % 8)
            continue;
        m->unloaded_ns = os_now_ns() - boot_start_ns;
        intern_forget_module(id);
    }
}

static void
refresh_locked(void)
{
    static struct visit v; /* not on the stack of a small thread */

    memset(&v, 0, sizeof(v));
    v.next = &lives[(live_seq + 1) & 1];
    v.is_first = 1;
    v.next->count = 0;
    dl_iterate_phdr(visit_module, &v);
    if (v.is_same)
        return;
    drop_unseen(&v);
    __atomic_store_n(&live_seq, live_seq + 1, __ATOMIC_RELEASE);
    rules_forget();
}

void
modules_refresh(void)
{
    if (!lock_take(&lock_modules, LOCK_WAIT_NS))
        return;
    if (start())
        refresh_locked();
    lock_release(&lock_modules);
}

/* int _dl_find_object(void *pc, struct dl_find_object *); 0: found. */
static int (*find_object)(void *, void *);

void
modules_prepare(void)
{
    *(void **)&find_object = dlsym(RTLD_DEFAULT, "_dl_find_object");
}

void
modules_refresh_for(uintptr_t pc)
{
    uint64_t object[32]; /* glibc 2.36 fills seven */

    if (!find_object || find_object((void *)pc, object) == 0)
        modules_refresh();
}

void
modules_note_dlclose(void)
{
    modules_refresh();
}

static const struct range *
search(const struct live *l, uintptr_t pc)
{
    uint32_t lo = 0, hi = l->count;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (pc < l->ranges[mid].start)
            hi = mid;
        else if (pc >= l->ranges[mid].end)
            lo = mid + 1;
        else
            return &l->ranges[mid];
    }
    return NULL;
}

/* A copy of the range at pc; id 0 if there is none. */
static struct range
find_range(uintptr_t pc)
{
    struct range none = {.id = 0}, copy;

    for (int tries = 0; lives && tries < 4; tries++) {
        uint32_t seq = __atomic_load_n(&live_seq, __ATOMIC_ACQUIRE);
        const struct range *r = search(&lives[seq & 1], pc);

        copy = r ? *r : none;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&live_seq, __ATOMIC_RELAXED) == seq)
            return copy;
    }
    return none;
}

uint32_t
modules_find(uintptr_t pc)
{
    return find_range(pc).id;
}

int
modules_describe(uintptr_t pc, struct dl_phdr_info *info)
{
    struct range r = find_range(pc);

    if (!r.id)
        return 0;
    memset(info, 0, sizeof(*info));
    info->dlpi_addr = modules[r.id].bias;
    info->dlpi_name = strings_get(modules[r.id].path);
    info->dlpi_phdr = r.headers;
    info->dlpi_phnum = r.header_count;
    info->dlpi_adds = adds;
    info->dlpi_subs = subs;
    return 1;
}

uint32_t
modules_count(void)
{
    return __atomic_load_n(&module_count, __ATOMIC_ACQUIRE);
}

const struct module *
modules_get(uint32_t id)
{
    return id && id <= modules_count() ? &modules[id] : NULL;
}

int
modules_reused_addresses(void)
{
    return __atomic_load_n(&reused, __ATOMIC_RELAXED) != 0;
}
