/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 10-freeze.c -- freezing before fork.
 *
 * A server that forks shares its memory with its children until somebody
 * writes: the kernel then copies that page.  A collection writes into the
 * records of the objects that it looks at, so the first one in each child
 * copies what all of them could have shared.
 *
 * hk_gc_freeze() puts everything that is there into a permanent generation, at
 * which no collection looks.  Load what all children need, freeze, fork.
 *
 * What to see: two children do the same, a full collection; the one whose
 * parent had frozen keeps its pages shared.  How many KiB became private is
 * taken from /proc/self/smaps_rollup in the child; the figures go to stderr:
 * try --figures.
 *
 * In Python: gc.disable() early, gc.freeze() before os.fork(), gc.enable() in
 * the child.
 */
#include "tour.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OBJECTS = 300000 };

struct row {
    hk_object head;
    struct row *next;
};

static const hk_field row_fields[] = {
    {"next", HK_REF, offsetof(struct row, next), 0}, {0}};

static const hk_type_spec row_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "row",
    .size = sizeof(struct row),
    .fields = row_fields,
};

static struct row *table;

static void
load(void)
{
    hk_type *type = must(hk_type_register(&row_spec));
    struct row *row;

    for (int i = 0; i < OBJECTS; i++) {
        row = must(hk_new(type));
        hk_moveref(&row->next, &table);
        hk_moveref(&table, &row);
    }
}

/* KiB that this process alone has written to. */
static long
private_kib(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[128];
    long kib = -1;

    while (file && kib < 0 && fgets(line, sizeof(line), file))
        if (sscanf(line, "Private_Dirty: %ld kB", &kib) != 1)
            kib = -1;
    if (file)
        fclose(file);
    return kib;
}

/* What a full collection in a child costs in pages. */
static long
copied_by_child(void)
{
    int ends[2], status = 1;
    long kib = -1;
    pid_t child;

    fflush(NULL);
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        perror("10-freeze");
        exit(1);
    }
    if (child == 0) {
        kib = private_kib();
        hk_gc_collect(2);
        kib = private_kib() - kib;
        _exit(write(ends[1], &kib, sizeof(kib)) != sizeof(kib));
    }
    close(ends[1]);
    if (read(ends[0], &kib, sizeof(kib)) != sizeof(kib))
        kib = -1;
    close(ends[0]);
    waitpid(child, &status, 0);
    return status == 0 ? kib : -1;
}

int
main(int argc, char **argv)
{
    long plain, frozen;
    size_t objects;

    load();
    plain = copied_by_child();

    hk_gc_freeze();
    objects = hk_gc_get_freeze_count();
    frozen = copied_by_child();
    hk_gc_unfreeze();

    if (argc > 1 && strcmp(argv[1], "--figures") == 0)
        fprintf(stderr, "copied: not frozen %ld KiB, frozen %ld KiB\n", plain,
                frozen);
    printf("frozen objects: %d, after unfreeze: %d\n", (int)objects,
           (int)hk_gc_get_freeze_count());
    printf("not frozen: more than 4 MiB of pages copied: %s\n",
           yes_no(plain > 4096));
    printf("frozen: more pages shared: %s\n",
           yes_no(frozen >= 0 && frozen < plain));
    printf("frozen: less than a quarter copied: %s\n",
           yes_no(frozen >= 0 && frozen < plain / 4));
    hk_clearref(&table);
    return 0;
}
