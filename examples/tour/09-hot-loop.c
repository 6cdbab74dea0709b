/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 09-hot-loop.c -- the collector off in a hot loop.
 *
 * A loop that builds something large makes many objects that all stay.  Each
 * collection in it looks at them and finds nothing.  If you know that, switch
 * the collector off for the loop, and on again as it was.
 *
 * Off means: no automatic collection.  Counting goes on, so whatever is not
 * circular still ends at once, and hk_gc_collect() still works.
 *
 * What to see: the same list built twice; how many collections each took, and
 * that these found nothing; that the temporary objects of the loop died in both
 * cases.  The times go to stderr: try --figures.
 *
 * In Python: gc.disable(), as timeit does around what it measures.
 */
#include "tour.h"

#include <string.h>
#include <time.h>

enum { LENGTH = 200000 };

struct item {
    hk_object head;
    struct item *next;
};

static const hk_field item_fields[] = {
    {"next", HK_REF, offsetof(struct item, next), 0}, {0}};

static const hk_type_spec item_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "item",
    .size = sizeof(struct item),
    .fields = item_fields,
};

static hk_type *item_type;

static struct item *
build(void)
{
    struct item *list = NULL, *item;

    for (int i = 0; i < LENGTH; i++) {
        HK_AUTO struct item *temporary = must(hk_new(item_type));

        hk_setref(&temporary->next, list);
        item = must(hk_new(item_type));
        hk_moveref(&item->next, &list);
        hk_moveref(&list, &item);
        hk_gc_poll();
    }
    return list;
}

/* With the collector off, whatever it was before. */
static struct item *
build_undisturbed(void)
{
    int was_on = hk_gc_disable();
    struct item *list = build();

    if (was_on)
        hk_gc_enable();
    return list;
}

static int
collections(int *collected)
{
    hk_gc_stats stats[3];

    hk_gc_get_stats(stats);
    *collected =
        (int)(stats[0].collected + stats[1].collected + stats[2].collected);
    return (int)(stats[0].collections + stats[1].collections +
                 stats[2].collections);
}

static double
run(const char *how, struct item *(*builder)(void))
{
    struct timespec start, end;
    struct item *list;
    int found, found_before, count = collections(&found_before);

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    list = builder();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    count = collections(&found) - count;
    printf("%s: %d collections, which found %d; %d objects alive\n", how, count,
           found - found_before, alive(item_type));
    hk_decref(list);
    return (double)(end.tv_sec - start.tv_sec) * 1e3 +
           (double)(end.tv_nsec - start.tv_nsec) / 1e6;
}

int
main(int argc, char **argv)
{
    double on, off;

    item_type = must(hk_type_register(&item_spec));
    on = run("on ", build);
    off = run("off", build_undisturbed);
    printf("and on again: %s\n", yes_no(hk_gc_isenabled()));
    if (argc > 1 && strcmp(argv[1], "--figures") == 0)
        fprintf(stderr, "on %.1f ms, off %.1f ms\n", on, off);
    return 0;
}
