/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * options-t.c -- HEAPKNOT_OPTIONS: values, units, and what is said about what
 * makes no sense.
 */
#include "tests/tap/tap.h"

#include <string.h>
#include <unistd.h>

#include "agent/options.h"

/* What options_read says on stderr, caught in a pipe. */
static char said[4096];

static void
read_options(const char *text)
{
    int ends[2], saved = dup(2);
    ssize_t n;

    if (pipe(ends) != 0)
        return;
    dup2(ends[1], 2);
    close(ends[1]);
    options_read(text);
    dup2(saved, 2);
    close(saved);
    n = read(ends[0], said, sizeof(said) - 1);
    said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
}

int
main(void)
{
    is_int(250000000, (long)opt.publish, "publish= is 250 ms unless told");
    is_int(128, (long)opt.depth, "depth= is 128");
    is_str("heapknot.%e.%p.hk", opt.output, "output= has its pattern");

    read_options("publish=1.5s:depth=7:output=x.hk:max_file=8MiB");
    is_str("", said, "good options are read in silence");
    is_int(1500000000, (long)opt.publish, "1.5s is 1,500,000,000 ns");
    is_int(7, (long)opt.depth, "a plain number");
    is_str("x.hk", opt.output, "a text");
    is_int(8 << 20, (long)opt.max_file, "8MiB is 8,388,608 bytes");

    read_options("min-age=2m:thread=off:pause_budget=0.5%");
    is_int(120000000000, (long)opt.min_age, "dashes do, and minutes");
    is_int(0, (long)opt.thread, "off is 0");
    is_int(5000, (long)opt.pause_budget, "0.5%% is 5,000 millionths");

    read_options("intervall=5s");
    ok(strstr(said, "\"intervall\"") != NULL, "an unknown key is named");
    ok(strstr(said, "interval)") != NULL, "and the nearest one offered");
    read_options("interval=soon:depth=9");
    ok(strstr(said, "interval=\"soon\"") != NULL, "a bad value is named");
    is_int(1000000000, (long)opt.interval, "and leaves the default");
    is_int(9, (long)opt.depth, "and what follows it is read");
    read_options("depth=100000");
    is_int(128, (long)opt.depth, "depth is at most 128");
    read_options("memory=99999999999999999999G");
    ok(strstr(said, "memory") != NULL, "an overflow makes no sense");
    read_options("publish=0");
    is_int(1000000, (long)opt.publish, "publish= is at least 1 ms");
    return done_testing();
}
