/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * topics.c -- rendered topics, kept for whoever asks again.
 *
 * A cache that fills to its limit and then stays: it grows for the first
 * seconds of a load, looks like a leak while it does, and is none.
 */
#include <stdio.h>
#include <stdlib.h>

#include "knotd.h"

enum { TOPIC_BYTES = 2048, TOPIC_LIMIT = 4096, TOPIC_BUCKETS = 4096 };

struct topic {
    struct topic *next;
    uint64_t key;
    char page[TOPIC_BYTES];
};

static pthread_mutex_t topics_lock = PTHREAD_MUTEX_INITIALIZER;
static struct topic *topics[TOPIC_BUCKETS];
static unsigned topic_count;

static uint64_t
topic_key(uint64_t session_id, const char *channel)
{
    uint64_t key = session_id * UINT64_C(0x9e3779b97f4a7c15);

    for (const char *c = channel; *c; c++)
        key = (key ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    return key;
}

static struct topic *
render(uint64_t key, uint64_t session_id, const char *channel)
{
    struct topic *topic = malloc(sizeof *topic);

    if (!topic)
        return NULL;
    topic->key = key;
    snprintf(topic->page, sizeof topic->page,
             "<topic><session>%llu</session><channel>%s</channel></topic>",
             (unsigned long long)session_id, channel);
    return topic;
}

static void
add_locked(uint64_t key, uint64_t session_id, const char *channel)
{
    struct topic **bucket = &topics[key % TOPIC_BUCKETS];
    struct topic *topic = *bucket;

    while (topic && topic->key != key)
        topic = topic->next;
    if (topic || topic_count == TOPIC_LIMIT)
        return;
    topic = render(key, session_id, channel);
    if (!topic)
        return;
    topic->next = *bucket;
    *bucket = topic;
    topic_count++;
}

void
topics_render(uint64_t session_id, const char *channel)
{
    pthread_mutex_lock(&topics_lock);
    add_locked(topic_key(session_id, channel), session_id, channel);
    pthread_mutex_unlock(&topics_lock);
}

void
topics_free(void)
{
    for (int i = 0; i < TOPIC_BUCKETS; i++)
        while (topics[i]) {
            struct topic *topic = topics[i];

            topics[i] = topic->next;
            free(topic);
        }
    topic_count = 0;
}
