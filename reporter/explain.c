/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * explain.c -- see explain.h.
 */
#include "reporter/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "reporter/counters.h"

static uint64_t
counter(const struct hkr_header *h, unsigned at)
{
    return counter_value(h, at);
}

const char *
explain_bytes(char *buf, size_t size, uint64_t n)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
    double value = (double)n;
    int unit = -1;

    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    if (unit < 0)
        snprintf(buf, size, "%" PRIu64 " bytes", n);
    else
        snprintf(buf, size, "%.1f %s", value, units[unit]);
    return buf;
}

const char *
explain_ns(char *buf, size_t size, uint64_t n)
{
    double seconds = (double)n / 1e9;

    if (n < 1000000)
        snprintf(buf, size, "%.0f us", seconds * 1e6);
    else if (n < UINT64_C(1000000000))
        snprintf(buf, size, "%.0f ms", seconds * 1e3);
    else if (seconds < 120)
        snprintf(buf, size, "%.1f s", seconds);
    else if (seconds < 7200)
        snprintf(buf, size, "%.0f min", seconds / 60);
    else
        snprintf(buf, size, "%.1f h", seconds / 3600);
    return buf;
}

const char *
explain_count(char *buf, size_t size, uint64_t n)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t used = 0;

    for (int i = 0; i < length && used + 2 < size; i++) {
        if (i && (length - i) % 3 == 0)
            buf[used++] = ',';
        buf[used++] = digits[i];
    }
    buf[used] = '\0';
    return buf;
}

static const char *
explain_unit(char *buf, size_t size, enum counter_unit unit, uint64_t n)
{
    if (unit == UNIT_bytes)
        return explain_bytes(buf, size, n);
    if (unit == UNIT_ns)
        return explain_ns(buf, size, n);
    return explain_count(buf, size, n);
}

int
explain_losses(const struct hkr_header *h)
{
    char buf[40];
    int found = 0;

    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        uint64_t n = counter(h, i);

        if (counter_rows[i].kind != KIND_LOSS || n == 0)
            continue;
        printf("  %-18s %12s  %s\n", counter_rows[i].name,
               explain_unit(buf, sizeof buf, counter_rows[i].unit, n),
               counter_rows[i].help);
        found++;
    }
    return found;
}

/* A recording whose process is gone though it says "live": what is missing is
   at most one interval. */
static void
explain_killed(const struct hkr_header *h, char *text, size_t size)
{
    char lost[40];

    snprintf(text, size, "ended without a word (SIGKILL, a crash, power); at "
             "most the last %s are missing",
             explain_ns(lost, sizeof lost, h->publish_interval_ns));
}

void
explain_state(const struct hkr_header *h, int alive, char *text, size_t size)
{
    switch (h->state) {
    case HKR_STATE_LIVE:
        if (alive == 0)
            explain_killed(h, text, size);
        else
            snprintf(text, size, alive > 0 ? "running"
                                           : "running, as far as one may see");
        break;
    case HKR_STATE_EXITED:
        snprintf(text, size, "exited; the recording is complete");
        break;
    case HKR_STATE_EXEC:
        snprintf(text, size, "became another program (exec); complete up to "
                 "then");
        break;
    case HKR_STATE_ABORTED:
        snprintf(text, size, "aborted; the recording is complete");
        break;
    case HKR_STATE_CRASHED:
        snprintf(text, size, "crashed by signal %u; the recording is complete",
                 h->exit_signal);
        break;
    case HKR_STATE_RETIRED:
        snprintf(text, size, "%s, but the agent gave up and records no more",
                 alive == 0 ? "ended" : "running");
        break;
    default:
        snprintf(text, size, "in state %u, which this heapknot does not know",
                 h->state);
    }
}

static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Both clocks start with the header's; the steady one is right while the
   process runs, the other one survives a reboot. */
static uint64_t
age_ns(const struct hkr_header *h, int alive)
{
    uint64_t now = clock_ns(alive > 0 ? CLOCK_MONOTONIC : CLOCK_REALTIME);
    uint64_t then = (alive > 0 ? h->start_monotonic_ns : h->start_realtime_ns)
        + h->published_ns;

    return now > then ? now - then : 0;
}

static void
print_sampling(const struct hkr_header *h)
{
    uint64_t distance = counter(h, COUNTER_sample_bytes);
    char a[40], b[40];

    if (distance || counter(h, COUNTER_sampled_blocks))
        printf("sampling   %s%s, %s blocks sampled\n",
               distance ? "1 block per " : "every block now",
               distance ? explain_bytes(a, sizeof a, distance) : "",
               explain_count(b, sizeof b,
                             counter(h, COUNTER_sampled_blocks)));
}

static void
print_totals(const struct hkr_header *h)
{
    char a[40], b[40], c[40];

    printf("heap       %s in %s live blocks, from %s stacks\n",
           explain_bytes(a, sizeof a, counter(h, COUNTER_live_bytes)),
           explain_count(b, sizeof b, counter(h, COUNTER_live_blocks)),
           explain_count(c, sizeof c, counter(h, COUNTER_stacks)));
    printf("ever       %s allocations, %s frees, %s\n",
           explain_count(a, sizeof a, counter(h, COUNTER_allocations)),
           explain_count(b, sizeof b, counter(h, COUNTER_frees)),
           explain_bytes(c, sizeof c, counter(h, COUNTER_allocated_bytes)));
    if (counter(h, COUNTER_rss_bytes))
        printf("process    %s resident, of which the agent has %s\n",
               explain_bytes(a, sizeof a, counter(h, COUNTER_rss_bytes)),
               explain_bytes(b, sizeof b, counter(h, COUNTER_agent_bytes)));
    print_sampling(h);
    printf("scans      %s, longest pause %s; %u marks\n",
           explain_count(a, sizeof a, counter(h, COUNTER_scans)),
           explain_ns(b, sizeof b, counter(h, COUNTER_pause_max_ns)),
           h->mark_count);
}

void
explain_status(const struct control *c, const char *path)
{
    const struct hkr_header *h = &c->header;
    int alive = control_is_alive(c);
    char text[256], age[40], every[40];

    explain_state(h, alive, text, sizeof text);
    printf("recording  %s\n", path);
    printf("process    %d, %s\n", c->pid, text);
    printf("published  %s ago, every %s while it runs\n",
           explain_ns(age, sizeof age, age_ns(h, alive)),
           explain_ns(every, sizeof every, h->publish_interval_ns));
    if (h->reason[0])
        printf("reason     %s\n", h->reason);
    print_totals(h);
    puts("losses");
    if (explain_losses(h) == 0)
        puts("  none");
}
