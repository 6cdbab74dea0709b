/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * folded.c -- stacks as FlameGraph, inferno and Pyroscope read them.
 */
#include "reporter/render.h"

#include <inttypes.h>

const char *const folded_costs[FOLDED_COSTS + 1] = {
    "live_bytes", "live_blocks", "allocations", "frees", "allocated_bytes",
    NULL};

static uint64_t
cost_of(const struct stack_counts *c, enum folded_cost cost)
{
    switch (cost) {
    case FOLDED_live_bytes:
        return counts_live_bytes(c);
    case FOLDED_live_blocks:
        return counts_live_blocks(c);
    case FOLDED_allocations:
        return c->allocations;
    case FOLDED_frees:
        return c->frees;
    default:
        return c->allocated_bytes;
    }
}

/* ';' separates frames and a newline stacks; a name must have neither. */
static void
write_name(const char *name, FILE *file)
{
    for (; *name; name++)
        fputc(*name == ';'                            ? ':'
                  : (unsigned char)*name < ' '
                      || *name == 127 ? ' '
                                      : *name,
              file);
}

static void
write_frame(const struct frame *f, FILE *file)
{
    write_name(f->at.function, file);
    if (f->unnamed[0] && f->at.module) {
        fputc('@', file);
        write_name(frames_basename(f->at.module), file);
    }
}

int
folded_write(const struct view *view, enum folded_cost cost, FILE *file)
{
    struct frames frames = {0};

    for (uint32_t i = 0; i < view->paths.count; i++) {
        const struct path *p = &view->paths.items[view->order[i]];
        uint64_t value = cost_of(&p->counts, cost);

        if (value == 0)
            continue;
        frames_of(&view->names, p->node, &frames);
        for (size_t k = frames.count; k-- > 0;) {
            write_frame(&frames.items[k], file);
            fputc(k ? ';' : ' ', file);
        }
        if (frames.count == 0)
            fputs("[unknown] ", file);
        fprintf(file, "%" PRIu64 "\n", value);
    }
    frames_free(&frames);
    return ferror(file) ? -1 : 0;
}
