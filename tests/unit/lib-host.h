/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-host.h -- a host for tests of the companion: it is the agent if it is
 * told so, gives the stack and time that it is told, and counts complaints.
 * Include it in the one file of the test program.
 */
#ifndef HK_TESTS_LIB_HOST_H
#define HK_TESTS_LIB_HOST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/host.h"

static int host_agent = 1, host_no_memory, host_complaints, host_marks;
static char host_complaint[300], host_marked[40]; /* the last ones */
static int host_keeps_complaints; /* if one thread alone complains */
static uint32_t host_stack_now, host_block_stack, host_ms_now = 1234;
static const void *host_watched; /* the last block that was adopted */

void *
host_map(size_t bytes)
{
    void *p;

    if (host_no_memory)
        return NULL;
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void *
host_map_scratch(size_t bytes)
{
    return host_map(bytes);
}

void
host_unmap_scratch(void *p, size_t bytes)
{
    munmap(p, bytes);
}

const unsigned char host_has_stacks = 1;

int
host_is_agent(void)
{
    return host_agent;
}

uint32_t
host_stack(void)
{
    return host_stack_now;
}

/* The one type that is traced, and what was told of its objects. */
static const char *host_traced = "";
static int host_refs_refused; /* from now on */
static struct {
    const void *header; /* the last one */
    int births, increments, decrements, deaths;
} host_refs;

int
host_traces(const char *type_name)
{
    return strcmp(type_name, host_traced) == 0;
}

int
host_ref_born(const void *header, uint32_t type)
{
    (void)type;
    host_refs.header = header;
    host_refs.births++;
    return !host_refs_refused;
}

int
host_ref_counted(const void *header, int by)
{
    host_refs.header = header;
    host_refs.increments += by > 0;
    host_refs.decrements += by < 0;
    return !host_refs_refused;
}

void
host_ref_died(const void *header)
{
    host_refs.header = header;
    host_refs.deaths++;
}

/* The last note, and on what. */
static const void *host_noted;
static char host_noted_text[100];
static int host_note_error;

int
host_note(const void *object, const char *text)
{
    host_noted = object;
    snprintf(host_noted_text, sizeof(host_noted_text), "%s",
             text ? text : "(none)");
    return host_note_error;
}

uint32_t
host_block_adopt(void *ptr)
{
    __atomic_store_n(&host_watched, ptr, __ATOMIC_RELAXED);
    return host_block_stack;
}

void
host_block_forget(void *ptr)
{
    if (ptr == host_watched)
        host_watched = NULL;
}

uint32_t
host_now_ms(void)
{
    return host_ms_now;
}

void
host_mark(const char *name)
{
    host_marks++;
    snprintf(host_marked, sizeof(host_marked), "%s",
             name ? name : "(snapshot)");
}

void
host_complain(const char *sentence)
{
    __atomic_fetch_add(&host_complaints, 1, __ATOMIC_RELAXED);
    if (host_keeps_complaints)
        snprintf(host_complaint, sizeof(host_complaint), "%s", sentence);
}

void
host_abort(void)
{
    abort();
}

#endif
