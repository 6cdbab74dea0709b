/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * refs_missing.c -- names in the agent's option refs= that cannot be had.
 */
#include "reporter/refs.h"

#include <string.h>

/* The value of the last refs= among the options; "" if there is none. */
static const char *
find_option(const struct recording *rec)
{
    const char *at = recording_fact(rec, "options"), *found = "";

    for (; at && *at; at = strchr(at, ':')) {
        at += *at == ':';
        if (strncmp(at, "refs=", 5) == 0)
            found = at + 5;
    }
    return found;
}

/* The next name of the list at *at, and its length; 0: there are no more. */
static size_t
next_name(const char **at)
{
    *at += strspn(*at, ",");
    return strcspn(*at, ",:");
}

static uint32_t
find_type(const struct recording *rec, const char *name, size_t length)
{
    for (uint32_t i = 1; i < rec->type_count; i++) {
        const char *known = recording_string(rec, rec->types[i].name);

        if (strncmp(known, name, length) == 0 && !known[length])
            return i;
    }
    return 0;
}

int
refs_missing(const struct recording *rec, size_t index, char *text,
             size_t size)
{
    const char *at = find_option(rec);
    size_t n;

    for (; (n = next_name(&at)); at += n) {
        uint32_t type = find_type(rec, at, n);
        int is_foreign = type && rec->types[type].flags & HKR_TYPE_FOREIGN;

        if ((type && !is_foreign) || index--)
            continue;
        snprintf(text, size, "%.*s: %s", (int)(n < 100 ? n : 100), at,
                 is_foreign ? "its objects are adopted and count by "
                              "themselves, so nobody sees references taken "
                              "and dropped"
                            : "the program has no type of this name");
        return 1;
    }
    return 0;
}
