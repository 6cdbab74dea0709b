/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * inventory.c -- see inventory.h: the lists.
 */
#include "reporter/inventory.h"

#include <stdlib.h>
#include <string.h>

const char *
issue_word(enum issue_kind kind)
{
    static const char *const words[] = {
#define ISSUE(name, word) word,
        ISSUE_LIST
#undef ISSUE
    };

    return words[kind];
}

enum issue_kind
issue_of_word(const char *word, size_t length)
{
    for (int k = 0; k < ISSUE_KINDS; k++)
        if (strlen(issue_word((enum issue_kind)k)) == length
            && strncmp(issue_word((enum issue_kind)k), word, length) == 0)
            return (enum issue_kind)k;
    return ISSUE_KINDS;
}

/* Room for one more item; -1 without memory. */
static int
make_room(void **items, size_t count, size_t *room, size_t bytes)
{
    size_t more = *room ? *room * 2 : 16;
    void *larger;

    if (count < *room)
        return 0;
    larger = realloc(*items, more * bytes);
    if (!larger)
        return -1;
    *items = larger;
    *room = more;
    return 0;
}

static struct issue *
find_issue(const struct inventory *inv, enum issue_kind kind,
           uint64_t fingerprint)
{
    for (size_t i = 0; i < inv->issue_count; i++)
        if (inv->issues[i].kind == kind
            && inv->issues[i].fingerprint == fingerprint)
            return &inv->issues[i];
    return NULL;
}

const struct issue *
inventory_find(const struct inventory *inv, enum issue_kind kind,
               uint64_t fingerprint)
{
    return find_issue(inv, kind, fingerprint);
}

struct issue *
inventory_issue(struct inventory *inv, enum issue_kind kind,
                uint64_t fingerprint, const char *headline,
                const char *names, const char *file)
{
    struct issue *i = find_issue(inv, kind, fingerprint);

    if (i) {
        i->recordings += strcmp(i->file, file) != 0;
        return i;
    }
    if (make_room((void **)&inv->issues, inv->issue_count, &inv->issue_room,
                  sizeof *inv->issues)) {
        inv->no_memory = 1;
        return NULL;
    }
    i = &inv->issues[inv->issue_count];
    *i = (struct issue){kind, ISSUE_NEW, fingerprint, strdup(headline),
                        strdup(names), strdup(file), 1};
    if (i->headline && i->names && i->file) {
        inv->issue_count++;
        return i;
    }
    free(i->headline);
    free(i->names);
    free(i->file);
    inv->no_memory = 1;
    return NULL;
}

static void
free_stocks(struct stocks *stocks)
{
    for (size_t i = 0; i < stocks->count; i++) {
        free(stocks->items[i].name);
        free(stocks->items[i].file);
    }
    free(stocks->items);
    *stocks = (struct stocks){0};
}

static struct stock *
find_stock(const struct stocks *stocks, uint64_t fingerprint)
{
    for (size_t i = 0; i < stocks->count; i++)
        if (stocks->items[i].fingerprint == fingerprint)
            return &stocks->items[i];
    return NULL;
}

void
inventory_stock(struct inventory *inv, struct stocks *stocks,
                const struct stock *stock)
{
    struct stock *s = find_stock(stocks, stock->fingerprint);

    if (s) {
        s->live += stock->live;
        return;
    }
    if (make_room((void **)&stocks->items, stocks->count, &stocks->room,
                  sizeof *stocks->items)) {
        inv->no_memory = 1;
        return;
    }
    s = &stocks->items[stocks->count];
    *s = (struct stock){stock->fingerprint, strdup(stock->name), stock->live,
                        strdup(stock->file)};
    if (s->name && s->file) {
        stocks->count++;
        return;
    }
    free(s->name);
    free(s->file);
    inv->no_memory = 1;
}

void
inventory_merge(struct inventory *inv, struct stocks *to,
                struct stocks *stocks)
{
    for (size_t i = 0; i < stocks->count; i++) {
        struct stock *from = &stocks->items[i];
        struct stock *s = find_stock(to, from->fingerprint);

        if (!s) {
            inventory_stock(inv, to, from);
        } else if (from->live > s->live) {
            char *file = s->file;

            s->live = from->live;
            s->file = from->file;
            from->file = file;
        }
    }
    free_stocks(stocks);
}

uint64_t
inventory_live(const struct stocks *stocks, uint64_t fingerprint)
{
    const struct stock *s = find_stock(stocks, fingerprint);

    return s ? s->live : 0;
}

void
inventory_judged(struct inventory *inv, const struct judged *judged)
{
    struct judged *j;

    if (make_room((void **)&inv->judged, inv->judged_count,
                  &inv->judged_room, sizeof *inv->judged)) {
        inv->no_memory = 1;
        return;
    }
    j = &inv->judged[inv->judged_count++];
    *j = *judged;
    j->file = strdup(judged->file);
    inv->no_memory |= !j->file;
}

void
inventory_free(struct inventory *inv)
{
    for (size_t i = 0; i < inv->issue_count; i++) {
        free(inv->issues[i].headline);
        free(inv->issues[i].names);
        free(inv->issues[i].file);
    }
    for (size_t i = 0; i < inv->judged_count; i++)
        free(inv->judged[i].file);
    free(inv->issues);
    free(inv->judged);
    free_stocks(&inv->types);
    free_stocks(&inv->holds);
    *inv = (struct inventory){0};
}
