/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * symbolise.c -- the cache between a recording and its object files.
 */
#include "reporter/symbolise.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "reporter/demangle.h"
#include "reporter/model.h"
#include "reporter/object.h"

#define FRAMES_MAX 64 /* inlined at one address, innermost kept */

struct place {
    uint64_t pc;
    uint64_t module; /* as wide as pc: the key has no padding */
};

struct answer {
    struct place place; /* key */
    int count;
    struct sym_frame *frames;
    UT_hash_handle hh;
};

/* A name as the symbol table has it, and as people read it. */
struct name {
    char *symbol; /* key */
    char *shown;
    UT_hash_handle hh;
};

struct module_symbols {
    struct object *object;
    const char *problem;
    int tried;
};

struct symboliser {
    const struct recording *rec;
    struct module_symbols *modules; /* as in the recording */
    struct answer *answers;
    struct name *names;
};

static const struct sym_frame unknown_frame;
static int allow_debuginfod;

void
symboliser_use_debuginfod(int yes)
{
    allow_debuginfod = yes;
}

struct symboliser *
symboliser_open(const struct recording *rec)
{
    struct symboliser *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    if (!allow_debuginfod)
        unsetenv("DEBUGINFOD_URLS"); /* libdwfl would ask the network */
    s->rec = rec;
    s->modules = calloc(rec->module_count, sizeof *s->modules);
    if (!s->modules) {
        free(s);
        return NULL;
    }
    return s;
}

static struct object *
object_of(struct symboliser *s, uint32_t id)
{
    struct module_symbols *m = &s->modules[id];
    const struct hkr_module *module = &s->rec->modules[id];
    struct object_wish wish = { 0 };

    if (m->tried)
        return m->object;
    m->tried = 1;
    wish.path = recording_module_path(s->rec, id);
    if ((module->flags & HKR_MODULE_VDSO) || wish.path[0] != '/') {
        m->problem = "is no file";
        return NULL;
    }
    wish.build_id = module->build_id;
    wish.build_id_bytes = module->build_id_bytes;
    if (wish.build_id_bytes > sizeof module->build_id)
        wish.build_id_bytes = sizeof module->build_id;
    wish.loaded_realtime_ns =
        s->rec->header.start_realtime_ns + module->loaded_ns;
    if (recording_is_live(s->rec))
        wish.pid = (int)s->rec->header.pid;
    m->object = object_open(&wish, &m->problem);
    return m->object;
}

static const char *
show_name(struct symboliser *s, const char *symbol)
{
    struct name *name = NULL;

    if (!symbol)
        return NULL;
    HASH_FIND_STR(s->names, symbol, name);
    if (name)
        return name->shown;
    name = calloc(1, sizeof *name);
    if (!name)
        return NULL;
    name->symbol = strdup(symbol);
    name->shown = demangle(symbol);
    if (!name->symbol || !name->shown) {
        free(name->symbol);
        free(name->shown);
        free(name);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, s->names, name->symbol, strlen(name->symbol), name);
    return name->shown;
}

/* Fills frames with what is known of a place; returns their number. */
static int
look_up(struct symboliser *s, const struct place *place,
        struct object_frame *frames)
{
    uint32_t id = (uint32_t)place->module;
    struct object *o = id ? object_of(s, id) : NULL;
    uint64_t bias = s->rec->modules[id].bias;

    if (!o || place->pc == 0)
        return 0;
    return object_frames(o, place->pc - 1 - bias, frames, FRAMES_MAX);
}

static struct answer *
make_answer(struct symboliser *s, const struct place *place)
{
    struct object_frame found[FRAMES_MAX];
    int known = look_up(s, place, found);
    int count = known ? known : 1;
    struct answer *a = calloc(1, sizeof *a);
    const char *module = recording_module_path(s->rec,
                                               (uint32_t)place->module);

    if (a)
        a->frames = calloc((size_t)count, sizeof *a->frames);
    if (!a || !a->frames) {
        free(a);
        return NULL;
    }
    a->place = *place;
    a->count = count;
    for (int i = 0; i < count; i++) {
        struct sym_frame *f = &a->frames[i];

        f->module = *module ? module : NULL;
        f->inlined = i < count - 1;
        if (!known)
            continue;
        f->function = show_name(s, found[i].name);
        f->file = found[i].file;
        f->line = found[i].line;
    }
    return a;
}

int
symboliser_frames(struct symboliser *s, uint32_t node,
                  const struct sym_frame **frames)
{
    struct place place = { 0, 0 };
    struct answer *a = NULL;

    if (node < s->rec->node_count) {
        place.pc = s->rec->nodes[node].pc;
        place.module = s->rec->nodes[node].module;
    }
    HASH_FIND(hh, s->answers, &place, sizeof place, a);
    if (!a) {
        a = make_answer(s, &place);
        if (!a) {
            *frames = &unknown_frame;
            return 1;
        }
        HASH_ADD(hh, s->answers, place, sizeof a->place, a);
    }
    *frames = a->frames;
    return a->count;
}

const char *
symboliser_module_problem(struct symboliser *s, uint32_t module)
{
    return module < s->rec->module_count ? s->modules[module].problem : NULL;
}

static void
free_answers(struct symboliser *s)
{
    struct answer *a, *next;

    HASH_ITER(hh, s->answers, a, next) {
        HASH_DEL(s->answers, a);
        free(a->frames);
        free(a);
    }
}

static void
free_names(struct symboliser *s)
{
    struct name *name, *next;

    HASH_ITER(hh, s->names, name, next) {
        HASH_DEL(s->names, name);
        free(name->symbol);
        free(name->shown);
        free(name);
    }
}

void
symboliser_close(struct symboliser *s)
{
    if (!s)
        return;
    free_answers(s);
    free_names(s);
    for (uint32_t i = 0; i < s->rec->module_count; i++)
        object_close(s->modules[i].object);
    free(s->modules);
    free(s);
}
