/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * say.c -- messages without stdio.
 *
 * Called by   slow paths only.
 * Threads     one write(2) a line, so lines do not mix.
 * Memory      a buffer on the stack.
 * Fails       silently: a line that cannot be written is lost.
 */
#include "agent/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

#include "agent/os.h"

#define SAY_MAX 24 /* lines a process */
#define LINE_BYTES 512

struct out {
    char *buf;
    size_t size, used;
};

static void
put(struct out *o, char c)
{
    if (o->used + 1 < o->size)
        o->buf[o->used++] = c;
}

static void
put_string(struct out *o, const char *s)
{
    for (s = s ? s : "(null)"; *s; s++)
        put(o, *s);
}

static void
put_number(struct out *o, uint64_t n, unsigned base)
{
    char digits[24];
    size_t count = 0;

    do
        digits[count++] = "0123456789abcdef"[n % base];
    while ((n /= base) != 0);
    while (count)
        put(o, digits[--count]);
}

static void
put_signed(struct out *o, int64_t n)
{
    if (n < 0)
        put(o, '-');
    put_number(o, n < 0 ? -(uint64_t)n : (uint64_t)n, 10);
}

size_t
say_vformat(char *buf, size_t size, const char *format, va_list args)
{
    struct out o = {buf, size, 0};
    int is_long;

    for (const char *p = format; *p; p++) {
        if (*p != '%') {
            put(&o, *p);
            continue;
        }
        is_long = p[1] == 'l' || p[1] == 'z';
        p += 1 + is_long;
        if (*p == 's')
            put_string(&o, va_arg(args, const char *));
        else if (*p == 'u' || *p == 'x')
            put_number(&o, is_long ? va_arg(args, unsigned long)
                                   : va_arg(args, unsigned),
                       *p == 'u' ? 10 : 16);
        else if (*p == 'd')
            put_signed(&o, is_long ? va_arg(args, long) : va_arg(args, int));
        else
            put(&o, *p);
    }
    if (size)
        buf[o.used] = '\0';
    return o.used;
}

size_t
say_format(char *buf, size_t size, const char *format, ...)
{
    va_list args;
    size_t n;

    va_start(args, format);
    n = say_vformat(buf, size, format, args);
    va_end(args);
    return n;
}

/* The agent's thread has no descriptor 2 of its own: it opens the program's. */
static void
write_line(const char *line, size_t bytes)
{
    int fd;

    if (os_write(2, line, bytes) != -EBADF)
        return;
    fd = os_open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    os_write(fd, line, bytes);
    os_close(fd);
}

void
say(const char *format, ...)
{
    static uint32_t lines;
    char line[LINE_BYTES];
    va_list args;
    size_t n;

    if (__atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED) >= SAY_MAX)
        return;
    n = say_format(line, sizeof(line) - 1, "heapknot: ");
    va_start(args, format);
    n += say_vformat(line + n, sizeof(line) - 1 - n, format, args);
    va_end(args);
    line[n++] = '\n';
    write_line(line, n);
}
