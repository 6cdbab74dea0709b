/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * channel.c -- a channel: its subscribers and the last lines said on it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "knotd.h"

static const hk_field channel_fields[] = {
    {"subscribers", HK_REF_ARRAY, offsetof(struct channel, subscribers.items),
     offsetof(struct channel, subscribers.count)},
    {NULL, HK_END, 0, 0},
};

static hk_type *channel_type;

static void
channel_dealloc(void *self)
{
    struct channel *channel = self;

    refset_clear(&channel->subscribers);
    for (int i = 0; i < RETAINED_LINES; i++)
        free(channel->retained[i]);
    free(channel);
}

static int
channel_describe(const void *self, char *buf, size_t len)
{
    const struct channel *channel = self;

    return snprintf(buf, len, "channel %s", channel->name);
}

int
channel_register(void)
{
    static const hk_type_spec spec = {
        .struct_size = sizeof(hk_type_spec),
        .name = "channel",
        .size = sizeof(struct channel),
        .header_offset = offsetof(struct channel, header),
        .fields = channel_fields,
        .dealloc = channel_dealloc,
        .describe = channel_describe,
    };

    channel_type = hk_type_register(&spec);
    return channel_type ? 0 : -1;
}

struct channel *
channel_new(const char *name, bool listed)
{
    struct channel *channel = hk_new(channel_type);

    if (!channel)
        return NULL;
    snprintf(channel->name, sizeof channel->name, "%s", name);
    channel->listed = listed;
    return channel;
}

bool
channel_retain(struct channel *channel, const char *line)
{
    unsigned place = channel->retained_count % RETAINED_LINES;
    char *copy = strdup(line);

    if (!copy)
        return false;
    free(channel->retained[place]);
    channel->retained[place] = copy;
    channel->retained_count++;
    return true;
}

uint64_t
channel_live(void)
{
    uint64_t created, destroyed, tracked;

    hk_type_counts(channel_type, &created, &destroyed, &tracked);
    return created - destroyed;
}
