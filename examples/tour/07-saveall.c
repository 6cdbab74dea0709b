/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 07-saveall.c -- keeping an eye on garbage.
 *
 * A collector that works hides the mistakes that make it work.  With
 * HK_GC_SAVEALL nothing is cleared: what was unreachable goes into the garbage,
 * where it can be looked at: who was it, and whom did it refer to?
 *
 * A diagnosis, not a mode to run in: the garbage is a leak, on purpose; and
 * weak references, callbacks and finalizers have done their work on what is in
 * it.  hk_gc_scan() (lesson 13) looks without touching.
 *
 * What to see: three pages of a site with links to one another, forgotten; the
 * garbage names each and what it refers to; afterwards it is emptied like any
 * list.  HK_GC_LEAK prints a line for each on stderr besides: try --figures.
 *
 * In Python: gc.set_debug(gc.DEBUG_SAVEALL); gc.garbage.
 */
#include "tour.h"

#include <string.h>

enum { LINKS = 2 };

struct page {
    hk_object head;
    const char *name;
    struct page *links[LINKS];
};

static const hk_field page_fields[] = {
    {"links", HK_REF_INLINE, offsetof(struct page, links), LINKS}, {0}};

static const hk_type_spec page_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "page",
    .size = sizeof(struct page),
    .fields = page_fields,
};

static struct page *
make_page(hk_type *type, const char *name)
{
    struct page *page = must(hk_new(type));

    page->name = name;
    return page;
}

/* home <-> news <-> shop, and a draft that nobody links to: that one dies by
   counting, and is no garbage. */
static void
make_and_forget_site(hk_type *type)
{
    HK_AUTO struct page *home = make_page(type, "home");
    HK_AUTO struct page *news = make_page(type, "news");
    HK_AUTO struct page *shop = make_page(type, "shop");
    HK_AUTO struct page *draft = make_page(type, "draft");

    hk_setref(&home->links[0], news);
    hk_setref(&news->links[0], home);
    hk_setref(&news->links[1], shop);
    hk_setref(&shop->links[0], news);
    hk_setref(&draft->links[0], home);
}

static int
print_link(void *obj, const hk_type *type, void *arg)
{
    const struct page *page = obj;

    (void)type;
    (void)arg;
    printf(" %s", page->name);
    return 0;
}

static void
print_garbage(void)
{
    for (size_t i = 0; i < hk_gc_garbage_count(); i++) {
        struct page *page = hk_gc_garbage_get(i);
        void *const objs[] = {page};

        printf("  %s ->", page->name);
        hk_gc_get_referents(objs, 1, print_link, NULL);
        printf("\n");
    }
}

/* Each page lets go of what it holds; then nothing is circular any more. */
static void
empty_garbage(void)
{
    while (hk_gc_garbage_count()) {
        HK_AUTO struct page *page = hk_gc_garbage_take(0);

        for (int i = 0; i < LINKS; i++)
            hk_clearref(&page->links[i]);
    }
}

int
main(int argc, char **argv)
{
    hk_type *type = must(hk_type_register(&page_spec));
    int figures = argc > 1 && strcmp(argv[1], "--figures") == 0;

    make_and_forget_site(type);
    hk_gc_set_debug(figures ? HK_GC_LEAK : HK_GC_SAVEALL);
    printf("unreachable: %d\n", (int)hk_gc_collect(2));
    printf("alive all the same: %d, in the garbage:\n", alive(type));
    print_garbage();

    hk_gc_set_debug(0);
    empty_garbage();
    printf("emptied: %d alive\n", alive(type));
    return 0;
}
