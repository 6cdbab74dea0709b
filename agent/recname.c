/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recname.c -- expand output=.
 *
 * Called by   recspace.c when a recording is made.
 * Threads     under lock_publish.
 * Memory      the caller's buffer, and half a page on the stack.
 * Fails       when the name does not fit.
 */
#include "agent/recname.h"

#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "agent/os.h"
#include "agent/say.h"

#define DEFAULT_NAME "heapknot.%e.%p.hk"
#define SUFFIX ".hk"

struct name {
    char *text;
    size_t size, used;
    int has_number, has_pid, is_long;
};

static void
add(struct name *n, const char *s)
{
    size_t bytes = strlen(s);

    if (n->used + bytes >= n->size) {
        n->is_long = 1;
        return;
    }
    memcpy(n->text + n->used, s, bytes + 1);
    n->used += bytes;
}

static void
add_number(struct name *n, uint64_t number)
{
    char digits[24];

    say_format(digits, sizeof(digits), "%lu", number);
    add(n, digits);
}

/* A part that comes from outside must not lead into another folder. */
static void
add_part(struct name *n, char *part)
{
    for (char *p = part; *p; p++)
        if (*p == '/')
            *p = '_';
    add(n, *part ? part : "unknown");
}

/* By the name it was started under: many a program is a link to another, and
   a script is not its interpreter. */
static void
add_program(struct name *n)
{
    const char *path = (const char *)getauxval(AT_EXECFN);
    const char *base = path ? strrchr(path, '/') : NULL;
    char name[512];

    say_format(name, sizeof(name), "%s",
               base ? base + 1 : path ? path : "");
    add_part(n, name);
}

static void
add_host(struct name *n)
{
    struct utsname u;

    if (os_call(SYS_uname, (long)&u, 0, 0, 0, 0, 0) < 0)
        u.nodename[0] = '\0';
    add_part(n, u.nodename);
}

static void
add_escape(struct name *n, char what, unsigned attempt)
{
    char plain[3] = {'%', what, '\0'};

    if (what == 'e')
        add_program(n);
    else if (what == 'p') {
        n->has_pid = 1;
        add_number(n, (uint64_t)os_getpid());
    }
    else if (what == 'h')
        add_host(n);
    else if (what == 't')
        add_number(n, os_realtime_ns() / 1000000000u);
    else if (what == 'n') {
        n->has_number = 1;
        add_number(n, attempt);
    } else
        add(n, what == '%' ? "%" : plain);
}

static void
expand(struct name *n, const char *pattern, unsigned attempt)
{
    char one[2] = {0, 0};

    for (const char *p = pattern; *p; p++)
        if (*p == '%' && p[1])
            add_escape(n, *++p, attempt);
        else {
            one[0] = *p;
            add(n, one);
        }
}

/* Relative names count from the folder of the start: the program may go
   elsewhere later. */
static void
add_folder(struct name *n)
{
    long bytes = os_call(SYS_getcwd, (long)n->text, (long)n->size, 0, 0, 0, 0);

    /* "(unreachable)/..." comes first where the folder is not below root. */
    if (bytes <= 1 || n->text[0] != '/') {
        n->text[0] = '\0';
        return;
    }
    n->used = (size_t)bytes - 1;
    if (n->used > 1)
        add(n, "/");
}

static int
is_folder(const char *name)
{
    struct stat st;

    return os_call(SYS_newfstatat, AT_FDCWD, (long)name, (long)&st, 0, 0,
                   0) == 0 &&
           S_ISDIR(st.st_mode);
}

/* A name that is taken: by a parent or an earlier run, which the pid tells
   apart; then by an earlier image of this process, which a number does. */
static void
add_attempt(struct name *n, unsigned attempt)
{
    size_t tail = sizeof(SUFFIX) - 1;
    int has_suffix =
        n->used > tail && strcmp(n->text + n->used - tail, SUFFIX) == 0;

    if (has_suffix)
        n->used -= tail;
    if (!n->has_pid) {
        add(n, ".");
        add_number(n, (uint64_t)os_getpid());
        attempt--;
    }
    if (attempt > 1) {
        add(n, ".");
        add_number(n, attempt);
    }
    if (has_suffix)
        add(n, SUFFIX);
}

int
recname_make(char *text, size_t size, const char *pattern, unsigned attempt)
{
    struct name n = {text, size, 0, 0, 0, 0};

    text[0] = '\0';
    if (pattern[0] != '/')
        add_folder(&n);
    expand(&n, pattern, attempt);
    if (n.used == 0 || text[n.used - 1] == '/')
        expand(&n, DEFAULT_NAME, attempt);
    else if (is_folder(text)) {
        add(&n, "/");
        expand(&n, DEFAULT_NAME, attempt);
    }
    if (attempt > 1 && !n.has_number)
        add_attempt(&n, attempt);
    return !n.is_long;
}
