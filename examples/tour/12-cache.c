/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 12-cache.c -- a bounded cache against an unbounded one.
 *
 * A cache without a limit is a leak with good intentions: everything in it is
 * reachable, so no collector ever helps.  Two ways to bound one:
 *
 *      by number: the entry that was used longest ago goes (LRU);
 *      by use: the cache refers weakly, so an entry lives as long as
 *      somebody outside works with it, and no longer.
 *
 * What to see: the same requests through each of the three; how many pages are
 * in memory at the end, and how many requests were hits.  For the weak cache
 * the last sixteen users still have their page.
 *
 * In Python: functools.lru_cache(maxsize=None), lru_cache(maxsize=128),
 * weakref.WeakValueDictionary.
 */
#include "tour.h"

#include <string.h>

enum { KEYS = 4096, REQUESTS = 50000, LIMIT = 128, USERS = 16 };

struct page {
    hk_object head;
    int key;
    int used; /* number of the request that wanted it last */
};

static const hk_type_spec page_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "page",
    .size = sizeof(struct page),
    .flags = HK_TYPE_LEAF,
};

static hk_type *page_type;
static struct page *pages[KEYS]; /* of the two that own */
static int page_count;
static hk_weak *weak_pages[KEYS]; /* of the one that does not */

/* A page that is not in the cache.  The caller owns it, as it owns the result
   of all that follow. */
static struct page *
render(int key)
{
    struct page *page = must(hk_new(page_type));

    page->key = key;
    return page;
}

static struct page *
get_unbounded(int key)
{
    if (!pages[key])
        pages[key] = render(key);
    return hk_newref(pages[key]);
}

/* A real one would keep a list in order of use. */
static void
drop_oldest(void)
{
    struct page *oldest = NULL;

    for (int i = 0; i < KEYS; i++)
        if (pages[i] && (!oldest || pages[i]->used < oldest->used))
            oldest = pages[i];
    hk_clearref(&pages[oldest->key]);
}

static struct page *
get_bounded(int key)
{
    if (!pages[key]) {
        if (page_count == LIMIT)
            drop_oldest();
        else
            page_count++;
        pages[key] = render(key);
    }
    return hk_newref(pages[key]);
}

static struct page *
get_weak(int key)
{
    struct page *page = weak_pages[key] ? hk_weak_lock(weak_pages[key]) : NULL;

    if (!page) {
        hk_weak_free(weak_pages[key]);
        page = render(key);
        weak_pages[key] = must(hk_weak_new(page, NULL, NULL));
    }
    return page;
}

/* Some keys are wanted often, most of them seldom; the same ones each time. */
static int
next_key(uint32_t *seed)
{
    uint32_t key = KEYS;

    for (int i = 0; i < 5; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        key = key * (*seed >> 20) / 4096;
    }
    return (int)key;
}

static void
run(const char *name, struct page *(*get)(int key))
{
    struct page *users[USERS] = {NULL};
    uint32_t seed = 1;
    uint64_t before, after;

    hk_type_counts(page_type, &before, NULL, NULL);
    for (int i = 1; i <= REQUESTS; i++) {
        HK_AUTO struct page *page = get(next_key(&seed));

        page->used = i;
        hk_setref(&users[i % USERS], page);
    }
    hk_type_counts(page_type, &after, NULL, NULL);
    printf("%-9s %5d pages in memory, %5d hits of %d\n", name, alive(page_type),
           REQUESTS - (int)(after - before), REQUESTS);
    for (int i = 0; i < USERS; i++)
        hk_clearref(&users[i]);
    for (int i = 0; i < KEYS; i++)
        hk_clearref(&pages[i]);
}

int
main(void)
{
    page_type = must(hk_type_register(&page_spec));
    run("unbounded", get_unbounded);
    run("bounded", get_bounded);
    run("weak", get_weak);
    for (int i = 0; i < KEYS; i++)
        hk_weak_free(weak_pages[i]);
    printf("at the end %d\n", alive(page_type));
    return 0;
}
