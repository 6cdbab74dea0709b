/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * units.c -- see units.h.
 */
#include "reporter/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BUFFERS 16
#define BUFFER_BYTES 64

static char *
next_buffer(void)
{
    static char buffers[BUFFERS][BUFFER_BYTES];
    static unsigned turn;

    return buffers[turn++ % BUFFERS];
}

static const char *
scaled(double bytes, const char *sign, const char *suffix)
{
    static const char *const names[] = {"bytes", "KiB", "MiB", "GiB", "TiB",
                                        "PiB", "EiB"};
    char *text = next_buffer();
    unsigned i = 0;

    while (bytes >= 1024 && i < 6) {
        bytes /= 1024;
        i++;
    }
    if (i == 0)
        snprintf(text, BUFFER_BYTES, "%s%.0f %s%s", sign, bytes, names[0],
                 suffix);
    else
        snprintf(text, BUFFER_BYTES, "%s%.*f %s%s", sign,
                 bytes < 99.95 ? 1 : 0, bytes, names[i], suffix);
    return text;
}

const char *
units_bytes(double bytes)
{
    return scaled(fabs(bytes), bytes < 0 ? "-" : "", "");
}

const char *
units_signed_bytes(double bytes)
{
    return scaled(fabs(bytes), bytes < 0 ? "-" : "+", "");
}

const char *
units_rate(double bytes_per_second)
{
    if (bytes_per_second != 0 && fabs(bytes_per_second) < 1024)
        return scaled(fabs(bytes_per_second) * 60,
                      bytes_per_second < 0 ? "-" : "", "/min");
    return scaled(fabs(bytes_per_second), bytes_per_second < 0 ? "-" : "",
                  "/s");
}

static const char *
grouped(uint64_t n, const char *sign)
{
    char digits[24], *text = next_buffer(), *to = text;
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);

    to = stpcpy(to, sign);
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

const char *
units_count(uint64_t n)
{
    return grouped(n, "");
}

const char *
units_signed_count(int64_t n)
{
    return n < 0 ? grouped(0 - (uint64_t)n, "-") : grouped((uint64_t)n, "+");
}

const char *
units_seconds(double s)
{
    char *text = next_buffer();

    if (s < 0)
        s = 0;
    if (s < 0.0995)
        snprintf(text, BUFFER_BYTES, "%.1f ms", s * 1e3);
    else if (s < 100)
        snprintf(text, BUFFER_BYTES, "%.1f s", s);
    else if (s < 6000)
        snprintf(text, BUFFER_BYTES, "%.0f min %.0f s", floor(s / 60),
                 floor(fmod(s, 60)));
    else if (s < 360000)
        snprintf(text, BUFFER_BYTES, "%.0f h %.0f min", floor(s / 3600),
                 floor(fmod(s, 3600) / 60));
    else
        snprintf(text, BUFFER_BYTES, "%.0f days %.0f h", floor(s / 86400),
                 floor(fmod(s, 86400) / 3600));
    return text;
}

const char *
units_plural(uint64_t n, const char *word)
{
    char *text = next_buffer();

    snprintf(text, BUFFER_BYTES, "%s %s%s", units_count(n), word,
             n == 1 ? "" : "s");
    return text;
}
